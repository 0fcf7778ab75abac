"""Run folders with realistic synthetic numbers, as a trainer would have left them.

``python -m tests.tui.recorded DIR`` writes one of each kind; ``--live`` adds events to one for ever.
"""

from __future__ import annotations

import functools
import io
import json
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from engine.events import (
    CheckpointSaved,
    Control,
    EpochDone,
    Event,
    Figure,
    Iteration,
    Log,
    Note,
    Phase,
    Preview,
    Progress,
    Resources,
    Result,
    RunEnded,
    RunStarted,
    Validation,
)
from engine.runfolder import RunFolder, Status, own_status, take
from engine.runfolder.lines import encode
from engine.runfolder.paths import create

HIPPOCAMPUS = ("anterior", "posterior")
ISIC = ("melanoma", "nevus", "basal cell", "keratosis", "benign keratosis", "fibroma", "vascular")

RECIPE = """\
name = "{name}"
task = "{task}"
seed = 7

[data]
source = "{source}"
root = "phantom"
size = [64, 64, 48]
intensity = "zscore"

[model]
name = "{model}"

[loss]
name = "{loss}"

[optimizer]
name = "adamw"
lr = 0.001
weight_decay = 0.01

[schedule]
name = "cosine"
warmup_epochs = 1.0

[train]
epochs = {epochs}
batch_size = 2

[augment]
rotate_degrees = 20.0
flip = [0, 1]
"""


