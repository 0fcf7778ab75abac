"""Metrics as aligned text: a line a class under a line for all. No Textual."""

from collections.abc import Mapping

from engine.errors import printable
from engine.events import Metrics, Number, Result, Validation, number
from engine.measures import is_count, ordered, spoken
from tui.text import UNION, figure, shorten

_LABEL_WIDTH = 28
_GAP = "  "


def of_labels(event: Validation | Result) -> dict[str, Metrics]:
    """The rows of an event below that of all cases: its classes, and its regions, told apart."""
    return event.per_class | {f"{UNION} {name}": metrics for name, metrics in event.per_region.items()}


def metric_table(split: str, metrics: Metrics, per_class: Mapping[str, Metrics], unit: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters: each metric a column, all cases and each class or region a row.

    Columns that do not fit go to a block of their own below. Distances bear their unit.
    """
    names = ordered({*metrics, *(name for row in per_class.values() for name in row)})
    if not names:
        return [f"{split}: nothing was measured"]
    rows: list[tuple[str, Metrics]] = [(split, metrics), *per_class.items()]
    labels = [shorten(printable(label, keep=""), _LABEL_WIDTH) for label, _ in rows]
    label_width = max(len(label) for label in labels)
    lines: list[str] = []
    for block in _blocks(names, unit, width - label_width):
        heads = [_head(name, unit) for name in block]
        lines.append(" " * label_width + "".join(_GAP + head for head in heads))
        for label, (_, values) in zip(labels, rows, strict=True):
            if not any(name in values for name in block):
                continue
            cells = (_cell(values, name).rjust(len(head)) for name, head in zip(block, heads, strict=True))
            lines.append((label.ljust(label_width) + "".join(_GAP + cell for cell in cells)).rstrip())
    return lines


def _head(name: str, unit: str) -> str:
    return printable(spoken(name, unit), keep="").rjust(7)


def _blocks(names: list[str], unit: str, width: int) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    used = 0
    for name in names:
        need = len(_GAP) + len(_head(name, unit))
        if blocks[-1] and used + need > width:
            blocks.append([])
            used = 0
        blocks[-1].append(name)
        used += need
    return blocks


def _cell(values: Metrics, name: str) -> str:
    if name not in values:
        return ""
    value: Number = values[name]
    return f"{number(value):.0f}" if is_count(name) else figure(number(value))
