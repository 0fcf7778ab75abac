"""What an attached dashboard costs the trainer: iterations a second with it and without it, in one run.

``python -m benchmarks.attached [PAIRS]`` trains the quickstart on its phantom and opens the dashboard
(a pseudo-terminal of 120x40) in every other window of the same run, in the order without, with, with,
without, ... The first seconds of a window are left out: starting a dashboard is paid once.
Prints a line a pair, and the median ratio, which is to be at least 0.98.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.dashboard import Terminal
from engine.events import Iteration
from engine.runfolder import EventReader, RunFolder

WINDOW_S, SETTLING_S, WARM_UP_S = 24.0, 4.0, 20.0
MEDTUI = [str(Path(sys.executable).with_name("medtui"))]


def start(place: Path) -> RunFolder:
    """A run that has no end of its own and does nothing but train."""
    subprocess.run([*MEDTUI, "data", "phantom", "left_atrium", "--data", str(place)], check=True, capture_output=True)
    changes = ("train.epochs=100000", "train.validate_every=100000", "figures.previews=false")
    command = [*MEDTUI, "run", "recipes/quickstart.toml", "--data", str(place), "--runs", str(place / "runs")]
    command += ["--detach", *(part for change in changes for part in ("--set", change))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return RunFolder(Path(done.stdout.strip().splitlines()[-1]))


def rate(folder: RunFolder, begin: float, end: float) -> float:
    """Iterations a second between two moments: intervals over the time that they took."""
    events = EventReader(folder.events).read(folder.events.stat().st_size)
    times = [event.time_s for event in events if isinstance(event, Iteration) and begin <= event.time_s <= end]
    return (len(times) - 1) / (times[-1] - times[0])


def window(folder: RunFolder, home: Path, *, attached: bool) -> tuple[float, float]:
    """Wait through one window; gives when it was measured, from and to."""
    terminal = Terminal(folder.root, home) if attached else None
    begin = time.time()
    if terminal is None:
        time.sleep(WINDOW_S)
    else:
        terminal.read(WINDOW_S)
    end = time.time()
    if terminal is not None:
        terminal.close()
    return begin + SETTLING_S, end


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="medtui-attached-") as place:
        folder = start(Path(place))
        try:
            time.sleep(WARM_UP_S)
            orders = [(False, True) if pair % 2 == 0 else (True, False) for pair in range(pairs)]
            spans = [{on: window(folder, Path(place), attached=on) for on in order} for order in orders]
        finally:
            subprocess.run([*MEDTUI, "stop", "--now", str(folder.root)], check=False, capture_output=True)
            time.sleep(5)
        ratios = []
        for number, span in enumerate(spans, start=1):
            without, beside = rate(folder, *span[False]), rate(folder, *span[True])
            ratios.append(beside / without)
            print(f"pair {number}: {without:.2f} iterations/s without, {beside:.2f} with, ratio {ratios[-1]:.3f}")
        low, high = min(ratios), max(ratios)
        print(f"median ratio {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f}) on {os.cpu_count()} cores")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
