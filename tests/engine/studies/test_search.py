"""A search: what it proposes, what it gives up, what it still knows after a kill."""

from __future__ import annotations

from pathlib import Path

import msgspec
import optuna
import pytest

from engine.commands.sweep import sweep
from engine.errors import UsageError
from engine.events import Validation
from engine.runfolder import EventWriter, RunFolder, Status, create, list_runs
from engine.runfolder.study import Member, Study, read_study
from engine.studies.search import Search, distribution, ends
from tests.engine.recipe.good import SEGMENTATION
from tests.engine.studies.conftest import small, study_in

SPACE = {"optimizer.lr": "1e-4:1e-2:log", "train.batch_size": "1:4", "loss.name": "dice,dice_bce"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = create(tmp_path, "atrium", study=True)
    made.recipe.write_text(SEGMENTATION, encoding="utf-8")
    return made


def study(*members: Member) -> Study:
    return Study(task="segmentation", monitor="dice", search=SPACE, trials=9, seeds=[0], member=list(members))


def trained(folder: RunFolder, member: Member, *dice: float, state: str = "finished") -> Member:
    """A member with a run folder in which it was validated so often."""
    run = create(folder.root.parent, member.name)
    writer = EventWriter(run.events)
    for epoch, value in enumerate(dice, 1):
        writer.write(Validation(epoch=epoch, iteration=epoch, metrics={"dice": value}))
    writer.close()
    run.status.write_bytes(msgspec.json.encode(Status(state="finished", metric="dice", best=max(dice, default=None))))
    return msgspec.structs.replace(member, run=run.id, state=state)


def test_ranges_and_choices():
    assert distribution("optimizer.lr", "1e-4:1e-2:log") == optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)
    assert distribution("train.batch_size", "1:4") == optuna.distributions.IntDistribution(1, 4)
    assert distribution("loss.name", "dice,dice_bce") == optuna.distributions.CategoricalDistribution(
        ("dice", "dice_bce")
    )
    assert ends("optimizer.lr", "1e-4:1e-2:log") == ("1e-4", "1e-2")
    for words in ("2:1", "0:1:log"):
        with pytest.raises(UsageError, match="LOW below HIGH"):
            distribution("optimizer.lr", words)


def test_a_proposal_is_a_member_with_texts_for_its_recipe(folder):
    (member,) = Search(folder, study()).more(study())
    assert member.trial == 0
    rate = member.grid["optimizer.lr"]
    assert 1e-4 <= float(rate) <= 1e-2
    assert f"{float(rate):.4g}" == rate
    assert member.grid["train.batch_size"] in "1234"
    assert member.grid["loss.name"] in SPACE["loss.name"].split(",")
    assert member.setting.startswith("trial 0: ")


def test_a_trial_that_was_proposed_and_never_began_begins_after_a_kill(folder):
    (before,) = Search(folder, study()).more(study())
    again = Search(folder, study())
    assert again.more(study()) == [before]
    (other,) = again.more(study(before))
    assert other.trial == 1
    assert other.grid != before.grid


def test_what_falls_behind_the_median_is_given_up_and_all_is_told(folder):
    search, members = Search(folder, study()), []
    for level in (0.5, 0.6, 0.7, 0.8, 0.9):
        (proposed,) = search.more(study(*members))
        members.append(trained(folder, proposed, *(level * share for share in (0.5, 0.8, 1.0))))
        assert not search.hopeless(members[-1], study(*members))
        search.ended(study(*members))
    (proposed,) = search.more(study(*members))
    poor = trained(folder, proposed, 0.1, 0.1, state="running")
    assert search.hopeless(poor, study(*members, poor))
    search.ended(study(*members, msgspec.structs.replace(poor, state="pruned")))
    (known,) = optuna.get_all_study_summaries(
        optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder.root / "optuna.journal")))
    )
    assert (known.best_trial.value, known.n_trials) == (0.9, 6)
    assert [trial.state.name for trial in search._search.trials] == ["COMPLETE"] * 5 + ["PRUNED"]


@pytest.mark.filterwarnings("error")
def test_a_trial_that_failed_is_tried_again_and_told_then(folder):
    search = Search(folder, study())
    (proposed,) = search.more(study())
    failed = trained(folder, proposed, 0.1, 0.2, state="failed")
    assert not search.hopeless(failed, study(failed))
    search.ended(study(failed))
    again = Search(folder, study(failed))
    assert not again.hopeless(msgspec.structs.replace(failed, state="running"), study(failed))
    again.ended(study(msgspec.structs.replace(failed, state="finished")))
    assert [(trial.state.name, trial.value) for trial in again._search.trials] == [("COMPLETE", 0.2)]


def test_what_is_proposed_is_the_same_after_a_kill(folder, tmp_path):
    other = create(tmp_path / "other", "atrium", study=True)
    other.recipe.write_bytes(folder.recipe.read_bytes())
    alone, found = Search(other, study()), ([], [])
    for _ in range(3):
        search = Search(folder, study(*found[0]))
        for one, place, members in ((search, folder, found[0]), (alone, other, found[1])):
            (proposed,) = one.more(study(*members))
            members.append(trained(place, proposed, 0.5))
            one.ended(study(*members))
    assert [member.grid for member in found[0]] == [member.grid for member in found[1]]


def test_the_rest_of_a_trial_that_was_given_up_is_given_up_after_a_kill(folder):
    given_up = Member(name="t0-s0", trial=0, state="pruned")
    rest = Member(name="t0-s1", trial=0, state="waiting")
    assert Search(folder, study(given_up, rest)).hopeless(rest, study(given_up, rest))


def test_a_search_from_its_trials_to_its_report(tmp_path):
    request = small(tmp_path, trials=2, search=("optimizer.lr=1e-5:1e-2:log",))
    assert sweep(msgspec.structs.replace(request, jobs=1)) == 0  # the second is proposed when the first has ended
    found = study_in(tmp_path)
    members = read_study(found).member
    assert {member.trial for member in members} == {0, 1}
    assert {member.state for member in members} <= {"finished", "pruned"}
    assert len(list_runs(found.root.parent)) == 2
    assert "trial 1: optimizer.lr=" in found.report_md.read_text(encoding="utf-8")
