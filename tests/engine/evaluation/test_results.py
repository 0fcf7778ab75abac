"""Masks come back as they were written, with the data set's own values, in 2-D and in 3-D."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from engine.data import Dataset
from engine.data.cases import Case
from engine.evaluation.results import is_predicted, mask_path, read_mask, write_cases, write_mask
from engine.runfolder import RunFolder, read_cases
from engine.runfolder.cases import read_cells


def dataset_of(dims: int, values: tuple[int, ...]) -> Dataset:
    return Dataset(
        task="segmentation", name="x", source="nifti_pairs", cases=(), classes=tuple(map(str, values)),
        label_values=values, channels=1, spatial_dims=dims, spacing_unit="voxel", phantom=True, published_split=None,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 6)])
@pytest.mark.parametrize("values", [(1, 2), (255, 128), (1, 4000)])
def test_a_mask_comes_back_as_it_was_written(tmp_path, shape, values):
    dataset = dataset_of(len(shape), values)
    mask = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    path = mask_path(tmp_path / "new", "case.1", dataset)
    write_mask(path, mask, case=Case("case.1", (Path("case.1.jpg"),)), dataset=dataset, affine=None)
    assert (read_mask(path, dataset) == mask).all()
    if len(shape) == 2:
        assert path.name == "case.1.png"
        with Image.open(path) as image:
            assert image.size == (7, 5)
            assert set(np.unique(np.asarray(image))) == {0, *values}
    else:
        assert path.name == "case.1.nii.gz"
        assert set(np.unique(np.asarray(nibabel.load(path).dataobj))) == {0, *values}


@pytest.mark.parametrize("name", ["=cmd()", "+1+a", "-x", "@a", "\tb", "\rc", "'=d", "''", "'e", "-1", "a=b", "ä"])
def test_names_that_look_like_formulas_are_escaped_and_come_back(tmp_path, name):
    folder = RunFolder(tmp_path)
    header = ["id", "group", "split", "true", "predicted", "loss", f"prob:{name}"]
    write_cases(folder, "test", (header, [[name, name, "test", name, name, "-0.5", "1e-3"]]))
    write_cases(folder, "validation", (header, [["b", "", "validation", "b", "b", "0.5", "0.5"]]))
    row = read_cases(folder)[0]
    assert (row.id, row.group, row.true, row.predicted) == (name,) * 4
    assert row.values == {"loss": -0.5}
    assert row.probabilities == {name: 0.001}
    cell = folder.cases.read_bytes().decode().split("\n")[1].lstrip('"')
    assert name == "-1" or cell[0] not in "=+-@\t\r"
    assert read_cells(folder.cases)[1]["id"] == "b"


def test_what_is_no_mask_of_ours_is_none(tmp_path):
    for name in ("a.png", "a.nii.gz"):
        (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
        assert not is_predicted(tmp_path / name)
