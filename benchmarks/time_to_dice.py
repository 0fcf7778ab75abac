"""Time to a Dice on Task04_Hippocampus: ``python -m benchmarks.time_to_dice [--minutes N] [PYTHON_WITH_NNUNET]``.

All loops train on the same cases, and are measured on the same 32 others by one function: sliding windows, argmax, the
mean Dice of the foreground classes, the mean over cases. Both are drawn from the training cases of
`recipes/hippocampus_hour.toml`; its test cases are left alone. The network is nnU-Net's own for this task in all rows
but the first, which is the recipe as it ships. Everything else is as each loop's users have it:

- medtui: the recipe with ``train.minutes = N``, so its rate has fallen to nothing by then: another N is another way
  there, and another time. Validated are the averaged weights, in the precision of the run.
- MONAI's SupervisedTrainer, and a plain loop: the data and Adam at a constant 1e-3 of MONAI's tutorial
  3d_segmentation/torch/unet_training_dict.py; Dice with cross entropy, as the others have, in place of its Dice alone.
  A batch is a crop of each of four cases: four crops of one case, as there, would be four times the same.
- nnU-Net: its trainer with all its defaults, SGD at 0.01 with a polynomial over 250,000 steps, deep supervision. It
  needs an environment of its own, see `trainers`. Its network is traced, and measured here with the others.

They train in turns, a while each, so that a machine which is slow for a time is slow for all. The clock of a loop runs
while it trains, its loader included, and medtui's while it measures its speed for the schedule; not while cases are
cached, planned, preprocessed or measured. A time is that of the first measurement at or over the Dice.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import monai
import torch
from monai.engines import SupervisedTrainer

from benchmarks.peers import NNUNETS_NETWORK, RECIPE, SIZE, Loop, NnUNet, medtui, tutorial
from engine.data import Dataset, check_dataset, data_root, open_dataset
from engine.data.prepare import Prepared, prepare
from engine.data.read import read_case
from engine.errors import counted
from engine.evaluation.inference import Predictor
from engine.evaluation.labels import predict_labels
from engine.hardware import cores
from engine.metrics.pair import MetricOptions
from engine.metrics.segmentation import SegmentationRow, case_metrics
from engine.recipe import Recipe, load_recipe

GOALS = (0.80, 0.85)
CLASSES = ("Anterior", "Posterior")
HELD_OUT = "data.validation_fraction=0.2"  # of the cases that are not of the test


@dataclass(slots=True)
class Contender:
    """A loop, and what was measured of it."""

    name: str
    loop: Loop
    held: list[Prepared]  # the held-out cases in the intensities that it is trained with
    clock: float = field(init=False)  # seconds of training
    steps: int = 0
    curve: list[tuple[float, float]] = field(default_factory=list)  # seconds, Dice

    def __post_init__(self) -> None:
        self.clock = self.loop.spent_s

    def train(self, until: float) -> bool:
        """Train until the clock is there, or the schedule has ended; say whether there was anything to do."""
        steps, began = self.steps, self.clock
        while self.clock < until and self.steps < self.loop.last:
            left = (until - self.clock) * (self.steps - steps) / (self.clock - began) if self.steps > steps else 1
            count = int(min(max(left, 1), self.loop.last - self.steps))
            start = time.perf_counter()
            self.loop.steps(count)
            self.clock += time.perf_counter() - start
            self.steps += count
        return self.steps > steps

    def measure(self) -> None:
        """Add to the curve."""
        one = Predictor(self.loop.model(), self.loop.device, "softmax", SIZE, outputs=len(CLASSES) + 1)
        self.curve.append((self.clock, fmean(dice(one, case) for case in self.held)))
        print(f"{self.name}: {self.curve[-1][1]:.4f} after {clock(self.clock)}, {self.steps} steps", file=sys.stderr)

    def row(self) -> str:
        """Of the table."""
        times = [next((clock(at) for at, value in self.curve if value >= goal), "-") for goal in GOALS]
        at, best = max(self.curve, key=lambda pair: pair[1])
        told = [f"{self.steps} x {self.loop.batch}", self.loop.device.precision, *times, f"{best:.3f} at {clock(at)}"]
        return f"{self.name:32}" + "".join(f"{text:>14}" for text in told)


def dice(one: Predictor, case: Prepared) -> float:
    """Of a whole case on its own grid, the mean over the foreground classes."""
    assert case.label is not None
    _, mask = predict_labels([one], case, threshold=0.5)
    found = case_metrics(mask, case.label, CLASSES, options=MetricOptions(frozenset()))
    return SegmentationRow(case.id, per_class=found).value("dice") or 0.0


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def cases(recipe: Recipe, root: Path) -> tuple[Dataset, list[Prepared], list[Prepared]]:
    """The training cases; the held-out ones as medtui sees them, and as the others do, which clip no intensities."""
    dataset = open_dataset(recipe.data, recipe.task, root)
    dataset = replace(dataset, cases=tuple(case for case in dataset.cases if case.split != "test"))
    dataset = check_dataset(dataset, recipe.data)
    train, held = dataset.split("train"), [read_case(dataset, case) for case in dataset.split("validation")]
    print(f"{len(train)} cases to train on, {len(held)} to measure, none of them of the test")
    assert all(case.facts and case.facts.orientation == "RAS" for case in dataset.cases), "peers turn no case"
    scaled = [replace(case, image=(case.image - case.image.mean()) / case.image.std()) for case in held]
    as_they_are = recipe.data.model_copy(update={"intensity": "none"})
    return (
        replace(dataset, cases=train),
        [prepare(case, recipe.data) for case in held],
        [prepare(case, as_they_are) for case in scaled],
    )


def contenders(recipe: Recipe, nnunet: str | None, stack: ExitStack) -> list[Contender]:
    """All loops, ready to train; what is to be ended is left to ``stack``."""
    root = data_root(None)
    dataset, own, plain = cases(recipe, root)
    same = load_recipe(RECIPE, [HELD_OUT, f"train.minutes={recipe.train.minutes}", *NNUNETS_NETWORK])
    ready = [
        Contender("medtui, the recipe as it ships", medtui(recipe, dataset, root), own),
        Contender("medtui", medtui(same, dataset, root), own),
        Contender("MONAI SupervisedTrainer", tutorial(dataset.cases, SupervisedTrainer, crops=1), plain),
        Contender("a plain PyTorch loop", tutorial(dataset.cases, None, crops=1), plain),
    ]
    if nnunet:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        theirs = NnUNet(nnunet, dataset.cases, root, place)
        stack.callback(theirs.close)
        ready.append(Contender("nnU-Net's trainer", theirs.loop, plain))
    return ready


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, a loop")
    parser.add_argument("--every", type=float, default=30.0, help="seconds of training between measurements")
    parser.add_argument("nnunet", nargs="?", help="an interpreter with nnU-Net")
    options = parser.parse_args()
    recipe = load_recipe(RECIPE, [HELD_OUT, f"train.minutes={options.minutes}"])
    with ExitStack() as stack:
        ready = contenders(recipe, options.nnunet, stack)
        for turn in range(math.ceil(options.minutes * 60 / options.every)):
            for contender in ready:
                trained = contender.train(min((turn + 1) * options.every, options.minutes * 60))
                if trained or not contender.curve:
                    contender.measure()
    threads = f"{counted(cores(), 'core')}, {counted(torch.get_num_threads(), 'thread')}"
    print(f"{cpu()}, {threads}; torch {torch.__version__}, MONAI {monai.__version__}")
    heads = ["steps", "precision", *(f"Dice {goal:.2f}" for goal in GOALS), "best"]
    print(f"{'':32}" + "".join(f"{head:>14}" for head in heads))
    for contender in ready:
        print(contender.row())


def cpu() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "a CPU")


if __name__ == "__main__":
    main()
