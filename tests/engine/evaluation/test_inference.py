from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from engine.device import Device
from engine.evaluation.components import largest_component
from engine.evaluation.inference import Predictor, center_slices, to_mask

CPU = Device(torch.device("cpu"), None, channels_last=False)


class Pointwise(nn.Module):
    """Logits that depend on the voxel alone: windows and mirrors must then change nothing."""

    def forward(self, x):
        return torch.cat([x * 2 - 1, -x, x**2], dim=1)


class Ramp(nn.Module):
    """Adds a ramp along the last axis: not symmetric, so mirroring shows."""

    def forward(self, x):
        return x + torch.arange(x.shape[-1], dtype=x.dtype)


def predictor(model: nn.Module, size=(8, 8, 8), **options) -> Predictor:
    return Predictor(model=model, device=CPU, kind="softmax", size=size, **options)


def test_mirrored_predictions_are_averaged_after_turning_them_back():
    logits = predictor(Ramp(), mirrors=(2,)).network(torch.zeros(1, 1, 8, 8, 8))
    assert torch.allclose(logits, torch.full_like(logits, 3.5))


@pytest.mark.parametrize(("images", "batch_size", "passes"), [(1, 8, [8]), (1, 3, [3, 3, 2]), (2, 5, [4, 4, 4, 4])])
def test_mirrored_copies_share_a_pass(images, batch_size, passes):
    seen: list[int] = []
    one = predictor(Ramp(), mirrors=(0, 1, 2), batch_size=batch_size)
    one.model.register_forward_hook(lambda _model, inputs, _output: seen.append(len(inputs[0])))
    image = torch.randn(images, 1, 8, 8, 8)
    assert torch.allclose(one.network(image), image + 3.5, atol=1e-5)
    assert seen == passes


def test_windows_of_many_classes_pass_in_smaller_batches():
    assert predictor(Pointwise(), size=(96, 96, 96), outputs=2).at_once == 4
    assert predictor(Pointwise(), size=(96, 96, 96), outputs=100).at_once == 1


def test_probabilities_and_masks():
    logits = torch.tensor([[[0.0, 3.0]], [[1.0, -1.0]], [[0.5, 0.0]]])
    p = predictor(Pointwise()).probabilities(logits)
    assert torch.allclose(p.sum(0), torch.ones(1, 2))
    assert to_mask(p.numpy(), "softmax", 0.5).tolist() == [[1, 0]]
    assert to_mask(np.array([[0.2, 0.5, 0.7]], np.float32), "sigmoid", 0.5).tolist() == [0, 1, 1]


def test_only_the_largest_part_of_each_class_is_kept():
    mask = np.zeros((12, 6, 6), np.uint8)
    mask[0:3, 0:2, 0:2] = 1
    mask[8:10, 0:2, 0:2] = 1
    mask[4:6, 4:6, 4:6] = 2
    mask[11, 5, 5] = 2
    kept = largest_component(mask, 2)
    for value in (1, 2):
        _, count = ndimage.label(kept == value)
        assert count == 1
    assert int((kept == 1).sum()) == 12
    assert int((kept == 2).sum()) == 8


def test_voxels_that_touch_by_a_corner_are_one_part():
    diagonal = np.eye(4, dtype=np.uint8)
    assert (largest_component(diagonal, 1) == diagonal).all()
    volume = np.zeros((4, 4, 4), np.uint8)
    volume[range(4), range(4), range(4)] = 1
    assert (largest_component(volume, 1) == volume).all()
    assert largest_component(volume, 1, faces_only=True).sum() == 1


def test_the_centre_crop_stays_inside():
    assert center_slices((10, 5, 9), (4, 8, 9)) == (slice(3, 7), slice(0, 5), slice(0, 9))
