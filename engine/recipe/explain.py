"""Validation errors in the words of a person: what was found, what is allowed, the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from pydantic import ValidationError

from engine.errors import Problem, printable
from engine.recipe.model import Recipe

_SHOWN = 60


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The legal name that was probably meant, or None."""
    lowered = {known.lower().replace("-", "_"): known for known in names}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def explain(error: ValidationError, place: Callable[[str], str]) -> list[Problem]:
    """One `Problem` a key; the branches of a union are one problem, not several."""
    problems: dict[tuple[str, str], Problem] = {}
    for item in error.errors(include_url=False, include_context=False):
        table, name = _key(item["loc"])
        if (table, name) not in problems:
            problems[table, name] = _problem(item, table, name, place)
    return list(problems.values())


def bad_keys(error: ValidationError) -> set[tuple[str, str]]:
    """(table, key) of all that is wrong; the table of a key on top, and of a table, is ""."""
    return {_key(item["loc"]) for item in error.errors(include_url=False, include_context=False)}


def _problem(item: Any, table: str, name: str, place: Callable[[str], str]) -> Problem:
    key = f"{table}.{name}" if table else name
    if item["type"] == "extra_forbidden":
        legal = [*_fields(table), *([] if table else ["extends"])]
        close = nearest(name, legal) or _elsewhere(name)
        meant = f'; did you mean "{close}"?' if close else ""
        return Problem(place(key), f"there is no such key{meant}", ", ".join(legal), key)
    if item["type"] == "missing":
        return Problem(place(key), "is missing", allowed(key), key)
    found = item["input"]
    meant = ""
    if isinstance(found, str):
        close = nearest(found, _choices(_schema(key)))
        meant = f'; did you mean "{close}"?' if close else ""
    return Problem(place(key), f"found {show(found)}{meant}", allowed(key), key)


def _key(location: tuple[int | str, ...]) -> tuple[str, str]:
    """("train", "epochs"), without the positions in arrays and the names of union branches."""
    top = str(location[0]) if location else ""
    if len(location) > 1 and isinstance(location[1], str) and _fields(top):
        return top, location[1]
    return "", top


def show(value: Any) -> str:
    """``value`` as a recipe would say it, cut short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = printable(value, keep="")
        return f'"{text[:_SHOWN]}…"' if len(text) > _SHOWN else f'"{text}"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, tuple | list):
        text = "[" + ", ".join(show(item) for item in value[:_SHOWN]) + "]"
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return "a number of more than 60 digits"  # Python refuses to write some of them
    return str(value)[:_SHOWN]


@cache
def _whole() -> dict[str, Any]:
    return Recipe.model_json_schema()


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return _whole()["$defs"][reference.rsplit("/", 1)[1]] if reference else schema


def _fields(table: str) -> dict[str, Any]:
    """The keys of a table ("" for the top), or nothing where it is none."""
    if not table:
        return dict(_whole()["properties"])
    schema = _whole()["properties"].get(table)
    return dict(_resolve(schema).get("properties", {})) if schema else {}


def _schema(key: str) -> dict[str, Any]:
    table, _, name = key.rpartition(".")
    return _resolve(_fields(table).get(name, {}))


def _elsewhere(name: str) -> str | None:
    """The full name of a key that stands in another table under just this name."""
    owners = [table for table in _fields("") if name in _fields(table)]
    return f"{owners[0]}.{name}" if len(owners) == 1 else None


def _choices(schema: dict[str, Any]) -> list[str]:
    branches = [schema, *(_resolve(branch) for branch in schema.get("anyOf", []))]
    listed = [
        choice for branch in branches for choice in branch.get("enum", [branch["const"]] if "const" in branch else [])
    ]
    return [choice for choice in listed if isinstance(choice, str)]


def allowed(key: str) -> str:
    """In words, what ``key`` may be."""
    return describe(_schema(key))


def describe(schema: dict[str, Any]) -> str:
    """In words, what a JSON schema allows."""
    schema = _resolve(schema)
    if "anyOf" in schema:
        parts = [describe(branch) for branch in schema["anyOf"] if branch.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return "one of " + ", ".join(f'"{choice}"' for choice in schema["enum"])
    return _describe_type(schema)


def _describe_type(schema: dict[str, Any]) -> str:
    match schema.get("type"):
        case "boolean":
            text = "true or false"
        case "integer":
            text = "a whole number" + _range(schema)
        case "number":
            text = "a number" + _range(schema)
        case "array":
            text = _describe_array(schema)
        case "object":
            text = "a table [" + (schema.get("title", "").removesuffix("Table").lower() or "...") + "]"
        case "string" if "pattern" in schema:
            text = schema.get("description", "a string").splitlines()[0]
        case _:
            text = "a string in quotes"
    return text


def _describe_array(schema: dict[str, Any]) -> str:
    items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    low, high = schema.get("minItems"), schema.get("maxItems")
    count = (
        "" if low is None and high is None else f"{low or 0} to {high}" if low != high and high else f"{low or high}"
    )
    return f"an array [...] of {count + ' items, each ' if count else ''}{describe(items)}"


def _range(schema: dict[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    text = ""
    if low is not None:
        text += f" {'above' if 'exclusiveMinimum' in schema else 'from'} {_plain(low)}"
    if high is not None:
        text += f" {'to below' if 'exclusiveMaximum' in schema else 'to'} {_plain(high)}"
    return text


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"
