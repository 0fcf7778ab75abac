"""Speed of the metrics against MedPy, MONAI and scikit-learn: ``python -m benchmarks.metrics``.

Each rival takes its turns with medtui in one run, so that the ratios hold on a busy machine; times are medians.
With ``MEDTUI_DATA`` set, a left atrium of that folder is measured too.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from engine.metrics.resampled import resampled_metrics
from engine.metrics.surface import surface_metrics

TURNS = 3
SHAPE = (180, 140, 88)


def main() -> None:
    """Print one line a case: medtui's time, and how many times longer each rival takes."""
    print(f"surface metrics, median of {TURNS} turns")
    for name, prediction, truth in surface_cases():
        times = in_turns(
            {
                "medtui": lambda p=prediction, t=truth: surface_metrics(p, t),
                "MedPy asd + assd + hd95": lambda p=prediction, t=truth: medpy_metrics(p, t),
                "MONAI assd + hd95": lambda p=prediction, t=truth: monai_metrics(p, t),
            }
        )
        largest = max(abs(a - b) for a, b in zip(*both(prediction, truth), strict=True))
        print_times(name, times)
        print(f"    largest difference from MedPy {largest:.1e}")
    print("\nbootstrap of the classification metrics, 1500 cases, 7 classes")
    targets, probabilities = classification_case()
    times = in_turns(
        {
            "medtui, 1000 resamples": lambda: resampled_metrics(targets, probabilities, resamples=1000),
            "scikit-learn, 20 resamples": lambda: sklearn_bootstrap(targets, probabilities, 20),
        },
        turns=2,
    )
    own, other = times.values()
    print(f"  medtui {own:.2f} s; scikit-learn about {other * 50:.0f} s, x {other * 50 / own:.0f}")


def surface_cases() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pairs of prediction and truth: a usable prediction, one with far islands, a shifted one, and noise."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    bumps = gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 8)
    yield from around("blob", sum((a / r) ** 2 for a, r in zip(axes, (0.5, 0.35, 0.5), strict=True)) + 20 * bumps < 1)
    if os.environ.get("MEDTUI_DATA"):
        import h5py

        files = sorted(Path(os.environ["MEDTUI_DATA"]).glob("left_atrium/*/mri_norm2.h5"))
        for file in files[:1]:
            with h5py.File(file) as case:
                yield from around("left atrium", case["label"][:] > 0)


def around(name: str, truth: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Predictions of one truth, from good to useless."""
    rng = np.random.default_rng(1)
    noise = gaussian_filter(rng.standard_normal(truth.shape), 4)
    noise /= noise.std()
    depth = distance_transform_edt(truth) - distance_transform_edt(~truth)
    yield f"{name}, good prediction", depth + 1.5 * noise > 0.5, truth
    yield f"{name}, with far islands", depth + 6 * noise > 0.5, truth
    yield f"{name}, shifted by 30 voxels", np.roll(truth, (30, -20, 10), axis=(0, 1, 2)), truth
    yield f"{name}, noise", rng.random(truth.shape) < 0.5, truth


def in_turns(rivals: dict[str, Callable[[], object]], turns: int = TURNS) -> dict[str, float]:
    """Median seconds of each rival; one turn of each after the other."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for rival in rivals.values():
        rival()
    for _ in range(turns):
        for name, rival in rivals.items():
            start = time.perf_counter()
            rival()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def print_times(name: str, times: dict[str, float]) -> None:
    own = times["medtui"]
    others = "; ".join(f"{other} {1e3 * t:.0f} ms, x {t / own:.1f}" for other, t in times.items() if other != "medtui")
    print(f"  {name}: medtui {1e3 * own:.1f} ms; {others}")


def medpy_metrics(prediction: np.ndarray, truth: np.ndarray) -> list[float]:
    from medpy.metric import binary

    return [float(measure(prediction, truth)) for measure in (binary.asd, binary.assd, binary.hd95)]


def monai_metrics(prediction: np.ndarray, truth: np.ndarray) -> list[float]:
    import warnings

    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    warnings.simplefilter("ignore", FutureWarning)  # MONAI's own, of its own arguments
    pair = [torch.from_numpy(mask)[None, None] for mask in (prediction, truth)]
    mean = compute_average_surface_distance(*pair, symmetric=True)
    return [mean.item(), compute_hausdorff_distance(*pair, percentile=95).item()]


def both(prediction: np.ndarray, truth: np.ndarray) -> tuple[list[float], list[float]]:
    """MedPy's three values, ours and theirs."""
    ours = surface_metrics(prediction, truth)
    return [ours[name] for name in ("asd", "assd", "hd95")], medpy_metrics(prediction, truth)


def classification_case(n: int = 1500, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    targets = rng.integers(classes, size=n)
    logits = rng.standard_normal((n, classes)) + 1.5 * np.eye(classes)[targets]
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def sklearn_bootstrap(targets: np.ndarray, probabilities: np.ndarray, resamples: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(3)
    for _ in range(resamples):
        drawn = rng.integers(len(targets), size=len(targets))
        true, scores = targets[drawn], probabilities[drawn]
        predicted = scores.argmax(axis=1)
        metrics.accuracy_score(true, predicted)
        metrics.balanced_accuracy_score(true, predicted)
        for average in ("macro", "weighted"):
            metrics.precision_recall_fscore_support(true, predicted, average=average, zero_division=0)
        for k in range(scores.shape[1]):
            metrics.roc_auc_score(true == k, scores[:, k])


if __name__ == "__main__":
    main()
