"""The slices of a preview: where something is, small, and in colour where the image has colours."""

from __future__ import annotations

import numpy as np

from engine.evaluation.previews import PIXELS, SLICES, preview_slices


def test_slices_of_a_volume_lie_where_truth_or_prediction_is():
    image = np.random.default_rng(0).normal(size=(2, 150, 40, 30)).astype(np.float32)
    truth, mask = np.zeros((2, 150, 40, 30), np.uint8)
    truth[60:90, 10:20, 8:10] = 1
    mask[60:90, 10:20, 25] = 2
    arrays = preview_slices(image, truth, mask)
    assert arrays["slices"][[0, -1]].tolist() == [8, 25]
    assert len(arrays["slices"]) == SLICES
    assert arrays["image"].shape == (SLICES, 75, 20)
    assert arrays["truth"].shape == (SLICES, 150, 40)  # a border that is off by a voxel stays so
    assert (arrays["prediction"][-1] == mask[..., 25]).all()


def test_a_colour_image_stays_one():
    image = np.linspace(0, 1, 3 * 20 * 300, dtype=np.float32).reshape(3, 20, 300)
    mask = np.eye(20, 300, dtype=np.uint8)
    arrays = preview_slices(image, None, mask)
    assert arrays["image"].shape == (1, 7, 100, 3)
    assert max(arrays["image"].shape[1:3]) <= PIXELS
    assert arrays["image"][0, 0, 0, 2] > arrays["image"][0, 0, 0, 0]
    assert (arrays["prediction"][0] == mask).all()
    assert not arrays["truth"].any()
    assert arrays["slices"].tolist() == [0]


def test_a_grey_image_is_one_slice():
    arrays = preview_slices(np.zeros((1, 9, 8), np.float32), np.ones((9, 8), np.uint8), np.zeros((9, 8), np.uint8))
    assert arrays["image"].shape == arrays["truth"].shape == (1, 9, 8)
    assert arrays["truth"].all()
