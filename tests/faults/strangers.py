"""Files that a stranger may hand over, read in a process whose time, memory and opened files are watched.

``python -m tests.faults.strangers DIR [NAME ...]`` prints a line of JSON for each.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import h5py
import nibabel
import numpy as np
import torch
from PIL import Image

import tui.cli  # noqa: F401  what is imported later would count as read outside
from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.data import check_dataset, open_dataset
from engine.errors import MedtuiError
from engine.evaluation.results import is_predicted
from engine.events import RunStarted, Validation, encode
from engine.models.weights import read_state
from engine.readers.fold import read_view
from engine.readers.run import RunData
from engine.recipe import DataTable, load_recipe
from engine.report import write_report
from engine.runfolder import RunFolder, read_status
from tests.engine.recipe.good import SEGMENTATION
from tui.plotting.comparison import read_compared_run
from tui.printed.once import lines
from tui.state.feed import RunSnapshot
from tui.state.figure_files import list_figures, load_figure

Act = Callable[[], object]
CASES: dict[str, Callable[[Path], Act]] = {}
HANG_S = 60.0
GROWTH = 4 << 30  # address space beyond what is mapped at the start: a safety net


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


for place in PLACES:

    def _picture(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = photos(folder)
        place(folder / "photos" / "a" / "0.png")
        return act

    def _volume(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = volumes(folder)
        (folder / "odd" / "images" / "0.nii.gz").unlink()
        place(folder / "odd" / "images" / "0.nii.gz")
        return act

    def _h5(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = atrium(folder)
        place(folder / "atrium" / "0" / "mri_norm2.h5")
        return act

    def _list(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = atrium(folder)
        (folder / "atrium" / "train.list").unlink()
        place(folder / "atrium" / "train.list")
        return act

    def _run(folder: Path, place: Callable[[Path], None] = place) -> Act:
        run = run_of(folder)
        run.recipe.unlink()
        parts = (run.status, run.events, run.cases, run.metrics, run.manifest, run.recipe, run.figures / "index.json")
        for path in (*parts, run.figures / "roc.png", run.examples / "test_a.npz", run.last, run.log):
            place(path)
        return everything(run)

    def _checkpoint(folder: Path, place: Callable[[Path], None] = place) -> Act:
        place(folder / "last.pt")
        return lambda: load_checkpoint(folder / "last.pt")

    def _recipe(folder: Path, place: Callable[[Path], None] = place) -> Act:
        place(folder / "r.toml")
        return lambda: load_recipe(folder / "r.toml")

    def _mask(folder: Path, place: Callable[[Path], None] = place) -> Act:
        for ending in ("png", "nii.gz"):
            place(folder / f"a.{ending}")
        return lambda: [is_predicted(folder / f"a.{ending}") for ending in ("png", "nii.gz")]

    for build in (_picture, _volume, _h5, _list, _run, _checkpoint, _recipe, _mask):
        CASES[f"{build.__name__.strip('_')}_{place.__name__}"] = build


# Pictures.


def _png(folder: Path, wide: int, high: int, colour: int, row: bytes) -> Act:
    """A PNG of few bytes that says and holds ``wide`` x ``high`` pixels."""
    act = photos(folder)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", wide, high, 8, colour, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (folder / "photos" / "a" / "0.png").write_bytes(content)
    return act


@case
def picture_of_178_million_pixels(folder: Path) -> Act:
    return _png(folder, 13_300, 13_300, 6, bytes(1000))


@case
def picture_of_four_billion_pixels(folder: Path) -> Act:
    return _png(folder, 65_000, 65_000, 0, bytes(1000))


@case
def picture_that_is_postscript(folder: Path) -> Act:
    act = photos(folder)
    touched = f"({folder}/touched) (w) file closefile"
    (folder / "photos" / "a" / "0.png").write_text(
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{touched}\nshowpage\n"
    )
    return act


@case
def picture_of_a_format_not_in_the_list(folder: Path) -> Act:
    act = photos(folder)
    Image.new("L", (9, 9)).save(folder / "photos" / "a" / "0.png", format="PCX")
    return act


@case
def picture_tiff_that_points_at_itself(folder: Path) -> Act:
    act = photos(folder)
    tags = [(256, 4, 1, 1 << 16), (257, 4, 1, 1 << 15), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1 << 30, 8)]
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    (folder / "photos" / "a" / "0.png").write_bytes(b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", 8))
    return act


# Volumes.


def _nifti(folder: Path, shape: tuple[int, ...], begin: float = 352.0, kind: type = np.int16, size: int = 4000) -> Act:
    act = volumes(folder)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(kind)
    header["dim"][: len(shape) + 1] = (len(shape), *shape)
    header["magic"], header["vox_offset"] = b"n+1", begin
    packed = zlib.compressobj(wbits=31)
    content = packed.compress(header.binaryblock + b"\1\0\0\0" + struct.pack("<ii", 2**31 - 16, 4))
    (folder / "odd" / "images" / "0.nii.gz").write_bytes(content + packed.compress(bytes(size)) + packed.flush())
    return act


@case
def volume_that_claims_two_billion_voxels(folder: Path) -> Act:
    return _nifti(folder, (1290, 1290, 1290))


@case
def volume_of_negative_size(folder: Path) -> Act:
    return _nifti(folder, (-9, -8, 7))


@case
def volume_behind_two_gigabytes(folder: Path) -> Act:
    return _nifti(folder, (9, 8, 7), begin=2e9)


@case
def volume_that_begins_nowhere(folder: Path) -> Act:
    return _nifti(folder, (9, 8, 7), begin=float("nan"))


@case
def volume_bomb_of_half_a_gigabyte(folder: Path) -> Act:
    return _nifti(folder, (700, 700, 700), kind=np.uint8, size=343_000_000)


@case
def volume_that_is_a_mesh(folder: Path) -> Act:
    act = volumes(folder)
    (folder / "odd" / "images" / "0.nii.gz").write_text(
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><GIFTI/>'
    )
    return act


def _h5_written(folder: Path, write: Callable[[h5py.File], object]) -> Act:
    act = atrium(folder)
    path = folder / "atrium" / "0" / "mri_norm2.h5"
    h5_case(path)
    with h5py.File(path, "r+") as file:
        write(file)
    return act


def secret(folder: Path) -> Path:
    path = folder / "secret.h5"
    h5_case(path, image=np.arange(504, dtype=np.float32).reshape(9, 8, 7))
    return path


@case
def h5_link_to_another_file(folder: Path) -> Act:
    other = str(secret(folder))
    return _h5_written(folder, lambda file: file.__setitem__("image", h5py.ExternalLink(other, "/image")))


@case
def h5_link_in_a_circle(folder: Path) -> Act:
    return _h5_written(folder, lambda file: file.__setitem__("image", h5py.SoftLink("/image")))


@case
def h5_values_in_another_file(folder: Path) -> Act:
    other = [(str(secret(folder)), 0, 9 * 8 * 7 * 4)]
    return _h5_written(folder, lambda file: file.create_dataset("image", (9, 8, 7), np.float32, external=other))


@case
def h5_virtual_over_another_file(folder: Path) -> Act:
    layout = h5py.VirtualLayout((9, 8, 7), np.float32)
    layout[:] = h5py.VirtualSource(str(secret(folder)), "image", (9, 8, 7))
    return _h5_written(folder, lambda file: file.create_virtual_dataset("image", layout))


@case
def h5_of_gigabytes_never_written(folder: Path) -> Act:
    return _h5_written(
        folder, lambda file: file.create_dataset("image", (1200, 1200, 1200), np.float64, chunks=(64, 64, 64))
    )


@case
def h5_of_values_of_a_gigabyte_each(folder: Path) -> Act:
    return _h5_written(folder, lambda file: file.create_dataset("image", (9, 8, 7), np.dtype("V1000000"), chunks=True))


@case
def h5_of_texts_and_of_nothing(folder: Path) -> Act:
    return _h5_written(folder, lambda file: file.create_dataset("image", data=h5py.Empty("f")))


# Arrays of a run.


def _example(folder: Path, write: Callable[[Path], object]) -> Act:
    run = run_of(folder)
    write(run.examples / "test_a.npz")
    write(run.previews / "a.npz")
    return everything(run)


def _npy(shape: str, dtype: str) -> bytes:
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(118).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def _zip(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@case
def arrays_of_a_tebibyte(folder: Path) -> Act:
    return _example(folder, lambda path: _zip(path, {"image.npy": _npy(f"({1 << 40},)", "|u1") + bytes(99)}))


@case
def arrays_of_texts_without_a_letter(folder: Path) -> Act:
    return _example(folder, lambda path: _zip(path, {"id.npy": _npy(f"({1 << 40},)", "<U0")}))


@case
def arrays_that_are_pickles(folder: Path) -> Act:
    def write(path: Path) -> None:
        _zip(path, {"image.npy": _npy("(1,)", "|O") + pickle.dumps(_Evil(folder / "touched"))})

    return _example(folder, write)


@case
def arrays_that_unpack_to_600_megabytes(folder: Path) -> Act:
    content = _npy("(600, 1000, 1000)", "|u1") + bytes(600_000_000)
    return _example(folder, lambda path: path.exists() or _zip(path, {"image.npy": content}))


@case
def arrays_packed_by_lzma(folder: Path) -> Act:
    return _example(folder, lambda path: _zip(path, {"image.npy": _npy("(9,)", "|u1")}, zipfile.ZIP_LZMA))


@case
def arrays_of_a_hundred_thousand_members(folder: Path) -> Act:
    members = {f"{number}{'a' * 40}.npy": b"" for number in range(100_000)}
    return _example(folder, lambda path: _zip(path, members, zipfile.ZIP_STORED))


# Checkpoints and weights.


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self.path}",)


def _torch(folder: Path, content: object) -> Act:
    torch.save(content, folder / "last.pt")
    return lambda: load_checkpoint(folder / "last.pt")


@case
def checkpoint_that_runs_a_program(folder: Path) -> Act:
    return _torch(folder, {"model": {"a": torch.zeros(1)}, "epoch": _Evil(folder / "touched")})


@case
def checkpoint_tensor_of_stride_zero(folder: Path) -> Act:
    return _torch(folder, {"model": {"a": torch.zeros(1).expand(10**12)}})


@case
def checkpoint_memory_of_stride_zero(folder: Path) -> Act:
    return _torch(folder, {"model": {"a": torch.zeros(1)}, "optimizer": {"state": [torch.zeros(1).expand(10**12)]}})


@case
def checkpoint_tensor_without_values(folder: Path) -> Act:
    return _torch(folder, {"model": {"a": torch.empty(10**12, device="meta")}})


@case
def checkpoint_sparse_tensor(folder: Path) -> Act:
    return _torch(folder, {"model": {"a": torch.sparse_coo_tensor([[0]], [1.0], (10**12,))}})


@case
def checkpoint_list_in_itself(folder: Path) -> Act:
    content: list[object] = []
    content.append(content)
    return _torch(folder, {"model": content, "x": content})


@case
def checkpoint_of_fifty_million_numbers(folder: Path) -> Act:
    return _torch(folder, {"model": {"a": torch.zeros(1)}, "x": [0] * 20_000_000})


@case
def checkpoint_that_is_packed(folder: Path) -> Act:
    path = folder / "whole.pt"
    save_checkpoint(path, {"model": {"a": torch.zeros(50_000_000)}})
    with zipfile.ZipFile(path) as archive:
        _zip(folder / "last.pt", {name: archive.read(name) for name in archive.namelist()})
    return lambda: load_checkpoint(folder / "last.pt")


@case
def checkpoint_of_the_first_torch(folder: Path) -> Act:
    content = {"model": {"a": torch.zeros(3)}, "epoch": float("nan")}
    torch.save(content, folder / "last.pt", _use_new_zipfile_serialization=False)
    return lambda: load_checkpoint(folder / "last.pt")


@case
def weights_of_stride_zero(folder: Path) -> Act:
    torch.save({"a": torch.zeros(1).expand(10**12)}, folder / "w.pt")
    return lambda: read_state(folder / "w.pt", "model.weights")


# Recipes.


def _toml(folder: Path, text: str) -> Act:
    (folder / "r.toml").write_text(text)
    run = run_of(folder)
    run.recipe.write_text(text)

    def act() -> object:
        everything(run)()
        return load_recipe(folder / "r.toml")

    return act


@case
def recipe_key_of_20000_parts(folder: Path) -> Act:
    return _toml(folder, "a" + ".a" * 20_000 + " = 1\n")


@case
def recipe_quoted_key_of_20000_parts(folder: Path) -> Act:
    return _toml(folder, '"a,=["' + " . 'a.a'" * 20_000 + " = 1\n")


@case
def recipe_header_of_20000_parts(folder: Path) -> Act:
    return _toml(folder, "[a" + ".a" * 20_000 + "]\n")


@case
def recipe_key_of_20000_parts_in_a_table(folder: Path) -> Act:
    return _toml(folder, "b = { c = 1, a" + ".a" * 20_000 + " = 1 }\n")


@case
def recipe_of_200000_keys(folder: Path) -> Act:
    return _toml(folder, "".join(f"a{number}=1\n" for number in range(120_000)))


@case
def recipe_of_200000_headers(folder: Path) -> Act:
    return _toml(folder, "".join(f" [a{number}]\n" for number in range(100_000)))


@case
def recipe_nested_in_brackets(folder: Path) -> Act:
    return _toml(folder, "a = " + "[" * 400_000)


@case
def recipe_nested_a_little(folder: Path) -> Act:
    return _toml(folder, "a = " + "[" * 300 + "]" * 300)


@case
def recipe_text_that_never_ends(folder: Path) -> Act:
    return _toml(folder, 'a = """' + '\\"""' * 200_000)


@case
def recipe_with_scalars_for_tables(folder: Path) -> Act:
    return _toml(folder, 'train = 3\nfigures = "x"\ndata = [1]\nmodel = 1979-05-27\nextends = ["a"]\n')


@case
def recipe_parent_behind_a_link(folder: Path) -> Act:
    (folder / "other").mkdir()
    (folder / "mine").mkdir()
    (folder / "other" / "base.toml").write_text(SEGMENTATION)
    (folder / "mine" / "base.toml").symlink_to("../other/base.toml")
    (folder / "mine" / "r.toml").write_text('extends = "base.toml"\n')
    return lambda: load_recipe(folder / "mine" / "r.toml")


# Tables and small files of a run.


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
def stream_of_absurd_counts(folder: Path) -> Act:
    events = [_started(epochs=2**62, iterations_per_epoch=2**62, classes=[]), Validation(epoch=-(2**62), iteration=-5)]
    return _stream(folder, *events)


# Lists of data sets.


def _decathlon(folder: Path, text: str) -> Act:
    (folder / "d" / "imagesTr").mkdir(parents=True)
    (folder / "d" / "dataset.json").write_text(text)
    table = DataTable(source="decathlon", root="d", size=(8, 8, 8))
    return lambda: open_dataset(table, "segmentation", folder)


@case
def dataset_json_of_many_lists(folder: Path) -> Act:
    return _decathlon(folder, "[" + "[]," * 20_000_000 + "[]]")


@case
def dataset_json_nested(folder: Path) -> Act:
    return _decathlon(folder, '{"training":' * 100_000)


@case
def dataset_json_of_paths_elsewhere(folder: Path) -> Act:
    rows = [{"image": "../../secret.nii.gz", "label": "/etc/passwd"}, {"image": 3}, [], {"image": "\0", "label": "~/x"}]
    return _decathlon(folder, json.dumps({"labels": {"1": "a"}, "modality": {"0": "x"}, "training": rows}))


@case
def dataset_csv_of_millions_of_bad_rows(folder: Path) -> Act:
    (folder / "t").mkdir()
    (folder / "t" / "table.csv").write_text("path,label\n" + "../a,\n" * 8_000_000)
    table = DataTable(source="csv", root="t", size=(8, 8))
    return lambda: open_dataset(table, "classification", folder)


# Watching.


def peak_mb() -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def watched(name: str, folder: Path, opened: list[str]) -> dict[str, object]:
    """Build and read one case; what it took and said."""
    folder.mkdir()
    act = CASES[name](folder)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mb()
    opened.clear()
    start, wall = time.process_time(), time.monotonic()
    said, fault = "", ""
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            act()
    except MedtuiError as error:
        said = str(error)
    except BaseException:
        fault = traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "name": name, "cpu_s": round(time.process_time() - start, 2), "wall_s": round(time.monotonic() - wall, 2),
        "grown_mb": round(peak_mb() - before), "said": said[:500], "characters": len(said), "fault": fault,
        "outside": [path for path in opened if _outside(path, folder)],
        "touched": (folder / "touched").exists(),
    }  # fmt: skip


def _outside(path: str, folder: Path) -> bool:
    """Whether a file is neither of the case, nor of Python and its packages, nor one of the kernel's."""
    real = os.path.realpath(path)
    kernel = ("/dev/zero", "/proc/", "/sys/", "/usr/")  # a device is opened, and refused before it is read
    own = (str(folder), *kernel, sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]))
    packages = tuple(entry for entry in sys.path if entry)
    return (real.startswith("/") and not real.startswith((*own, *packages))) or "secret" in real


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError("hung")


def _listen(opened: list[str]) -> None:
    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            opened.append(os.fsdecode(args[0]))

    sys.addaudithook(hook)


def results(place: Path, names: list[str]) -> Iterator[dict[str, object]]:
    signal.signal(signal.SIGALRM, _hung)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + GROWTH, resource.RLIM_INFINITY))
    opened: list[str] = []
    _listen(opened)
    for name in names or CASES:
        yield watched(name, place / name, opened)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for result in results(Path(sys.argv[1]), sys.argv[2:]):
        print(json.dumps(result), flush=True)
