"""Labels by sliding windows, time and memory, against MONAI in one piece: ``python -m benchmarks.inference``.

Every row predicts the same image with the same one-convolution network in processes of their own, in turns.
Memory is the peak of the process beyond what it held with the input, before the first window. A row with
``-`` for MONAI would need the gigabytes in brackets for its logits alone.
"""

from __future__ import annotations

import hashlib
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.data.prepare import Prepared, prepare
from engine.data.read import RawCase
from engine.device import Device
from engine.evaluation.inference import Predictor
from engine.evaluation.labels import predict_labels
from engine.recipe import DataTable

ROWS = [((160, 160, 160), 100, 3), ((256, 256, 256), 3, 3), ((1500, 1500), 20, 3), ((512, 512, 512), 100, 1)]
WINDOW = 96
MOST_GB = 6.0
"""MONAI is not tried where its logits take more."""


def one_piece(one: Predictor, prepared: Prepared) -> np.ndarray:
    """The mask as MONAI's tutorials make it."""
    from monai.inferers import sliding_window_inference

    image = torch.from_numpy(prepared.image)[None]
    with torch.inference_mode():
        logits = sliding_window_inference(
            image, one.size, one.batch_size, one.network, one.overlap, mode="gaussian", device=torch.device("cpu")
        )
        return np.asarray(logits[0].argmax(0).numpy().astype(np.uint8))


def measure(who: str, shape: tuple[int, ...], classes: int) -> None:
    """Print seconds, gigabytes and a hash of the mask."""
    torch.manual_seed(0)
    model = (nn.Conv3d if len(shape) == 3 else nn.Conv2d)(1, classes, 3, padding=1)
    device, size = Device(torch.device("cpu"), None, channels_last=False), (WINDOW,) * len(shape)
    one = Predictor(model, device, "softmax", size, batch_size=2, outputs=classes)
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    source = "decathlon" if len(shape) == 3 else "image_pairs"
    table = DataTable(source=source, root="d", size=size, intensity="none")
    prepared = prepare(RawCase("c", image, None, None, None), table)
    del image
    if who == "monai":
        import monai.inferers  # noqa: F401  so that its import is no part of the time
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    start = time.perf_counter()
    mask = one_piece(one, prepared) if who == "monai" else predict_labels([one], prepared, threshold=0.5)[0]
    seconds = time.perf_counter() - start
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    gigabytes = (int(peak.split()[1]) * 1024 - held) / 1e9
    print(seconds, gigabytes, hashlib.sha256(mask.tobytes()).hexdigest()[:12])


def run(who: str, shape: tuple[int, ...], classes: int) -> tuple[float, float, str]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.inference", who, str(classes), *map(str, shape)]
    seconds, gigabytes, digest = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(gigabytes), digest


def main() -> None:
    """Print a row an image."""
    print(f"{'image':>15} {'classes':>7} {'medtui':>17} {'MONAI':>17} {'time':>6}  mask")
    for shape, classes, rounds in ROWS:
        need = 4e-9 * classes * np.prod(shape, dtype=float)
        both = need <= MOST_GB
        pairs = [(run("medtui", shape, classes), run("monai", shape, classes) if both else None) for _ in range(rounds)]
        ours = f"{statistics.median(m[0] for m, _ in pairs):8.1f} s {max(m[1] for m, _ in pairs):4.1f} GB"
        theirs, ratio, same = f"- ({need:.0f} GB)", "", ""
        peers = [p for _, p in pairs if p]
        if peers:
            theirs = f"{statistics.median(p[0] for p in peers):8.1f} s {max(p[1] for p in peers):4.1f} GB"
            ratio = f"{statistics.median(m[0] / p[0] for m, p in pairs if p):.2f}"
            same = "same" if len({m[2] for m, _ in pairs} | {p[2] for p in peers}) == 1 else "DIFFERS"
        print(f"{'x'.join(map(str, shape)):>15} {classes:>7} {ours:>17} {theirs:>17} {ratio:>6}  {same}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], tuple(map(int, sys.argv[3:])), int(sys.argv[2]))
    else:
        main()
