"""Plain sentences that say which run is better, by how much, or that the data do not tell."""

from __future__ import annotations

from engine.measures import better_up, of_task, title
from engine.readers.numbers import digits
from engine.readers.together import Runs
from engine.report.blocks import Alert
from engine.report.paired import TESTS, Comparison


def verdicts(together: Runs, comparisons: list[Comparison]) -> list[Alert]:
    """One answer for every pair of runs and decisive metric."""
    found = []
    for metric in [measure.name for measure in of_task(together.task) if measure.decides]:
        found += [
            Alert("answer", sentence(together, one)) for one in comparisons if one.metric == metric and not one.label
        ]
    return found or [Alert("warning", "The runs share no case, so nothing can be said about which is better.")]


def sentence(together: Runs, one: Comparison) -> str:
    """What the comparison of one pair says, in plain words."""
    better, worse = (one.first, one.second) if one.first_is_better else (one.second, one.first)
    names = together.labels[better], together.labels[worse]
    name = title(one.metric)
    what = name.lower() if together.task == "classification" and not name.isupper() else name
    difference, test = one.test.difference, one.test
    if difference is None:
        return f"{what}: {names[0]} and {names[1]} cannot be compared."
    size = _size(one)
    proof = f"{_p(one.corrected)}, {TESTS[test.test]} test over {test.n} cases" + _correction(together)
    if one.significant:
        more = "a higher" if better_up(one.metric) else "a smaller"
        return f"{names[0]} is better than {names[1]}: {more} {what}, by {size}; {proof}."
    if difference == 0:
        return f"The data do not tell {names[0]} from {names[1]}: their {what} is the same; {proof}."
    return f"The data do not tell {names[0]} from {names[1]}: their {what} differs by {size}; {proof}."


def _size(one: Comparison) -> str:
    difference, bounds = one.test.difference or 0.0, one.test.ci95
    text = digits(abs(difference))
    if bounds is None:
        return text
    low, high = (bounds[0], bounds[1]) if difference >= 0 else (-bounds[1], -bounds[0])
    return f"{text} (95 % interval {digits(low)} to {digits(high)})"


def _correction(together: Runs) -> str:
    return f", corrected for {len(together.pairs)} pairs" if len(together.pairs) > 1 else ""


def _p(value: float | None) -> str:
    text = p_value(value)
    return f"p\u00a0{text}" if text.startswith("<") else f"p\u00a0=\u00a0{text}"


def p_value(value: float | None) -> str:
    """``0.012``, ``< 0.0001``; an en dash where there was no test."""
    if value is None:
        return "–"
    if value < 0.0001:
        return "<\u00a00.0001"
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}"
