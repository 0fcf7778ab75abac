"""Events as lines of ``events.jsonl`` and back; what each kind holds is in :mod:`engine.events`."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import msgspec

from engine.errors import well_formed
from engine.events import AnyEvent, Event, portable


def _foreign(value: Any) -> Any:
    """Scalars of NumPy and torch as Python's own; msgspec calls this for what it does not know."""
    if hasattr(value, "item"):
        return portable(value.item())
    raise TypeError(f"an event cannot hold a {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_foreign)
_decoder = msgspec.json.Decoder(AnyEvent)


def encode(event: Event) -> bytes:
    """One line of the stream, with its newline.

    Text that is not Unicode (file names of old disks) is written with its odd bytes spelt out.
    """
    changes = {name: clean(getattr(event, name)) for name, clean in _cleaners(type(event))}
    event = msgspec.structs.replace(event, **changes) if changes else event
    try:
        return _encoder.encode(event) + b"\n"
    except UnicodeEncodeError:
        texts = {name: _spelt(getattr(event, name)) for name in event.__struct_fields__}
        return _encoder.encode(msgspec.structs.replace(event, **texts)) + b"\n"


def decode(line: bytes) -> AnyEvent | None:
    """The event of one line; ``None`` for what is damaged or not known to this version."""
    try:
        event: AnyEvent = _decoder.decode(line)
        return event
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Numbered(msgspec.Struct, gc=False):
    seq: int = 0


_numbered = msgspec.json.Decoder(_Numbered)


def sequence_number(line: bytes) -> int:
    """``seq`` of a line of any kind, also of kinds of a later version; 0 for what is damaged."""
    try:
        return _numbered.decode(line).seq
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def _spelt(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_spelt(key): _spelt(item) for key, item in value.items()}
    return [_spelt(item) for item in value] if isinstance(value, list | tuple) else value


def _finite(value: float | None, otherwise: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else otherwise


@cache
def _cleaners(kind: type[Event]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """How each field that may hold a non-finite float is made fit for JSON.

    A `Number` keeps its name. A plain float has no place for one: it becomes 0, or None where it may.
    """
    cleaners: list[tuple[str, Callable[[Any], Any]]] = []
    for part in msgspec.structs.fields(kind):
        if part.name == "time_s" or part.type in (str, int, bool):
            continue
        plain = {float: partial(_finite, otherwise=0.0), float | None: partial(_finite, otherwise=None)}
        cleaners.append((part.name, plain.get(part.type, portable)))
    return tuple(cleaners)
