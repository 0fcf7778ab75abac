"""Keys that change the run under the cursor: its name, its note, its being there; and another session of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from engine.errors import MedtuiError
from engine.runfolder import send, write_label
from engine.runfolder.mirror import refuse_mirror
from engine.runfolder.remove import refuse_removal, remove, what_goes
from tui.screens.confirm import Confirm, Prompt
from tui.screens.notifier import notify
from tui.screens.tiled import TiledScreen
from tui.settings import keyed
from tui.state.go_on import go_on
from tui.state.runs_index import RunRow
from tui.text import one_line
from tui.widgets.end_card import RESUMABLE


class ChangingScreen(TiledScreen):
    """What can be undone is done at once; a resume is asked for once, a removal twice."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("N", "rename", "rename", show=False, tooltip="give the run another name; its id stays"),
        Binding("n", "note", "note", show=False, tooltip="a line of text about the run"),
        Binding(
            "R",
            "resume",
            "resume",
            show=False,
            tooltip="go on: paused, or from the last checkpoint",
        ),
        Binding("d,delete", "delete", "delete", show=False, tooltip="delete the run for good (asks twice)"),
    ]

    runs: Path
    read_only = False

    def run_to_change(self) -> RunRow | None:
        """The run under the cursor."""
        raise NotImplementedError

    def changed(self) -> None:
        """Look at the runs again."""
        raise NotImplementedError

    def _row(self) -> RunRow | None:
        if self.read_only:
            notify(self.app, "this dashboard only looks: it was opened read-only", "warning")
            return None
        return self.run_to_change()

    async def _done(self, call: Callable[[], object], said: str = "") -> bool:
        """Do it in a thread, and say what came of it."""
        try:
            await asyncio.to_thread(call)
        except MedtuiError as error:
            notify(self.app, str(error), "error", 15)
            return False
        if said:
            notify(self.app, said)
        self.changed()
        return True

    @work
    async def action_rename(self) -> None:
        if (row := self._row()) is None:
            return
        asked = Prompt("name of the run; none: that of its recipe", row.label.title or row.recipe, hint=row.folder.name)
        title = await self.app.push_screen_wait(asked)
        if title is not None and title.strip() != row.recipe:
            await self._done(lambda: write_label(row.folder, title=title))

    @work
    async def action_note(self) -> None:
        if (row := self._row()) is None:
            return
        text = await self.app.push_screen_wait(
            Prompt("note", row.label.note, hint="a line about the run; none: no note")
        )
        if text is None or text == row.label.note:
            return
        if text and row.live and not row.folder.is_study:
            await self._done(lambda: send(row.folder, "note", text), "the trainer was asked to write it down")
        else:
            await self._done(lambda: write_label(row.folder, note=text))

    @work
    async def action_resume(self) -> None:
        if (row := self._row()) is None:
            return
        what = "study" if row.folder.is_study else "run"
        if row.state == "paused":
            await self._done(lambda: send(row.folder, "resume"), "the trainer was asked to go on")
        elif row.state not in RESUMABLE:
            forks = row.state == "finished" and not row.folder.is_study
            more = "; <open:Enter> and <fork:F> begin a new one at its last checkpoint" if forks else ""
            notify(self.app, f"the {what} is {row.state}{keyed(more)}", "warning")
        elif await self._done(lambda: refuse_mirror(row.folder, "resume")):
            where = "where it was cut off" if row.folder.is_study else "from its last checkpoint"
            question = f"Go on with {one_line(row.id)} {where}?"
            if await self.app.push_screen_wait(Confirm(question)):
                self.app.notify(f"the {what} starts: it loads PyTorch", timeout=15)
                await self._done(lambda: go_on(row.folder))

    @work
    async def action_delete(self) -> None:
        if (row := self._row()) is None:
            return
        if not await self._done(lambda: refuse_removal(self.runs, row.folder)):
            return
        question = one_line(await asyncio.to_thread(what_goes, row.folder))
        if await self.app.push_screen_wait(Confirm(question, "Really? Nothing brings it back.")):
            await self._done(lambda: remove(self.runs, row.folder), f"{row.id} is deleted")
