"""One export for all tests of a folder: it costs a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runfolder import RunFolder
from tests.engine.export.exports import VOLUMES, exported
from tests.engine.runs import NAMES, run


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    place = tmp_path_factory.mktemp("volumes")
    NAMES.setdefault("hippocampus", VOLUMES)
    code, folder = run(place, VOLUMES, "train.epochs=1", "evaluate.test=false", cases=6)
    assert code == 0
    return folder, exported(folder, place / "export")
