"""What the Decathlon and nnU-Net share: a ``dataset.json`` with names and labels."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.data.channels import names_in, whole_number
from engine.data.sources.index import LONGEST_NAME, read_text
from engine.errors import DataError, Problem
from engine.recipe.names import folded

FILE = "dataset.json"
FOLDS = "splits_final.json"
IGNORE = "ignore"
_MOST = 1_000_000


def read_json(folder: Path) -> dict[str, Any]:
    """The object in ``dataset.json``.

    Raises:
        DataError: it is not there, or no JSON object.
    """
    value = _parsed(folder, FILE)
    if not isinstance(value, dict):
        raise DataError(f"{folder / FILE} holds no JSON object")
    return value


def read_folds(folder: Path) -> dict[str, int]:
    """Case -> its validation fold, by nnU-Net's ``splits_final.json``; nothing where there is none.

    Raises:
        DataError: it is no list of folds, or a case is held out in two of them.
    """
    if not (folder / FOLDS).exists():
        return {}
    value, found = _parsed(folder, FOLDS), dict[str, int]()
    for fold, part in enumerate(value if isinstance(value, list) else [None]):
        names = part.get("val") if isinstance(part, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"{folder / FOLDS} is no list of folds", '[{"train": ["a", ...], "val": ["b", ...]}, ...]')
        if twice := next((name for name in names if name in found), ""):
            raise DataError(
                f'{folder / FOLDS}: {twice} is in "val" of the folds {found[twice]} and {fold}', "of one alone"
            )
        found |= dict.fromkeys(names, fold)
    return found


def _parsed(folder: Path, name: str) -> Any:
    text = read_text(folder / name, folder)
    if text.count("[") + text.count("{") > _MOST:
        raise DataError(f"{folder / name} holds more than {_MOST} lists and objects")
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{folder / name} is not valid JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; a key given twice would silently lose its first value: a class, for instance."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f'the key "{twice[:80]}" is there twice')
    return found


def labels_of(value: Any, problems: list[Problem], named: Sequence[str] | None = None) -> dict[int, str]:
    """Mask value -> name of the foreground classes, from ``{"1": "name"}`` or ``{"name": 1}``, also as 1.0 or "1".

    Nothing where there are none and ``data.classes`` has ``named`` them. That of "ignore" is no class's: `ignored_by`.
    Of nnU-Net's regions, see `_of_regions`.
    """
    if value is None and named:
        return {}
    if not isinstance(value, dict) or not value:
        what = "no labels, and no data.classes in the recipe" if value is None else f"found {value!r}"
        problems.append(Problem(FILE, what, 'a table such as {"1": "liver"}', "labels"))
        return {}
    if any(isinstance(item, list) for item in value.values()):
        return _of_regions(value, problems)
    said: dict[int, str] = {}
    for key, item in value.items():
        by_name = isinstance(item, int | float) or whole_number(key) is None
        number, name = (whole_number(item), str(key)) if by_name else (whole_number(key), str(item))
        if number is None or not 0 <= number <= 65535:
            problems.append(Problem(FILE, f"found {key!r}: {item!r}", "one mask value a class", "labels"))
        elif not number and folded(name) == IGNORE:
            problems.append(Problem(FILE, "the background as what is ignored", "a value of its own", "labels"))
        elif number in said:
            problems.append(Problem(FILE, f"mask value {number} twice", "one name a value", "labels"))
        elif item is None or not folded(name) or len(name) > LONGEST_NAME:
            allowed = f"a name of 1 to {LONGEST_NAME} characters"
            problems.append(Problem(FILE, f"mask value {number} without a name of use", allowed, "labels"))
        elif folded(name) in map(folded, said.values()):
            problems.append(Problem(FILE, f'the name "{name}" twice', "a name of its own for every value", "labels"))
        else:
            said[number] = name
    said = {number: name for number, name in said.items() if number and folded(name) != IGNORE}
    if not said and not problems:
        problems.append(Problem(FILE, f"found {value!r}", "at least one class beside the background", "labels"))
    return said


def ignored_by(value: Any) -> int | None:
    """The mask value that labels, as in `labels_of`, give to voxels whose truth is not known: nnU-Net's "ignore"."""
    pairs = ((key, item) for key, item in value.items()) if isinstance(value, dict) else ()
    numbers = (
        whole_number(pair[folded(str(pair[0])) == IGNORE]) for pair in pairs if IGNORE in map(folded, map(str, pair))
    )
    return next((number for number in numbers if number), None)


def _of_regions(value: dict[str, Any], problems: list[Problem]) -> dict[int, str]:
    """Mask value -> name, where labels are regions of several values: ``{"whole": [1, 2], "core": 2}``.

    A value is called by the smallest region that has it: ``core``, and of what is left of it, ``rest of whole``. Each
    value must lie in regions of its own, or nothing tells it from another.
    """
    sets = _value_sets(value)
    numbers = {number for numbers in sets.values() for number in numbers}
    least = {v: min((r for r in sets if v in sets[r]), key=lambda r: len(sets[r])) for v in numbers}
    said = {v: name if len(sets[name]) == 1 else f"rest of {name}" for v, name in sorted(least.items())}
    named = {folded(name) for name in said.values()}
    odd = not numbers or not all(sets.values()) or not all(0 < v <= 65535 for v in numbers)
    odd = odd or ignored_by(value) in numbers
    if odd or len(named) < len(said) or max(map(len, said.values())) > LONGEST_NAME:
        what = f"regions by which mask values cannot be told apart: {value!r}"
        allowed = 'a name for each mask value, as {"oedema": 1, "core": 2}; a recipe unites them in [evaluate.regions]'
        problems.append(Problem(FILE, what, allowed, "labels"))
        return {}
    return said


def _value_sets(value: Any) -> dict[str, frozenset[int]]:
    """Label -> its mask values, without the background and what is ignored; -1 for what is none."""
    items = value.items() if isinstance(value, dict) else ()
    listed = {str(name): item if isinstance(item, list) else [item] for name, item in items}
    sets = {name: frozenset(-1 if (v := whole_number(i)) is None else v for i in item) for name, item in listed.items()}
    return {name: values for name, values in sets.items() if values != {0} and folded(name) != IGNORE}


def regions_of(folder: Path) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The regions of several mask values that the ``dataset.json`` of ``folder`` has for labels, and these values."""
    sets = _value_sets(said(folder).get("labels"))
    return tuple((name, tuple(sorted(values))) for name, values in sets.items() if len(values) > 1)


def channels_of(value: Any) -> int:
    """Number of channels in ``modality`` or ``channel_names``; 0 where the table does not say."""
    return len(value) if isinstance(value, dict | list) else 0


def channel_names(folder: Path) -> tuple[str, ...]:
    """What the ``dataset.json`` of ``folder`` calls the channels, in their order.

    Nothing where there is none, where it has no names, or where a name stands for two channels.
    """
    return names_in(said(folder))


def said(folder: Path) -> dict[str, Any]:
    """The object in the ``dataset.json`` of ``folder``; an empty one where there is none that can be read."""
    try:
        return read_json(folder) if (folder / FILE).exists() else {}
    except DataError:
        return {}
