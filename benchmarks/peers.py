"""Whole training loops on the hippocampus, medtui's and others': what `trainers` and `time_to_dice` compare.

Each takes the cases that it is handed, and loads, crops and augments them as its own users do.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from monai.data import CacheDataset, DataLoader
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
from torch import Tensor, nn

from engine.commands.train import build
from engine.data import Dataset
from engine.data.cases import Case
from engine.data.loaders import build_train_loader
from engine.device import Device
from engine.models.dynunet import build_dynunet
from engine.recipe import Recipe
from engine.recipe.models import DynUNetTable
from engine.training.engines import build_step, make_trainer
from engine.training.pace import measure_pace
from engine.training.state import evaluated_weights
from engine.training.stream import EpochStream

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "hippocampus_hour.toml"
TASK, SIZE, BATCH = "Task04_Hippocampus", (40, 56, 40), 4
NNUNETS_NETWORK = ["model.name=dynunet", "model.channels=[32,64,128,256]"]  # overrides of the recipe
PLAIN = Device(torch.device("cpu"), None, channels_last=False)


@dataclass(frozen=True, slots=True)
class Loop:
    """A training that is under way."""

    steps: Callable[[int], object]  # takes so many optimizer steps
    batch: int  # crops of a step
    model: Callable[[], nn.Module]  # what would be validated now: (B, 1, *S) to logits (B, 3, *S)
    device: Device = PLAIN
    last: float = math.inf  # steps until its schedule ends
    spent_s: float = 0.0  # what it took to make the schedule


def medtui(recipe: Recipe, dataset: Dataset, root: Path) -> Loop:
    """medtui's loop on the training cases of ``dataset``, with a schedule of ``train.minutes``, as `medtui run` has it.

    Its network is averaged where the recipe says so, and in the precision that its own probe chooses.
    """
    network = build(recipe, dataset, root)
    loader = build_train_loader(
        dataset, recipe.data, recipe.augment, recipe.runtime, batch_size=recipe.train.batch_size, seed=recipe.seed
    )
    stream = EpochStream(loader, recipe.train.accumulate)
    start, minutes = time.perf_counter(), recipe.train.minutes
    if minutes is not None:
        pace = measure_pace(recipe, network, dataset, stream, minutes)
        epochs = pace.epochs(minutes, time.perf_counter() - start)
        train = recipe.train.model_copy(update={"epochs": epochs, "minutes": None})
        recipe = recipe.model_copy(update={"train": train})
    spent_s = time.perf_counter() - start
    step = build_step(recipe, network, dataset.labels, len(stream))
    trainer, groups = make_trainer(step, stream), iter(stream)

    def steps(count: int) -> None:
        for group in islice(groups, count):
            trainer.state.iteration += 1
            step(trainer, group)

    last = recipe.train.planned * len(stream)
    return Loop(steps, recipe.train.batch_size, lambda: evaluated_weights(step), network.device, last, spent_s)


def tutorial_loader(cases: Sequence[Case], batch: int, crops: int) -> DataLoader:
    """The data of MONAI's tutorial 3d_segmentation/torch/unet_training_dict.py, cached: ``crops`` of each case."""
    keys = ["image", "label"]
    change = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            NormalizeIntensityd("image"),
            SpatialPadd(keys, SIZE),
            RandCropByPosNegLabeld(keys, "label", SIZE, pos=1, neg=1, num_samples=crops),
            RandRotate90d(keys, prob=0.5, spatial_axes=(0, 2)),
        ]
    )
    files = [{"image": str(case.images[0]), "label": str(case.label)} for case in cases]
    cached = CacheDataset(files, change, cache_rate=1.0, progress=False)
    return DataLoader(cached, batch_size=batch // crops, shuffle=True, num_workers=2, persistent_workers=True)


def tutorial(cases: Sequence[Case], trainer: type[SupervisedTrainer] | None, *, crops: int) -> Loop:
    """MONAI's trainer, or a plain loop: Adam at a constant 1e-3 as in the tutorial, float32, the default layout."""
    torch.manual_seed(0)
    batches = forever(tutorial_loader(cases, BATCH, crops))
    model, loss = build_dynunet(DynUNetTable(name="dynunet"), 1, 3, SIZE), DiceCELoss(softmax=True, to_onehot_y=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def plain(count: int) -> None:
        model.train()
        for batch in islice(batches, count):
            optimizer.zero_grad()
            value = loss(model(batch["image"]), batch["label"])
            value.backward()
            optimizer.step()
            value.item()

    def supervised(count: int) -> None:
        assert trainer is not None
        trainer(torch.device("cpu"), 1, batches, model, optimizer, loss, epoch_length=count).run()

    return Loop(supervised if trainer else plain, BATCH, lambda: model)


def forever(loader: DataLoader) -> Iterator[dict[str, Tensor]]:
    while True:
        yield from loader


NNUNET = """
import sys
import torch
from nnunetv2.run.run_training import get_trainer_from_args
one = get_trainer_from_args("4", "3d_fullres", "all", device=torch.device("cpu"))
one.plot_network_architecture = lambda: None
one.on_train_start()
plans = one.configuration_manager
assert list(one.plans_manager.transpose_forward) == [0, 1, 2], one.plans_manager.transpose_forward
print("ready", one.batch_size, *plans.patch_size, flush=True)
done = 0
for line in sys.stdin:
    word, what = line.rstrip("\\n").split(" ", 1)
    if word == "save":
        one.network.eval()
        one.set_deep_supervision_enabled(False)
        with torch.no_grad():
            torch.jit.trace(one.network, torch.zeros(1, 1, *plans.patch_size), check_trace=False).save(what)
        one.set_deep_supervision_enabled(True)
        one.network.train()
    for _ in range(int(what) if word == "train" else 0):
        if done % one.num_iterations_per_epoch == 0:
            one.current_epoch = done // one.num_iterations_per_epoch
            one.on_train_epoch_start()
        one.train_step(next(one.dataloader_train))
        done += 1
    print("did", word, flush=True)
"""


class NnUNet:
    """nnU-Net's trainer in its own process, asked over a pipe; planned as for the whole task, trained on ``cases``."""

    def __init__(self, python: str, cases: Sequence[Case], root: Path, place: Path) -> None:
        self.traced = place / "network.pt"
        folders = {f"nnUNet_{name}": str(place / name) for name in ("raw", "preprocessed", "results")}
        environment = os.environ | folders | {"nnUNet_n_proc_DA": "2", "nnUNet_def_n_proc": "2"}
        source = place / TASK
        for part in ("imagesTr", "labelsTr", "imagesTs"):  # it wants the last one too, and may find it empty
            (source / part).mkdir(parents=True)
        for file in [*(file for case in cases for file in case.files), root / TASK / "dataset.json"]:
            (source / file.relative_to(root / TASK)).symlink_to(file.resolve())
        for words in (
            ["nnUNetv2_convert_MSD_dataset", "-i", str(source)],
            ["nnUNetv2_plan_and_preprocess", "-d", "4", "-c", "3d_fullres"],
        ):
            command = [str(Path(python).parent / words[0]), *words[1:]]
            done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{words[0]}: {done.stderr[-500:]}")
        self.process = subprocess.Popen(
            [python, "-W", "ignore", "-c", NNUNET],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        batch, *size = map(int, self.answer("ready"))
        assert tuple(size) == SIZE, size
        self.loop = Loop(lambda count: self.ask(f"train {count}"), batch, self.model)

    def answer(self, word: str) -> list[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line.split()[1:]
        sys.exit("nnU-Net ended")

    def ask(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        self.answer("did")

    def model(self) -> nn.Module:
        """Its network as it is now, traced there and loaded here."""
        self.ask(f"save {self.traced}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch would have the program exported, which it is not
            return Turned(torch.jit.load(self.traced))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)  # its workers too
        self.process.wait()


class Turned(nn.Module):
    """A network that was trained with the axes of an image in the reverse order, as nnU-Net's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, *S)`` to logits ``(B, O, *S)``."""
        logits: Tensor = self.network(image.permute(0, 1, 4, 3, 2))
        return logits.permute(0, 1, 4, 3, 2)
