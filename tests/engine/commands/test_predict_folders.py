"""``medtui predict`` of folders of cases, in which the files of the channels are called alike."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from engine.commands.predict import predict
from engine.errors import DataError
from engine.requests import Predict
from engine.runfolder import RunFolder
from tests.engine.data import builders
from tests.engine.export.untrained import untrained
from tests.engine.runs import SEGMENTATION

KEYS = 'source = "case_folders"\nchannels = ["t2", "ct"]\nmask = "seg"\nsplit = "fraction"'


def masks(folder: RunFolder, output: Path, *inputs: Path) -> dict[str, np.ndarray]:
    assert predict(Predict(run=folder.root, inputs=inputs, output=output)) == 0
    return {path.name: np.asarray(nibabel.load(path).dataobj) for path in sorted(output.iterdir())}


def test_channels_are_taken_by_what_their_files_are_called(tmp_path):
    text = SEGMENTATION.replace('source = "left_atrium"', KEYS)
    run = untrained(tmp_path, text, channels=2, classes=["organ"], channel_names=["t2", "ct"])
    cases = builders.case_folders(tmp_path / "cases", ("ct", "t2"), "seg", cases=2)
    apart = tmp_path / "apart"
    apart.mkdir()
    for place in cases.iterdir():
        for at, name in enumerate(("t2", "ct")):
            os.link(place / f"{place.name}_{name}.nii.gz", apart / f"{place.name}_{at:04d}.nii.gz")
    wanted = masks(run, tmp_path / "wanted", apart)
    assert {*np.unique(next(iter(wanted.values())))} == {0, 1}  # the first weights cut an image in two
    for inputs in ([cases], sorted(cases.iterdir())):
        found = masks(run, tmp_path / f"found{len(inputs)}", *inputs)
        assert found.keys() == wanted.keys()
        assert all(np.array_equal(found[name], mask) for name, mask in wanted.items())
    twice = builders.case_folders(tmp_path / "again", ("ct", "t2"), "seg", cases=1)
    with pytest.raises(DataError, match="share a name: BraTS20_000"):
        predict(Predict(run=run.root, inputs=(cases, twice), output=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_folder_whose_folders_hold_the_files_says_which_to_name(tmp_path):
    run = untrained(tmp_path, SEGMENTATION, classes=["organ"])
    folder = builders.pairs(tmp_path / "above")
    with pytest.raises(DataError, match="no files to predict") as told:
        predict(Predict(run=run.root, inputs=(folder,), output=tmp_path / "out"))
    assert told.value.hint.endswith(f"name those that hold files, such as {folder / 'images'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files to predict") as told:
        predict(Predict(run=run.root, inputs=(tmp_path / "empty",), output=tmp_path / "out"))
    assert told.value.hint.startswith("files are known by their ending")
