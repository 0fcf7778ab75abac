"""Start a trainer, kill it at a given place of its stream, resume it, and compare it with one left alone.

A trainer needs seconds to import what it stands on. Here a server imports it once and forks each
trainer, so that a kill costs a fraction of a second; what runs is the same code.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from engine.checkpoint import load_checkpoint
from engine.runfolder import RunFolder, list_runs
from tests.engine.runs import go_on, learned, run, same_weights

LIMIT_S = 300.0


def server() -> ForkServerContext:
    """The server that forks trainers."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            *("engine.training.loop", "engine.evaluation.tester", "engine.commands.resume", "tests.engine.runs"),
            *("torch._dynamo", "engine.commands.figures", "tests.faults.warm"),  # what a first step and a report import
        ]
    )
    return context


def _quiet() -> None:
    torch.set_num_threads(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _train(place: Path, text: str, overrides: tuple[str, ...]) -> None:
    _quiet()
    raise SystemExit(run(place, text, *overrides)[0])


def _resume(folder: Path, data: Path) -> None:
    _quiet()
    raise SystemExit(go_on(RunFolder(folder), data))


Moment = tuple[int | str, float]
"""When to kill: after so many bytes of news in the stream, or when it holds a text; and seconds later."""


def killed_again_and_again(
    context: ForkServerContext, place: Path, text: str, overrides: tuple[str, ...], moments: Sequence[Moment]
) -> tuple[RunFolder, int]:
    """Train in ``place``; kill the trainer at each of ``moments``, look at what it left, and resume it.

    Returns:
        The run folder, at its end, and how many kills met a living trainer.

    Raises:
        AssertionError: a trainer ended as anything but finished or killed, or left a checkpoint that is not whole.
    """
    process: BaseProcess = context.Process(target=_train, args=(place, text, overrides))
    process.start()
    kills = 0
    for moment in moments:
        if not _kill_at(process, place, moment):
            break
        kills += 1
        for checkpoint in (place / "runs").glob("*/checkpoints/*.pt"):
            load_checkpoint(checkpoint)
        process = _next(context, place, text, overrides)
    process.join(LIMIT_S)
    assert process.exitcode == 0, f"the trainer ended with {process.exitcode}"
    return list_runs(place / "runs")[-1], kills


def _next(context: ForkServerContext, place: Path, text: str, overrides: tuple[str, ...]) -> BaseProcess:
    folders = list_runs(place / "runs")
    begun = bool(folders) and folders[-1].manifest.exists() and folders[-1].recipe.exists()
    process = (
        context.Process(target=_resume, args=(folders[-1].root, place / "data"))
        if begun
        else context.Process(target=_train, args=(place, text, overrides))
    )
    process.start()
    return process


def _text(place: Path) -> str:
    folders = list_runs(place / "runs")
    with contextlib.suppress(OSError):
        return folders[-1].events.read_text(encoding="utf-8") if folders else ""
    return ""


def _size(place: Path) -> int:
    folders = list_runs(place / "runs")
    with contextlib.suppress(OSError):
        return folders[-1].events.stat().st_size if folders else 0
    return 0


def _kill_at(process: BaseProcess, place: Path, moment: Moment) -> bool:
    """Kill ``process`` at ``moment``; False when it ended before."""
    mark, later_s = moment
    start, end = _size(place), time.monotonic() + LIMIT_S
    while process.is_alive() and time.monotonic() < end:
        size = _size(place)
        start = min(start, size)  # a resumed trainer cuts the stream first
        if size >= start + mark if isinstance(mark, int) else mark in _text(place):
            time.sleep(later_s)
            met = process.is_alive()
            process.kill()
            process.join()
            return met
        time.sleep(0.001)
    process.join()
    return False


def computed_again(folder: RunFolder) -> dict[str, int]:
    """How many steps and ends of epochs were taken back by resumes, and computed again."""
    discarded = folder.root / "events.discarded.jsonl"
    lines = discarded.read_text(encoding="utf-8").splitlines() if discarded.exists() else []
    kinds = [json.loads(line)["kind"] for line in lines]
    return {"steps": kinds.count("iteration"), "epochs": kinds.count("epoch")}


def differences(one: RunFolder, other: RunFolder) -> list[str]:
    """What differs between two runs that should be one; nothing is the right answer."""
    found = [
        f"{name} weights" for name in ("last", "best") if not same_weights(getattr(one, name), getattr(other, name))
    ]
    if learned(one) != learned(other):
        found.append("stream")
    tables = ("metrics", "cases")
    found += [name for name in tables if getattr(one, name).read_bytes() != getattr(other, name).read_bytes()]
    numbers = [json.loads(line)["seq"] for line in other.events.read_text(encoding="utf-8").splitlines()]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append("sequence numbers")
    if list(other.checkpoints.glob(".*")):
        found.append("half-written checkpoints that nobody removed")
    masks = sorted(path.name for path in one.predictions.iterdir())
    if masks != sorted(path.name for path in other.predictions.iterdir()):
        found.append("masks")
    return found
