"""Masks come back as they were written, with the data set's own values, in 2-D and in 3-D."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from engine.data import Dataset
from engine.data.cases import Case
from engine.evaluation.results import mask_path, read_mask, write_mask


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
