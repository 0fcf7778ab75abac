"""What an attached dashboard costs the trainer: iterations a second with it and without it, in one run.

``python -m benchmarks.attached [PAIRS]`` trains the quickstart on its phantom with a dashboard on a
pseudo-terminal of 120x40, which is stopped (SIGSTOP) in every other window of a few seconds: without, with,
with, without, ... Machines drift by more than what is measured here, so windows are short and many.
Prints the processor share of the dashboard and the ratio over all pairs with its 95 % interval, which is to
be at least 0.98.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.dashboard import Terminal
from engine.events import Iteration
from engine.runfolder import EventReader, RunFolder

WINDOW_S, SETTLING_S, WARM_UP_S = 5.0, 0.4, 25.0
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


def window(terminal: Terminal, *, attached: bool) -> tuple[float, float]:
    """Let one window pass, with the dashboard at work or stopped; gives when it was measured, from and to."""
    terminal.process.send_signal(signal.SIGCONT if attached else signal.SIGSTOP)
    begin = time.time()
    terminal.read(WINDOW_S)
    return begin + SETTLING_S, time.time()


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="medtui-attached-") as place:
        folder = start(Path(place))
        terminal = Terminal(folder.root, Path(place))
        try:
            terminal.read(WARM_UP_S)
            used, began = terminal.processor_s(), time.time()
            orders = [(False, True) if pair % 2 == 0 else (True, False) for pair in range(pairs)]
            spans = [{on: window(terminal, attached=on) for on in order} for order in orders]
            share = 2 * (terminal.processor_s() - used) / (time.time() - began)  # it was stopped half of the time
        finally:
            terminal.process.send_signal(signal.SIGCONT)
            terminal.close()
            subprocess.run([*MEDTUI, "stop", "--now", str(folder.root)], check=False, capture_output=True)
            time.sleep(5)
        rates = np.array([[rate(folder, *span[on]) for on in (False, True)] for span in spans])
        ratios = rates[:, 1] / rates[:, 0]
        rng = np.random.default_rng(0)
        medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
        low, high = np.percentile(medians, (2.5, 97.5))
        print(f"without {np.median(rates[:, 0]):.2f}, with {np.median(rates[:, 1]):.2f} iterations/s, {pairs} pairs")
        print(f"processor share of the dashboard {100 * share:.2f} % of one of {os.cpu_count()} cores")
        print(f"median ratio {np.median(ratios):.3f} (95 % interval {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