@dataclass
class Recorder:
    """Writes one run folder by a clock of its own, which starts so that the run ends now."""

    folder: RunFolder
    now_s: float
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    seq: int = 0
    lines: list[bytes] = field(default_factory=list)

    def write(self, event: Event, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self.seq += 1
        self.lines.append(encode(msgspec.structs.replace(event, seq=self.seq, time_s=round(self.now_s, 3))))

    def flush(self) -> None:
        with self.folder.events.open("ab") as stream:
            stream.writelines(self.lines)
        self.lines = []


@dataclass(frozen=True)
class Plan:
    """What the recorded run is like."""

    name: str = "seg_best"
    task: str = "segmentation"
    classes: tuple[str, ...] = ("left atrium",)
    epochs: int = 75
    done: int = 27  # whole epochs
    per_epoch: int = 7
    step_s: float = 8.0
    validation: bool = True
    device: str = "cpu"
    extra_steps: int = 4  # of the epoch that runs
    level: float = 0.88  # where the metric ends up
    absent: str = ""  # a class that no validation case has
    nan_at: int = 0  # iteration whose loss is not a number
    speed: float = 6.0
    seed: int = 3


def plan_seconds(plan: Plan) -> float:
    return (plan.done * plan.per_epoch + plan.extra_steps) * plan.step_s + plan.done * plan.step_s * 2 + 30


def record(runs: Path, plan: Plan, *, age_s: float = 0.0) -> Recorder:
    """A run folder whose stream ends ``age_s`` before now, in the middle of training."""
    begin = time.time() - age_s - plan_seconds(plan)
    folder = create(runs, plan.name, now_s=begin)
    recorder = Recorder(folder, begin, random.Random(plan.seed))
    text = RECIPE.format(
        name=plan.name,
        task=plan.task,
        epochs=plan.epochs,
        source="left_atrium" if plan.task == "segmentation" else "isic2018",
        model="resunet" if plan.task == "segmentation" else "resnet50",
        loss="dice_bce" if plan.task == "segmentation" else "cross_entropy_focal",
    )
    folder.recipe.write_text(text)
    folder.manifest.write_text(json.dumps({"medtui": "0.1.0", "seed": 7, "device": plan.device}))
    start(recorder, plan)
    for epoch in range(1, plan.done + 1):
        train_epoch(recorder, plan, epoch, plan.per_epoch)
        if plan.validation:
            validate(recorder, plan, epoch)
    train_epoch(recorder, plan, plan.done + 1, plan.extra_steps)
    recorder.flush()
    write_state(recorder, plan, "running")
    return recorder


def start(recorder: Recorder, plan: Plan, *, resumed_at: tuple[int, int] | None = None) -> None:
    monitor = "dice" if plan.task == "segmentation" else "balanced_accuracy"
    recorder.write(
        RunStarted(
            name=plan.name,
            task=plan.task,
            classes=list(plan.classes),
            cases={"train": 14, "validation": 3 if plan.validation else 0, "test": 20},
            epochs=plan.epochs,
            iterations_per_epoch=plan.per_epoch,
            device=plan.device,
            unit="mm",
            monitor=monitor if plan.validation else "",
            first_iteration=resumed_at[0] if resumed_at else 0,
            first_epoch=resumed_at[1] if resumed_at else 1,
            resumed=resumed_at is not None,
        )
    )
    recorder.write(Log(message="seed 7, deterministic kernels"), 0.2)
    recorder.write(Phase(phase="caching", total=14), 0.1)
    for done in (5, 10, 14):
        recorder.write(Progress(phase="caching", done=done, total=14), 1.0)
    recorder.write(Log(message="cached 14 cases, 0.9 GB"), 0.1)
    recorder.write(Phase(phase="training"), 0.1)


def loss_at(recorder: Recorder, plan: Plan, iteration: int) -> float:
    share = iteration / max(1, plan.epochs * plan.per_epoch)
    level = 0.14 + 0.85 * np.exp(-6 * share) + 0.05 * np.exp(-share)
    return float(level * np.exp(recorder.rng.gauss(0, 0.16)))


def train_epoch(recorder: Recorder, plan: Plan, epoch: int, steps: int) -> None:
    total = []
    for step in range(1, steps + 1):
        iteration = (epoch - 1) * plan.per_epoch + step
        loss = loss_at(recorder, plan, iteration)
        total.append(loss)
        share = iteration / max(1, plan.epochs * plan.per_epoch)
        recorder.write(
            Iteration(
                iteration=iteration,
                epoch=epoch,
                loss="nan" if iteration == plan.nan_at else loss,
                lr=1e-3 * 0.5 * (1 + float(np.cos(np.pi * share))),
                cases_per_s=2 / plan.step_s * recorder.rng.uniform(0.9, 1.1) * plan.speed,
                grad_norm=abs(recorder.rng.gauss(1.2, 0.4)) + 4 * float(np.exp(-20 * share)),
            ),
            plan.step_s * recorder.rng.uniform(0.9, 1.2),
        )
        if iteration % max(1, plan.per_epoch // 3) == 0:
            resources(recorder, plan)
    if steps == plan.per_epoch:
        metrics = {"loss": float(np.mean(total)), metric_of(plan): min(0.99, plan.level * (1 - np.exp(-epoch / 5)))}
        recorder.write(
            EpochDone(epoch=epoch, iteration=epoch * plan.per_epoch, metrics=metrics, seconds=plan.step_s * steps)
        )


def metric_of(plan: Plan) -> str:
    return "dice" if plan.task == "segmentation" else "accuracy"


def resources(recorder: Recorder, plan: Plan) -> None:
    gpu = plan.device != "cpu"
    recorder.write(
        Resources(
            cpu_percent=190 + recorder.rng.gauss(0, 8),
            memory_mb=6200 + recorder.rng.gauss(0, 60),
            memory_total_mb=2_063_360,
            gpu_percent=min(100.0, 93 + recorder.rng.gauss(0, 4)) if gpu else None,
            gpu_memory_mb=31200.0 if gpu else None,
            gpu_memory_total_mb=81920.0 if gpu else None,
            disk_free_gb=412.0 - recorder.seq / 1000,
        )
    )


def validate(recorder: Recorder, plan: Plan, epoch: int) -> None:
    """One validation with its previews, checkpoint and a warning now and then."""
    recorder.write(Phase(phase="validation", total=3))
    recorder.write(Progress(phase="validation", done=2, total=3), plan.step_s)
    rise = plan.level * (1 - float(np.exp(-(epoch + 1) / 6))) * (1 + recorder.rng.gauss(0, 0.012))
    event = (
        segmentation(recorder, plan, epoch, rise)
        if plan.task == "segmentation"
        else classes(recorder, plan, epoch, rise)
    )
    recorder.write(event, plan.step_s)
    if epoch % 3 == 0 or epoch in {1, 2}:
        recorder.write(
            CheckpointSaved(
                path="checkpoints/best.pt",
                epoch=epoch,
                iteration=epoch * plan.per_epoch,
                why="best",
                metric=event_metric(plan),
                value=rise,
            )
        )
    if epoch % 7 == 3:
        recorder.write(Log(level="warning", message="case 13: prediction empty in 2 of 80 slices"))
    if plan.done - epoch < 6:
        for index, item in enumerate(event.cases[:2]):
            preview(recorder, plan, epoch, index, item)
    recorder.write(Log(message=f"epoch {epoch}: {event_metric(plan)} {rise:.3f}"))
    recorder.write(Phase(phase="training"))


def event_metric(plan: Plan) -> str:
    return "dice" if plan.task == "segmentation" else "balanced_accuracy"


def segmentation(recorder: Recorder, plan: Plan, epoch: int, rise: float) -> Validation:
    per_class: dict[str, Any] = {}
    for at, label in enumerate(plan.classes):
        dice = max(0.0, min(0.99, rise - 0.03 * at + recorder.rng.gauss(0, 0.008)))
        absent = label == plan.absent
        per_class[label] = {
            "dice": None if absent else dice,
            "jaccard": None if absent else dice / (2 - dice),
            "hd95": None if absent else 30 * (1 - dice) + 1.5,
        }
    cases = sorted(
        ({"id": f"{n:02d}", "dice": rise - recorder.rng.uniform(-0.03, 0.12), "hd95": recorder.rng.uniform(3, 14)}
         for n in (7, 13, 2, 9, 11, 4, 1, 15)),
        key=lambda row: row["dice"],
    )  # fmt: skip
    metrics = {"loss": 1.02 - rise, "dice": rise, "jaccard": rise / (2 - rise), "hd95": 30 * (1 - rise) + 1.5}
    return Validation(
        epoch=epoch,
        iteration=epoch * plan.per_epoch,
        metrics=metrics,
        per_class=per_class,
        cases=cases,
        best=epoch % 3 == 0,
        seconds=plan.step_s,
    )


def classes(recorder: Recorder, plan: Plan, epoch: int, rise: float) -> Validation:
    per_class: dict[str, Any] = {}
    for at, label in enumerate(plan.classes):
        f1 = max(0.0, min(0.99, rise - 0.06 * at + recorder.rng.gauss(0, 0.02)))
        value = None if label == plan.absent else f1
        per_class[label] = {
            "precision": value,
            "recall": value,
            "f1": value,
            "support": 0 if value is None else 40 - at,
        }
    cases = [
        {
            "id": f"ISIC_{n:07d}",
            "loss": 6.0 - n / 7,
            "true": plan.classes[n % 3],
            "predicted": plan.classes[(n + 1) % 3],
        }
        for n in range(12)
    ]
    metrics = {"loss": 1.9 * (1 - rise) + 0.2, "accuracy": rise, "balanced_accuracy": rise - 0.08, "f1": rise - 0.07,
               "auc": 0.5 + rise / 2}  # fmt: skip
    return Validation(
        epoch=epoch, iteration=epoch * plan.per_epoch, metrics=metrics, per_class=per_class, cases=cases,
        seconds=plan.step_s, confusion=confusion(plan),
    )  # fmt: skip


def confusion(plan: Plan) -> list[list[int]]:
    """Most cases of a class are right, four of the next one and one of the one after it are taken for others."""
    counts = np.diag([35 - at for at in range(len(plan.classes))])
    wrong = np.roll(np.eye(len(plan.classes), dtype=int), 1, 1) * 4 + np.roll(
        np.eye(len(plan.classes), dtype=int), 2, 1
    )
    return np.asarray(counts + wrong).tolist()  # type: ignore[no-any-return]


def ellipse(size: int, centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] / size
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1


def preview(recorder: Recorder, plan: Plan, epoch: int, index: int, item: dict[str, Any]) -> None:
    """An image of a few slices with a truth that the prediction misses a little."""
    path = recorder.folder.previews / f"e{epoch:05d}_{index}.npz"
    dense = plan.task == "segmentation"
    path.write_bytes(slices(epoch, index) if dense else photo(index, item["true"], item["predicted"]))
    value = item["dice" if dense else "loss"]
    recorder.write(Preview(path=f"previews/{path.name}", epoch=epoch, case=item["id"], value=value))


def packed(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@functools.cache
def slices(epoch: int, index: int, size: int = 96) -> bytes:
    """The file of a preview of masks."""
    places = [24, 34, 44]
    noise = np.random.default_rng(index + 7).normal(0, 9, (len(places), size, size))
    body = ellipse(size, (0.5, 0.5), (0.46, 0.4)) * 70.0
    truths, predictions, images = [], [], []
    for at in range(len(places)):
        truth = ellipse(size, (0.48, 0.52), (0.2 + 0.03 * at, 0.26)).astype(np.uint8)
        shift = 0.10 * np.exp(-epoch / 12) + 0.02
        guess = ellipse(size, (0.48 + shift, 0.5), (0.2 + 0.02 * at, 0.25 - shift / 2)).astype(np.uint8)
        images.append(np.clip(40 + body + truth * 70 + noise[at], 0, 255))
        truths.append(truth)
        predictions.append(guess)
    return packed(image=np.array(images, np.uint8), truth=np.array(truths), prediction=np.array(predictions),
                  slices=np.array(places))  # fmt: skip


@functools.cache
def photo(index: int, true: str, predicted: str, size: int = 96) -> bytes:
    """The file of a preview of classes."""
    rng = np.random.default_rng(index + 7)
    skin = np.array([224, 172, 140]) + rng.normal(0, 5, (size, size, 3))
    spot = ellipse(size, (0.5, 0.5), (0.25, 0.3))[..., None]
    image = np.where(spot, np.array([96, 60, 44]) + rng.normal(0, 12, (size, size, 3)), skin)
    y, x = np.mgrid[0:size, 0:size] / size
    warm = (255 * np.exp(-((y - 0.45) ** 2 + (x - 0.6) ** 2) / 0.03)).astype(np.uint8)
    said = {"true": np.array(true), "predicted": np.array(predicted), "probability": np.array(0.71)}
    return packed(image=np.clip(image, 0, 255).astype(np.uint8)[None], slices=np.array([0]), heat=warm[None], **said)


def write_state(recorder: Recorder, plan: Plan, state: str, **more: Any) -> None:
    """status.json; a live state borrows this process, so that it counts as alive."""
    base = own_status(plan.name, plan.task, plan.epochs)
    values = {name: getattr(base, name) for name in base.__struct_fields__}
    values |= {
        "state": state,
        "host": socket.gethostname(),
        "heartbeat_s": recorder.now_s,
        "epoch": plan.done,
        "metric": event_metric(plan),
        "best": plan.level,
        **more,
    }
    recorder.folder.status.write_bytes(msgspec.json.encode(Status(**values)))


def end(recorder: Recorder, plan: Plan, state: str, message: str = "", hint: str = "") -> RunFolder:
    recorder.write(RunEnded(state=state, message=message, hint=hint), 1.0)
    recorder.flush()
    write_state(recorder, plan, state, message=message, hint=hint)
    return recorder.folder


def finish(recorder: Recorder, plan: Plan) -> RunFolder:
    """Test, figures and the end of a run that went well."""
    recorder.write(Phase(phase="test", total=20), 1.0)
    recorder.write(Progress(phase="test", done=20, total=20), 20.0)
    metrics = {"dice": plan.level, "jaccard": plan.level / (2 - plan.level), "asd": 1.37, "hd95": 5.3}
    if plan.task == "classification":
        metrics = {"accuracy": plan.level, "balanced_accuracy": plan.level - 0.08, "f1": plan.level - 0.07, "auc": 0.93}
    per_class = {
        label: {name: value - 0.02 * at for name, value in metrics.items()} for at, label in enumerate(plan.classes)
    }
    recorder.write(Result(split="test", metrics=metrics, per_class=per_class), 1.0)
    recorder.write(Phase(phase="figures", total=2), 0.1)
    for name in ("curves.png", "slices_07.png"):
        Image.fromarray(np.full((40, 60, 3), 255, np.uint8)).save(recorder.folder.figures / name)
        recorder.write(Figure(path=f"figures/{name}"), 1.0)
    recorder.write(Figure(path="figures/surface_07.png", ok=False, message="no libEGL: see docs"), 1.0)
    values = {"test": {"n": 20, "missed": 0, "protocol": "whole volume, checkpoint best", "unit": "mm", **metrics}}
    recorder.folder.metrics.write_text(json.dumps(values))
    return end(recorder, plan, "finished")


# --- one function a kind -------------------------------------------------------------------------


def live(runs: Path) -> RunFolder:
    recorder = record(runs, Plan())
    recorder.write(Control(request="abc", command="checkpoint", state="done", message="checkpoints/last.pt"))
    recorder.write(Note(text="looks good after the warm-up"))
    recorder.flush()
    return recorder.folder


def live_gpu(runs: Path) -> RunFolder:
    return record(runs, Plan(name="hippocampus", classes=HIPPOCAMPUS, device="cuda", per_epoch=40, step_s=0.3)).folder


def live_classes(runs: Path) -> RunFolder:
    plan = Plan(name="cls_ce_focal", task="classification", classes=ISIC, epochs=20, done=9, per_epoch=60, step_s=0.7,
                level=0.8, absent="fibroma")  # fmt: skip
    return record(runs, plan).folder


def finished(runs: Path) -> RunFolder:
    plan = Plan(done=75, extra_steps=0, level=0.85, seed=11)
    return finish(record(runs, plan, age_s=86400.0), plan)


def failed(runs: Path) -> RunFolder:
    plan = Plan(name="seg_fails", done=3, nan_at=24)
    recorder = record(runs, plan, age_s=7200.0)
    message = "the loss is not a number at iteration 24 (cases 07, 13)"
    recorder.write(Log(level="error", message=message))
    return end(recorder, plan, "failed", message, "lower optimizer.lr or set train.clip_norm")


def lost(runs: Path) -> RunFolder:
    plan = Plan(name="seg_lost", done=12)
    recorder = record(runs, plan, age_s=3 * 3600.0)
    write_state(recorder, plan, "running", pid=2**22 + 1, process_started="1")
    return recorder.folder


def torn(runs: Path) -> RunFolder:
    recorder = record(runs, Plan(name="seg_torn", done=5))
    with recorder.folder.events.open("ab") as stream:
        stream.write(b'{"kind":"unheard_of","seq":1}\n\x00\xff garbage\n{"kind":"iteration","seq":99,"iter')
    return recorder.folder


def one_iteration(runs: Path) -> RunFolder:
    return record(runs, Plan(name="seg_new", done=0, extra_steps=1)).folder


def starting(runs: Path) -> RunFolder:
    plan = Plan(name="seg_starts", done=0, extra_steps=0)
    folder = create(runs, plan.name)
    recorder = Recorder(folder, time.time())
    write_state(recorder, plan, "starting")
    return folder


def no_validation(runs: Path) -> RunFolder:
    return record(runs, Plan(name="seg_noval", validation=False, done=20)).folder


def nan(runs: Path) -> RunFolder:
    recorder = record(runs, Plan(name="seg_nan", done=10, nan_at=30))
    plan = Plan(name="seg_nan", done=10)
    for step, loss in enumerate(("inf", "-inf", "nan", 1e30, 0.0, -1.0), start=5):
        recorder.write(Iteration(iteration=70 + step, epoch=11, loss=loss, lr=0.0, grad_norm="inf"), 8.0)
    recorder.write(
        Validation(
            epoch=11, iteration=77, metrics={"dice": "nan", "loss": "inf"}, per_class={"left atrium": {"dice": None}}
        )
    )
    recorder.flush()
    write_state(recorder, plan, "running")
    return recorder.folder


def resumed(runs: Path) -> RunFolder:
    plan = Plan(name="seg_resumed", done=20)
    recorder = record(runs, plan)
    recorder.now_s += 30
    start(recorder, plan, resumed_at=(18 * plan.per_epoch, 19))
    train_epoch(recorder, plan, 19, plan.per_epoch)
    recorder.flush()
    return recorder.folder


def hostile(runs: Path) -> RunFolder:
    """Names with markup, control characters and wide letters."""
    nasty = "[bold red]x[/] \x1b[31m\x07 \u202e名前"
    plan = Plan(name="seg_odd", classes=(nasty, "[/]", "a" * 60), done=6)
    recorder = record(runs, plan)
    recorder.write(Log(level="error", message=f"first\nsecond {nasty} \x1b]0;title\x07"))
    recorder.write(Note(text=nasty))
    recorder.write(Log(level=nasty, message="odd level"))
    recorder.write(Control(request="x", command=nasty, state=nasty, message=nasty))
    recorder.write(CheckpointSaved(path=nasty, epoch=7, iteration=49, metric=nasty, value=1.0))
    recorder.write(Phase(phase=nasty, detail=nasty, total=3))
    recorder.write(
        Validation(epoch=7, iteration=49, metrics={nasty: 0.5}, cases=[{"id": nasty, "dice": "nan", "x": [1]}])
    )
    recorder.flush()
    return recorder.folder


def huge(runs: Path, iterations: int = 1_000_000, per_epoch: int = 1000) -> RunFolder:
    """A stream of so many iterations (140 bytes each), written in blocks."""
    plan = Plan(
        name="seg_huge", epochs=iterations // per_epoch + 100, done=0, per_epoch=per_epoch, extra_steps=0, step_s=0.02
    )
    recorder = record(runs, plan, age_s=0.025 * iterations)
    for epoch in range(1, iterations // per_epoch + 1):
        train_epoch(recorder, plan, epoch, per_epoch)
        if epoch % 5 == 0:
            validate(recorder, plan, epoch)
            recorder.flush()
    recorder.flush()
    write_state(recorder, plan, "running")
    return recorder.folder


KINDS: dict[str, Callable[[Path], RunFolder]] = {
    "finished": finished,
    "live": live,
    "live_gpu": live_gpu,
    "live_classes": live_classes,
    "failed": failed,
    "lost": lost,
    "torn": torn,
    "one_iteration": one_iteration,
    "starting": starting,
    "no_validation": no_validation,
    "nan": nan,
    "resumed": resumed,
    "hostile": hostile,
}


_AFTER = {"pause": "paused", "resume": "running", "stop": "stopped", "stop_now": "stopped"}


def answer(recorder: Recorder, plan: Plan, state: str) -> str:
    """Answer what waits in control/, as a trainer would; gives the state that the run is in then."""
    for request in take(recorder.folder):
        state = _AFTER.get(request.command, state)
        if request.command == "note":
            recorder.write(Note(text=request.text))
        recorder.write(Control(request=request.id, command=request.command, state="done"))
        write_state(recorder, plan, state)
    return state


def go_on(runs: Path, rate: float, plan: Plan) -> None:
    """A live run that adds ``rate`` iterations a second and answers requests until it is stopped."""
    recorder = record(runs, plan)
    print(recorder.folder.root, os.getpid(), flush=True)
    epoch, step, state = plan.done + 1, plan.extra_steps, "running"
    batch = max(1, int(rate / 10))
    while state != "stopped":
        begin = time.time()
        recorder.now_s = begin
        state = answer(recorder, plan, state)
        for _ in range(batch if state == "running" else 0):
            step += 1
            if step > plan.per_epoch:
                if plan.validation:
                    validate(recorder, plan, epoch)
                epoch, step = epoch + 1, 1
            recorder.now_s = time.time()
            iteration = (epoch - 1) * plan.per_epoch + step
            event = Iteration(
                iteration=iteration,
                epoch=epoch,
                loss=loss_at(recorder, plan, iteration),
                lr=1e-3,
                cases_per_s=rate * 2,
                grad_norm=1.0,
            )
            recorder.write(event)
        resources(recorder, plan)
        recorder.flush()
        time.sleep(max(0.0, batch / rate - (time.time() - begin)))
    end(recorder, plan, "stopped", "stopped on request")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    if "--live" in sys.argv:
        go_on(
            target, float(sys.argv[sys.argv.index("--live") + 1]), Plan(epochs=200, done=12, per_epoch=40, step_s=1.0)
        )
    for name, make in KINDS.items():
        print(name, make(target).id)
    if "--huge" in sys.argv:
        print("huge", huge(target).id)
