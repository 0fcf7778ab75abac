"""Losses without the voxels whose truth is not known: those of the other voxels alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import RecipeError
from engine.losses import CrossEntropy, build_loss, deep_loss, ignoring, totals_of
from engine.losses.terms import smaller
from engine.recipe import LossTable

LABELS = 3  # and the index of what is not known
KEYS = {
    "dice": {"include_background": True},
    "dice_weighted": {"class_weights": (1.0, 2.0, 0.5)},
    "dice_batch": {"batch_dice": True},
    "cross_entropy": {"label_smoothing": 0.1},
    "cross_entropy_weighted": {"class_weights": (1.0, 2.0, 0.5), "label_smoothing": 0.1},
    "dice_ce": {"batch_dice": True},
}
BINARY = {
    "dice": {},
    "dice_batch": {"batch_dice": True},
    "bce": {"label_smoothing": 0.1},
    "bce_weighted": {"class_weights": (1.0, 3.0)},
    "dice_bce": {},
}
CASES = [("softmax", name) for name in KEYS] + [("sigmoid", name) for name in BINARY]


def losses(output: str, name: str):
    """The loss that ignores, and the one that cannot."""
    keys = (KEYS if output == "softmax" else BINARY)[name]
    short = name.removesuffix("_weighted").removesuffix("_batch")
    table = LossTable(name=short, **keys)
    labels = LABELS if output == "softmax" else 2
    made = [
        build_loss(table, task="segmentation", output=output, labels=labels, ignored=ignored)
        for ignored in (True, False)
    ]
    return (*made, labels)


def sparse(output: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits, and a target of which the same four of five slices of each case are not known."""
    labels = LABELS if output == "softmax" else 2
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, labels if labels > 2 else 1, 5, 4, 6, generator=draw, dtype=torch.float64)
    target = torch.randint(0, labels, (2, 5, 4, 6), generator=draw)
    target[:, [0, 1, 3, 4]] = labels
    return logits.requires_grad_(), target


@pytest.mark.parametrize(("output", "name"), CASES)
def test_a_loss_is_that_of_the_known_voxels_alone_and_the_others_get_no_gradient(output: str, name: str) -> None:
    loss, plain, _ = losses(output, name)
    logits, target = sparse(output)
    value = loss(logits, target)
    value.backward()
    alone = logits.detach()[:, :, 2].clone().requires_grad_()
    wanted = plain(alone, target[:, 2])
    wanted.backward()
    assert value.item() == pytest.approx(wanted.item(), abs=1e-12)
    torch.testing.assert_close(logits.grad[:, :, 2], alone.grad)
    assert logits.grad[:, :, [0, 1, 3, 4]].abs().max() == 0


@pytest.mark.parametrize(("output", "name"), CASES)
def test_where_all_is_known_nothing_changes(output: str, name: str) -> None:
    loss, plain, labels = losses(output, name)
    logits, target = sparse(output)
    target = target % labels
    assert loss(logits, target).item() == pytest.approx(plain(logits, target).item(), abs=1e-12)


@pytest.mark.parametrize(("output", "name"), CASES)
def test_a_batch_of_nothing_known_costs_nothing(output: str, name: str) -> None:
    loss, _, labels = losses(output, name)
    logits, target = sparse(output)
    value = loss(logits, torch.full_like(target, labels))
    value.backward()
    assert value.item() == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize(("output", "name"), CASES)
def test_a_case_of_which_nothing_is_known_is_none(output: str, name: str) -> None:
    loss, _, labels = losses(output, name)
    logits, target = sparse(output)
    target[1] = labels
    assert loss(logits, target).item() == pytest.approx(loss(logits[:1], target[:1]).item(), abs=1e-12)


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5)])
def test_cross_entropy_is_torchs_with_ignore_index(weights) -> None:
    logits, target = sparse("softmax")
    target[0, 2, 0] = LABELS
    weight = None if weights is None else logits.new_tensor(weights)
    wanted = functional.cross_entropy(logits, target, weight, ignore_index=LABELS)
    found = CrossEntropy("softmax", weights).ignoring(LABELS)(logits, target)
    assert found.item() == pytest.approx(wanted.item(), abs=1e-12)


@pytest.mark.parametrize(
    ("output", "name"), [case for case in CASES if "batch" not in case[1] and case[1] != "dice_ce"]
)
def test_batches_add_up_to_one(output: str, name: str) -> None:
    """As over several processes: the first batch has fewer known voxels than the second, and the third none."""
    loss, _, labels = losses(output, name)
    logits, target = (torch.cat(parts) for parts in zip(sparse(output), sparse(output, 1), strict=True))
    target[:2, 2, :2] = labels
    target[3] = labels
    batches = [slice(0, 1), slice(1, 3), slice(3, 4)]
    totals = totals_of(loss, [target[batch] for batch in batches])
    parts = [deep_loss(loss, [logits[batch]], target[batch], totals) for batch in batches]
    assert sum(parts).item() == pytest.approx(deep_loss(loss, [logits], target).item(), abs=1e-12)


def test_a_coarser_level_knows_what_the_voxel_in_the_middle_of_each_of_its_voxels_is() -> None:
    target = torch.tensor([[[0, 3, 1, 1], [3, 3, 0, 1], [1, 1, 0, 0], [1, 2, 0, 3]]])
    assert smaller(target, (2, 2)).tolist() == [[[3, 1], [2, 3]]]
    top, below = torch.randn(1, LABELS, 4, 4), torch.randn(1, LABELS, 2, 2)
    entropy = CrossEntropy("softmax").ignoring(LABELS)
    by_hand = functional.cross_entropy(top, target, ignore_index=3)
    by_hand = by_hand + functional.cross_entropy(below, smaller(target, (2, 2)), ignore_index=3) / 2
    assert deep_loss(entropy, [top, below], target).item() == pytest.approx(by_hand.item() / 1.5, abs=1e-6)


def test_a_loss_that_cannot_ignore_is_refused_in_words() -> None:
    with pytest.raises(RecipeError) as caught:
        ignoring(lambda logits, target: logits.sum() + target.sum(), 2)
    assert "data.ignore" in str(caught.value)
