"""What the list says of a study: how far it is, what it reached, what to do next, and its members."""

from __future__ import annotations

import json
from pathlib import Path

from engine.runfolder import RunFolder, State, Status, write_status
from engine.runfolder.paths import create
from tests.tui import recorded
from tui.state.run_facts import read_facts
from tui.state.runs_index import RunRow
from tui.widgets.study_lines import study_lines


def study_of(runs: Path, *members: str, table: str = "folds = 3\nseeds = [0]") -> RunFolder:
    folder = create(runs, "seg", study=True)
    rows = "".join(f'[[member]]\nname = "m{at}"\n{words}\n' for at, words in enumerate(members))
    (folder.root / "study.toml").write_text(f'task = "segmentation"\nmonitor = "dice"\n{table}\n{rows}')
    write_status(folder, Status(state="finished", name="seg"))
    return folder


def said(folder: RunFolder, width: int = 76, height: int = 14, state: State = "finished") -> list[str]:
    row = RunRow(folder, Status(state=state), 0.0)
    lines = study_lines(row, read_facts(folder), width, height)
    assert all(sum(len(text) for text, _ in line) <= width for line in lines)
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def test_folds_have_the_result_out_of_fold_their_spread_and_a_curve_each(tmp_path: Path) -> None:
    done, failed = recorded.finished(tmp_path), recorded.failed(tmp_path)
    folder = study_of(
        tmp_path,
        f'fold = 0\nrun = "{done.id}"\nstate = "finished"',
        f'fold = 1\nrun = "{failed.id}"\nstate = "failed"',
        "fold = 2",
    )
    part = {"dice": 0.8, "n": 12, "missed": 1, "ci95": {"dice": [0.7, 0.9]}, "spread": {"dice": 0.02}}
    folder.metrics.write_text(json.dumps({"out_of_fold": part, "test_members": part | {"false_positive_cases": 2}}))
    lines = said(folder)
    assert any(line.startswith("test, mean of members  dice 0.800") for line in lines), lines
    assert "FP cases 2" in " ".join(lines)
    assert lines[0] == "3 folds   members 1 failed   1 finished   1 waiting"
    assert lines[1] == "out of fold dice 0.800   (0.700 to 0.900)   SD over seeds 0.020   n 12"
    assert f"medtui resume {folder.address}" in "".join(lines).replace("next", "")
    assert "goes on with the 2 that are left" in " ".join(lines)
    assert "that are left" not in " ".join(said(folder, state="running"))
    assert lines[-4] == "3 members; Enter shows them"
    assert lines[-3].startswith("fold 0  ■ finished    75/75  0.850")
    assert lines[-3][-1] in "▆▇█"
    assert "the loss is not a number" in lines[-2]
    assert lines[-1].split() == ["fold", "2", "·", "waiting", "–", "–"]
    assert [line[:4] for line in said(folder, height=4)].count("next") == 0  # its command has two lines
    assert "Enter shows all, 1 here" in "\n".join(said(folder, height=len(lines) - 2))


def test_settings_stand_the_best_first(tmp_path: Path) -> None:
    runs = [recorded.finish(recorded.record(tmp_path, plan), plan) for plan in (_plan(0.7), _plan(0.9))]
    grid = [f'grid = {{"optimizer.lr" = "{at}"}}\nrun = "{run.id}"\nstate = "finished"' for at, run in enumerate(runs)]
    folder = study_of(tmp_path, *grid, table="seeds = [0]")
    found = {f"validation: optimizer.lr={at}": {"dice": value} for at, value in enumerate((0.7, 0.9))}
    folder.metrics.write_text(json.dumps({"validation": {"dice": 0.9}, **found, "test": {"dice": 0.5, "n": 4}}))
    assert any("╭─ dice ─" in line for line in said(folder, height=30))  # the members' curves, by their marks
    assert {line[0] for line in said(folder, height=30) if "optimizer.lr" in line} == {"●", "▲"}
    lines = said(folder, height=12)
    assert lines[0] == "2 settings   members 2 finished"
    assert [line[:16] for line in lines[-2:]] == ["★ optimizer.lr=1", "  optimizer.lr=0"]
    assert any(line.startswith("test  dice 0.500") for line in lines)
    assert "medtui predict" in " ".join(lines)  # the test was measured


def test_members_that_are_not_finished_do_not_lower_what_was_reached(tmp_path: Path) -> None:
    runs = {state: create(tmp_path, state) for state in ("finished", "stopped")}
    for state, best in (("finished", 0.9), ("stopped", 0.5)):
        write_status(runs[state], Status(state=state, best=best))
    members = study_of(tmp_path, *(f'fold = {at}\nrun = "{run.id}"' for at, run in enumerate(runs.values())))
    assert not any("at their best" in line for line in said(members))  # of one nothing is spread
    write_status(runs["finished"], Status(state="stopped", best=0.9))
    assert said(members)[1] == "members at their best 0.500 to 0.900   mean 0.700"


def _plan(level: float) -> recorded.Plan:
    return recorded.Plan(epochs=4, done=4, extra_steps=0, level=level)
