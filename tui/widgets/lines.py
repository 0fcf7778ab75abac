"""Panes of lines with a time: the log, and the notable events."""

import re
import time
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.events import CheckpointSaved, Control, Diagnosed, Figure, Log, Note, Phase, Result, RunEnded, RunStarted
from engine.readers.run_view import JournalEvent
from tui.plotting.cells import Line
from tui.settings import keyed
from tui.state.feed import RunSnapshot
from tui.text import figure, one_line, wrapped
from tui.widgets.head import SEVERITY_COLORS
from tui.widgets.pane import Pane

_UNIT = re.compile(r"(?<=\d) (?=(?:s|min|h|mm|MB|GB|voxels?|pixels?)\b|%)")
LEVELS = ("debug", "info", "warning", "error")
LEVEL_COLORS = {"warning": "warning", "error": "error", "debug": "muted"}


class Lines(Pane):
    """Lines of which the newest is at the bottom; scrolled up it stays where it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("end,G", "end(1)", "newest", key_display="G", tooltip="the newest line")
    ]
    back = 0  # entries between the newest and the last one shown

    def entries(self) -> Sequence[JournalEvent]:
        """What there is to show, oldest first."""
        raise NotImplementedError

    def why_empty(self) -> str:
        return "no checkpoint, warning or request yet"

    def body(self, width: int, height: int) -> list[Line]:
        entries = self.entries()
        if not entries:
            return self.reason(self.why_empty(), width, height)
        self.back = max(0, min(self.back, len(entries) - 1))
        lines: list[Line] = []
        for entry in reversed(entries[: len(entries) - self.back]):
            lines[:0] = self._wrapped(entry, width)
            if len(lines) >= height:
                break
        return lines[-height:] if height > 0 else []

    def _wrapped(self, entry: JournalEvent, width: int) -> list[Line]:
        kind, text, color = describe(entry)
        head = time.strftime("%H:%M:%S", time.localtime(entry.time_s)) + "  "
        kind = f"{kind}  " if kind else ""
        indent = len(head) + len(kind)
        if width - indent < 20:
            indent = min(indent, 4)
        text = _UNIT.sub("\xa0", one_line(text))  # a number stays on the line of its unit
        first = wrapped(text, max(8, width - len(head) - len(kind))) or [""]
        rest = wrapped(" ".join(first[1:]), max(8, width - indent)) if len(first) > 1 else []
        lines: list[Line] = [
            [(head, "muted"), (kind, f"{color}{' bold' if color == 'error' else ''}"), (first[0], "ink")]
        ]
        lines += [[(" " * indent + row, "ink")] for row in rest]
        return [[(part.replace("\xa0", " "), look) for part, look in line] for line in lines]

    def scroll_lines(self, by: int) -> None:
        self.back = max(0, self.back - by)
        self.redraw()

    def note(self) -> Line:
        return [(f"{self.back} newer below", "warning")] if self.back else []


class LogPane(Lines):
    """The log, from a level on."""

    ID = NAME = TITLE = "log"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("e", "level", "level", tooltip="only this level and above")]

    level = "info"

    def why_empty(self) -> str:
        return keyed("no line of this level yet (<level:e> changes it)")

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return (snapshot.view.logs,)

    def entries(self) -> Sequence[Log]:
        if self.snapshot is None:
            return ()
        least = LEVELS.index(self.level)
        if least <= 0:
            return self.snapshot.view.logs
        return [line for line in self.snapshot.view.logs if _rank(line.level) >= least]

    def note(self) -> Line:
        return super().note() or [(f"{self.level} and above" if self.level != "debug" else "all", "muted")]

    def copied(self) -> str:
        return "\n".join(line.message for line in self.snapshot.view.logs) if self.snapshot else ""

    def action_level(self) -> None:
        self.level = LEVELS[(LEVELS.index(self.level) + 1) % len(LEVELS)]
        self.back = 0
        self.redraw()


class Journal(Lines):
    """Checkpoints, warnings, control, notes, phases."""

    ID = "journal"
    NAME = TITLE = "events"

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return (snapshot.view.journal,)

    def entries(self) -> Sequence[JournalEvent]:
        return [e for e in self.snapshot.view.journal if notable(e)] if self.snapshot else ()


def notable(event: JournalEvent) -> bool:
    """Whether an event belongs in the journal: turns to training and validation come every epoch and do not."""
    return not (isinstance(event, Phase) and event.phase.startswith(("train", "valid")))


def describe(event: JournalEvent) -> tuple[str, str, str]:  # noqa: PLR0911  # one answer a kind
    """(kind, text, colour) of an event in words."""
    match event:
        case Log(level=level, message=message):
            return ("" if level == "info" else level), message, LEVEL_COLORS.get(level, "muted")
        case CheckpointSaved(path=path, metric=metric, value=value, why=why):
            text = path.removeprefix("checkpoints/")
            if metric and isinstance(value, int | float):
                text += f"  {metric} {figure(float(value))}"
            return "checkpoint", f"{text} @ {event.epoch}" + (f"  ({why})" if why == "request" else ""), "accent"
        case Control(command=command, state=state, message=message):
            return "control", f"{command.replace('_', ' ')}: {state}{'  ' + message if message else ''}", "ink"
        case Diagnosed(code=code, severity=severity, message=message, over=over):
            name = code.replace("_", " ")
            return ("over", name, "muted") if over else (name, message, SEVERITY_COLORS.get(severity, "warning"))
        case Note(text=text):
            return "note", text, "ink"
        case Phase(phase=phase, detail=detail):
            return "phase", f"{phase}{'  ' + detail if detail else ''}", "muted"
        case Figure(path=path, ok=ok, message=message):
            return "figure", path if ok else f"{path}: {message}", "muted" if ok else "warning"
        case Result(split=split, metrics=metrics):
            values = (f"{k} {figure(float(v))}" for k, v in metrics.items() if isinstance(v, int | float))
            return "result", f"{split}: {'  '.join(values)}", "accent"
        case RunEnded(state=state, message=message):
            return state, message or f"the run is {state}", "accent" if state == "finished" else "error"
        case RunStarted(resumed=resumed, first_iteration=first):
            return "start", f"resumed after iteration {first}" if resumed else "the run starts", "accent"


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 1
