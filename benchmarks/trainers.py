"""Whole training loops on Task04_Hippocampus: ``python -m benchmarks.trainers [PYTHON_WITH_NNUNET]``.

The same network (nnU-Net's own for this task, 32 to 256 features on 40x56x40), loss and data; each loop loads, crops
and augments as its own users have it, in its own precision. In turns, some steps each; what stands in a row are crops a
second, and the median of the ratios of neighbours. The loops: medtui's, by `recipes/hippocampus_hour.toml`; MONAI's
SupervisedTrainer and a plain loop, both with the data of MONAI's tutorials (cached, random crops, quarter turns).

nnU-Net trains in an environment of its own, since it pins other packages: ``pip install nnunetv2==2.8.1`` there, and
give its interpreter. Its trainer's own step, loader and batch of 9, deep supervision on both sides.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from monai.data import CacheDataset, DataLoader, load_decathlon_datalist
from monai.engines import SupervisedTrainer
from monai.losses import DiceCELoss
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
    RandCropByPosNegLabeld,
    RandRotate90d,
    SpatialPadd,
)

from engine.commands.train import build, open_checked
from engine.data import data_root
from engine.data.loaders import build_train_loader
from engine.models.dynunet import build_dynunet
from engine.recipe import load_recipe
from engine.recipe.models import DynUNetTable
from engine.training.engines import EpochStream, build_step, make_trainer

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "hippocampus_hour.toml"
TASK, SIZE, BATCH, ROUNDS, STEPS = "Task04_Hippocampus", (40, 56, 40), 4, 3, 4
Steps = Callable[[int], object]


def ours(root: Path, batch: int, *, deep: bool) -> Steps:
    sets = ["model.name=dynunet", f"model.deep_supervision={str(deep).lower()}", f"train.batch_size={batch}"]
    recipe = load_recipe(RECIPE, [*sets, "model.channels=[32,64,128,256]"])
    dataset = open_checked(recipe, root)
    network = build(recipe, dataset, root)
    loader = build_train_loader(
        dataset, recipe.data, recipe.augment, recipe.runtime, batch_size=batch, seed=recipe.seed
    )
    stream = EpochStream(loader, 1)
    step = build_step(recipe, network, len(dataset.classes) + dataset.dense, len(stream))
    trainer, groups = make_trainer(step, stream), iter(stream)
    print(f"medtui: {network.device.name} {network.device.precision}, {os.cpu_count()} cores", flush=True)

    def steps(count: int) -> None:
        for group in islice(groups, count):
            step(trainer, group)

    return steps


def tutorial_loader(root: Path, batch: int) -> DataLoader:
    """As MONAI's tutorials of 3-D segmentation, four crops of a case."""
    keys = ["image", "label"]
    change = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            NormalizeIntensityd("image"),
            SpatialPadd(keys, SIZE),
            RandCropByPosNegLabeld(keys, "label", SIZE, pos=1, neg=1, num_samples=BATCH),
            RandRotate90d(keys, prob=0.5, spatial_axes=(0, 2)),
        ]
    )
    files = load_decathlon_datalist(str(root / TASK / "dataset.json"), data_list_key="training")
    cached = CacheDataset(files, change, cache_rate=1.0, progress=False)
    return DataLoader(cached, batch_size=batch // BATCH, shuffle=True, num_workers=2, persistent_workers=True)


def peer(root: Path, trainer: type[SupervisedTrainer] | None) -> Steps:
    """MONAI's trainer, or a plain loop: Adam, float32, the default layout."""
    loader = tutorial_loader(root, BATCH)
    model, loss = build_dynunet(DynUNetTable(name="dynunet"), 1, 3, SIZE), DiceCELoss(softmax=True, to_onehot_y=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    if trainer is None:
        batches = forever(loader)

        def plain(count: int) -> None:
            for batch in islice(batches, count):
                optimizer.zero_grad()
                value = loss(model(batch["image"]), batch["label"])
                value.backward()
                optimizer.step()
                value.item()

        return plain
    batches = forever(loader)

    def supervised(count: int) -> None:
        trainer(torch.device("cpu"), 1, batches, model, optimizer, loss, epoch_length=count).run()

    return supervised


def forever(loader: DataLoader) -> Iterator[dict[str, torch.Tensor]]:
    while True:
        yield from loader


NNUNET = """
import sys, time
from itertools import islice
import torch
from nnunetv2.run.run_training import get_trainer_from_args
one = get_trainer_from_args("4", "3d_fullres", 0, device=torch.device("cpu"))
one.plot_network_architecture = lambda: None
one.on_train_start()
one.on_train_epoch_start()
one.network.train()
print("ready", one.batch_size, flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(int(line)):
        one.train_step(next(one.dataloader_train))
    print("took", time.perf_counter() - start, flush=True)
"""


class NnUNet:
    """nnU-Net's trainer in its own process, asked over a pipe for so many steps."""

    def __init__(self, python: str, root: Path, place: Path) -> None:
        folders = {f"nnUNet_{name}": str(place / name) for name in ("raw", "preprocessed", "results")}
        environment = os.environ | folders | {"nnUNet_n_proc_DA": "2", "nnUNet_def_n_proc": "2"}
        scripts = Path(python).parent
        source = place / TASK
        (source / "imagesTs").mkdir(parents=True)  # it wants one, also where the test images were left out
        for part in ("imagesTr", "labelsTr", "dataset.json"):
            (source / part).symlink_to((root / TASK / part).resolve())
        for words in (
            ["nnUNetv2_convert_MSD_dataset", "-i", str(source)],
            ["nnUNetv2_plan_and_preprocess", "-d", "4", "-c", "3d_fullres"],
        ):
            done = subprocess.run(
                [str(scripts / words[0]), *words[1:]], check=False, env=environment, capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(f"{words[0]}: {done.stderr[-500:]}")
        self.process = subprocess.Popen(
            [python, "-c", NNUNET],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.batch = int(self.answer("ready"))

    def answer(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line.split()[1]
        sys.exit("nnU-Net ended")

    def __call__(self, count: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        self.answer("took")


def compare(name: str, mine: Steps, other: Steps, batch: int) -> None:
    def seconds(steps: Steps) -> float:
        start = time.perf_counter()
        steps(STEPS)
        return (time.perf_counter() - start) / STEPS

    mine(1), other(1)
    pairs = [(seconds(mine), seconds(other)) for _ in range(ROUNDS)]
    ratios = sorted(b / a for a, b in pairs)
    a, b = (batch / statistics.median(times) for times in zip(*pairs, strict=True))
    row = f"{name:45}{a:7.2f} {b:7.2f} crops/s   {statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(row, flush=True)


def main(nnunet: str | None = None) -> None:
    """Measure and print."""
    root = data_root(None)
    print(f"{'':45}{'medtui':>7} {'peer':>7}           medtui / peer, median (range) of {ROUNDS}")
    mine = ours(root, BATCH, deep=False)
    compare("MONAI SupervisedTrainer", mine, peer(root, SupervisedTrainer), BATCH)
    compare("a plain PyTorch loop", mine, peer(root, None), BATCH)
    if nnunet:
        with tempfile.TemporaryDirectory() as place:
            other = NnUNet(nnunet, root, Path(place))
            compare("nnU-Net's trainer", ours(root, other.batch, deep=True), other, other.batch)
            os.killpg(other.process.pid, signal.SIGKILL)  # its workers too


if __name__ == "__main__":
    main(*sys.argv[1:])
