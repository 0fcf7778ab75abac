"""The names of channels, by a ``dataset.json`` that lies with the images, and the order that they give."""

from collections.abc import Sequence
from typing import Any

from engine.recipe.names import folded


def names_in(table: Any) -> tuple[str, ...]:
    """What the content of a ``dataset.json`` calls the channels, in their order.

    Nothing where it has no names, or where a name stands for two channels.
    """
    if not isinstance(table, dict):
        return ()
    found = table.get("channel_names") or table.get("modality")
    if isinstance(found, dict):
        places = {whole_number(key): str(name) for key, name in found.items()}
        found = [places.get(place) for place in range(len(found))]
    names = tuple(str(name) for name in found if name) if isinstance(found, list) else ()
    return names if isinstance(found, list) and len({folded(name) for name in names}) == len(found) else ()


def order_of(found: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Which of the channels ``found`` stands first, second, ... in ``wanted``; nothing where they stay as they are.

    None: the two have other names, and nothing tells their order.
    """
    own, known = [folded(name) for name in found], [folded(name) for name in wanted]
    if own == known or not own or not known or len(own) == len(known) == 1:  # MR, MRI and T1 may be the same
        return ()
    return tuple(own.index(name) for name in known) if {*own} == {*known} else None


def whole_number(value: Any) -> int | None:
    """The whole number that ``value`` is or spells, 1.0 and "1" too."""
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number is not None and number.is_integer() else None
