"""Two trainings on the same cores: ``python -m benchmarks.neighbours [ROUNDS]``.

Three runs of the quickstart, of which SIGSTOP holds those that are not to run, in windows of ten seconds: one alone,
two at once, and one alone whose threads wait as libgomp has it (they spin for long), which is what ours lose nothing
against. Prints iterations a second, and the medians of the ratios within a round: two together are to have 0.8 of the
steps of one alone, one alone 0.98 of those of the run that spins.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.attached import MEDTUI, WARM_UP_S, rate, start
from engine.runfolder import RunFolder, read_status

WINDOW_S, SETTLING_S = 10.0, 4.0  # a run looks every three seconds whether others want its cores
SPINS = "300000"  # libgomp's own where no policy is set


def hold(folder: RunFolder, *, go: bool) -> None:
    os.killpg(read_status(folder).pid, signal.SIGCONT if go else signal.SIGSTOP)


def window(runs: list[RunFolder], at_work: list[RunFolder]) -> list[float]:
    """Iterations a second of each of ``at_work`` while the others are held."""
    for run in runs:
        hold(run, go=run in at_work)
    begin = time.time()
    time.sleep(WINDOW_S)
    return [rate(run, begin + SETTLING_S, time.time()) for run in at_work]


def main(rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="medtui-neighbours-") as place:
        runs: list[RunFolder] = []
        try:
            for number, spins in enumerate((None, None, SPINS)):
                os.environ |= {"GOMP_SPINCOUNT": spins} if spins else {}
                runs.append(start(Path(place) / str(number)))
                time.sleep(WARM_UP_S)
                hold(runs[-1], go=False)
            one, other, spinning = runs
            rows = []
            for _ in range(rounds):
                (alone,), both, (usual,) = (window(runs, at_work) for at_work in ([one], [one, other], [spinning]))
                rows.append((alone, sum(both), usual))
        finally:
            for run in runs:
                hold(run, go=True)
                subprocess.run([*MEDTUI, "stop", "--now", str(run.root)], check=False, capture_output=True)
    alone, both, usual = (statistics.median(column) for column in zip(*rows, strict=True))
    together = statistics.median(two / one for one, two, _ in rows)
    lost = statistics.median(one / usual for one, _, usual in rows)
    print(f"{os.cpu_count()} cores, {rounds} rounds; iterations/s: {alone:.2f} alone, {both:.2f} two together")
    print(f"two at once: {together:.2f} of one alone; one alone: {lost:.2f} of one that spins ({usual:.2f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
