"""Two gloo processes take the steps of one: twenty of them, in float64, for every loss and all that stands around it.

In float64 the rounding of sums leaves nothing to argue about: what differs is computed otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor, nn

from engine.data.loaders import Batch
from engine.device import Device
from engine.losses import build_loss
from engine.models import build_model, output_kind
from engine.network import Network, level_sizes
from engine.recipe import load_recipe
from engine.training.engines import build_step
from tests.engine.runs import CLASSIFICATION, PICTURES, SEGMENTATION, write_recipe

STEPS = 20
SMALL = ("model.channels=[4,6,8]", "model.norm=instance", "optimizer.lr=1e-2", "train.ema=0.9")
DEEP = ("model.deep_supervision=true",)
MANY = ('data.classes=["a","b"]',)
DROPS, NO_UNITS = ("model.dropout=0.2",), ("!model.residual_units",)
SMOOTH = ("loss.label_smoothing=0.1",)
TWO, THREE = "loss.class_weights=[0.3,5.0]", "loss.class_weights=[0.2,1.0,7.0]"


def flat(*overrides: str) -> tuple[str, tuple[str, ...]]:
    return PICTURES, ("data.size=[16,32]", *SMALL, *overrides)


def solid(*overrides: str) -> tuple[str, tuple[str, ...]]:
    return SEGMENTATION, (*SMALL, *overrides)


def named(loss: str, *overrides: str) -> tuple[str, ...]:
    return (f"loss.name={loss}", *overrides)


def photos(loss: str, *overrides: str) -> tuple[str, tuple[str, ...]]:
    own = ('data.classes=["MEL","NV","BCC"]', "optimizer.lr=1e-3")
    return CLASSIFICATION, (*own, f"loss.name={loss}", *overrides)


TABLE = {
    "dice": flat(*named("dice")),
    "dice of the batch": flat(*named("dice", "loss.batch_dice=true"), *DEEP),
    "bce weighted, deep": flat(*named("bce", TWO), *SMOOTH, *DEEP),
    "dice_bce weighted, deep": solid(*named("dice_bce", TWO), *DEEP),
    "cross entropy weighted, deep": solid(*named("cross_entropy", THREE), *SMOOTH, *MANY, *DEEP),
    "dice weighted, deep": flat(*named("dice", THREE, "loss.include_background=true"), *MANY, *DEEP),
    "dice_ce weighted, deep": solid(*named("dice_ce", THREE, "loss.batch_dice=true"), *MANY, *DEEP),
    "dice_ce, deep, accumulate": flat(*named("dice_ce", THREE), *SMOOTH, *MANY, *DEEP, "train.accumulate=2"),
    "dynunet, deep, balanced, dropout": flat(
        *named("dice_ce", "loss.class_weights=balanced"), *MANY, *DEEP, *DROPS, "model.name=dynunet", *NO_UNITS
    ),
    "dice_bce weighted, deep, sparse": solid(*named("dice_bce", TWO), *DEEP, "train.accumulate=2"),
    "dice_ce of the batch, balanced, sparse": flat(
        *named("dice_ce", "loss.class_weights=balanced", "loss.batch_dice=true"), *MANY
    ),
    "batch norm, clipped": flat(*named("dice_bce"), "model.norm=batch", "train.clip_norm=0.1"),
    "batch norm, deep, accumulate, dropout": solid(
        *named("bce", TWO), *DEEP, *DROPS, "model.norm=batch", "train.accumulate=3", "optimizer.name=sgd"
    ),
    "ResNet18 at 32 pixels": photos(
        "cross_entropy", "loss.logit_adjustment=1.0", *SMOOTH, "optimizer.name=sgd", "model.dropout=0.2"
    ),
    "classes, weighted, mixed": photos(
        "cross_entropy_focal", THREE, *SMOOTH, "augment.mixup=0.4", "augment.cutmix=1.0"
    ),
    "classes, balanced, accumulate, cutmix": photos(
        "focal", "loss.class_weights=balanced", "augment.cutmix=1.0", "train.accumulate=2", "train.ema=0.9"
    ),
    "classes, growing, mixup": photos(
        "cross_entropy", THREE, "augment.mixup=0.4", "augment.grow_from=0.5", "data.size=[48,48]"
    ),
}


def small_classifier(labels: int) -> nn.Module:
    """Twice a convolution and batch norm, and a mean: a ResNet18 takes as long as all else here together."""
    parts = [[nn.Conv2d(a, b, 3, stride=2), nn.BatchNorm2d(b), nn.ReLU()] for a, b in ((3, 6), (6, 8))]
    return nn.Sequential(*parts[0], *parts[1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, labels))


def steps_of(folder: Path, name: str, rank: int, world: int) -> dict[str, Tensor]:
    """The weights, their average and the running statistics after twenty steps on this process's share."""
    text, overrides = TABLE[name]
    for gone in [each[1:] for each in overrides if each.startswith("!")]:
        text = "\n".join(line for line in text.splitlines() if not line.startswith(gone.partition(".")[2] + " "))
    given = [each.replace("=", '="', 1) + '"' if each.partition("=")[2].isidentifier() else each for each in overrides]
    given = [each.replace('"true"', "true") for each in given if each[0] != "!"]
    recipe = load_recipe(write_recipe(folder, text), ("train.epochs=1", *given))
    dense, size = recipe.task == "segmentation", recipe.data.size
    classes, channels = len(recipe.data.classes or "1"), 1 if len(size) == 3 else 3
    labels = classes + dense
    torch.manual_seed(recipe.seed)
    about = {"task": recipe.task, "classes": classes}
    shape = {"channels": channels, "spatial_dims": len(size), "size": size}
    small = not dense and "ResNet" not in name
    model = small_classifier(labels) if small else build_model(recipe.model, **about, **shape, root=folder)
    model.double()
    kind = output_kind(recipe.model, **about)
    sparse, counts = "sparse" in name, range(9, 9 - labels, -1)
    loss = build_loss(recipe.loss, task=recipe.task, output=kind, labels=labels, counts=counts, ignored=sparse)
    deep = getattr(recipe.model, "deep_supervision", False)
    levels = level_sizes(model, (2, channels, *size)) if deep else [()]
    cpu = Device(torch.device("cpu"), None, channels_last=False)
    step = build_step(recipe, Network(model, loss, kind, labels, cpu, levels=levels), labels, STEPS)
    batches = dealt(size if dense else (), (channels, *size), labels, rank, world, sparse=sparse)
    for number in range(1, STEPS + 1 if small or dense else 4):
        engine: Any = SimpleNamespace(state=SimpleNamespace(iteration=number, epoch=number, max_epochs=STEPS))
        step(engine, [next(batches) for _ in range(recipe.train.accumulate)])
    average = step.ema.module.state_dict() if step.ema else {}
    return {**model.state_dict(), **{f"average {name}": value for name, value in average.items()}}


