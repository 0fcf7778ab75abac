"""What ``metrics.json`` and ``manifest.json`` say, as far as it has the shape that it should have.

Both are files that anyone can have edited or damaged. An entry of another type is left out as if it were
not there, so that whoever reads on needs no doubts, and one bad entry costs no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Number = int | float | None
_FACTS = dict[str, str | int | float | bool | None]
_MANIFEST: Mapping[str, Any] = {
    "medtui": str,
    "python": str,
    "versions": dict[str, str | None],
    "git_commit": str,
    "hardware": _FACTS,
    "command": list[str],
    "seed": int,
    "data": dict[str, Any],
    "epochs_planned": int,
    "epochs_done": int,
    "sessions": int,
    "started_s": int | float,
    "ended_s": int | float,
    "duration_s": int | float,
    "model": _FACTS,
    "checkpoint": _FACTS,
    "device": str,
    "data_root": str,
    "early_stopped": bool,
    "stopped": bool,
    "measured": bool,
}
_DATA: Mapping[str, Any] = {
    "name": str,
    "source": str,
    "root": str,
    "fingerprint": str,
    "phantom": bool,
    "published_split": bool,
    "unit": str,
    "classes": list[str],
    "label_values": list[int],
    "channels": int,
    "counts": dict[str, dict[str, int]],
    "groups": int,
    "notes": list[str],
}
_SPLIT: Mapping[str, Any] = {
    "n": int,
    "missed": int,
    "protocol": str,
    "unit": str,
    "confusion": list[list[int]],
    "ci95": dict[str, Any],
    "per_class": dict[str, Any],
}


def checked_manifest(content: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``manifest.json`` that can be used; unknown ones stay."""
    good = _good(content, _MANIFEST)
    if "data" in good:
        good["data"] = _good(good["data"], _DATA)
    return good


def checked_metrics(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The splits of ``metrics.json``: plain numbers, intervals of two ends, a mapping of numbers a class."""
    return {split: _checked_split(part) for split, part in content.items() if isinstance(part, dict)}


def _checked_split(part: Mapping[str, Any]) -> dict[str, Any]:
    good = _good(part, _SPLIT, others=Number)
    if "ci95" in good:
        good["ci95"] = _good(good["ci95"], {}, others=tuple[Number, Number])
    if "per_class" in good:
        classes = good["per_class"].items()
        good["per_class"] = {label: _good(row, {}, others=Number) for label, row in classes if isinstance(row, dict)}
    return good


def _good(content: Mapping[str, Any], kinds: Mapping[str, Any], others: Any = Any) -> dict[str, Any]:
    """The entries of ``content`` that are of their kind; ``others`` is that of those not in ``kinds``."""
    good = {}
    for name, value in content.items():
        try:
            msgspec.convert(value, kinds.get(name, others))
        except msgspec.ValidationError:
            continue
        good[name] = value
    return good
