"""What safety costs: ``python -m benchmarks.resume`` trains the quickstart on its phantom.

checkpoints  seconds in writes of checkpoints over the seconds of training; to be below 2 %
resume       from the start of the process to the first iteration: of a new run, and of a resumed one after
             SIGKILL in the middle of an epoch. Both load libraries and data; what the second takes more is
             what resuming costs: to be below 1 s. Done several times; the median counts.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MEDTUI = [str(Path(sys.executable).with_name("medtui"))]
ROUNDS = 5


def events(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of the stream."""
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_for_iteration(folder: Path, after_s: float, count: int = 1) -> float:
    """Wait until ``count`` iterations were written later than ``after_s``; gives the time of the first."""
    while True:
        times = [e["time_s"] for e in events(folder) if e["kind"] == "iteration" and e["time_s"] > after_s]
        if len(times) >= count:
            return times[0]
        time.sleep(0.02)


def begun(command: list[str]) -> tuple[Path, float]:
    """Start a detached trainer; gives its folder and when the command was given."""
    began = time.time()
    done = subprocess.run([*MEDTUI, *command, "--detach"], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip().splitlines()[-1]), began


def kill(folder: Path) -> None:
    """SIGKILL the trainer."""
    pid = int(json.loads((folder / "status.json").read_text())["pid"])
    os.kill(pid, signal.SIGKILL)
    time.sleep(1.0)


def resume_cost(place: Path) -> None:
    common = ["--data", str(place), "--runs", str(place / "runs")]
    new, again = [], []
    for _ in range(ROUNDS):
        folder, began = begun(["run", "recipes/quickstart.toml", *common, "--set", "train.checkpoint_iterations=20"])
        new.append(wait_for_iteration(folder, began, count=29) - began)
        kill(folder)
        _, began = begun(["resume", str(folder)])
        again.append(wait_for_iteration(folder, began) - began)
        kill(folder)
    first, second = statistics.median(new), statistics.median(again)
    print(f"resume: {first:.2f} s to the first iteration of a new run, {second:.2f} s to that of a resumed one")
    print(f"resume: {second - first:+.2f} s (below 1)")


def checkpoint_share(place: Path) -> None:
    command = ["run", "recipes/quickstart.toml", "--data", str(place), "--runs", str(place / "whole"), "--plain"]
    subprocess.run([*MEDTUI, *command, "--set", "train.epochs=60"], check=True, capture_output=True)
    found = events(next((place / "whole").iterdir()))
    times = [e["time_s"] for e in found if e["kind"] == "iteration"]
    writes = [e["seconds"] for e in found if e["kind"] == "checkpoint"]
    training = times[-1] - times[0]
    print(f"checkpoints: {len(writes)} writes, {sum(writes):.2f} s of {training:.1f} s: "
          f"{100 * sum(writes) / training:.2f} % (below 2)")  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="medtui-resume-") as home:
        subprocess.run([*MEDTUI, "data", "phantom", "left_atrium", "--data", home], check=True, capture_output=True)
        checkpoint_share(Path(home))
        resume_cost(Path(home))
