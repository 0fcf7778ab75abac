"""Training steps against plain PyTorch and MONAI: ``python -m benchmarks.step``.

Each row trains the same task in turns: one step of medtui's network, loss and step, one of the peer's in
the default layout, and so on; the ratio is the median of the ratios of neighbours. What stands beside it
is the peer's. The last row is what medtui's step adds to a plain loop over the very same network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from monai.losses import DiceCELoss, DiceLoss
from monai.networks.nets import BasicUNet, UNet
from torch import Tensor, nn

from engine.device import open_device
from engine.losses import build_loss
from engine.models import build_model, output_kind
from engine.recipe import LossTable, ModelTable, OptimizerTable, RuntimeTable, ScheduleTable
from engine.training.engines import TrainStep, make_trainer
from engine.training.optim import build_optimizer, build_schedule
from engine.training.stream import EpochStream

ROUNDS = 5
Step = Callable[[], object]


class NoLoader:
    """A loader that the trainer asks for nothing."""

    def __len__(self) -> int:
        return 1


def plain(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], image: Tensor, label: Tensor) -> Step:
    """A training step as a tutorial writes it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    model.train()

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model(image), label)
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


def ours(table: ModelTable, loss: LossTable, task: str, image: Tensor, label: Tensor, classes: int) -> Step:  # noqa: PLR0917
    """A training step as a recipe makes it."""
    device = open_device(RuntimeTable(), "off")
    dims = image.ndim - 2
    model = build_model(
        table, task=task, channels=image.shape[1], classes=classes, spatial_dims=dims, size=image.shape[2:], root=Path()
    )
    model = model.to(memory_format=device.layout(image.ndim))
    optimizer = build_optimizer(OptimizerTable(lr=1e-4), model)
    kind = output_kind(table, task, classes)
    labels = classes + (task == "segmentation")
    step = TrainStep(
        model=model,
        weights=model,
        criterion=build_loss(loss, task=task, output=kind, labels=labels),
        optimizer=optimizer,
        schedule=build_schedule(ScheduleTable(), optimizer, iterations=100, iterations_per_epoch=10),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        device=device,
        labels=labels,
    )
    trainer = make_trainer(step, EpochStream(NoLoader(), 1))
    batch = {"image": image, "label": label, "id": [str(n) for n in range(len(image))]}
    return lambda: step(trainer, [batch])


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(name: str, mine: Step, peer: Step) -> None:
    for step in (mine, peer):
        step()
    pairs = [(seconds(mine), seconds(peer)) for _ in range(ROUNDS)]
    ratios = sorted(b / a for a, b in pairs)
    a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{name:58}{a:8.3f} s{b:8.3f} s   {statistics.median(ratios):5.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def main() -> None:
    torch.manual_seed(0)
    print(f"{'':58}{'medtui':>10}{'peer':>10}   peer / medtui, median (range) of {ROUNDS}")
    image = torch.randn(4, 1, 40, 56, 40)
    label = torch.randint(0, 3, (4, 40, 56, 40))
    monai_unet = UNet(3, 1, 3, (32, 64, 128, 256), (2, 2, 2), num_res_units=2, norm="instance")
    compare(
        "hippocampus: resunet / MONAI UNet 32-256, Dice + CE",
        ours(
            ModelTable(name="resunet", channels=(32, 64, 128)),
            LossTable(name="dice_ce"),
            "segmentation",
            image,
            label,
            2,
        ),
        plain(monai_unet, DiceCELoss(softmax=True, to_onehot_y=True), image, label[:, None]),
    )
    image = torch.randn(1, 1, 64, 64, 48)
    label = torch.randint(0, 2, (1, 64, 64, 48))
    basic = BasicUNet(3, 1, 1, (32, 64, 128, 256, 512, 32))
    compare(
        "atrium, a part: unet3d / MONAI BasicUNet, Dice",
        ours(ModelTable(name="unet3d"), LossTable(name="dice"), "segmentation", image, label, 1),
        plain(basic, DiceLoss(sigmoid=True), image, label[:, None].float()),
    )
    image, label = torch.randn(8, 3, 224, 224), torch.randint(0, 7, (8,))
    compare(
        "skin: resnet50 / torchvision ResNet50, cross entropy",
        ours(ModelTable(name="resnet50"), LossTable(name="cross_entropy"), "classification", image, label, 7),
        plain(torchvision.models.resnet50(num_classes=7), nn.CrossEntropyLoss(), image, label),
    )
    torch.manual_seed(0)
    table = ModelTable(name="resnet18")
    model = build_model(table, task="classification", channels=3, classes=7, spatial_dims=2, size=(64, 64), root=Path())
    image, label = torch.randn(16, 3, 64, 64).to(memory_format=torch.channels_last), torch.randint(0, 7, (16,))
    compare(
        "cost of the step itself: resnet18 at 64x64 / a plain loop",
        ours(table, LossTable(name="cross_entropy"), "classification", image, label, 7),
        plain(model.to(memory_format=torch.channels_last), nn.CrossEntropyLoss(), image, label),
    )


if __name__ == "__main__":
    main()
