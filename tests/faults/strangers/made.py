"""The parts that hostile files are made of, whole data sets and runs to put them in, and their register."""

from __future__ import annotations

import contextlib
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
from PIL import Image

from engine.data import check_dataset, open_dataset
from engine.readers.fold import read_view
from engine.readers.run import RunData
from engine.recipe import DataTable
from engine.report import write_report
from engine.runfolder import RunFolder, read_status
from tests.engine.recipe.good import SEGMENTATION
from tui.plotting.comparison import read_compared_run
from tui.printed.once import lines
from tui.state.feed import RunSnapshot
from tui.state.figure_files import list_figures, load_figure

Act = Callable[[], object]
CASES: dict[str, Callable[[Path], Act]] = {}


def case(build: Callable[[Path], Act]) -> Callable[[Path], Act]:
    """Register a case: ``build`` makes the files, what it returns reads them."""
    CASES[build.__name__.strip("_")] = build
    return build


# What may lie in the place of a file of any kind.


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def hole(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 38)


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)


PLACES = (fifo, endless, circle, hole, listener)


def photos(folder: Path) -> Act:
    """Reads ``photos/a/0.png`` beside good pictures."""
    for name in ("a", "b"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(1, 4):
            pixels = np.arange(432).reshape(12, 12, 3) * (number + 4 * (name == "b")) % 251
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / name / f"{number}.png")
    table = DataTable(source="image_folder", root="photos", size=(8, 8), split="fraction")
    return lambda: check_dataset(open_dataset(table, "classification", folder), table)


def atrium(folder: Path) -> Act:
    """Reads ``atrium/0/mri_norm2.h5`` and a good one."""
    for name in ("0", "1"):
        (folder / "atrium" / name).mkdir(parents=True)
    (folder / "atrium" / "train.list").write_text("0\n")
    (folder / "atrium" / "test.list").write_text("1\n")
    h5_case(folder / "atrium" / "1" / "mri_norm2.h5", image=np.arange(504, dtype=np.float32).reshape(9, 8, 7))
    table = DataTable(source="left_atrium", root="atrium", size=(8, 8, 8))
    return lambda: check_dataset(open_dataset(table, "segmentation", folder), table)


def h5_case(path: Path, **parts: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["label"] = np.pad(np.ones((2, 2, 2), np.uint8), ((2, 5), (2, 4), (2, 3)))
        for name, values in parts.items():
            file[name] = values


def volumes(folder: Path) -> Act:
    """Reads ``odd/images/0.nii.gz`` and three good ones."""
    for name in ("images", "labels"):
        (folder / "odd" / name).mkdir(parents=True)
        for number in range(4):
            values = np.zeros((9, 8, 7), np.uint8)
            values[2 : 5 + (name == "images"), 2:5, 2 : 5 + number * (name == "images")] = 1
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "odd" / name / f"{number}.nii.gz")
    table = DataTable(source="nifti_pairs", root="odd", size=(8, 8, 8), split="fraction", classes=("a",))
    return lambda: check_dataset(open_dataset(table, "segmentation", folder), table)


def run_of(folder: Path) -> RunFolder:
    run = RunFolder(folder / "20260101-120000-odd")
    for part in (run.figures, run.examples, run.checkpoints, run.previews, run.control):
        part.mkdir(parents=True)
    run.recipe.write_text(SEGMENTATION)
    return run


def everything(run: RunFolder) -> Act:
    """Reads a run folder as report, printed view and dashboard do."""

    def act() -> object:
        status, view, text = read_status(run), read_view(run.events), ""
        text = "\n".join(lines(run, status, view, 100, 0.0))
        RunSnapshot(view, status, recipe_text=text).recipe, read_compared_run(run, "a")
        for figure in list_figures(run):
            load_figure(run, figure)
        data = RunData(run)
        list(data.examples()), data.example_heads(), data.case_name("a"), data.classes
        write_report(run)
        return text

    return act


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self.path}",)


def zip_of(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def secret(folder: Path) -> Path:
    path = folder / "secret.h5"
    h5_case(path, image=np.arange(504, dtype=np.float32).reshape(9, 8, 7))
    return path
