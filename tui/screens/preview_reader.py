"""Reads previews from the run folder for the panes of a screen: panes open no files."""

from __future__ import annotations

from textual import work

from engine.runfolder import RunFolder
from tui.screens.curve_keys import CurveScreen
from tui.state.images import PreviewImages
from tui.state.previews import read_preview
from tui.state.run_view import RunView
from tui.widgets.slice_view import SliceView


class PreviewScreen(CurveScreen):
    """Base class of screens that show one run with its slices."""

    folder: RunFolder

    @property
    def whole_view(self) -> RunView | None:
        """All that is known of the run, by which the classes of a preview get their names."""
        raise NotImplementedError

    def on_slice_view_wanted(self, message: SliceView.Wanted) -> None:
        if self.whole_view is not None:
            self._read_preview(message, self.whole_view)

    @work(thread=True, group="previews")
    def _read_preview(self, message: SliceView.Wanted, view: RunView) -> None:
        found = read_preview(self.folder, message.preview, view)
        self.call_later(self._take_preview, message.preview.path, found)  # dropped where the screen was left

    def _take_preview(self, path: str, found: PreviewImages | str) -> None:
        for pane in self.query(SliceView):
            pane.arrived(path, found)
