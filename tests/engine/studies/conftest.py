"""One small study that was left alone, for all tests of what comes of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.commands.sweep import sweep
from engine.requests import Sweep
from engine.runfolder import RunFolder, list_runs
from tests.engine.runs import request

SMALL = ("train.epochs=2", "evaluate.largest_component=true")


def small(place: Path, **options) -> Sweep:
    run = request(place, cases=8)
    return Sweep(recipe=run.recipe, data=run.data, runs=place / "runs", overrides=SMALL, jobs=2, **options)


def study_in(place: Path) -> RunFolder:
    """The study below ``place``."""
    return next(folder for folder in list_runs(place / "runs", studies=True) if folder.is_study)


@pytest.fixture(scope="package")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    place = tmp_path_factory.mktemp("alone")
    assert sweep(small(place, folds=2)) == 0
    return study_in(place)
