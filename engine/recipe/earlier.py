"""What recipes of runs meant when they were written: the number of the newest format, and the keys that came since.

The recipe of a run has every key that did something, so a default that changes changes no run. A key that came later
is not in it: where its default is not what was done before, `SINCE` has what was. The first ones had keys that did
nothing too: where such a key has a meaning now, `IDLE` names it.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from engine.errors import Problem, RecipeError
from engine.recipe.base import Values

FORMAT = 2  # of the recipes of runs; a higher one is a newer version's


class Since(NamedTuple):
    """A key whose default is not what was done before there was the key."""

    key: str  # its table and its name
    format: int  # the first of which the default is what was done
    before: Any  # what was done before, as a value of the key


SINCE = (
    Since("evaluate.connectivity", 1, 6),
    Since("data.smooth", 1, False),
)


class Idle(NamedTuple):
    """A key that stood in recipes of runs and did nothing, and does something now."""

    key: str  # its table and its name
    format: int  # the first in which it does something
    names: tuple[str, ...]  # of the members of its table that have it


IDLE = (Idle("model.norm", 1, ("resnet18", "resnet34", "resnet50", "resnet101")),)


def format_of(keys: Collection[str]) -> int:
    """The format of a run's recipe that does not say it, as the first ones, by the keys (``table.name``) in it."""
    return 1 if "data.duplicates" in keys else 0


def of_newer(values: Mapping[str, Any]) -> bool:
    """Whether a newer version wrote the recipe of raw ``values``."""
    return type(said := values.get("format")) is int and said > FORMAT


def as_then(values: Values, written: int, keys: Collection[str]) -> None:
    """Change raw ``values`` of the format ``written`` so that they mean now what they meant then.

    Args:
        keys: those that the run has, and that were not set since.
    """
    tables = {name: table for name, table in values.items() if isinstance(table, dict)}
    for idle in IDLE:
        table, _, name = idle.key.partition(".")
        if written < idle.format and idle.key in keys and tables.get(table, {}).get("name") in idle.names:
            tables[table].pop(name, None)
    for key, since, before in SINCE:
        table, _, name = key.partition(".")
        if written < since and table in tables:
            tables[table].setdefault(name, before)


def refuse_newer(written: int, file: str, place: str) -> None:
    """Refuse a recipe of a format that is not known here: its keys may mean something else, or be unknown.

    Raises:
        RecipeError: with what can be done.
    """
    if written > FORMAT:
        problem = Problem(place, f"found {written}", f"up to {FORMAT}", "format")
        raise RecipeError(
            f"{file} was written by a newer version of medtui than this one:",
            "update medtui here, or use the version that made it; what was measured can be looked at all the same",
            (problem,),
        )
