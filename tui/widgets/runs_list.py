"""All runs as a table: state, recipe, task, epoch, best value, value on the test split, age."""

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import UsageError, counted
from engine.measures import find, spoken
from engine.runfolder.mirror import path_of
from tui.plotting.cells import Line, Span, bar, fit, length
from tui.settings import Kept, keyed
from tui.state.run_filter import EXAMPLE, RunFilter, parse_filter
from tui.state.runs_index import SORT_KEYS, RunRow, SortKey, chosen_rows
from tui.text import age, figure, one_line, shorten
from tui.theme import mark
from tui.widgets.head import SEVERITY_COLORS, SEVERITY_MARKS, STATE_COLORS, STATE_MARKS
from tui.widgets.rows import RowsPane

MOST_MARKED = 8  # runs that can be marked: more curves cannot be told apart
_HEADS: tuple[SortKey, ...] = ("state", "health", "recipe", "task", "epoch", "best", "test", "age")
_NUMBERS = frozenset({"epoch", "best", "test", "age"})  # columns that stand to the right
_TASKS = {"segmentation": "seg", "classification": "cls"}


class RunsList(RowsPane[RunRow]):
    """One line a run. Space marks, Enter opens; a study is one line that opens to its members."""

    ID = NAME = TITLE = "runs"
    FILTER = "runs that have these words and values", EXAMPLE
    NEWEST_FIRST = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="Enter", tooltip="open the run, or show the members of the study"),
        Binding(
            "space",
            "mark",
            "mark",
            key_display="space",
            tooltip=f"mark or unmark, up to {MOST_MARKED}; of a study its members",
        ),
        Binding("slash,ctrl+f", "filter", "filter", tooltip=f"filter by words and values: {EXAMPLE}"),
        Binding("o", "order", "order", tooltip="order by the next column; or click on its head"),
        Binding("O", "backwards", "backwards", show=False, tooltip="the other way round"),
        Binding("p", "pin", "pin", show=False, tooltip="keep the run on top of the list, or no longer"),
        Binding("x", "hide", "hide", show=False, tooltip="take the run out of the list, or back into it"),
        Binding("X", "show_hidden", "hidden", show=False, tooltip="show what was hidden, or no longer"),
        Binding("v", "copy", "copy path", show=False, tooltip="copy the path of the run folder"),
    ]

    class KeptChanged(Message):
        """Something was pinned or hidden, or no longer is."""

    wanted = RunFilter()
    kept = Kept()
    fresh: Callable[[], Kept] | None = None  # what is kept now: another dashboard may have changed it
    shows_hidden = False
    key: SortKey = "age"
    backwards = False
    whole = False  # all folders were looked at
    where = ""  # the folder of runs, as it is said to people
    marked: Sequence[str] = ()  # ids, in the order of marking
    opened: frozenset[str] = frozenset()  # ids of studies whose members are shown
    _heads: Sequence[tuple[int, SortKey]] = ()  # end of each head, for the mouse

    def choose_rows(self) -> list[RunRow]:
        kept = Kept(pinned=self.kept.pinned) if self.shows_hidden else self.kept
        return chosen_rows(self.all, self.wanted, self.key, backwards=self.backwards, opened=self.opened, kept=kept)

    def row_key(self, row: RunRow) -> str:
        return row.id

    def set_runs(self, runs: tuple[RunRow, ...], *, whole: bool) -> None:
        """Take what was found in the folder; ``whole``: all of it was looked at."""
        self.all, self.whole = runs, whole
        ids = {row.id for row in runs}
        self.marked = [name for name in self.marked if name in ids]
        self.fill()

    # --- keys ----------------------------------------------------------------------------------

    def action_open(self) -> None:
        row = self.chosen_row()
        if row is None or not row.folder.is_study:
            return super().action_open()
        self.opened ^= {row.id}
        return self.fill()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or all members of the study, or take the marks away, and go on to the next."""
        row = self.chosen_row()
        if row is None:
            return
        ids = [one.id for one in self.all if one.study == row.id] if row.folder.is_study else [row.id]
        kept = [name for name in self.marked if name not in ids]
        marked = kept if {*ids} <= {*self.marked} else [*kept, *ids]
        if len(marked) > MOST_MARKED:
            self.notify(f"{MOST_MARKED} runs at most can be compared", severity="warning")
            return
        self.marked = marked
        if row.folder.is_study and row.id not in self.opened:
            self.action_open()
        else:
            self.go(self.row + 1)
            self.redraw()

    def filter_by(self, words: str) -> None:
        """As any list, but for what is no filter: what is wrong with it is said, and it can be mended."""
        try:
            self.wanted = parse_filter(words)
        except UsageError as error:
            self.post_message(self.Asked(error.message, self.filter_by, value=words, hint=EXAMPLE))
        else:
            super().filter_by(words)

    def action_pin(self) -> None:
        self._keep("pinned")

    def action_hide(self) -> None:
        self._keep("hidden")

    def _keep(self, what: str) -> None:
        """Pin or hide the run under the cursor, or no longer; the cursor stays where it was."""
        if row := self.chosen_row():
            at, kept = self.row, self.fresh() if self.fresh else self.kept
            done = (row.id in getattr(kept, what)) != (row.id in getattr(self.kept, what))  # by another dashboard
            self.kept = kept if done else kept.turned(what, row.id)
            self.fill()
            self.go(at)
            self.post_message(self.KeptChanged())

    def action_show_hidden(self) -> None:
        self.shows_hidden = not self.shows_hidden
        self.fill()

    def action_order(self) -> None:
        self._order(SORT_KEYS[(SORT_KEYS.index(self.key) + 1) % len(SORT_KEYS)], backwards=False)

    def action_backwards(self) -> None:
        self._order(self.key, backwards=not self.backwards)

    def _order(self, key: SortKey, *, backwards: bool) -> None:
        self.key, self.backwards = key, backwards
        self.row = self.first = 0
        self.fill()

    def leave(self) -> bool:
        if self.filter:
            self.filter_by("")
        elif self.marked:
            self.marked = []
            self.redraw()
        else:
            return False
        return True

    def copied(self) -> str:
        row = self.chosen_row()
        return path_of(row.folder) if row else ""

    # --- drawing -------------------------------------------------------------------------------

    def why_empty(self) -> str:
        if not self.whole:
            return "looking for runs"
        if self.filter:
            wanted = one_line(self.filter)
            if self.wanted.reads and any(row.read is None for row in self.all):
                return f"reading {counted(len(self.all), 'run')}"
            hint = keyed("<filter:/> changes the filter, <back:Esc> clears it")
            runs = counted(sum(not row.folder.is_study for row in self.all), "run")
            return f'none of {runs} has "{wanted}" in it ({hint})'
        if self.all:
            return f"{counted(len(self.all), 'run')} hidden; {keyed('<show_hidden:X> shows them')}"
        return f"no runs in {one_line(self.where)} yet; start one with: medtui run recipes/quickstart.toml"

    def note(self) -> Line:
        """How many are hidden, too."""
        ids = {row.id for row in self.all}
        hidden = len(ids & {*self.kept.hidden})
        shows = keyed(f"<show_hidden:X> {'hides' if self.shows_hidden else 'shows'} them")
        words: Line = [(f"{hidden} hidden, {shows}", "muted")] if hidden else []
        return [*words, *([("  ", "muted")] if words and self.position() else []), *self.position()]

    def header(self, width: int) -> list[Line]:
        columns = _columns(width, self.rows or ())
        line: Line = [("  ", "muted")]
        found: list[tuple[int, SortKey]] = []
        for key in _HEADS:
            if size := columns[key] + (columns["bar"] if key == "epoch" else 0):
                turn = ("▴" if self.backwards else "▾") if key == self.key else ""
                head = f"{key}{turn}" if size > 2 else "!"
                line.append((_cell(key, head, size), "accent" if turn else "muted"))
                found.append((length(line), key))
        self._heads = found
        head = "  note, folder" if any(row.label.note for row in self.rows or ()) else "  folder"
        return [[*line, (fit(head, columns["folder"]), "muted")]]

    def line(self, row: RunRow, at: int, width: int) -> Line:
        status, columns, inset = row.status, _columns(width, self.rows or ()), _inset(row, opened=row.id in self.opened)
        recipe = inset + shorten(one_line(row.recipe), columns["recipe"] - 1 - len(inset))
        task, note = one_line(status.task) or "–", one_line(row.label.note)
        cells: dict[SortKey, Span] = {
            "state": (f"{STATE_MARKS.get(row.state, '●')} {row.state}", STATE_COLORS.get(row.state, "ink")),
            "health": _health(row, columns["health"]),
            "recipe": (recipe, "ink bold" if row.live else "ink"),
            "task": (task if columns["task"] > 8 else _TASKS.get(task, task), "muted"),
            "epoch": (f"{status.epoch}/{status.epochs}" if status.epochs else "–", "ink"),
            "best": (_best(row, columns["best"] - 1), "ink"),
            "test": (figure(status.test), "ink"),
            "age": (age(time.time() - row.started_s) if row.started_s else "–", "muted"),
        }
        line: Line = [self._mark(row, at)]
        for key, (text, look) in cells.items():
            if key == "epoch" and columns["bar"]:
                share = status.epoch / status.epochs if status.epochs else 0.0
                color = "accent" if row.live or row.state == "finished" else "muted"
                line += [(" ", "ink"), *bar(share, columns["bar"] - 2, color), (" ", "ink")]
            line.append((_cell(key, text, columns[key]), look))
        folder = "  " + shorten(note or one_line(row.id), columns["folder"] - 2)
        line.append((fit(folder, columns["folder"]), "ink" if note else "muted"))
        return [(text, "muted") for text, _ in line] if row.id in self.kept.hidden else line

    def _mark(self, row: RunRow, at: int) -> Span:
        """Mark or cursor, and whether the run is pinned or hidden."""
        kept = "↑" if row.id in self.kept.pinned else "×" if row.id in self.kept.hidden else " "
        if row.id in self.marked:
            place = self.marked.index(row.id)
            return f"{mark(place)}{kept}", str(place)
        return f"{self.cursor(at)}{kept}", "accent"

    def on_click(self, event: events.Click) -> None:
        if event.y == 1:
            event.prevent_default()
            key = next((key for end, key in self._heads if event.x - 2 < end), None)
            if key in SORT_KEYS:
                self._order(key, backwards=key == self.key and not self.backwards)


def _cell(key: SortKey, text: str, size: int) -> str:
    """``text`` in a column of ``size`` cells, the last of them empty; nothing where it is left out."""
    return fit(text, size - 1, right=key in _NUMBERS) + " " if size else ""


def _health(row: RunRow, width: int) -> Span:
    """The worst finding: its mark, and its name where there is room."""
    if not row.findings:
        return "", "ink"
    worst = row.findings[0]
    text = f"{SEVERITY_MARKS[worst.severity]} {worst.code.replace('_', ' ')}"
    return text if width > 2 else text[:1], SEVERITY_COLORS[worst.severity]


def _inset(row: RunRow, *, opened: bool = False) -> str:
    """What stands before the recipe of a study, and of a member."""
    return ("▾ " if opened else "▸ ") if row.folder.is_study else "  " if row.study else ""


def _best(row: RunRow, width: int) -> str:
    """``dice 0.881``; the metric's name is short, or gives way, where the room is too small for it."""
    value, metric = figure(row.status.best), one_line(row.status.metric)
    room, name = max(0, width - len(value) - 1), spoken(metric)
    name = name if len(name) <= room else shorten(find(metric).short or name, room)
    return f"{name} {value}" if len(name) > 2 else value


def _columns(width: int, rows: Sequence[RunRow]) -> dict[str, int]:
    """Cells of each column, 0 for one that is left out: the recipe grows with its names, the folder takes the rest."""
    longest = max((len(_inset(row) + row.recipe) for row in rows[:200]), default=10) + 2
    said = max((len(row.findings[0].code) + 3 for row in rows if row.findings), default=0)
    health = min(said, 24) if width >= 110 else min(said, 2)
    sizes = {"state": 11, "health": health, "task": 15 if width >= 110 and health <= 16 else 5, "epoch": 9, "test": 7}
    sizes |= {"bar": 14 if width >= 110 else 0, "age": 8}
    room = width - 2 - sum(sizes.values())
    named = max((len(row.status.metric) + 1 + 8 for row in rows[:200]), default=12)
    best = max(12, min(named, 27, room - max(8, min(longest, 20))))
    room -= best
    recipe = max(8, min(longest, 36, room))
    if room - recipe >= 24:
        return sizes | {"best": best, "recipe": recipe, "folder": room - recipe}
    return sizes | {"best": best, "recipe": min(room, 60) if room > recipe else recipe, "folder": 0}
