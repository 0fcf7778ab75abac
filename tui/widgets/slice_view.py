"""A slice of a validation case with truth and prediction as contours, in half-block characters."""

from __future__ import annotations

import numpy as np
from textual.message import Message

from engine.events import Preview, number
from tui.plotting.cells import Line, fitted, length
from tui.plotting.slice_picture import letters, marked, paint
from tui.state.feed import RunSnapshot
from tui.state.images import Bytes, PreviewImages
from tui.state.reasons import no_preview
from tui.text import figure, one_line
from tui.widgets.pane import Pane, stage


class SliceView(Pane):
    """One slice; up and down walk through slices, left and right through epochs, [ and ] through cases."""

    TITLE = "slice"
    KEYS = (("↑ ↓", "slice", "scroll(1)"), ("← →", "epoch", "side(1)"), ("[ ]", "case", "page(1)"))

    class Wanted(Message):
        """The arrays of a preview are needed; the screen reads files, a widget does not."""

        def __init__(self, preview: Preview) -> None:
            super().__init__()
            self.preview = preview

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.epoch: int | None = None  # None: the newest
        self.case: str | None = None
        self.at: int | None = None  # slice; None: the one with the most truth
        self._images: dict[str, PreviewImages | str] = {}  # by path; a text says why it cannot be read
        self._asked: set[str] = set()

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return *stage(snapshot), snapshot.view.previews

    def chosen(self) -> Preview | None:
        """The preview that is to be shown."""
        previews = self.snapshot.view.previews if self.snapshot else ()
        if not previews:
            return None
        epoch = self.epoch if self.epoch is not None else previews[-1].epoch
        same = [p for p in previews if p.epoch == epoch] or [p for p in previews if p.epoch == previews[-1].epoch]
        return next((p for p in same if p.case == self.case), same[0])

    def arrived(self, path: str, images: PreviewImages | str) -> None:
        """Take the arrays that were asked for, or the reason why there are none."""
        if len(self._images) > 64:
            self._images.clear()
            self._asked.clear()
        self._images[path] = images
        self.redraw()

    def title(self) -> str:
        started = self.snapshot.view.started if self.snapshot else None
        return "image" if started is not None and started.task == "classification" else self.TITLE

    def note(self) -> Line:
        preview = self.chosen()
        if preview is None:
            return []
        images = self._images.get(preview.path)
        muted = self.style("muted")
        parts: list[Line] = [[(f"case {one_line(preview.case)}", muted)]]
        if isinstance(images, PreviewImages) and not images.said:  # a photograph has no depth
            parts.append([(f"z {images.slices[self._slice(images)]}", muted)])
        parts.append([(f"epoch {preview.epoch}", muted)])
        if preview.value is not None:
            parts.append([(figure(number(preview.value)), muted)])
        return fitted(parts, self.size.width - len(self.TITLE) - 9, 2)

    def body(self, width: int, height: int) -> list[Line]:
        preview = self.chosen()
        if preview is None:
            return self.reason(no_preview(self.snapshot), width, height)
        images = self._images.get(preview.path)
        if images is None:
            if preview.path not in self._asked:
                self._asked.add(preview.path)
                self.post_message(self.Wanted(preview))
            return self.reason("reading the preview", width, height)
        if isinstance(images, str):
            return self.reason(images, width, height)
        at = self._slice(images)
        rows = height - 1
        picture = paint(images, at, (width, rows), truth=self.palette.truth, prediction=self.palette.prediction)
        contours = {"●": self.palette.truth, "▲": self.palette.prediction}
        if self.ascii_only:
            lines: list[Line] = [[(row, self.style("ink"))] for row in letters(picture, contours)]
        else:
            lines = self._blocks(picture, contours if self.app.no_color else {})
        pad = max(0, (width - picture.shape[1]) // 2)
        ink = self.style("ink")
        return [*([(" " * pad, ink), *line] for line in lines), self._key(images, width)]

    def _key(self, images: PreviewImages, width: int) -> Line:
        """What the colours mean."""
        if images.said:
            return [(one_line(images.said)[:width], self.style("prediction"))]
        if images.truth is None:
            return []
        muted = self.style("muted")
        line: Line = [
            ("● ", self.style("truth")),
            ("truth  ", muted),
            ("▲ ", self.style("prediction")),
            ("prediction", muted),
        ]
        return [(" " * max(0, (width - length(line)) // 2), muted), *line]

    def _slice(self, images: PreviewImages) -> int:
        count = len(images.image)
        if self.at is not None:
            return max(0, min(count - 1, self.at))
        if images.truth is None:
            return count // 2
        return int(np.argmax((images.truth > 0).reshape(count, -1).sum(axis=1)))

    def _blocks(self, picture: Bytes, contours: dict[str, str]) -> list[Line]:
        """Two pixels a cell; a contour whose colour would not be seen is a mark."""
        marks = marked(picture, contours)
        lines: list[Line] = []
        for upper, lower, row in zip(picture[::2], picture[1::2], marks.tolist(), strict=True):
            cells = zip(upper.tolist(), lower.tolist(), row, strict=True)
            lines.append([(mark or "▀", self.style(_hex(a), ground=_hex(b))) for a, b, mark in cells])
        return lines

    def scroll_lines(self, by: int) -> None:
        preview = self.chosen()
        images = self._images.get(preview.path) if preview else None
        if isinstance(images, PreviewImages):
            self.at = max(0, min(len(images.image) - 1, self._slice(images) + (1 if by > 0 else -1)))
            self.redraw()

    def side(self, by: int) -> None:
        """The next or the previous epoch with previews."""
        previews = self.snapshot.view.previews if self.snapshot else ()
        epochs = sorted({p.epoch for p in previews})
        preview = self.chosen()
        if preview and epochs:
            at = max(0, min(len(epochs) - 1, epochs.index(preview.epoch) + by))
            self.epoch = None if at == len(epochs) - 1 else epochs[at]
            self.redraw()

    def page(self, by: int) -> None:
        """The next or the previous case of the epoch."""
        preview = self.chosen()
        if preview is None or self.snapshot is None:
            return
        cases = [p.case for p in self.snapshot.view.previews if p.epoch == preview.epoch]
        self.case = cases[(cases.index(preview.case) + by) % len(cases)]
        self.at = None
        self.redraw()

    def open_case(self, case: str) -> bool:
        """Show a case by its name; False where it has no preview."""
        previews = self.snapshot.view.previews if self.snapshot else ()
        found = [p for p in previews if p.case == case]
        if not found:
            return False
        newest = previews[-1].epoch
        self.case, self.at = case, None
        self.epoch = None if found[-1].epoch == newest else found[-1].epoch
        self.redraw()
        return True


def _hex(pixel: list[int]) -> str:
    return f"#{pixel[0]:02x}{pixel[1]:02x}{pixel[2]:02x}"
