"""Hundreds of kills: ``python -m benchmarks.kills [KILLS]``.

Runs of a tiny network are killed by SIGKILL at random places of their stream (while steps are taken,
checkpoints and the stream are written, splits are measured) or up to 50 ms after, and resumed each time. After
each kill both checkpoints are loaded: one that is damaged ends this program. Each run is then compared with one
that was left alone: weights bit for bit, the stream (times aside), metrics, cases, masks.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

from engine.runfolder import RunFolder
from tests.engine.runs import SEGMENTATION
from tests.faults.killing import computed_again, differences, killed_again_and_again, server

OVERRIDES = ("train.epochs=4", "train.checkpoint_iterations=2", "data.samples_per_case=2", "train.accumulate=2")
A_RUN = 10


DRAWING = [('"phase":"figures"', 0.2), ('"kind":"figure"', 0.0), ('"kind":"figure"', 0.5), ('"phase":"report"', 0.0)]


def _while_drawing(context: ForkServerContext, place: Path, alone: RunFolder) -> list[str]:
    """A run killed while figures and report are made: what is wrong with what came of it."""
    overrides = (*OVERRIDES, "figures.enabled=true")
    folder, kills = killed_again_and_again(context, place, SEGMENTATION, overrides, DRAWING)
    found = differences(alone, folder)
    figures = list(folder.figures.glob("*.png"))
    if not figures or not folder.report_html.exists():
        found.append("figures or report missing")
    print(f"{kills} kills while figures and report were made: {len(figures)} figures and a report at the end")
    return [f"drawing: {', '.join(found)}"] if found else []


def main() -> int:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    draw = random.Random(0)
    context, start = server(), time.monotonic()
    kills, runs, wrong, again = 0, 0, [], {"steps": 0, "epochs": 0}
    with tempfile.TemporaryDirectory() as place:
        alone, _ = killed_again_and_again(context, Path(place, "alone"), SEGMENTATION, OVERRIDES, [])
        while kills < wanted:
            moments = [
                (draw.randint(1, 2500), draw.choice([0.0, draw.uniform(0.0, 0.05)]))
                for _ in range(min(A_RUN, wanted - kills))
            ]
            folder, met = killed_again_and_again(context, Path(place, f"run{runs}"), SEGMENTATION, OVERRIDES, moments)
            kills, runs = kills + met, runs + 1
            again = {name: again[name] + count for name, count in computed_again(folder).items()}
            found = differences(alone, folder)
            wrong += [f"run {runs}: {', '.join(found)}"] if found else []
            print(f"{kills} kills, {runs} runs, {len(wrong)} that differ", flush=True)
        wrong += _while_drawing(context, Path(place, "drawing"), alone)
    took = time.monotonic() - start
    print(f"{kills} kills in {runs} runs and {took:.0f} s: {len(wrong)} runs differ from one left alone")
    print(
        f"0 checkpoints were damaged; {again['steps']} steps and {again['epochs']} ends of epochs were computed again"
    )
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
