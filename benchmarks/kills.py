"""Hundreds of kills: ``python -m benchmarks.kills [KILLS]``.

Runs of a tiny network are killed by SIGKILL at random places of their stream (while steps are taken,
checkpoints and the stream are written, splits are measured) and resumed each time. Each run is then
compared with one that was left alone: weights bit for bit, the stream (times aside), metrics, cases, masks.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.engine.runs import SEGMENTATION
from tests.faults.killing import differences, killed_again_and_again, server

OVERRIDES = ("train.epochs=4", "train.checkpoint_iterations=2", "data.samples_per_case=2", "train.accumulate=2")
A_RUN = 10


def main() -> int:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    draw = random.Random(0)
    context, start = server(), time.monotonic()
    kills, runs, wrong = 0, 0, []
    with tempfile.TemporaryDirectory() as place:
        alone, _ = killed_again_and_again(context, Path(place, "alone"), SEGMENTATION, OVERRIDES, [])
        while kills < wanted:
            steps = [draw.randint(1, 2500) for _ in range(min(A_RUN, wanted - kills))]
            folder, met = killed_again_and_again(context, Path(place, f"run{runs}"), SEGMENTATION, OVERRIDES, steps)
            kills, runs = kills + met, runs + 1
            found = differences(alone, folder)
            wrong += [f"run {runs}: {', '.join(found)}"] if found else []
            print(f"{kills} kills, {runs} runs, {len(wrong)} that differ", flush=True)
    took = time.monotonic() - start
    print(f"{kills} kills in {runs} runs and {took:.0f} s: {len(wrong)} runs differ from one left alone")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
