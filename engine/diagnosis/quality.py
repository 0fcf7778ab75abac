"""Rules on what is predicted: class_never_predicted, at_chance, case_always_bad."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from statistics import fmean

from engine.diagnosis.facts import AFTER_GOOD, IN_A_ROW, Facts, Finding, brief, known, noise, series, since
from engine.errors import some
from engine.events import Metrics, Validation, number
from engine.measures import find, leading

_FEW = 5  # cases of a class: of fewer, none may be found by chance
_ENOUGH = 20  # of a class, over the validations in a row
_ABOVE_CHANCE = 0.1
_RANKED = 0.6  # standard error of an area under the curve, in that of an accuracy, at most
_FALLS, _FOLLOWS = 8, 0.4  # validations over which losses fall together; the share that of validation has of it
_SURELY, _LOOKS_BACK = 0.2, 5  # share found, or told apart beyond chance, in each of so many validations before
_LAGS = 6  # validations that running averages of the weights may come late
_BAD, _GOOD = 0.1, 0.5
_OFTEN = 0.75  # of the validations; a case that has failed in more is as good as always bad


def quality(facts: Facts) -> Iterator[Finding]:
    """The findings on what is predicted; of a network that guesses it is not said which classes it never guesses."""
    chance, never = list(_at_chance(facts)), list(_never_predicted(facts))
    if len(facts.classes) == 2 and never and "auc" not in facts.validations[-1].metrics:
        chance = []
    elif facts.validations[-1:] and guesses(facts, facts.validations[-1]):
        never = []
    yield from chance or never
    yield from _always_bad(facts)


def _begun(facts: Facts, flags: Sequence[bool], row: int = IN_A_ROW) -> int | None:
    """Epoch since which ``flags``, one a validation, are True without a break, if that is ``row`` times or more."""
    at = since(flags)
    return None if at is None or len(flags) - at < row else facts.validations[at].epoch


def _row(before: Sequence[float], least: float) -> int:
    """Validations that have to agree, where those ``before`` gave such values: fewer where each was ``least`` or more,
    since what was surely good is not bad by chance."""
    newest = before[-_LOOKS_BACK:]
    return AFTER_GOOD if len(newest) >= IN_A_ROW and min(newest) >= least else IN_A_ROW


def _never_predicted(facts: Facts) -> Iterator[Finding]:
    """A class that validation cases have is nowhere in the predictions, after the beginning or while the others are
    found."""
    labels = facts.validations[-1].per_class if facts.validations else {}
    begins = bool(labels) and (_falls(facts) or _warms_up(facts))
    begun: dict[str, int] = {}
    rows: list[int] = []
    for label, newest in labels.items():
        flags = [
            _absent(v.per_class.get(label, {}), facts.task)
            and (v.epoch >= facts.grace or (_others_found(v, label) and not guesses(facts, v)))
            for v in facts.validations
        ]
        told = _others_found(facts.validations[-1], label) and (facts.task == "segmentation" or len(labels) > 2)
        if begins and all(_absent(v.per_class.get(label, {}), facts.task) for v in facts.validations) and not told:
            continue  # nothing is found yet: the network begins to learn
        at = since(flags)
        if at is None:
            continue
        found = [_found(v.per_class.get(label, {})) for v in facts.validations[:at]]
        row = max(_row(found, _SURELY), math.ceil(_ENOUGH / next(known(newest, "support"), _ENOUGH)))
        if len(flags) - at >= row:
            begun[label] = facts.validations[at].epoch
            rows.append(len(flags) - at)
    if not begun:
        return
    yield Finding(
        severity="warning",
        code="class_never_predicted",
        message=f"never predicted: {some(begun, 4)}",
        since_epoch=min(begun.values()),
        evidence=f"in none of the last {min(rows)} validations, though there are cases of it",
        remedy='loss.class_weights = "balanced", of images data.balance = "class", or focal loss; look at its labels',
        key="2",
    )


def _found(row: Metrics) -> float:
    """The share of a class that is found; 0 where it is not known."""
    return next(known(row, "recall", "dice"), 0.0)


def _absent(row: Metrics, task: str) -> bool:
    """Whether a class was there to be found, and was not."""
    support = next(known(row, "support", "n"), math.inf)
    values = list(known(row, "recall", "dice", "f1", "jaccard", "precision"))
    enough = support >= (_FEW if task == "classification" else 1)
    return enough and bool(values) and max(values) == 0.0


def _others_found(validation: Validation, label: str) -> bool:
    """Whether the classes beside ``label`` are found, in half of their cases or pixels on average."""
    rows = (row for name, row in validation.per_class.items() if name != label)
    found = [value for row in rows for value in list(known(row, "recall", "dice"))[:1]]
    return bool(found) and sum(found) / len(found) >= _GOOD


def _at_chance(facts: Facts) -> Iterator[Finding]:
    """The classes are told apart no better than by guessing."""
    classes = len(facts.classes)
    if facts.task != "classification" or classes < 2:
        return
    flags: list[bool] = []
    for end, v in enumerate(facts.validations, 1):  # one odd validation is no end of it
        lasts = flags[-IN_A_ROW:] == [True] * IN_A_ROW
        flags.append(guesses(facts, v) or (lasts and guesses(facts, *facts.validations[end - IN_A_ROW : end])))
    at = since(flags)
    told = [_told_apart(v)[0] for v in facts.validations[:at]]
    row = _row(told, 1 / classes + _SURELY * (1 - 1 / classes) + 2 * _by_chance(facts))
    epoch = _begun(facts, flags, row)
    if at is None or epoch is None or ((all(flags) or epoch <= 2 * facts.grace) and _falls(facts)):
        return
    ranked = "auc" in facts.validations[-1].metrics
    late = facts.grace if ranked else max(facts.grace, facts.epochs / 10)
    settled = _begun(facts, [flag and v.epoch >= late for flag, v in zip(flags, facts.validations, strict=True)], row)
    errors = 1.0 if flags[-IN_A_ROW - 1 :] == [True] * (IN_A_ROW + 1) else 0.35  # of what was not said before
    if not (_knows_nothing(facts) if settled is None else _within(facts, _ABOVE_CHANCE, errors, len(flags) - at)):
        return
    if all(flags) and (_warms_up(facts) or _lags(facts)):
        return
    metrics = facts.validations[-1].metrics
    words = [
        f"{name.replace('_', ' ')} {brief(value)}"
        for name in leading(name for name in metrics if find(name).rank)
        for value in known(metrics, name)
    ]
    yield Finding(
        severity="warning",
        code="at_chance",
        message=f"no better than guessing among {classes} classes: {', '.join(words[:2])}",
        since_epoch=epoch,
        evidence="; ".join([f"guessing gives {brief(1 / classes)}", *words[2:]]),
        remedy="look at labels and images (medtui check); another optimizer.lr, or begin with trained weights",
        key="2",
    )


def guesses(facts: Facts, *row: Validation) -> bool:
    """Whether accuracy, the mean of a ``row`` of validations, lies within a tenth of the way from chance to perfect,
    and so does the ranking; a standard error more, and half of one, where few cases are measured, and twice that where
    the newest loss is that of guesses."""
    if facts.task != "classification":
        return False
    chance = 1 / max(2, len(facts.classes))
    accuracy, auc = map(fmean, zip(*map(_told_apart, row), strict=True))
    error = (2 if _guessed(facts, number(row[-1].metrics.get("loss"))) else 1) * _by_chance(facts)
    limit = chance + _ABOVE_CHANCE * (1 - chance) + error
    return accuracy <= limit and not auc > 0.5 + _ABOVE_CHANCE + _RANKED * error


def _guessed(facts: Facts, loss: float) -> bool:
    """Whether a loss is about the one that guesses of the same probability for each class give."""
    return 0.97 <= loss / math.log(max(2, len(facts.classes))) <= 1.25


def _told_apart(validation: Validation) -> tuple[float, float]:
    """(accuracy, area under the curve), nan where it is not measured."""
    accuracy = next(known(validation.metrics, "balanced_accuracy", "recall", "accuracy"), math.nan)
    return accuracy, next(known(validation.metrics, "auc"), math.nan)


def _by_chance(facts: Facts) -> float:
    """Standard error of the accuracy of guesses; 0 where the number of cases is not known."""
    chance = 1 / max(2, len(facts.classes))
    return min(0.07, math.sqrt(chance * (1 - chance) / facts.cases)) if facts.cases else 0.0


def _losses(facts: Facts) -> tuple[float, float, float, float]:
    """Of validation, first and newest of three, the same where there are none, and of training in the same epochs; nan
    where they are not known."""
    row, trained = facts.validations[-IN_A_ROW:], dict(facts.train)
    first, newest = (number(v.metrics.get("loss", 1.0)) for v in (row[0], row[-1]))
    return first, newest, trained.get(row[0].epoch, math.nan), trained.get(row[-1].epoch, math.nan)


def _falls(facts: Facts) -> bool:
    """Whether there is a beginning: over three validations the loss of validation falls by 3 %, and by 5 % together
    with that of training; or over up to eight that of training surely does, and that of validation goes with it."""
    first, newest, before, now = _losses(facts)
    jumps = noise([math.log(loss) for _, loss in series(facts.validations[-40:], "loss") if loss > 0])
    if newest < first * math.exp(-max(0.03, 2.5 * jumps)) and newest * now < 0.95 * first * before:
        return True
    row = [v for v in facts.validations[-_FALLS:] if number(v.metrics.get("loss")) > 0]
    if len(row) < IN_A_ROW:
        return False
    checked = [number(v.metrics["loss"]) for v in row]
    start, end = (bisect_left(facts.steps.epoch, epoch) for epoch in (row[0].epoch, row[-1].epoch + 1))
    fall, error = _fall([loss for loss in facts.steps.loss[start:end] if 0 < loss < math.inf])
    return fall > 2.5 * error > 0 and _fall(checked)[0] > _FOLLOWS * fall


def _fall(values: Sequence[float]) -> tuple[float, float]:
    """By how much the second half of ``values`` is below the first on average, and the standard error of that."""
    half = len(values) // 2
    if half < 1:
        return 0.0, 0.0
    parts = values[:half], values[-half:]
    first, second = map(fmean, parts)
    pairs = zip(parts, (first, second), strict=True)
    spread = sum(fmean([(value - mean) * (value - mean) for value in part]) for part, mean in pairs)
    return first - second, math.sqrt(spread / max(1, half - 1))


def _warms_up(facts: Facts) -> bool:
    """Whether the learning rate still rises, in the first tenth of the epochs."""
    return facts.warming and facts.validations[-1].epoch <= facts.epochs / 10


def _lags(facts: Facts) -> bool:
    """Whether in the first validations the training loss has left that of guesses, and that of validation has not moved
    at all: running averages of the weights come later; of what is learned by heart it rises."""
    losses = [number(v.metrics.get("loss")) for v in facts.validations]
    if len(losses) > _LAGS or not facts.train:
        return False
    now = dict(facts.train).get(facts.validations[-1].epoch, math.nan)
    return now < 0.9 * losses[0] and max(losses) < 1.01 * min(losses)


def _knows_nothing(facts: Facts) -> bool:
    """Whether three validations say that not even a beginning is made: accuracy and ranking are those of guesses, the
    losses are too, or stand."""
    first, newest, before, now = _losses(facts)
    stand = now >= 0.985 * before and 0.985 * first <= newest < 1.1 * first
    nothing = stand or all(_guessed(facts, number(v.metrics.get("loss"))) for v in facts.validations[-IN_A_ROW:])
    trained = not (stand or _guessed(facts, now))
    seen = [_told_apart(v)[0] for v in facts.validations[-IN_A_ROW:]]
    begins = trained and seen == sorted(seen) and seen[-1] - seen[0] > 0.05 * (1 - 1 / len(facts.classes))
    late = facts.validations[-1].epoch >= (1.0 if trained else 0.6) * facts.warm
    return nothing and late and not begins and not facts.warming and _within(facts, 0.03, 0.6)


def _within(facts: Facts, share: float, errors: float, most: int = IN_A_ROW) -> bool:
    """Whether three validations, or ``most``, are on average no further than ``share`` on the way from guessing to
    perfect, and ``errors`` standard errors of one of them."""
    row = facts.validations[-min(most, IN_A_ROW) :]
    chance, by_chance = 1 / len(facts.classes), errors * _by_chance(facts)
    accuracy, auc = map(fmean, zip(*map(_told_apart, row), strict=True))
    return accuracy <= chance + share * (1 - chance) + by_chance and not auc > 0.5 + share + by_chance


def _always_bad(facts: Facts) -> Iterator[Finding]:
    """One case fails in every validation in which the others are good.

    Segmentation only: an image whose class is not found is no more than one that is hard, and there are always some.
    """
    if facts.task != "segmentation" or not facts.validations:
        return
    failed = [_failed(v, facts.cases) for v in facts.validations]
    begun = {}
    for case in failed[-1] or ():
        flags = [names is not None and case in names for names in failed]
        at = since(flags) or 0
        others_good = [v for v, names in zip(facts.validations[:at], failed[:at], strict=True) if names is not None]
        row = _row([_dice_of(v, case) for v in others_good], _GOOD)
        if len(flags) - at >= max(row, _unlikely(sum(flags[:at]), len(others_good))):
            begun[case] = facts.validations[at].epoch
    if not begun:
        return
    yield Finding(
        severity="warning",
        code="case_always_bad",
        message=f"Dice near 0 in every validation, though the others are good: {some(begun, 4)}",
        since_epoch=min(begun.values()),
        evidence=f"Dice {brief(min((failed[-1] or {}).values()))} beside a mean of "
        f"{brief(number(facts.validations[-1].metrics.get('dice')))}",
        remedy="look at this case and its truth: wrong mask, orientation, spacing or intensities",
        key="4",
    )


def _unlikely(failed: int, of: int) -> int:
    """Failures in a row that a case has by chance once in twenty, which ``failed`` in so many ``of`` the validations
    before."""
    share = min(failed / max(1, of), _OFTEN)
    return math.ceil(math.log(0.05) / math.log(share)) if share else 0


def _dice_of(validation: Validation, name: str) -> float:
    """Of a case; 1 where it is not listed, as the worst are."""
    rows = (case for case in validation.cases if str(case.get("id")) == name)
    return next((value for case in rows for value in known(case, "dice")), 1.0)


def _failed(validation: Validation, cases: int) -> dict[str, float] | None:
    """Cases with a Dice near 0, by name; None where the mean of the others is not good."""
    bad = {str(case.get("id")): value for case in validation.cases for value in known(case, "dice") if value <= _BAD}
    mean, count = number(validation.metrics.get("dice")), cases or len(validation.cases)
    others = (mean * count - sum(bad.values())) / (count - len(bad)) if count > len(bad) else math.nan
    return bad if others >= _GOOD else None
