"""Keys that would do nothing: with another name in their table, or beside other values of other keys."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from engine.errors import Problem, RecipeError
from engine.recipe.base import Table, When, conditions
from engine.recipe.explain import show
from engine.recipe.model import FAMILIES, TABLES, Recipe, table_class


class Dead(NamedTuple):
    """A key that is given and does nothing."""

    table: str  # its table
    key: str  # its name there
    deciders: tuple[str, ...]  # the keys that take its meaning
    found: str  # why it has none
    allowed: str  # what would give it one


def dead_keys(values: Mapping[str, Any]) -> Iterator[Dead]:
    """Every key in raw ``values`` of a recipe that does nothing beside the others."""

    def lookup(key: str) -> Any:
        table, _, name = key.rpartition(".")
        found = values.get(table) if table else values
        found = found if isinstance(found, Mapping) else {}
        if name in found or not table:
            return found.get(name)
        kind = table_class(table, values)
        return kind.model_fields[name].get_default() if kind and name in kind.model_fields else None

    for table, given in values.items():
        kind = table_class(table, values) if table in TABLES and isinstance(given, dict) else None
        if kind is None:
            continue
        for key in given:
            yield from _judged(table, key, kind, lookup, values.get("task"))


def _judged(table: str, key: str, kind: type[Table], lookup: Callable[[str], Any], task: object) -> Iterator[Dead]:
    if key in kind.model_fields:
        failed = [condition for condition in conditions(kind, key) if condition.holds(lookup) is False]
        if failed:
            deciders = tuple(decider for condition in failed for decider in condition.keys)
            beside = _beside(dict.fromkeys(deciders), lookup)
            words = ", and ".join(condition.words for condition in failed)
            found = f"has no meaning with {beside}" if beside else "has no meaning here"
            yield Dead(table, key, deciders, found, f"with {words}; else leave it out")
        return
    family = FAMILIES.get(table)
    owners = family.owners(key) if family else []
    if family and owners:
        decider = family.decider(table)
        fitting = [name for name in owners if task in family.members[name].tasks] or owners
        names = ", ".join(fitting)
        found = f"has no meaning with {lookup(decider)}; {names} {'has' if len(fitting) == 1 else 'have'} it"
        yield Dead(table, key, (decider,), found, f"with {decider} = {names}; else leave it out")


def _beside(keys: Iterable[str], lookup: Callable[[str], Any]) -> str:
    values = {key: lookup(key) for key in keys}
    given = [f"{key} = {show(value)}" for key, value in values.items() if value is not None]
    return ", ".join(given or [f"no {key}" for key in values])


def _held(
    recipe: Recipe, table: str, key: str, facts: Mapping[str, Any] | None = None
) -> list[tuple[When, bool | None]]:
    def lookup(name: str) -> Any:
        if facts and name in facts:
            return facts[name]
        place, _, own = name.rpartition(".")
        return getattr(getattr(recipe, place) if place else recipe, own, None)

    return [(condition, condition.holds(lookup)) for condition in conditions(type(getattr(recipe, table)), key)]


def applies(recipe: Recipe, table: str, key: str, facts: Mapping[str, Any] | None = None) -> bool | None:
    """Whether a key of a recipe does something; None where only the data can tell.

    Args:
        facts: what the data decided, in place of what the recipe says: ``{"model.output": "softmax"}``.
    """
    held = [held for _, held in _held(recipe, table, key, facts)]
    return False if False in held else None if None in held else True


def _set(table: Table) -> Iterator[str]:
    """The keys that change something: one at its default claims nothing, and recipes of run folders have them all."""
    fields = type(table).model_fields
    return (key for key in table.model_fields_set if getattr(table, key) != fields[key].get_default())


def refuse_dead(recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """Refuse what was given in a recipe and, as ``facts`` of the data now show, does nothing.

    Raises:
        RecipeError: with all of it.
    """
    problems = []
    given = [(table, key) for table in TABLES for key in sorted(_set(getattr(recipe, table)))]
    for table, key in given:
        failed = [condition for condition, held in _held(recipe, table, key, facts) if held is False]
        if failed and applies(recipe, table, key) is None:
            words = ", and ".join(condition.words for condition in failed)
            keys = [name for condition in failed for name in condition.keys if name == "model.output"]
            beside = ", ".join(f"{name} = {facts[name]}" for name in keys) or "this data"
            problems.append(
                Problem("recipe", f"has no meaning with {beside}", f"with {words}; else leave it out", f"{table}.{key}")
            )
    if problems:
        raise RecipeError("the recipe cannot be used with this data:", problems=tuple(problems))
