"""Validation errors in the words of a person: what was found, what is allowed, the nearest name."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from pydantic import ValidationError

from engine.errors import Problem, printable
from engine.recipe.base import Schema, Table
from engine.recipe.model import FAMILIES, TABLES, Recipe

_SHOWN = 60


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The legal name that was probably meant, or None."""
    lowered, name = {known.lower().replace("-", "_"): known for known in names}, name.lower().replace("-", "_")
    close = difflib.get_close_matches(name, lowered, n=1, cutoff=0.6)
    close = close or [known for known in lowered if sorted(known) == sorted(name)]  # "rl" has half of "lr" only
    return lowered[close[0]] if close else None


def explain(error: ValidationError, place: Callable[[str], str]) -> list[Problem]:
    """One `Problem` a key; the branches of a union are one problem, not several."""
    problems: dict[tuple[str, str], Problem] = {}
    for item in error.errors(include_url=False, include_context=False):
        table, name, kind = _key(item)
        for problem in [_problem(item, table, name, kind, place), *_strangers(item, place)]:
            problems.setdefault((table, problem.key), problem)
    return list(problems.values())


def bad_keys(error: ValidationError) -> set[tuple[str, str]]:
    """(table, key) of all that is wrong; the table of a key on top, and of a table, is ""."""
    return {_key(item)[:2] for item in error.errors(include_url=False, include_context=False)}


def _problem(item: Any, table: str, name: str, kind: type[Table], place: Callable[[str], str]) -> Problem:
    key = f"{table}.{name}" if table else name
    if item["type"] == "extra_forbidden":
        return _unknown(key, name, kind, place)
    found = item["input"]
    if item["type"] in _NO_MEMBER:
        found = found.get(name, _MISSING)
        choices = list(FAMILIES[table].members)
        legal = "one of " + ", ".join(f'"{choice}"' for choice in choices)
    else:
        schema = _fields(kind).get(name, {})
        choices = _choices(schema)
        legal = f"a table [{name}]" if kind is Recipe and name in TABLES else describe(schema)
    inside = isinstance(item["loc"][-1], int)  # an array that is too short: what it should have more is "missing"
    if found is _MISSING or (item["type"] == "missing" and not inside):
        return Problem(place(key), "is missing", legal, key)
    close = nearest(found, choices) if isinstance(found, str) else None
    meant = f'; did you mean "{close}"?' if close else ""
    return Problem(place(key), f"found {show(found)}{meant}", legal, key)


_MISSING = object()
_NO_MEMBER = frozenset({"union_tag_invalid", "union_tag_not_found"})


def _unknown(key: str, name: str, kind: type[Table], place: Callable[[str], str]) -> Problem:
    legal = [*_fields(kind), *(["extends"] if kind is Recipe else [])]
    close = nearest(name, legal) or full_name(name)
    place_of_it = " on top of the file" if kind is not Recipe and close in Recipe.model_fields else ""
    meant = f'; did you mean "{close}"{place_of_it}?' if close else ""
    return Problem(place(key), f"there is no such key{meant}", ", ".join(legal), key)


def _strangers(item: Any, place: Callable[[str], str]) -> Iterator[Problem]:
    """Keys that no member of a family has, where its name says no member."""
    if item["type"] in _NO_MEMBER:
        table = str(item["loc"][0])
        family = FAMILIES[table]
        for name in item["input"]:
            if name != family.key and not family.owners(name):
                yield _unknown(f"{table}.{name}", name, family, place)


def _key(item: Any) -> tuple[str, str, type[Table]]:
    """("train", "epochs") and the class that has the key, without positions in arrays and branches of unions."""
    top, *rest = item["loc"] or ("",)
    kind: type[Table] | None = TABLES.get(str(top))
    if item["type"] in _NO_MEMBER:
        return str(top), FAMILIES[str(top)].key, FAMILIES[str(top)]
    if top in FAMILIES:
        kind, rest = FAMILIES[str(top)].members.get(str(rest[0]) if rest else ""), rest[1:]
    if kind is not None and rest and isinstance(rest[0], str):
        return str(top), rest[0], kind
    return "", str(top), Recipe


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
def _fields(kind: type[Table]) -> Schema:
    return dict(kind.model_json_schema()["properties"])


def path_keys(kind: type[Table]) -> list[str]:
    """The keys of a table that hold a path."""
    return [
        name
        for name, schema in _fields(kind).items()
        if any(part.get("format") == "path" for part in [schema, *schema.get("anyOf", [])])
    ]


_ELSEWHERE = {
    "learning_rate": "optimizer.lr",
    "max_epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "patience": "train.early_stop",
    "early_stopping": "train.early_stop",
    "num_workers": "runtime.workers",
    "gpus": "runtime.device",
    "patch_size": "data.size",
    "image_size": "data.size",
    "path": "data.root",
    "ignore_index": "data.ignore",
    "ignore_label": "data.ignore",
    "num_classes": "data.classes",
    "tta": "evaluate.flips",
    "features": "model.channels",
    "filters": "model.channels",
}
"""What other programs call a key."""


def full_name(name: str) -> str | None:
    """The full name of a key that stands elsewhere under just this name, or under another program's name for it."""
    if name in Recipe.model_fields and name not in TABLES:
        return name
    owners = [
        table
        for table, kind in TABLES.items()
        if name in kind.model_fields or (table in FAMILIES and FAMILIES[table].owners(name))
    ]
    return f"{owners[0]}.{name}" if len(owners) == 1 else _ELSEWHERE.get(name)


def _choices(schema: Schema) -> list[str]:
    listed: list[Any] = []
    for branch in (schema, *schema.get("anyOf", []), schema.get("propertyNames", {})):
        listed += branch.get("enum", [branch.get("const")])
    return [choice for choice in listed if isinstance(choice, str)]


def describe(schema: Schema) -> str:
    """In words, what a JSON schema allows."""
    if "anyOf" in schema:
        known = {"description": schema.get("description", "a string")}
        parts = [describe({**known, **branch}) for branch in schema["anyOf"] if branch.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return "one of " + ", ".join(map(show, schema["enum"]))
    return _describe_type(schema)


def _describe_type(schema: Schema) -> str:
    match schema.get("type"):
        case "boolean":
            text = "true or false"
        case "integer":
            text = "a whole number" + _range(schema)
        case "number":
            text = "a number" + _range(schema)
        case "array":
            text = _describe_array(schema)
        case "object" if "propertyNames" in schema:
            each = describe(schema["additionalProperties"])
            text = f"a table {{name = {each}}}, each name {describe(schema['propertyNames'])}"
        case "string" if "pattern" in schema:
            text = " ".join(schema.get("description", "a string").split()).partition("; ")[0]
        case _:
            text = "a string in quotes"
    return text


def _describe_array(schema: Schema) -> str:
    items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    low, high = schema.get("minItems"), schema.get("maxItems")
    count = (
        "" if low is None and high is None else f"{low or 0} to {high}" if low != high and high else f"{low or high}"
    )
    return f"an array [...] of {count + ' items, each ' if count else ''}{describe(items)}"


def _range(schema: Schema) -> str:
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
