"""Thousands of damaged files: ``python -m benchmarks.fuzz [COUNT] [KIND]``.

Bytes of a stream, of recipes, checkpoints, of the small files of a run and of images are changed, cut out,
doubled and cut short at random, and read by what reads them in medtui. What may come of it is a value or one of
the named errors; anything else that is raised would be a traceback for a user, and is counted as a fault.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import h5py
import nibabel
import numpy as np
import torch
from PIL import Image

from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.data import check_dataset, open_dataset
from engine.errors import MedtuiError
from engine.evaluation.results import write_cases
from engine.events import Iteration, Log, RunStarted, Validation
from engine.readers import run_view
from engine.readers.fold import fold
from engine.readers.run import RunData
from engine.recipe import DataTable, load_recipe
from engine.runfolder import (
    EventReader,
    EventWriter,
    RunFolder,
    create,
    own_status,
    read_cases,
    read_manifest,
    read_metrics,
    read_status,
    send,
    take,
    write_status,
)
from tests.engine.recipe.good import CLASSIFICATION, SEGMENTATION
from tui.state.figure_files import list_figures, load_figure

Reader = Callable[[Path], object]
PIECES = (
    b"\x00", b"\xff", b"\n", b"{", b"}", b'"', b"[", b"]", b"NaN", b"1e999", b"-1", b"\x1b[2J", b"=",
    b"9" * 400, b"[" * 300,
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of file: how a whole one is written into a folder, and who reads it."""

    write: Callable[[Path], list[Path]]
    read: Reader


