"""Batches that are accumulated give the gradient of the one batch that they make."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.losses import CrossEntropy, Dice, Focal, Sum
from engine.training.stream import EpochStream
from tests.engine.training.test_engines import Batches, make_step, make_trainer

WEIGHTS = (0.2, 1.0, 7.0)
SPLITS = [(7,), (1, 6), (2, 2, 3), (1,) * 7]
LOSSES = {
    "cross entropy": CrossEntropy("softmax"),
    "weighted cross entropy": CrossEntropy("softmax", WEIGHTS),
    "weighted, smoothed": CrossEntropy("softmax", WEIGHTS, 0.1),
    "weighted focal": Focal("softmax", WEIGHTS, 2.0),
    "weighted sum": Sum(CrossEntropy("softmax", WEIGHTS), Focal("softmax", None, 1.5), (0.3, 2.0)),
    "Dice and weighted cross entropy": Sum(Dice("softmax", WEIGHTS), CrossEntropy("softmax", WEIGHTS)),
    "a loss of torch": nn.CrossEntropyLoss(),
}
BINARY = {
    "weighted binary": CrossEntropy("sigmoid", (0.3, 5.0)),
    "weighted binary focal": Focal("sigmoid", (0.3, 5.0)),
    "Dice and weighted binary": Sum(Dice("sigmoid"), CrossEntropy("sigmoid", (0.3, 5.0)), (0.4, 0.6)),
}


def gradient(loss: object, outputs: int, sizes: tuple[int, ...]) -> tuple[float, torch.Tensor]:
    """Loss and gradient of one step over seven cases of 6 x 5 voxels, in batches of ``sizes``."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(7, 4, 6, 5, dtype=torch.float64, generator=generator)
    # Shares of the classes that differ from case to case: otherwise all batches weigh the same.
    rare = torch.rand(7, 6, 5, generator=generator) < torch.linspace(0, 0.9, 7)[:, None, None]
    labels = rare.long() * (1 if outputs == 1 else torch.arange(7)[:, None, None] % 2 + 1)
    torch.manual_seed(0)
    model = nn.Conv2d(4, outputs, 1).double()
    step = make_step(model)
    step.criterion = loss  # type: ignore[assignment]
    parts = zip(images.split(sizes), labels.split(sizes), strict=True)
    batches = [{"image": image, "label": label, "id": ["x"] * len(image)} for image, label in parts]
    output = step(make_trainer(step, EpochStream(Batches(), 1)), batches)
    assert model.weight.grad is not None
    return output.loss, model.weight.grad.clone()


@pytest.mark.parametrize("sizes", SPLITS[1:])
@pytest.mark.parametrize("name", [*LOSSES, *BINARY])
def test_batches_of_a_step_give_the_gradient_of_one(name, sizes):
    loss, outputs = (LOSSES[name], 3) if name in LOSSES else (BINARY[name], 1)
    (wanted, whole), (found, parts) = gradient(loss, outputs, SPLITS[0]), gradient(loss, outputs, sizes)
    assert found == pytest.approx(wanted, rel=1e-6)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-9)


def test_a_dice_over_the_batch_is_of_each_batch():
    loss = Dice("softmax", batch_dice=True)
    assert not torch.allclose(gradient(loss, 3, (7,))[1], gradient(loss, 3, (1, 6))[1], rtol=1e-3)
