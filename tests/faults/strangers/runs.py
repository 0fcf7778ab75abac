"""Arrays, tables, streams and small files of a run folder."""

from __future__ import annotations

import itertools
import json
import pickle
import shutil
import socket
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.events import Log, Preview, RunStarted, Validation
from engine.runfolder import RunFolder
from engine.runfolder.lines import encode
from engine.runfolder.study import read_study
from tests.faults.strangers.made import (
    Act,
    Evil,
    case,
    everything,
    run_of,
    zip_of,
)
from tui.plotting.slice_picture import SliceLook, slice_lines
from tui.state.case_files import read_example
from tui.state.images import PreviewImages, read_preview


def _example(folder: Path, write: Callable[[Path], object]) -> Act:
    run = run_of(folder)
    write(run.examples / "test_a.npz")
    shutil.copyfile(run.examples / "test_a.npz", run.previews / "a.npz")
    return everything(run)


def _npy(shape: str, dtype: str) -> bytes:
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(118).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


@case
def arrays_of_a_tebibyte(folder: Path) -> Act:
    return _example(folder, lambda path: zip_of(path, {"image.npy": _npy(f"({1 << 40},)", "|u1") + bytes(99)}))


@case
def arrays_of_texts_without_a_letter(folder: Path) -> Act:
    return _example(folder, lambda path: zip_of(path, {"id.npy": _npy(f"({1 << 40},)", "<U0")}))


@case
def arrays_that_are_pickles(folder: Path) -> Act:
    def write(path: Path) -> None:
        zip_of(path, {"image.npy": _npy("(1,)", "|O") + pickle.dumps(Evil(folder / "touched"))})

    return _example(folder, write)


@case
def arrays_that_unpack_to_600_megabytes(folder: Path) -> Act:
    content = _npy("(600, 1000, 1000)", "|u1") + bytes(600_000_000)
    return _example(folder, lambda path: zip_of(path, {"image.npy": content}))


@case
def arrays_packed_by_lzma(folder: Path) -> Act:
    return _example(folder, lambda path: zip_of(path, {"image.npy": _npy("(9,)", "|u1")}, zipfile.ZIP_LZMA))


@case
def arrays_of_odd_shapes(folder: Path) -> Act:
    run = run_of(folder)
    images = [
        np.zeros(shape, np.uint8) for shape in ((0, 3, 3), (2, 0, 3), (1, 9, 9, 5), (1, 9, 9, 0), (3,), (1, 1, 10**7))
    ]
    images += [
        np.zeros((0, 9, 3), np.uint8),
        np.zeros((2, 9, 9, 1), np.complex64),
        np.full((1, 4, 4), np.nan),
        np.array("x"),
    ]
    numbers = [np.arange(2), np.zeros((2, 2), int), np.array([np.nan, np.inf]), np.array(3), np.array(["a", "b"])]
    heads: list[dict[str, object]] = [{}, {"heat": np.zeros((1, 9, 9, 5), np.uint8)}, {"predicted": np.array(10**6)}]

    def act() -> object:
        said = []
        for image, slices, head in itertools.product(images, numbers, heads):
            parts = {"true": np.array("\x1b[2J"), "truth": np.zeros(image.shape[1:], np.uint8), **head}
            for name in ("previews/a.npz", "examples/test_a.npz"):
                np.savez(run.root / name, image=image, slices=slices, prediction=image, **parts)  # type: ignore[arg-type]
            preview = Preview(path="previews/a.npz", epoch=1, case="a")
            for found in (read_preview(run, preview, ["a"]), read_example(run, "examples/test_a.npz", ["a"])):
                if isinstance(found, PreviewImages):
                    said += [found.slices[0], len(slice_lines(found, 0, (80, 24), SliceLook(["#00ff00", "#ff0000"])))]
        return said

    return act


@case
def arrays_of_a_hundred_thousand_members(folder: Path) -> Act:
    members = {f"{number}{'a' * 40}.npy": b"" for number in range(100_000)}
    return _example(folder, lambda path: zip_of(path, members, zipfile.ZIP_STORED))


@case
def cases_of_sixty_million_lines(folder: Path) -> Act:
    run = run_of(folder)
    run.cases.write_text("id,split,dice\n" + "\n" * 30_000_000 + "a\n" * 15_000_000)
    return everything(run)


@case
def cases_of_millions_of_columns(folder: Path) -> Act:
    run = run_of(folder)
    run.cases.write_text("id,split" + ",a" * 5_000_000 + "\nx,test" + ",1" * 5_000_000 + "\n")
    return everything(run)


