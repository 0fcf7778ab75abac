"""Plain sentences that say which run is better, by how much, or that the data do not tell."""

from engine.errors import counted
from engine.measures import better_up, find, of_task, title
from engine.readers.numbers import digits
from engine.readers.together import Runs
from engine.report.blocks import Alert
from engine.report.paired import TESTS, Comparison
from engine.report.shared import barrier, seed_notes


def verdicts(together: Runs, comparisons: list[Comparison]) -> list[Alert]:
    """One answer for every pair of runs and decisive metric, and what the seed may have to do with it."""
    if why := barrier(together):
        return [Alert("warning", f"No verdict: {why}, so nothing can be said about which is better.")]
    decisive = [one for one in comparisons if find(one.metric).decides and not one.label]
    order = list(dict.fromkeys(one.metric for one in decisive))
    answers = [sentence(together, one) for one in sorted(decisive, key=lambda one: order.index(one.metric))]
    if not answers:
        return [Alert("warning", "No verdict: no case has a value in both runs.")]
    return [*(Alert("answer", text) for text in answers), *seed_notes(together)]


def sentence(together: Runs, one: Comparison) -> str:
    """What the comparison of one pair says, in plain words: difference, p, and the cases that are missing."""
    better, worse = (one.first, one.second) if one.first_is_better else (one.second, one.first)
    names = together.labels[better], together.labels[worse]
    name = title(one.metric)
    what = name.lower() if together.task == "classification" and not name.isupper() else name
    difference, test = one.test.difference, one.test
    if difference is None:
        return f"{what}: {names[0]} and {names[1]} cannot be compared."
    proof = f"{TESTS[test.test]} test over {counted(test.n, 'case')}{_correction(together)}"
    if difference == 0:
        return f"The data do not tell {names[0]} from {names[1]}: their {what} is the same; {_p(one)}, {proof}."
    chance = f"were they equally good, so large a difference would come up with {_p(one)} ({proof})"
    if one.significant:
        way = "a higher" if better_up(one.metric) else "a smaller"
        found = f"{names[0]} is better than {names[1]}: {way} {what}, by"
        return f"{found} {_size(one)}; {chance}; no more cases needed."
    found = f"The data do not tell {names[0]} from {names[1]}: their {what} differs by"
    return f"{found} {_size(one)}; {chance}; {_missing(one)}."


def _missing(one: Comparison) -> str:
    """How many more cases would tell; 80 % power, see `PairedTest.cases_needed`."""
    if not one.test.error:
        return "how many more cases it takes cannot be said from so few"
    needed = one.test.cases_needed()
    if needed is None:
        return "no number of cases that could be had would tell them apart"
    more = max(needed - one.test.n, 1)
    return f"to tell a difference of this size takes about {counted(more, 'more case')} (80 % power)"


def _size(one: Comparison) -> str:
    difference, bounds = one.test.difference or 0.0, one.test.ci95
    text = digits(abs(difference))
    if bounds is None:
        return text
    low, high = (bounds[0], bounds[1]) if difference >= 0 else (-bounds[1], -bounds[0])
    return f"{text} (95 % interval {digits(low)} to {digits(high)})"


def _correction(together: Runs) -> str:
    pairs, metrics = len(together.pairs), sum(measure.decides for measure in of_task(together.task))
    over = [f"{count} {what}" for count, what in ((pairs, "pairs"), (metrics, "metrics")) if count > 1]
    return f", corrected for {' and '.join(over)}" if over else ""


def _p(one: Comparison) -> str:
    text = p_value(one.corrected)
    return f"p\u00a0{text}" if text.startswith("<") else f"p\u00a0=\u00a0{text}"


def p_value(value: float | None) -> str:
    """``0.012``, ``< 0.0001``; an en dash where there was no test."""
    if value is None:
        return "–"
    if value < 0.0001:
        return "<\u00a00.0001"
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}"
