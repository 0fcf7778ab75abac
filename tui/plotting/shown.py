"""What the terminal shows, cell by cell, so that an update sends only cells that differ from it.

Textual sends a changed span from the left edge of its widget on, and the whole screen after every change of layout,
once more for each widget that has to follow. Over a slow line that is most of what a dashboard sends.
"""

from collections.abc import Iterable

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate  # Textual has no public name for them
from textual.strip import Strip

from tui.plotting.cells import PLACEHOLDER, Cell, cells, differing, joined

_Piece = tuple[int, int, list[Cell]]  # a row, the column that it begins at, and what stands there
_Part = tuple[int, int, Strip, int, int | None]  # a row and a column, and of what strip, from where to where


class _Written(CompositorUpdate):
    """Pieces of rows, each sent to its place."""

    def __init__(self, pieces: Iterable[_Piece]) -> None:
        self.pieces = pieces

    def render_segments(self, console: Console) -> str:
        """Give the sequence of characters for the terminal."""
        return "".join(
            Control.move_to(column, row).segment.text + joined(piece).render(console)
            for row, column, piece in self.pieces
        )


class Shown:
    """The cells that the terminal shows, as far as they are known."""

    def __init__(self) -> None:
        self._rows: list[list[Cell]] = []  # empty: nothing is known of the terminal

    def forget(self) -> None:
        """Something else may have written to the terminal, or it has another size: send all again."""
        self._rows = []

    def lessened(self, update: CompositorUpdate) -> CompositorUpdate:
        """The update without the cells that stand there already; as it is where a picture is part of it."""
        if isinstance(update, LayoutUpdate):
            parts: list[_Part] = [(row, 0, Strip.join(strips), 0, None) for row, strips in enumerate(update.strips)]
        elif isinstance(update, ChopsUpdate):
            parts = [*_parts(update)]
        else:
            return update
        if any(_draws(strip) for _, _, strip, _, _ in parts):
            self.forget()
            return update
        pieces = [(row, column, cells(strip, first, last)) for row, column, strip, first, last in parts]
        rows = [piece for _, _, piece in pieces]
        if isinstance(update, LayoutUpdate) and [*map(len, rows)] != [*map(len, self._rows)]:
            self._rows = rows
            return update
        if not self._rows:
            return update
        return _Written([sent for piece in pieces for sent in self._taken(*piece)])

    def _taken(self, row: int, column: int, piece: list[Cell]) -> list[_Piece]:
        """Take what a piece shows from now on; gives what of it is to be sent."""
        shown, end = self._rows[row], column + len(piece)
        before = shown[column:end]
        if before == piece:
            return []
        shown[column:end] = piece
        return [(row, column + first, piece[first:last]) for first, last in differing(before, piece)]


def _parts(update: ChopsUpdate) -> Iterable[_Part]:
    """What a partial update changes: of each of its spans, the fragments of the line that are in it."""
    for row, first, last in update.spans:
        for end, (column, strip) in zip(update.chop_ends[row], update.chops[row].items(), strict=False):
            if strip is not None and column < last and end > first:
                begin = max(column, first)
                yield row, begin, strip, begin - column, min(end, last) - column


def _draws(strip: Strip) -> bool:
    """Whether a strip is part of a sharp picture, which cells do not tell of."""
    return any(segment.control or PLACEHOLDER in segment.text for segment in strip)
