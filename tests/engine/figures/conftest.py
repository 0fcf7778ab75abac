"""Run folders that the tests of figures share; no test writes into them but into figures/."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runfolder import RunFolder
from tests import recorded_runs

SMALL = "[figures]\ndpi = 72"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def atrium(runs: Path) -> RunFolder:
    """One foreground class, no spacing, one case missed."""
    return recorded_runs.segmentation_run(runs, name="atrium", cases=6, missed=(3,), settings=SMALL)


@pytest.fixture(scope="session")
def hippocampus(runs: Path) -> RunFolder:
    """Two foreground classes, in millimetres."""
    return recorded_runs.segmentation_run(
        runs,
        name="hippocampus",
        classes=("anterior", "posterior"),
        cases=5,
        spacing=(1.0, 1.0, 1.5),
        quality=0.9,
        settings=SMALL,
    )


@pytest.fixture(scope="session")
def skin(runs: Path) -> RunFolder:
    """Seven classes, one of them absent from the test split."""
    return recorded_runs.classification_run(runs, name="skin", cases=140, absent=("DF",), settings=SMALL)