@dataclass
class Report:
    """What came of a number of damaged files."""

    count: int = 0
    told: int = 0
    slowest_s: float = 0.0
    faults: list[str] = field(default_factory=list)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """``content`` with one to eight changes."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        place = draw.randrange(len(data) + 1)
        match draw.randrange(6):
            case 0 | 1 if place < len(data):
                data[place] = draw.randrange(256)
            case 2 if place < len(data):
                data[place] ^= 1 << draw.randrange(8)
            case 3:
                del data[place : place + draw.randint(1, 40)]
            case 4:
                data[place:place] = draw.choice(PIECES)
            case 5 if data:
                source = draw.randrange(len(data))
                data[place:place] = data[source : source + draw.randint(1, 60)]
    return bytes(data[: draw.randrange(len(data) + 1)]) if draw.random() < 0.1 else bytes(data)


def fuzz(kind: Kind, folder: Path, count: int, seed: int) -> Report:
    """Damage the files of ``kind`` ``count`` times, one file at a time, and read each."""
    draw, report = random.Random(seed), Report()
    whole = {path: path.read_bytes() for path in kind.write(folder)}
    with contextlib.redirect_stderr(io.StringIO()):
        kind.read(folder)  # whole files are read without a word
    for path, content in whole.items():
        path.write_bytes(content)
    for number in range(count):
        path = draw.choice(list(whole))
        path.write_bytes(damaged(whole[path], draw))
        start = time.monotonic()
        try:
            with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
                warnings.simplefilter("ignore")
                kind.read(folder)
        except MedtuiError as error:
            report.told += 1
            if not str(error).strip():
                report.faults.append(f"{number}: an error without a word")
        except Exception:
            report.faults.append(f"{number} ({path.name}): {traceback.format_exc(limit=-4)}")
        report.count += 1
        report.slowest_s = max(report.slowest_s, time.monotonic() - start)
        path.write_bytes(whole[path])
    return report


def _write_stream(folder: Path) -> list[Path]:
    writer = EventWriter(folder / "events.jsonl")
    writer.write(
        RunStarted(
            name="x", task="segmentation", classes=["a"], cases={"train": 4, "validation": 2}, epochs=3,
            iterations_per_epoch=4, device="cpu", unit="voxel", monitor="dice",
        )
    )  # fmt: skip
    for step in range(1, 13):
        writer.write(Iteration(iteration=step, epoch=(step + 3) // 4, loss=1 / step, lr=0.001, cases_per_s=3.0))
        if step % 4 == 0:
            dice: dict[str, float | str | None] = {"dice": 0.5}
            cases = [{"id": "case 1", "dice": 0.5}]
            event = Validation(epoch=step // 4, iteration=step, metrics=dice, per_class={"a": dice}, cases=cases)
            writer.write(event)
    writer.write(Log(message="a line"))
    writer.close()
    return [folder / "events.jsonl"]


def _read_stream(folder: Path) -> object:
    reader, view = EventReader(folder / "events.jsonl"), run_view.EMPTY
    while events := reader.read():
        view = fold(view, events)
    writer = EventWriter(folder / "events.jsonl")  # a resumed trainer mends and goes on
    writer.tail(0)
    writer.cut(1, min(100, writer.position[1]))
    writer.write(Log(message="goes on"))
    writer.close()
    (folder / "events.discarded.jsonl").unlink(missing_ok=True)
    return view


def _write_recipes(folder: Path) -> list[Path]:
    (folder / "parent.toml").write_text(SEGMENTATION)
    (folder / "recipe.toml").write_text('extends = "parent.toml"\n[train]\nepochs = 5\n')
    (folder / "other.toml").write_text(CLASSIFICATION)
    return [folder / "parent.toml", folder / "recipe.toml", folder / "other.toml"]


def _read_all(readers: Iterable[Callable[[], object]]) -> None:
    """Read with each of ``readers``, and only then tell what the last one of them told that did."""
    told = None
    for read in readers:
        try:
            read()
        except MedtuiError as error:
            told = error
    if told is not None:
        raise told


def _read_recipes(folder: Path) -> None:
    names = ("recipe.toml", "other.toml")
    _read_all(partial(load_recipe, folder / name, ["train.batch_size=3"]) for name in names)


def _write_checkpoint(folder: Path) -> list[Path]:
    state = {"first.weight": torch.randn(4, 3), "first.bias": torch.zeros(4), "n": torch.tensor(3)}
    model = torch.nn.Linear(3, 4)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 3)).sum().backward()
    optimizer.step()
    content = {"model": state, "optimizer": optimizer.state_dict(), "iteration": 3, "stream": [5, 900], "recipe": "x"}
    save_checkpoint(folder / "last.pt", content)
    return [folder / "last.pt"]


def _read_checkpoint(folder: Path) -> object:
    return load_checkpoint(folder / "last.pt")


def _write_run(folder: Path) -> list[Path]:
    run = RunFolder(folder)
    for part in (run.control, run.figures, run.examples):
        part.mkdir(exist_ok=True)
    write_status(run, own_status("x", "segmentation", 3))
    run.manifest.write_text(json.dumps({"data": {"classes": ["a"]}, "sessions": 1}))
    run.metrics.write_text(json.dumps({"test": {"n": 3, "dice": 0.5}}))
    send(run, "note", "a note")
    request = next(run.control.iterdir())
    kept = run.control / "1.json"
    request.rename(kept)
    write_cases(run, "test", (["id", "split", "dice", "dice:a"], [["=1+1", "test", "0.5", "0.5"]]))
    index = run.figures / "index.json"
    index.write_text(json.dumps([{"path": "figures/roc.png", "kind": "roc", "title": "ROC"}]))
    Image.new("RGB", (9, 9)).save(run.figures / "roc.png")
    example = run.examples / "test_a.npz"
    np.savez_compressed(example, image=np.zeros((3, 9, 9), np.uint8), id=np.array("a"), split=np.array("test"))
    return [run.status, run.manifest, run.metrics, run.cases, index, run.figures / "roc.png", example, kept]


def _read_run(folder: Path) -> object:
    run = RunFolder(folder)
    shown = [load_figure(run, figure) for figure in list_figures(run)]
    arrays = list(RunData(run).examples()), RunData(run).example_heads(), shown
    return read_status(run), read_manifest(run), read_metrics(run), read_cases(run), arrays, take(run)


def _write_data(folder: Path) -> list[Path]:
    root = folder / "odd"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(4):
        label = np.zeros((9, 8, 7), np.uint8)
        label[2:5, 2:5, 2:5] = 1
        image = nibabel.Nifti1Image(draw.random((9, 8, 7), np.float32), np.eye(4))
        nibabel.save(image, root / "images" / f"{number}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), root / "labels" / f"{number}.nii.gz")
    atrium = folder / "atrium"
    for number in range(2):
        (atrium / str(number)).mkdir(parents=True)
        with h5py.File(atrium / str(number) / "mri_norm2.h5", "w") as file:
            file["image"], file["label"] = draw.random((9, 8, 7), np.float32), label
    (atrium / "train.list").write_text("0\n")
    (atrium / "test.list").write_text("1\n")
    for name in ("a", "b"):
        (folder / "photos" / name).mkdir(parents=True)
        for ending in ("png", "jpg"):
            for number in range(2):
                pixels = draw.integers(0, 255, (12, 12, 3), dtype=np.uint8)  # a copy in another split is refused
                Image.fromarray(pixels).save(folder / "photos" / name / f"{number}{ending}.{ending}")
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


_TABLES = (
    ("segmentation", DataTable(source="nifti_pairs", root="odd", size=(8, 8, 8), split="fraction", classes=("a",))),
    ("segmentation", DataTable(source="left_atrium", root="atrium", size=(8, 8, 8))),
    ("classification", DataTable(source="image_folder", root="photos", size=(8, 8), split="fraction")),
)


def _read_data(folder: Path) -> None:
    def read(task: str, table: DataTable) -> object:
        return check_dataset(open_dataset(table, task, folder), table)

    _read_all(partial(read, task, table) for task, table in _TABLES)


KINDS = {
    "stream": Kind(_write_stream, _read_stream),
    "recipe": Kind(_write_recipes, _read_recipes),
    "checkpoint": Kind(_write_checkpoint, _read_checkpoint),
    "run files": Kind(_write_run, _read_run),
    "data": Kind(_write_data, _read_data),
}


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    faults = 0
    for name in sys.argv[2:] or KINDS:
        with tempfile.TemporaryDirectory() as place:
            start = time.monotonic()
            report = fuzz(KINDS[name], create(Path(place), "x").root, count, seed=0)
        took = time.monotonic() - start
        read = report.count - report.told - len(report.faults)
        print(
            f"{name}: {report.count} damaged, {report.told} told, {read} read, "
            f"{len(report.faults)} faults; slowest {report.slowest_s:.2f} s, {took:.0f} s in all",
            flush=True,
        )
        for fault in report.faults[:5]:
            print(fault)
        faults += len(report.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
