"""Reads pictures from the run folder for the panes of a screen: panes open no files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual.screen import Screen

from engine.runfolder import RunFolder
from tui.state.case_files import read_example
from tui.state.images import Example, PreviewImages
from tui.state.previews import read_preview
from tui.widgets.image_pane import ImageFile, ImagePane


class PreviewReader:
    """Reads in threads of a screen, and hands what was found to the pane that wanted it."""

    def __init__(self, screen: Screen[None], folder: RunFolder) -> None:
        self._screen, self._folder = screen, folder

    def read(self, pane: ImagePane, file: ImageFile, classes: Sequence[str]) -> None:
        """Start to read; ``classes``: those of the run, which a preview names by their places."""
        self._screen.run_worker(partial(self._read, pane, file, classes), thread=True, group="previews")

    def _read(self, pane: ImagePane, file: ImageFile, classes: Sequence[str]) -> None:
        found: PreviewImages | str
        if isinstance(file, Example):
            found = read_example(self._folder, file.path, classes)
        else:
            found = read_preview(self._folder, file, classes)
        self._screen.call_later(pane.arrived, file.path, found)  # dropped where the screen was left
