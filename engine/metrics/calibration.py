"""Probabilities that mean what they say: their errors, a temperature, and thresholds, both fitted on validation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.metrics.intervals import MIN_UNITS
from engine.metrics.resampled import ECE_BINS, calibration_gaps

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

_DRAWS = 200
_SMALLEST = float(np.finfo(np.float64).tiny)


def brier_scores(targets: Ints, probabilities: Floats) -> Floats:
    """Squared error of the probabilities of each case ``(n,)`` (Brier, Mon. Weather Rev. 78, 1950).

    Summed over the classes (0 to 2); of two classes that of the second alone (0 to 1), as scikit-learn does it.
    """
    one_hot = targets[:, None] == np.arange(probabilities.shape[1])
    scores: Floats = ((probabilities - one_hot) ** 2).sum(axis=1)
    return scores / 2 if probabilities.shape[1] == 2 else scores


def log_losses(targets: Ints, probabilities: Floats) -> Floats:
    """Minus the logarithm of the probability of the true class of each case ``(n,)``; 0 counts as 2.2e-16."""
    share = probabilities[np.arange(len(targets)), targets]
    losses: Floats = -np.log(np.clip(share, np.finfo(np.float64).eps, 1.0))
    return losses


def calibration_error(targets: Ints, probabilities: Floats, bins: int = ECE_BINS) -> float | None:
    """Expected calibration error of the predicted class (see :func:`.resampled.calibration_gaps`); None without a case.

    Args:
        targets: true class of each case ``(n,)``.
        probabilities: probability of each class ``(n, K)``.
        bins: number of bins over 0 to 1; a bin holds its upper bound.
    """
    if not len(targets):
        return None
    return float(calibration_gaps(np.ones((1, len(targets))), targets, probabilities, bins)[0, -1])


def chance_gaps(probabilities: Floats, of_case: Ints) -> Floats:
    """Calibration errors ``(200, K + 1)`` that these probabilities show where they mean what they say.

    The true class of each case is drawn from its probabilities; see :func:`.resampled.calibration_gaps`.

    Args:
        probabilities: probability of each class ``(n, K)``.
        of_case: unit of each case ``(n,)``; cases of one unit share their draw.
    """
    n = len(probabilities)
    uniform = np.random.default_rng(0).random((_DRAWS, int(of_case.max()) + 1))[:, of_case]
    bounds = np.cumsum(probabilities, axis=1)[:, :-1]
    drawn = sum((uniform > bound for bound in bounds.T), np.zeros((_DRAWS, n), dtype=np.intp))
    every = np.ones((1, n))
    return np.concatenate([calibration_gaps(every, targets, probabilities) for targets in drawn])


def with_mean(gaps: Floats) -> Floats:
    """Calibration errors ``(R, K + 1)`` with the mean over the classes as one more column, the last."""
    widened: Floats = np.column_stack([gaps, gaps[:, :-1].mean(axis=1)])
    return widened


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the validation split decides for every other split."""

    temperature: float  # see :func:`fit_temperature`
    threshold: float = 0.5  # of two classes, see :func:`choose_threshold`; 0.5 for more


def fit(targets: Ints, probabilities: Floats) -> Fitted | None:
    """Temperature and threshold from a validation split; None for fewer than 5 cases, or none of some kind."""
    if len(targets) < MIN_UNITS or np.unique(targets).size < 2:
        return None
    threshold = choose_threshold(targets == 1, probabilities[:, 1]) if probabilities.shape[1] == 2 else 0.5
    return Fitted(fit_temperature(targets, probabilities), threshold)


def fit_temperature(targets: Ints, probabilities: Floats) -> float:
    """Temperature that makes the log loss of these cases smallest (Guo et al., ICML 2017).

    It is fitted on the validation split and used on the test split; it moves no prediction, only how sure it is.

    Args:
        targets: true class of each case ``(n,)``.
        probabilities: probability of each class ``(n, K)``, as the softmax gave them.

    Returns:
        Between 0.05 and 20; above 1 the network was too sure.

    Raises:
        ValueError: there is no case.
    """
    from scipy import optimize

    if not len(targets):
        raise ValueError("a temperature needs at least one case")
    logits = _logits(probabilities)
    rows = np.arange(len(targets))

    def loss(exponent: float) -> float:
        scaled = logits / np.exp(exponent)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, targets]))

    span = float(np.log(20.0))
    best = optimize.minimize_scalar(loss, bounds=(-span, span), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(best.x))


def with_temperature(probabilities: Floats, temperature: float) -> Floats:
    """The probabilities ``(n, K)`` had their logits been divided by ``temperature``.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; it must be above 0")
    powers = np.exp(_logits(probabilities) / temperature)
    scaled: Floats = powers / powers.sum(axis=1, keepdims=True)
    return scaled


def _logits(probabilities: Floats) -> Floats:
    """Logarithms of probabilities, the largest of a case at 0."""
    logits = np.log(np.maximum(probabilities, _SMALLEST))
    shifted: Floats = logits - logits.max(axis=1, keepdims=True)
    return shifted


def choose_threshold(positive: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Threshold for a score, from the validation split: a case at or above it counts as positive.

    That of the largest sensitivity + specificity (Youden, Cancer 3, 1950), of equals the highest; 0.5 where there are
    not both kinds of case.

    Args:
        positive: whether each case is positive ``(n,)``.
        scores: probability of the positive class ``(n,)``.

    Raises:
        ValueError: the shapes differ.
    """
    true, score = np.asarray(positive, dtype=np.bool_), np.asarray(scores, dtype=np.float64)
    if true.shape != score.shape or true.ndim != 1:
        raise ValueError(f"targets {true.shape} and scores {score.shape} do not pair; (n,) each is needed")
    if true.all() or not true.any():
        return 0.5
    candidates = np.unique(score)[::-1]
    found = 1 - np.searchsorted(np.sort(score[true]), candidates) / np.count_nonzero(true)
    rejected = np.searchsorted(np.sort(score[~true]), candidates) / np.count_nonzero(~true)
    return float(candidates[np.argmax(found + rejected)])
