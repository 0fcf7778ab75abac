"""The pictures of one case: of each epoch that kept one, then of its test."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.plotting.cells import Line, fitted
from tui.state.images import Example, PreviewImages
from tui.text import one_line
from tui.widgets.case_panes import CaseTurned
from tui.widgets.image_pane import ImageFile, ImagePane


class CaseImage(ImagePane):
    """Left and right walk through the pictures of the case, which the screen gives."""

    ID = NAME = TITLE = "image"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "right,l",
            "side(1)",
            "epoch",
            key_display="← →",
            tooltip="an earlier, a later epoch; the last picture is of the chosen checkpoint",
        )
    ]

    files: tuple[ImageFile, ...] = ()
    why_empty = ""
    _place: int | None = None  # in `files`; None: the last

    def set_files(self, files: tuple[ImageFile, ...], why_empty: str, *, other_case: bool) -> None:
        """Show the pictures of a case, the last one first: previews by epoch, then the example of the test."""
        self.why_empty = why_empty
        if other_case:
            self._place = self.at = None
        if other_case or files != self.files:
            self.files = files
            self.redraw()

    def image_file(self) -> ImageFile | None:
        return self.files[self._at()] if self.files else None

    def why_no_image(self) -> str:
        return self.why_empty

    def note(self) -> Line:
        file = self.image_file()
        if file is None:
            return []
        images = self._images.get(file.path)
        where = f"{one_line(file.split)}, chosen checkpoint" if isinstance(file, Example) else f"epoch {file.epoch}"
        parts: list[Line] = [[(where, "muted")]]
        if isinstance(images, PreviewImages) and len(images.image) > 1:
            parts.append([(f"z {images.slices[self._slice(images)]}", "muted")])
        if len(self.files) > 1:
            parts.append([(f"{self._at() + 1} of {len(self.files)}  ← →", "muted")])
        return fitted(parts, self.size.width - len(self.TITLE) - 9, 2)

    def _at(self) -> int:
        last = len(self.files) - 1
        return last if self._place is None else min(self._place, last)

    def action_side(self, by: int) -> None:
        before = self.image_file()
        last = len(self.files) - 1
        at = max(0, min(last, self._at() + by))
        self._place = None if at == last else at
        if type(before) is not type(self.image_file()):
            self.at = None  # an example has all slices, a preview a few: a place in one means nothing in the other
        self.redraw()

    def action_page(self, by: int) -> None:
        self.post_message(CaseTurned(by))
