"""Run folders that the tests of reports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runfolder import RunFolder
from tests import recorded_runs

SMALL = "[figures]\ndpi = 60"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def atria(runs: Path) -> list[RunFolder]:
    """Three segmentations of the same cases: good, almost as good, and bad."""
    return [
        recorded_runs.segmentation_run(runs, name=name, cases=12, quality=quality, settings=SMALL)
        for name, quality in (("seg_dice", 0.80), ("seg_dice_aug", 0.81), ("seg_bce", 0.25))
    ]


@pytest.fixture(scope="session")
def lesions(runs: Path) -> list[RunFolder]:
    """Two classifications of the same cases, each lesion twice."""
    return [
        recorded_runs.classification_run(runs, name=name, cases=210, quality=quality, seed=seed, settings=SMALL)
        for name, quality, seed in (("cls_ce", 0.25, 0), ("cls_ce_focal", 0.75, 1))
    ]