@case
def cases_of_one_endless_cell(folder: Path) -> Act:
    run = run_of(folder)
    run.cases.write_text('id,split\n"' + "a" * 30_000_000)
    return everything(run)


@case
def index_of_millions_of_nothings(folder: Path) -> Act:
    run = run_of(folder)
    (run.figures / "index.json").write_text("[" + "{}," * 4_000_000 + "{}]")
    return everything(run)


@case
def index_of_files_elsewhere(folder: Path) -> Act:
    run = run_of(folder)
    (folder / "secret.png").write_bytes(b"secret")
    (run.figures / "link.png").symlink_to(folder / "secret.png")
    places = ["/etc/passwd", "figures/../../secret.png", "figures/link.png", "figures/\0.png", "figures/" + "a" * 5000]
    index = [{"path": place, "kind": "roc", "title": place, "vector": place} for place in places]
    (run.figures / "index.json").write_text(json.dumps(index))
    return everything(run)


@case
def small_files_of_many_lists(folder: Path) -> Act:
    run = run_of(folder)
    for path in (run.status, run.metrics, run.manifest):
        path.write_text('{"a": [' + "[]," * 5_000_000 + "[]]}")
    return everything(run)


@case
def metrics_of_odd_kinds(folder: Path) -> Act:
    run = run_of(folder)
    odd = {"n": -1, "dice": "x", "per_class": {"a": 3}, "ci95": {"dice": [1]}, "confusion": [[1], []]}
    run.metrics.write_text(json.dumps({"test": odd, "validation": [], "\x1b[2J": {"dice": 1e308}}))
    run.manifest.write_text(json.dumps({"data": {"classes": ["\x1b]0;x\x07"] * 3}, "command": [3], "sessions": -4}))
    run.status.write_text('{"state": "finished", "epochs": 1e400}')
    return everything(run)


def _stream(folder: Path, *events: RunStarted | Validation) -> Act:
    run = run_of(folder)
    run.events.write_bytes(b"".join(map(encode, events)))
    return everything(run)


def _started(**changes: object) -> RunStarted:
    values = {
        "name": "x", "task": "segmentation", "classes": ["a"], "cases": {"train": 4}, "epochs": 3,
        "iterations_per_epoch": 4, "device": "cpu", "unit": "mm", "monitor": "dice",
    }  # fmt: skip
    return RunStarted(**{**values, **changes})  # type: ignore[arg-type]


@case
def stream_of_200000_metrics(folder: Path) -> Act:
    metrics = {f"metric {number}": 0.5 for number in range(200_000)}
    return _stream(folder, _started(), Validation(epoch=1, iteration=4, metrics=metrics))


@case
def stream_of_50000_classes(folder: Path) -> Act:
    names = [f"class {number}" for number in range(50_000)]
    event = Validation(epoch=1, iteration=4, metrics={"dice": 0.5}, per_class={name: {"dice": 0.5} for name in names})
    return _stream(folder, _started(classes=names), event)


@case
def stream_of_times_without_a_date(folder: Path) -> Act:
    run = run_of(folder)
    run.manifest.write_text('{"started_s": 1e300, "ended_s": -1e300}')
    run.events.write_bytes(b"".join(encode(Log(message="x", time_s=at)) for at in (1e300, -1e300, 1e18, -1e18)))
    return everything(run)


@case
def status_of_every_process(folder: Path) -> Act:
    run = run_of(folder)
    said = {"state": "running", "pid": -1, "host": socket.gethostname(), "heartbeat_s": time.time()}
    run.status.write_text(json.dumps(said))
    return everything(run)


def _study(folder: Path, *runs: str) -> Act:
    study = RunFolder(folder / "20260101-120000-odd.study")
    study.root.mkdir()
    rows = "".join(f"[[member]]\nname = 'a'\nstate = 'finished'\nrun = '{run}'\n" for run in runs)
    (study.root / "study.toml").write_text(f'task = "segmentation"\nmonitor = "dice"\n{rows}')
    return lambda: read_study(study)


@case
def study_of_one_run_20000_times(folder: Path) -> Act:
    return _study(folder, *["20260101-120000-odd"] * 20_000)


@case
def study_of_the_folder_above(folder: Path) -> Act:
    return _study(folder, "..")


@case
def study_of_a_run_elsewhere(folder: Path) -> Act:
    return _study(folder, "../../secret")


@case
def study_of_a_finished_run_without_a_folder(folder: Path) -> Act:
    return _study(folder, "")


@case
def stream_of_absurd_counts(folder: Path) -> Act:
    events = [_started(epochs=2**62, iterations_per_epoch=2**62, classes=[]), Validation(epoch=-(2**62), iteration=-5)]
    return _stream(folder, *events)
