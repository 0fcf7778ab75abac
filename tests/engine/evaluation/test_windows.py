"""The weights of a window are those of MONAI, to the last bit."""

from __future__ import annotations

import pytest
import torch
from monai.data.utils import compute_importance_map

from engine.evaluation.windows import gaussian_weights


@pytest.mark.parametrize("size", [(112, 112, 80), (40, 56, 40), (56, 55, 33), (7, 9), (1, 4, 4)])
def test_weights_of_a_window_are_monais(size: tuple[int, ...]) -> None:
    assert torch.equal(gaussian_weights(size), compute_importance_map(size, mode="gaussian"))
