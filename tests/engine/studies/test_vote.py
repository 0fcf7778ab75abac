"""Members of a study vote by their mean probability."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.commands.evaluate import evaluate
from engine.commands.predict import predict
from engine.device import Device
from engine.errors import RunError, UsageError
from engine.evaluation.inference import Predictor, voted
from engine.readers.numbers import digits
from engine.requests import Evaluate, Predict
from engine.runfolder import (
    RunFolder,
    create,
    list_runs,
    read_cases,
    read_manifest,
    read_metrics,
    read_status,
    update_manifest,
)
from engine.runfolder.study import Member, Study
from engine.studies.members import save
from engine.studies.results import collect
from tests.engine.runs import CLASSIFICATION, run


def study_of(runs: list[RunFolder], **options) -> RunFolder:
    """A study of runs that are there already."""
    folder = create(runs[0].root.parent, "both", study=True)
    members = [Member(name=one.name, seed=at, run=one.id, state="finished") for at, one in enumerate(runs)]
    save(folder, study := Study(monitor="balanced_accuracy", member=members, **options))
    folder.recipe.write_bytes(runs[0].recipe.read_bytes())
    collect(folder, study)
    return folder


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    place = tmp_path_factory.mktemp("classified")
    return [run(place, CLASSIFICATION, f"seed={seed}", f'name="s{seed}"', cases=60)[1] for seed in (1, 2)]


@pytest.mark.parametrize(("kind", "share"), [("sigmoid", torch.sigmoid), ("softmax", lambda x: x.softmax(1))])
def test_the_vote_is_the_mean_probability(kind: str, share: Callable[[torch.Tensor], torch.Tensor]):
    images, device = torch.randn(4, 3), Device(torch.device("cpu"), None, False)
    voters = [Predictor(nn.Linear(3, 3), device, kind, (3,)) for _ in range(3)]
    logits = voted(voters, (voter.class_logits(images) for voter in voters))
    with torch.inference_mode():
        by_hand = torch.stack([share(voter.model(images)) for voter in voters]).mean(0)
    assert torch.allclose(share(logits), by_hand, atol=1e-6)
    assert torch.equal(
        voted(voters[:1], (voter.class_logits(images) for voter in voters[:1])), voters[0].class_logits(images)
    )


def shares(path: Path) -> tuple[list[str], np.ndarray]:
    rows = list(csv.DictReader((path / "predictions.csv").open(encoding="utf-8")))
    columns = [name for name in rows[0] if name.startswith("prob:")]
    return [row["id"] for row in rows], np.array([[float(row[name]) for name in columns] for row in rows])


def test_predictions_of_a_study_are_the_mean_of_its_members(classified, tmp_path):
    study = study_of(classified, task="classification")
    images = sorted((classified[0].root.parents[1] / "data").rglob("*.jpg"))[:12]
    found = []
    for folder in (*classified, study):
        assert predict(Predict(run=folder.root, inputs=tuple(images), output=tmp_path / folder.id)) == 0
        found.append(shares(tmp_path / folder.id))
    assert found[0][0] == found[2][0]
    assert np.allclose((found[0][1] + found[1][1]) / 2, found[2][1], atol=1e-6)
    assert not np.allclose(found[0][1], found[1][1], atol=1e-3)


def test_a_vote_favours_rare_classes_as_was_chosen_out_of_fold(classified, tmp_path):
    study = study_of(classified, task="classification", post={"logit_adjustment": 0.5})
    images = sorted((classified[0].root.parents[1] / "data").rglob("*.jpg"))[:12]
    by_hand = []
    for folder in (*classified, study):
        assert predict(Predict(run=folder.root, inputs=tuple(images), output=tmp_path / folder.id)) == 0
        found = shares(tmp_path / folder.id)[1]
        if folder is not study:
            counts = np.array([*read_manifest(folder).data.counts["train"].values()])
            assert counts.max() > 2 * counts.min() > 0
            likely = found / (counts / counts.sum()) ** 0.5
            by_hand.append(likely / likely.sum(axis=1, keepdims=True))
    assert np.allclose(np.mean(by_hand, axis=0), found, atol=1e-6)
    assert evaluate(Evaluate(run=study.root)) == 0
    assert "logit adjustment 0.5" in read_metrics(study)["test"].protocol
    assert (study.root / "figures").is_dir()  # activation maps too


def test_evaluate_measures_the_vote_in_the_study(alone, tmp_path):
    alone = RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)
    assert read_status(alone).test == pytest.approx(read_metrics(alone)["test_members"].value("dice"))
    assert evaluate(Evaluate(run=alone.root)) == 0
    metrics = read_metrics(alone)
    assert read_status(alone).test == metrics["test"].value("dice")
    assert metrics["test"].n == metrics["test_members"].n
    assert "best of 2 networks that vote" in metrics["test"].protocol
    assert {"out_of_fold", "test_members", "test"} <= set(json.loads(alone.metrics.read_text(encoding="utf-8")))
    assert len(list(alone.predictions.glob("*.nii.gz"))) == metrics["test"].n
    assert not alone.events.exists()
    text = alone.report_md.read_text(encoding="utf-8")
    assert "Results: test\n" in text
    own = {row.id: row.values["dice"] for row in read_cases(alone) if row.split == "test"}
    members = [row for folder in list_runs(alone.root.parent) for row in read_cases(folder) if row.split == "test"]
    gain = np.mean([own[row.id] - row.values["dice"] for row in members])
    sign = "+" if gain > 0 else ""
    assert f"Dice of the members' vote minus that of its mean member: {sign}{digits(float(gain))} over" in text


def test_cases_that_members_were_trained_on_are_no_test(alone):
    with pytest.raises(UsageError, match="were trained on cases of the split validation"):
        evaluate(Evaluate(run=alone.root, split="validation"))


def test_a_study_without_a_finished_member_cannot_vote(classified, tmp_path):
    folder = create(tmp_path, "none", study=True)
    save(folder, Study(member=[Member(name="s1", run=classified[0].id)]))
    with pytest.raises(UsageError, match=r"no member of .* is finished"):
        evaluate(Evaluate(run=folder.root))


def test_members_that_learned_classes_in_another_order_do_not_vote_together(classified, tmp_path):
    runs = [RunFolder(shutil.copytree(one.root, tmp_path / "runs" / one.id)) for one in classified]
    study = study_of(runs, task="classification")
    other = read_manifest(runs[1])
    turned = other.data.classes[::-1]
    update_manifest(runs[1], data=msgspec.to_builtins(msgspec.structs.replace(other.data, classes=turned)))
    for path in (runs[1].best, runs[1].last):
        if path.exists():
            save_checkpoint(path, load_checkpoint(path) | {"classes": list(turned)})
    images = sorted((classified[0].root.parents[1] / "data").rglob("*.jpg"))[:2]
    with pytest.raises(RunError, match="was trained for other classes than"):
        predict(Predict(run=study.root, inputs=tuple(images), output=tmp_path / "out"))
