"""How far rare classes are favoured is chosen on cases out of fold, by the monitored metric."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score

from engine.evaluation.trained import open_trained
from engine.runfolder import RunFolder, create
from engine.runfolder.study import Member, Study
from engine.studies.members import save
from engine.studies.post import choose_post
from tests.engine.export.untrained import untrained
from tests.engine.runs import CLASSIFICATION

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
COUNTS = np.array([110, 670, 50, 30, 110, 10, 20])


def cases(power: float, seed: int) -> tuple[list[int], np.ndarray]:
    """300 cases, and probabilities that favour each class by its share to ``power``."""
    draw = np.random.default_rng(seed)
    true = draw.choice(7, 300, p=COUNTS / COUNTS.sum())
    fair = 2.0 * np.eye(7)[true] + draw.normal(size=(300, 7))
    return true.tolist(), softmax(fair + power * np.log(COUNTS / COUNTS.sum()), axis=1)


@pytest.fixture
def study(tmp_path: Path) -> tuple[RunFolder, Study]:
    counts = {"train": dict(zip(CLASSES, COUNTS.tolist(), strict=True))}
    runs = [
        untrained(tmp_path, CLASSIFICATION, seed=seed, channels=3, classes=list(CLASSES), counts=counts)
        for seed in (1, 2)
    ]
    members = [Member(name=f"fold{at}", fold=at, run=run.id, state="finished") for at, run in enumerate(runs)]
    folder = create(tmp_path / "runs", "both", study=True)
    folder.recipe.write_bytes(runs[0].recipe.read_bytes())
    found = Study(task="classification", monitor="balanced_accuracy", folds=2, member=members)
    save(folder, found)
    return folder, found


def write(folder: RunFolder, power: float) -> tuple[np.ndarray, np.ndarray]:
    """The members' own cases, put into their files and given back."""
    everything = []
    for seed in (1, 2):
        run = next(folder.root.parent.glob(f"*untrained-{seed}"))
        true, shares = cases(power, seed)
        everything.append((true, shares))
        with (run / "cases.csv").open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["id", "split", "true", "predicted", *(f"prob:{name}" for name in CLASSES)])
            for at, (target, row) in enumerate(zip(true, shares, strict=True)):
                # Cases of the test would turn the choice round, if they had a part in it.
                table.writerow([f"{seed}-{at}", "validation", CLASSES[target], "", *map(repr, row.tolist())])
                table.writerow([f"{seed}-{at}t", "test", CLASSES[1], "", *map(repr, row.tolist())])
    return np.concatenate([true for true, _ in everything]), np.concatenate([shares for _, shares in everything])


def test_the_power_is_that_of_the_best_balanced_accuracy_out_of_fold(study: tuple[RunFolder, Study]) -> None:
    folder, plan = study
    true, shares = write(folder, 1.0)
    found = choose_post(folder, plan)
    by_hand = {
        tenth / 10: balanced_accuracy_score(true, (shares / (COUNTS / COUNTS.sum()) ** (tenth / 10)).argmax(axis=1))
        for tenth in range(-10, 11)
    }
    best = found.post["logit_adjustment"]
    assert by_hand[best] == max(by_hand.values())
    assert best > 0.5
    words = found.tried[f"logit_adjustment = {best:g}"]
    assert words.startswith(f"taken: balanced accuracy +{by_hand[best] - by_hand[0.0]:.4f} (+0.")
    save(folder, found)
    assert open_trained(folder).recipe.evaluate.logit_adjustment == best


def test_what_gains_nothing_for_sure_is_not_taken(study: tuple[RunFolder, Study]) -> None:
    folder, plan = study
    write(folder, 0.0)
    found = choose_post(folder, plan)
    assert found.post == {}
    assert all(words.startswith("not taken: balanced accuracy +0.0") for words in found.tried.values())


@pytest.mark.parametrize("monitor", ["loss", "auc"])
def test_of_a_metric_that_no_class_decides_nothing_is_tried(study: tuple[RunFolder, Study], monitor: str) -> None:
    folder, plan = study
    write(folder, 1.0)
    plan = msgspec.structs.replace(plan, monitor=monitor)
    assert choose_post(folder, plan) == plan
