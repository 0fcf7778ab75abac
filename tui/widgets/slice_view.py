"""A slice of a validation case with truth and prediction as contours."""

from engine.events import Preview, number
from tui.plotting.cells import Line, fitted
from tui.state.feed import RunSnapshot
from tui.state.images import PreviewImages
from tui.state.reasons import no_preview
from tui.text import figure, one_line
from tui.widgets.image_pane import ImagePane
from tui.widgets.pane import stage


class SliceView(ImagePane):
    """The previews of a run: left and right walk through epochs, [ and ] through cases."""

    ID, NAME, TITLE = "slice", "images", "slice"

    epoch: int | None = None  # None: the newest
    case: str | None = None

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return *stage(snapshot), snapshot.view.previews

    def image_file(self) -> Preview | None:
        previews = self.snapshot.view.previews if self.snapshot else ()
        if not previews:
            return None
        epoch = self.epoch if self.epoch is not None else previews[-1].epoch
        same = [p for p in previews if p.epoch == epoch] or [p for p in previews if p.epoch == previews[-1].epoch]
        return next((p for p in same if p.case == self.case), same[0])

    def why_no_image(self) -> str:
        return no_preview(self.snapshot)

    def title(self) -> str:
        started = self.snapshot.view.started if self.snapshot else None
        preview = self.image_file()
        if preview is not None and preview.split == "train":
            return "training crop"
        return "image" if started is not None and started.unit == "pixel" else self.TITLE

    def note(self) -> Line:
        preview = self.image_file()
        if preview is None:
            return []
        images = self._images.get(preview.path)
        parts: list[Line] = [[(f"case {one_line(preview.case)}", "muted")]]
        if isinstance(images, PreviewImages) and self.title() == self.TITLE:  # a picture has no depth
            parts.append([(f"z {images.slices[self._slice(images)]}", "muted")])
        parts.append([(f"epoch {preview.epoch}" if preview.epoch else "as it is trained on", "muted")])
        if preview.value is not None:
            parts.append([(figure(number(preview.value)), "muted")])
        return fitted(parts, self.size.width - len(self.TITLE) - 9, 2)

    def action_side(self, by: int) -> None:
        previews = self.snapshot.view.previews if self.snapshot else ()
        epochs = sorted({p.epoch for p in previews})
        preview = self.image_file()
        if preview and epochs:
            at = max(0, min(len(epochs) - 1, epochs.index(preview.epoch) + by))
            self.epoch = None if at == len(epochs) - 1 else epochs[at]
            self.redraw()

    def action_page(self, by: int) -> None:
        preview = self.image_file()
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
