"""Which runs a line of text means: free words, and values as in ``lr<1e-3 dice>0.8 state:failed``. Pure."""

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, get_args

from engine.diagnosis import CODES
from engine.errors import UsageError
from engine.measures import find, of_task
from engine.runfolder import State

Value: TypeAlias = float | str | tuple[str, ...]  # of a run: a number, a text, or several names, of which any counts
EXAMPLE = "lr<1e-3 dice>0.8 state:failed health:warning"
TEXTS = ("name", "id", "note", "study", "metric")
CHOICES = {
    "state": get_args(State),
    "health": ("ok", "error", "warning", "note", *CODES),
    "task": ("segmentation", "classification"),
}
NUMBERS = ("epoch", "best", "test", "age")
_PARTS = re.compile(r'([A-Za-z_][\w.]*)\s*(<=|>=|!=|[<>=:])\s*("[^"]*"|\S*)|"([^"]*)"|(\S+)')
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on a value."""

    names: tuple[str, ...]  # where the value may stand in the values of a run; the first that is there counts
    sign: str  # < <= > >= = (is) != (is not) : (a text has it in it, a number is it)
    text: str  # what it is compared with, in small letters
    number: float | None  # the same as a number; None where it is none

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether it is true of a run; of a value that the run does not have nothing is."""
        found = next((values[name] for name in self.names if name in values), None)
        if found is None:
            return False
        if self.sign in _ORDER:
            return isinstance(found, float) and self.number is not None and _ORDER[self.sign](found, self.number)
        return self._equals(found) != (self.sign == "!=")

    def _equals(self, found: Value) -> bool:
        if isinstance(found, float):
            return self.number is not None and math.isclose(found, self.number, rel_tol=1e-9)
        parts = self.text.split(",") if isinstance(found, tuple) else [self.text]
        if self.sign == ":" and isinstance(found, str):
            return self.text in found.lower()
        return bool({*parts} & {one.lower() for one in ([found] if isinstance(found, str) else found)})


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What a run must have: all ``words`` in its texts, and all ``terms`` in its values."""

    words: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.words and not self.terms

    @property
    def reads(self) -> bool:
        """Whether values are asked for that stand in recipe.toml or metrics.json."""
        return any(name not in {*TEXTS, *CHOICES, *NUMBERS} for term in self.terms for name in term.names)

    def passes(self, text: str, values: Mapping[str, Value]) -> bool:
        """Whether a run with this ``text``, in small letters, and these ``values`` is meant."""
        return all(word in text for word in self.words) and all(term.holds(values) for term in self.terms)


def parse_filter(text: str) -> RunFilter:
    """What a line means.

    Raises:
        UsageError: one line: no run has such a value, or it cannot be compared so.
    """
    words: list[str] = []
    terms: list[Term] = []
    for name, sign, wanted, quoted, word in _PARTS.findall(text):
        if name:
            terms.append(_term(name.lower(), sign, wanted.strip('"').lower()))
        elif quoted or word:
            words.append((quoted or word).lower())
    return RunFilter(tuple(words), tuple(terms))


def _term(name: str, sign: str, text: str) -> Term:
    short = f"{name}{sign}{text}"[:40]
    if not text:
        raise UsageError(f"{short} needs a value: {_example(name)}")
    number = _number(text, _UNITS if name == "age" else {})
    names = _names(name, of_number=sign in _ORDER or number is not None)
    if sign in _ORDER and name in {*TEXTS, *CHOICES}:
        raise UsageError(f"{name} has no order: {_example(name)}")
    if name in CHOICES:
        for one in text.split(","):
            if one not in CHOICES[name]:
                raise UsageError(f'"{one[:40]}" is no {name}{_near(one, CHOICES[name]) or ": " + _example(name)}')
    if number is None and (sign in _ORDER or names[0] in NUMBERS or names[0].startswith("metric ")):
        raise UsageError(f'{short}: "{text[:40]}" is no {"time" if name == "age" else "number"}: {_example(name)}')
    return Term(names, sign, text, number)


def _names(name: str, *, of_number: bool) -> tuple[str, ...]:
    """Where a value of this name stands. ``loss`` is measured where it is a number, and else a name of the recipe.

    Raises:
        UsageError: nowhere.
    """
    if name in {*TEXTS, *CHOICES, *NUMBERS}:
        return (name,)
    keys = _keys()
    measured = bool(find(name).tasks)
    if measured and (of_number or name not in keys):
        return (f"metric {name}",)
    if name in keys:
        return keys[name]
    known = [*TEXTS, *CHOICES, *NUMBERS, *(m.name for task in CHOICES["task"] for m in of_task(task)), *keys]
    raise UsageError(f'"{name[:40]}" is no value of a run{_near(name, known)}')


@cache
def _keys() -> Mapping[str, tuple[str, ...]]:
    """Each key of a recipe, with its table and without, and a table's name for what it is a table of."""
    from engine.recipe.model import FAMILIES, TABLES, Recipe  # pydantic: not before somebody filters

    found: dict[str, tuple[str, ...]] = {key: (key,) for key in Recipe.model_fields if key not in TABLES}
    for table, kind in TABLES.items():
        members = FAMILIES[table].members.values() if table in FAMILIES else (kind,)
        for key in dict.fromkeys(key for member in members for key in member.model_fields):
            whole = f"{table}.{key}"
            found[whole] = (whole,)
            found[key] = (*found.get(key, ()), whole)
    return found | {table: (f"{table}.{family.key}",) for table, family in FAMILIES.items()}


def _number(text: str, units: Mapping[str, float]) -> float | None:
    scale = units.get(text[-1:], 0.0 if units else 1.0)
    try:
        found = float(text[:-1] if units and scale else text) * (scale or math.nan)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _example(name: str) -> str:
    known = {"state": "state:failed", "health": "health:warning", "age": "age<2d", "lr": "lr<1e-3"}
    return known.get(name, f"{name}:word" if name in {*TEXTS, *CHOICES} else f"{name}>0.5")


def _near(name: str, names: Iterable[str]) -> str:
    """The nearest name; of two that are as near a metric, which filters are mostly about."""
    rated = ((difflib.SequenceMatcher(None, name, other).ratio(), bool(find(other).tasks), other) for other in names)
    share, _, close = max(rated)
    return f'; did you mean "{close}"?' if share >= 0.5 else ""
