"""Deep supervision: the sum over levels, worked by hand."""

from __future__ import annotations

import pytest
import torch

from engine.losses import CrossEntropy, deep_loss


def test_levels_weigh_half_of_the_one_above_and_see_the_truth_in_their_middle():
    target = torch.tensor([[[0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0], [1, 0, 0, 2]]])
    middle = torch.tensor([[[1, 1], [0, 2]]])  # rows and columns 1 and 3
    top, below, deepest = (
        torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(side)) for side in (4, 2, 1)
    )
    entropy = torch.nn.functional.cross_entropy
    loss = CrossEntropy("softmax")
    assert torch.equal(deep_loss(loss, [top], target), loss(top, target))
    by_hand = (entropy(top, target) + entropy(below, middle) / 2) / 1.5
    assert deep_loss(loss, [top, below], target).item() == pytest.approx(by_hand.item(), abs=1e-6)
    by_hand = (entropy(top, target) + entropy(below, middle) / 2 + entropy(deepest, target[:, 2:3, 2:3]) / 4) / 1.75
    assert deep_loss(loss, [top, below, deepest], target).item() == pytest.approx(by_hand.item(), abs=1e-6)
