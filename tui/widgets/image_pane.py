"""Base of panes that show slices with truth and prediction as contours, in half-block characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.events import Preview
from tui.plotting.cells import Line, length
from tui.plotting.half_blocks import half_blocks, letters, marked
from tui.plotting.slice_picture import paint
from tui.state.images import Example, PreviewImages
from tui.text import one_line
from tui.theme import DARK, PALETTES
from tui.widgets.pane import FAR, Pane

ImageFile: TypeAlias = Preview | Example
"""What names the file of a picture: a preview of an epoch, or an example of the test."""


class ImagePane(Pane):
    """One slice of one file; up and down walk through its slices."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "slice", key_display="↑ ↓", tooltip="slice"),
        Binding("right,l", "side(1)", "epoch", key_display="← →", tooltip="an earlier, a later epoch"),
        Binding("right_square_bracket,pagedown", "page(1)", "case", key_display="[ ]", tooltip="previous, next case"),
        Binding("end,G", "end(1)", "ends", key_display="Home End", show=False, tooltip="the first, the last slice"),
    ]

    @dataclass
    class Wanted(Message):
        """The arrays of a file are needed; the screen reads files, a widget does not."""

        pane: ImagePane
        file: ImageFile
        classes: tuple[str, ...]  # of the run, which a preview names by their places

    at: int | None = None  # slice; None: the one with the most truth

    def __init__(self) -> None:
        super().__init__()
        self._images: dict[str, PreviewImages | str] = {}  # by path; a text says why it cannot be read
        self._asked: set[str] = set()

    def image_file(self) -> ImageFile | None:
        """The file that is to be shown."""
        raise NotImplementedError

    def why_no_image(self) -> str:
        """What to say where there is none."""
        raise NotImplementedError

    def arrived(self, path: str, images: PreviewImages | str) -> None:
        """Take the arrays that were asked for, or the reason why there are none."""
        if len(self._images) > 64:
            self._images.clear()
            self._asked.clear()
        self._images[path] = images
        self.redraw()

    def body(self, width: int, height: int) -> list[Line]:
        file = self.image_file()
        if file is None:
            return self.reason(self.why_no_image(), width, height)
        images = self._images.get(file.path)
        if images is None:
            if file.path not in self._asked:
                self._asked.add(file.path)
                self.post_message(self.Wanted(self, file, self.snapshot.view.classes if self.snapshot else ()))
            return self.reason("reading the preview", width, height)
        if isinstance(images, str):
            return self.reason(images, width, height)
        at = self._slice(images)
        cells = width, max(1, height - 1)
        palette = PALETTES.get(self.app.theme, DARK)
        picture = paint(images, at, cells, truth=palette.truth, prediction=palette.prediction)
        contours = {"●": palette.truth, "▲": palette.prediction}
        marks = marked(picture, contours if self.ascii_only or self.app.no_color else {})
        lines = letters(picture, marks=marks) if self.ascii_only else half_blocks(picture, levels=255, marks=marks)
        pad = max(0, (width - picture.shape[1]) // 2)
        return [*([(" " * pad, "ink"), *line] for line in lines), self._key(images, width)]

    def _key(self, images: PreviewImages, width: int) -> Line:
        if images.said:
            return [(one_line(images.said)[:width], "prediction")]
        if images.truth is None:
            return []
        line: Line = [("● ", "truth"), ("truth  ", "muted"), ("▲ ", "prediction"), ("prediction", "muted")]
        return [(" " * max(0, (width - length(line)) // 2), "muted"), *line]

    def _slice(self, images: PreviewImages) -> int:
        count = len(images.image)
        if self.at is not None:
            return max(0, min(count - 1, self.at))
        if images.truth is None:
            return count // 2
        return int(np.argmax((images.truth > 0).reshape(count, -1).sum(axis=1)))

    def scroll_lines(self, by: int) -> None:
        file = self.image_file()
        images = self._images.get(file.path) if file else None
        if isinstance(images, PreviewImages):
            self.at = max(0, min(len(images.image) - 1, self._slice(images) + (1 if by > 0 else -1)))
            self.redraw()

    def action_end(self, last: int) -> None:
        self.at = FAR if last else 0  # where it is drawn it is known how many there are
        self.redraw()
