"""What a report is made of: plain frozen values, without a word of HTML or Markdown in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engine.errors import printable

Level = Literal["error", "warning", "note", "answer"]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a reader must know before any number."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what stands behind them."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Card:
    """One large number: what it is, its value, and its interval."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Cards:
    """The numbers that are read first."""

    cards: Sequence[Card]
    caption: str = ""  # of which cases they are, and how these were measured


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with small print: a value and its interval."""

    text: str
    detail: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table. The first column is text, the others are numbers and stand to the right."""

    columns: Sequence[str]  # heads
    rows: Sequence[Sequence[str | Cell]]  # cells, as many as there are heads
    caption: str = ""  # a sentence below it
    rule_before: frozenset[int] = frozenset()  # indices of rows with a line above (means below classes)
    left: frozenset[int] = frozenset()  # indices of further columns of text
    small: bool = False
    wrap: bool = False  # whether cells may take several lines: sentences, not numbers


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure on disk, embedded in HTML and linked in Markdown."""

    path: Path  # PNG, GIF or MP4
    place: str  # the same relative to the report, for Markdown
    title: str
    caption: str = ""
    vector: Path | None = None  # SVG to show in place of the PNG, or None
    # ``narrow`` for half the width of the page, ``tall`` for what may fill a printed page
    shape: Literal["", "narrow", "tall"] = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]
    new_page: bool = False


Block: TypeAlias = "Text | Alert | Facts | Cards | Table | Picture | Code | Section"


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str = ""
    alerts: Sequence[Alert] = ()
    blocks: Sequence[Block] = field(default_factory=tuple)


class Renderer:
    """Blocks as text: a method for each kind of block, called by its name (of a `Text`: ``paragraph``)."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        """``clean`` takes private names out of every text before it is escaped."""
        self._private = clean

    def clean(self, value: str) -> str:
        """``value`` without private names, and without what would move the cursor of a terminal."""
        return printable(self._private(value), keep="\n\t")

    def block(self, block: Block, level: int) -> str:
        """One block; headings of its sections begin at ``level``."""
        kind = "paragraph" if isinstance(block, Text) else type(block).__name__.lower()
        method: Any = getattr(self, kind)
        return str(method(block, level) if isinstance(block, Section) else method(block))
