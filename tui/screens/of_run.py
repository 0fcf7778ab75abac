"""A screen of one run. It reads pictures from the run folder for its panes, which open no files."""

import asyncio
from collections.abc import Sequence

from textual import work

from engine.runfolder import RunFolder
from tui.screens.tiled import TiledScreen
from tui.state.case_files import read_example
from tui.state.images import Example, read_preview
from tui.widgets.image_pane import ImagePane
from tui.widgets.pane import Pane


class ScreenOfRun(TiledScreen):
    """Base class. ``follow``: `Updated` brings snapshots of the run."""

    def __init__(self, folder: RunFolder, *, follow: bool = True, panes: Sequence[type[Pane]] | None = None) -> None:
        super().__init__(*([folder] if follow else []), panes=panes)
        self.folder = folder

    @work(group="previews")
    async def on_image_pane_wanted(self, message: ImagePane.Wanted) -> None:
        file, classes = message.file, message.classes
        if isinstance(file, Example):
            found = await asyncio.to_thread(read_example, self.folder, file.path, classes)
        else:
            found = await asyncio.to_thread(read_preview, self.folder, file, classes)
        message.pane.arrived(file.path, found)
        self.name_keys()  # a picture without masks has fewer