def dealt(
    label: tuple[int, ...], image: tuple[int, ...], labels: int, rank: int, world: int, *, sparse: bool = False
) -> Iterator[Batch]:
    """Batches of four masks or eight pictures and some smaller ones; the shares of the classes differ between cases.

    ``sparse``: nothing is known of the first case of each, nor of some voxels of the others.
    """
    rng = torch.Generator().manual_seed(1)
    while True:
        for cases in (4, 4, 3, 4, 1) if label else (8, 7, 8, 5):
            images = torch.randn(cases, *image, generator=rng, dtype=torch.float64)
            rare = torch.rand(cases, *label, generator=rng) < torch.rand(cases, *[1 for _ in label], generator=rng) ** 2
            truths = rare.long() * torch.randint(1, labels + sparse, (cases, *label), generator=rng)
            truths[: 1 if sparse else 0] = labels
            own = slice(rank, None, world)
            ids = [str(k) for k in range(cases)][own]
            yield {"image": images[own], "label": truths[own], "id": ids} if ids else EMPTY  # type: ignore[misc]


EMPTY = {"image": torch.empty(0), "label": torch.empty(0), "id": []}


def work(rank: int, folder: Path) -> None:
    """Process ``rank`` of two: the whole table, each result in a file."""
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "RANK": str(rank), "WORLD_SIZE": "2"}
    own = folder / str(rank)
    own.mkdir()
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    for name in TABLE:
        torch.save(steps_of(own, name, rank, 2), own / f"{name}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    # A server imports what they stand on, once, and forks them.
    multiprocessing.set_forkserver_preload([__name__, "monai.networks.nets", "torch._dynamo"])
    torch.multiprocessing.start_processes(work, (folder,), nprocs=2, start_method="forkserver")
    return folder


@pytest.mark.parametrize("name", TABLE)
def test_two_processes_take_the_steps_of_one(name, two, tmp_path):
    alone = steps_of(tmp_path, name, 0, 1)
    for rank in (0, 1):
        shared = torch.load(two / str(rank) / f"{name}.pt", weights_only=True)
        assert shared.keys() == alone.keys()
        assert max(float((shared[key] - alone[key]).abs().max()) for key in alone) < 1e-9
