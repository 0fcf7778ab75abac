"""Base of panes that show slices with where truth and prediction agree, in half-block characters."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.events import Preview
from tui.plotting.agreement import letters_of, wrong_slices
from tui.plotting.cells import Line, length
from tui.plotting.slice_picture import OVERLAYS, SliceLook, slice_lines, slice_pixels
from tui.plotting.slice_words import slice_words
from tui.state.images import Example, PreviewImages
from tui.theme import DARK, PALETTES
from tui.widgets.pane import FAR
from tui.widgets.sharp_pane import SharpPane

ImageFile: TypeAlias = Preview | Example
"""What names the file of a picture: a preview of an epoch, or an example of the test."""


class ImagePane(SharpPane):
    """One slice of one file; up and down walk through its slices."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "slice", key_display="↑ ↓", tooltip="slice"),
        Binding("right,l", "side(1)", "epoch", key_display="← →", tooltip="an earlier, a later epoch"),
        Binding("right_square_bracket,pagedown", "page(1)", "case", key_display="[ ]", tooltip="previous, next case"),
        Binding("end,G", "end(1)", "ends", key_display="Home End", show=False, tooltip="the first, the last slice"),
        Binding("x", "wrong(1)", "next error", key_display="x X", tooltip="the next, the previous slice with errors"),
        Binding("X", "wrong(-1)"),
        Binding("o", "overlay", "overlay", tooltip="agreed, missed and added as areas, as contours, not at all"),
        Binding("m", "only", "class", show=False, tooltip="one class after the other alone, then all"),
        Binding("w", "window(1)", "window", key_display="w W", show=False, tooltip="a narrower, a wider grey window"),
        Binding("W", "window(-1)"),
        Binding("b", "level(-1)", "level", key_display="b B", show=False, tooltip="brighter, darker"),
        Binding("B", "level(1)"),
    ]

    @dataclass
    class Wanted(Message):
        """The arrays of a file are needed; the screen reads files, a widget does not."""

        pane: "ImagePane"
        file: ImageFile
        classes: tuple[str, ...]  # of the run, which a preview names by their places

    at: int | None = None  # slice; None: the one with the most truth
    look = SliceLook(DARK.series)  # as the keys left it; colours and marks are of the terminal

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

    def offers(self, action: str) -> bool:
        images = self._shown()
        if action in {"scroll", "end", "wrong"} and images is not None and len(images.image) == 1:
            return False  # a picture has one slice
        if action not in {"wrong", "overlay", "only"}:
            return True  # a picture of a classification has no masks
        return images is None or (images.truth if action != "wrong" else images.prediction) is not None

    def body(self, width: int, height: int) -> list[Line]:
        self._sharp = None
        file = self.image_file()
        if file is None:
            return self.reason(self.why_no_image(), width, height)
        images = self._images.get(file.path)
        if images is None:
            if file.path not in self._asked:
                self._asked.add(file.path)
                self.post_message(self.Wanted(self, file, self._class_names()))
            return self.reason("reading the preview", width, height)
        if isinstance(images, str):
            return self.reason(images, width, height)
        at = self._slice(images)
        look = self._look()
        words = slice_words(images, at, self._class_names(), look, (width, 2 if height < 16 else 4))
        cells = width, max(1, height - len(words))
        shown = file.path, id(images), at, look
        self._sharp = self.sharpened(
            shown, lambda room, cell: slice_pixels(images, at, room, cell, look), cells, images.image.shape[1]
        )
        lines = list(self._sharp.lines) if self._sharp else slice_lines(images, at, cells, look)
        return [*self.placed(lines, 0, max(0, (width - length(lines[0])) // 2) if lines else 0), *words]

    # --- what is shown -------------------------------------------------------------------------

    def _class_names(self) -> tuple[str, ...]:
        return self.snapshot.view.classes if self.snapshot else ()

    def _look(self) -> SliceLook:
        """How it is drawn on this terminal: with letters where it has too few colours."""
        return replace(
            self.look,
            series=PALETTES.get(self.app.theme, DARK).series,
            names=letters_of(self._class_names()),
            marks=self.few_colors(),
            ascii_only=self.ascii_only,
        )

    def _shown(self) -> PreviewImages | None:
        """What is on the screen now, where that is a picture."""
        file = self.image_file()
        images = self._images.get(file.path) if file else None
        return images if isinstance(images, PreviewImages) else None

    def _slice(self, images: PreviewImages) -> int:
        count = len(images.image)
        if self.at is not None:
            return max(0, min(count - 1, self.at))
        if images.truth is None:
            return count // 2
        return int(np.argmax((images.truth > 0).reshape(count, -1).sum(axis=1)))

    def scroll_lines(self, by: int) -> None:
        if images := self._shown():
            self.at = max(0, min(len(images.image) - 1, self._slice(images) + (1 if by > 0 else -1)))
            self.redraw()

    def action_end(self, last: int) -> None:
        self.at = FAR if last else 0  # where it is drawn it is known how many there are
        self.redraw()

    def action_wrong(self, by: int) -> None:
        images = self._shown()
        if images is None or images.truth is None or images.prediction is None:
            return
        wrong, at = wrong_slices(images.truth, images.prediction), self._slice(images)
        beyond = wrong[wrong > at] if by > 0 else wrong[wrong < at][::-1]
        if len(beyond) or len(wrong):  # past the last one it begins anew
            self.at = int(beyond[0] if len(beyond) else wrong[0 if by > 0 else -1])
            self.redraw()
        else:
            self.notify("no slice of this picture has an error", timeout=3)

    def action_overlay(self) -> None:
        at = OVERLAYS.index(self.look.overlay)
        self._set(overlay=OVERLAYS[(at + 1) % len(OVERLAYS)])

    def action_only(self) -> None:
        count, only = len(self._class_names()), (self.look.only or 0) + 1
        self._set(only=only if only <= count > 1 else None)

    def action_window(self, by: int) -> None:
        self._set(window=min(1.0, max(0.1, self.look.window * (0.8 if by > 0 else 1.25))))

    def action_level(self, by: int) -> None:
        self._set(level=min(1.0, max(0.0, round(self.look.level + by * 0.05, 2))))

    def _set(self, **changes: Any) -> None:
        self.look = replace(self.look, **changes)
        self.redraw()
