"""Checkpoints and files of weights."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.models.weights import load_start, read_start, read_state
from tests.faults.strangers.made import (
    Act,
    Evil,
    case,
    zip_of,
)


def _torch(folder: Path, content: object) -> Act:
    torch.save(content, folder / "last.pt")
    return lambda: load_checkpoint(folder / "last.pt")


@case
def checkpoint_that_runs_a_program(folder: Path) -> Act:
    return _torch(folder, {"model": {"a": torch.zeros(1)}, "epoch": Evil(folder / "touched")})


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
    """Written as torch does, which takes a call of Python for each number: twenty thousand lots of a thousand."""
    act = _torch(folder, {"model": {"a": torch.zeros(1)}, "x": [0] * 1000})
    thousand = b"(" + b"K\0" * 1000 + b"e"
    with zipfile.ZipFile(folder / "last.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members = {name: content.replace(thousand, thousand * 20_000) for name, content in members.items()}
    zip_of(folder / "last.pt", members, zipfile.ZIP_STORED)
    return act


@case
def checkpoint_that_is_packed(folder: Path) -> Act:
    path = folder / "whole.pt"
    save_checkpoint(path, {"model": {"a": torch.zeros(50_000_000)}})
    with zipfile.ZipFile(path) as archive:
        zip_of(folder / "last.pt", {name: archive.read(name) for name in archive.namelist()})
    return lambda: load_checkpoint(folder / "last.pt")


@case
def checkpoint_of_the_first_torch(folder: Path) -> Act:
    content = {"model": {"a": torch.zeros(3)}, "epoch": float("nan")}
    torch.save(content, folder / "last.pt", _use_new_zipfile_serialization=False)
    return lambda: load_checkpoint(folder / "last.pt")


@case
def weights_with_an_origin_of_other_types(folder: Path) -> Act:
    odd = {"run": 3, "channels": torch.ones(2), "trained": torch.ones(7, 7), "ranges": {"low": "x"}, "checkpoint": []}
    torch.save({"model": {"a": torch.zeros(1)}, "origin": odd, "classes": 4, "epoch": "x"}, folder / "w.pt")

    def act() -> None:
        start = read_start(folder / "w.pt")
        load_start(torch.nn.Linear(2, 2), start, "final.", ["weight"], 1)

    return act


@case
def weights_of_stride_zero(folder: Path) -> Act:
    torch.save({"a": torch.zeros(1).expand(10**12)}, folder / "w.pt")
    return lambda: read_state(folder / "w.pt", "model.weights")
