"""Memory in large pages that a training keeps: ``python -m benchmarks.pages [ROUNDS]``.

Each round takes the steps of a recipe in a process with PyTorch's memory as it comes and in one with
`engine.training.pages`, as trainings have it. Prints milliseconds of a step, seconds of the kernel in it, memory
at the peak, and the median and range of the ratios of the rounds.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from typing import Any

STEPS = 4
# recipe, labels, shape of a batch
ROWS: list[tuple[str, int, tuple[int, ...]]] = [
    ("cls_lite_hour", 7, (64, 3, 160, 160)),
    ("cls_best_hour", 7, (64, 3, 128, 128)),
    ("seg_best_hour", 1, (2, 1, 112, 112, 80)),
    ("hippocampus_hour", 2, (4, 1, 40, 56, 40)),
    ("seg_dice", 1, (1, 1, 64, 64, 64)),
]


def measure(name: str, classes: int, shape: tuple[int, ...], kept: bool) -> None:
    """Print what a step takes, as JSON."""
    from engine.training.pages import keep_memory, large_pages

    if kept:
        large_pages()
        keep_memory()
    import torch

    from benchmarks.step import ours, seconds

    image = torch.randn(shape)
    masks = len(shape) == 5
    label = torch.randint(0, classes + 1 if masks else classes, (shape[0], *shape[2:]) if masks else shape[:1])
    full = [] if masks else ["augment.grow_from=1"]
    step, _ = ours(name, image, label, classes, f"data.size={[*shape[2:]]}", *full, auto=False)
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_stime
    time = min(seconds(step) for _ in range(STEPS))
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"ms": 1e3 * time, "kernel_s": (after.ru_stime - before) / STEPS, "gb": after.ru_maxrss / 2**20}))


def main(rounds: int) -> None:
    """Measure and print."""
    names = ("", "ms", "kernel s", "GB", "with: ms", "kernel s", "GB")
    print("{:18}{:>8}{:>10}{:>7}{:>10}{:>10}{:>7}   without / with".format(*names))
    for name, classes, shape in ROWS:
        pairs: list[list[dict[str, Any]]] = []
        for _ in range(rounds):
            words = [[sys.executable, "-m", __spec__.name, json.dumps([name, classes, shape, kept])] for kept in (0, 1)]
            pairs.append([json.loads(subprocess.check_output(command, text=True)) for command in words])
        middle = [{key: statistics.median(pair[at][key] for pair in pairs) for key in pairs[0][0]} for at in (0, 1)]
        ratios = sorted(one["ms"] / other["ms"] for one, other in pairs)
        cells = "".join(
            f"{row['ms']:{8 + 2 * at}.0f}{row['kernel_s']:10.2f}{row['gb']:7.2f}" for at, row in enumerate(middle)
        )
        print(f"{name:18}{cells}   {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("["):
        measure(*json.loads(sys.argv[1]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
