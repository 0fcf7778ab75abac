"""Training steps against plain PyTorch and MONAI: ``python -m benchmarks.step``.

Each row trains the same task in turns: a step of medtui's recipe in the precision that ``train.amp = "auto"`` chooses,
one in float32, one of the peer's in its default (float32, the default layout), and so on; ratios are medians of those
of neighbours. The last row is what medtui's step adds to a plain loop over the very same network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torchvision
from monai.losses import DiceCELoss, DiceLoss
from monai.networks.nets import BasicUNet, UNet
from torch import Tensor, nn

from engine.device import measured, open_device
from engine.losses import build_loss
from engine.models import build_model, output_kind
from engine.network import Network
from engine.recipe import load_recipe
from engine.training.engines import build_step

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
ROUNDS = 5
Step = Callable[[], object]


def plain(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], image: Tensor, label: Tensor) -> Step:
    """A training step as a tutorial writes it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    model.train()

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model(image), label)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(value.detach())

    return step


def ours(recipe_name: str, image: Tensor, label: Tensor, classes: int, *overrides: str, auto: bool) -> tuple[Step, str]:
    """A training step as a recipe makes it, and its precision."""
    recipe = load_recipe(RECIPES / f"{recipe_name}.toml", overrides)
    device, labels = open_device(recipe.runtime, "off"), classes + (recipe.task == "segmentation")
    about: dict[str, Any] = {"task": recipe.task, "classes": classes}
    shape: dict[str, Any] = {"channels": image.shape[1], "spatial_dims": image.ndim - 2, "size": image.shape[2:]}
    model = build_model(recipe.model, **about, **shape, root=Path()).to(memory_format=device.layout(image.ndim))
    device = measured(device, model, image.shape) if auto else device
    kind = output_kind(recipe.model, **about)
    loss = build_loss(recipe.loss, task=recipe.task, output=kind, labels=labels)
    step = build_step(recipe, Network(model, loss, kind, labels, device), labels, 1000)
    batch: Any = {"image": image, "label": label, "id": [str(n) for n in range(len(image))]}
    engine: Any = SimpleNamespace(state=SimpleNamespace(iteration=2, epoch=1, max_epochs=1))
    return (lambda: step(engine, [batch])), device.precision


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(name: str, steps: tuple[Step, Step, Step], precision: str) -> None:
    for step in steps:
        step()
    rounds = [[seconds(step) for step in steps] for _ in range(ROUNDS)]
    times = "".join(f"{statistics.median(column):9.3f} s" for column in zip(*rounds, strict=True))
    print(f"{name:54}{precision:>9}{times}{_ratio(rounds, 1)}{_ratio(rounds, 2)}", flush=True)


def _ratio(rounds: list[list[float]], other: int) -> str:
    ratios = sorted(row[other] / row[0] for row in rounds)
    return f"{statistics.median(ratios):7.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def row(name: str, recipe: str, image: Tensor, label: Tensor, classes: int, peer: Step, *overrides: str) -> None:  # noqa: PLR0917
    """Measure one recipe in both precisions beside a peer, and print it."""
    mine, precision = ours(recipe, image, label, classes, *overrides, auto=True)
    wide, _ = ours(recipe, image, label, classes, *overrides, auto=False)
    compare(name, (mine, wide, peer), precision)


def main() -> None:
    torch.manual_seed(0)
    print(
        f"{'':54}{'auto':>9}{'medtui':>11}{'float32':>11}{'peer':>11}   float32 / medtui    peer / medtui, of {ROUNDS}"
    )
    image, label = torch.randn(4, 1, 40, 56, 40), torch.randint(0, 3, (4, 40, 56, 40))
    unet = UNet(3, 1, 3, (32, 64, 128, 256), (2, 2, 2), num_res_units=2, norm="instance")
    peer = plain(unet, DiceCELoss(softmax=True, to_onehot_y=True), image, label[:, None])
    row("hippocampus, 4 of 40x56x40 / MONAI UNet 32-256", "hippocampus", image, label, 2, peer)

    image, label = torch.randn(2, 1, 112, 112, 80), torch.randint(0, 2, (2, 112, 112, 80))
    unet = UNet(3, 1, 1, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2, norm="instance")
    peer = plain(unet, DiceCELoss(sigmoid=True), image, label[:, None].float())
    row("seg_best, 2 of 112x112x80 / MONAI UNet 16-256", "seg_best", image, label, 1, peer)

    image, label = torch.randn(1, 1, 64, 64, 64), torch.randint(0, 2, (1, 64, 64, 64))
    basic = BasicUNet(3, 1, 1, (32, 64, 128, 256, 512, 32))
    peer = plain(basic, DiceLoss(sigmoid=True), image, label[:, None].float())
    row("seg_dice (unet3d), 64x64x64 / MONAI BasicUNet", "seg_dice", image, label, 1, peer, "data.size=[64,64,64]")

    image, label = torch.randn(16, 3, 224, 224), torch.randint(0, 7, (16,))
    peer = plain(torchvision.models.resnet50(num_classes=7), nn.CrossEntropyLoss(), image, label)
    row("cls_ce (ResNet50), 16 of 224x224 / torchvision", "cls_ce", image, label, 7, peer, "model.pretrained=false")

    small = ("model.name=resnet18", "model.pretrained=false", "data.size=[64,64]")
    table = load_recipe(RECIPES / "cls_ce.toml", small).model
    model = build_model(table, task="classification", channels=3, classes=7, spatial_dims=2, size=(64, 64), root=Path())
    image, label = torch.randn(16, 3, 64, 64).to(memory_format=torch.channels_last), torch.randint(0, 7, (16,))
    peer = plain(model.to(memory_format=torch.channels_last), nn.CrossEntropyLoss(), image, label)
    row("resnet18, 16 of 64x64 / a plain loop over it", "cls_ce", image, label, 7, peer, *small)


if __name__ == "__main__":
    main()
