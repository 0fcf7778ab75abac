"""What is wrong with a run, since when, and what to do: a pure function of what is known of it. docs/findings.md has
the rules with their reasons."""

import contextlib

from engine.diagnosis.facts import CODES, Code, Facts, Finding, Severity, Steps
from engine.diagnosis.learning import learning
from engine.diagnosis.pace import pace
from engine.diagnosis.quality import quality


def diagnose(facts: Facts, now_s: float) -> tuple[Finding, ...]:
    """The findings on a run at ``now_s``, the worst first; empty when all is well.

    The time decides on ``stalled`` alone; all else is measured in steps, epochs and validations of the run itself.
    """
    found: list[Finding] = []
    for rules in (learning(facts), quality(facts), pace(facts, now_s)):
        with contextlib.suppress(ArithmeticError):  # numbers beyond all arithmetic tell nothing, and end no training
            found.extend(rules)
    begun = {finding.code: finding.since_epoch for finding in found}
    kept = [finding for finding in found if not begun.keys() & _EXPLAINED_BY.get(finding.code, frozenset())]
    vanished = begun.get("class_never_predicted", -1)  # a class that is lost raises the validation loss
    kept = [finding for finding in kept if finding.code != "overfitting" or finding.since_epoch > vanished]
    return tuple(sorted(kept, key=lambda finding: (_ORDER.index(finding.severity), CODES.index(finding.code))))


_ORDER: tuple[Severity, ...] = ("error", "warning", "note")
_EXPLAINED_BY: dict[Code, frozenset[Code]] = {
    "gradient_exploding": frozenset({"diverging"}),
    "at_chance": frozenset({"diverging"}),
    "class_never_predicted": frozenset({"diverging"}),
    "overfitting": frozenset({"diverging", "at_chance"}),
    "plateau": frozenset({"diverging", "overfitting", "at_chance", "class_never_predicted"}),
    "slowed_down": frozenset({"stalled"}),
    "loader_bound": frozenset({"stalled"}),
}
"""A finding that another one explains is left out: one cause is one line."""
