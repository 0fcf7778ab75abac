"""The card of a run that is over: what to know of it, and what to do next with the key that does it."""

import time
from collections.abc import Iterator, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from engine.events import number
from engine.measures import is_count, leading, spoken
from engine.readers.run_view import RunView, best
from engine.runfolder import RunFolder, SplitSummary
from engine.runfolder.mirror import command_for, from_here
from tui.plotting.cells import Line, flowed
from tui.settings import keyed
from tui.state.feed import RunSnapshot
from tui.text import figure, nearest, one_line, wrapped
from tui.widgets.canvas import Canvas

RESUMABLE = ("failed", "stopped", "lost", "silent")


def ending(snapshot: RunSnapshot) -> tuple[str, str]:
    """What the run said at its end, or what is known of a lost one; and what helps."""
    ended, status = snapshot.view.ended, snapshot.status
    message = ended.message if ended and ended.message else status.message
    hint = ended.hint if ended and ended.hint else status.hint
    if snapshot.state == "lost" and not snapshot.view.checkpoints:  # there is nothing that its hint could go on from
        hint = f"no checkpoint was written: medtui run with its recipe.toml begins again; {hint.partition('; ')[2]}"
    return message or f"the run is {snapshot.state}", hint


class EndCard(Canvas):
    """As many lines as it needs; none while the run is alive. It asks the screen to act."""

    ID, NAME = "card", "ended run"
    DEFAULT_CSS = "EndCard { height: 1; display: none; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "resume", "resume", tooltip="go on with this run from its last checkpoint (asks)"),
        Binding("F", "fork", "fork", tooltip="begin a new run at its last checkpoint, with other keys"),
        Binding("e", "report", "report", tooltip="copy the path of the report; write it where there is none"),
    ]

    class Wanted(Message):
        """Something is to be done with the run: ``resume``, ``fork`` or ``report``."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder, self._command = folder, command_for(folder, "resume")
        self.summaries: Mapping[str, SplitSummary] = {}  # of metrics.json, which the screen reads
        self._newest: RunSnapshot | None = None  # may not be drawn yet
        self.known = False  # whether the screen has looked for them: till then nothing jumps
        self.reported = False  # there is a report.html
        self.doing = ""  # what has been begun and takes a while

    def offers(self, action: str) -> bool:
        shown = self._newest
        return shown is not None and shown.over and (action != "resume" or shown.state in RESUMABLE)

    def action_resume(self) -> None:
        self._ask("resume")

    def action_fork(self) -> None:
        self._ask("fork")

    def action_report(self) -> None:
        self._ask("report")

    def _ask(self, what: str) -> None:
        state = self._newest.state if self._newest else ""
        if self.offers(what):
            self.post_message(self.Wanted(what))
        elif self.offers("fork"):
            words = keyed("the run is finished: <fork:F> begins a new one at its last checkpoint")
            self.notify(words, severity="warning", markup=False, timeout=4)
        else:
            self.notify(f"the run is {state}: this is for one that is over", severity="warning", timeout=3)

    def do(self, what: str) -> None:
        """Say what has been begun until it is done: ``""``."""
        self.doing = what
        self.fit()

    def on_resize(self) -> None:
        self.fit()
        super().on_resize()

    def take(self, snapshot: RunSnapshot) -> None:
        """Have its height before anything is drawn."""
        self._newest = snapshot
        self.fit()

    def fit(self) -> None:
        """Take as many lines as there is to say, a third of the screen at most."""
        wide = self.app.size.width
        count = len(self._lines(self._newest, wide))
        self.display = count > 0
        if count:
            self.styles.height = count
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        return self._lines(self.snapshot, width)

    def _lines(self, snapshot: RunSnapshot | None, width: int) -> list[Line]:
        if snapshot is None or not snapshot.over or not self.known:
            return []
        lines = list(self._finished(snapshot.view, width)) if snapshot.state == "finished" else []
        if not lines:
            lines = list(self._ended(snapshot, width))
        most = max(3, self.app.size.height // 3)
        if len(lines) > most:  # its keys are in the last one
            more: Line = [(keyed("… <findings:d> shows every word"), "muted")]
            lines = [*lines[: most - 2], more, lines[-1]]
        lines = [[(self.doing, "accent bold")], *lines] if self.doing else lines
        return [[(" ", "ink"), *line] for line in lines]

    # --- finished ------------------------------------------------------------------------------

    def _finished(self, view: RunView, width: int) -> Iterator[Line]:
        split = next((name for name in ("test", "validation") if name in self.summaries), "")
        part = self.summaries.get(split, SplitSummary())
        values = {name: value for name, value in part.values.items() if value is not None and not is_count(name)}
        if not values and "test" in view.results:
            split, found = "test", view.results["test"].metrics
            values = {name: number(value) for name, value in found.items() if value is not None}
        names = sorted(leading(values), key=lambda name: name != view.monitor)
        parts = [[(f"{split} ", "muted"), *_value(part, name, values[name], "accent bold")] for name in names[:1]]
        parts += [[(f"{spoken(name)} ", "muted"), (str(n), "ink")] for name, n in part.counts.items() if n is not None]
        parts += [self._validation(view, values)]
        parts += [_value(part, name, values[name], "ink") for name in names[1:6]]
        yield from flowed([part for part in parts if part], width - 2, most=3 if self.app.size.height >= 30 else 2)
        report = f"report {one_line(nearest(self.folder.root / 'report.html'))}" if self.reported else "no report yet"
        keys = _keys("<report:e>", "copies its path" if self.reported else "writes it")
        keys += _keys("<fork:F>", "fork", "<figures:f>", "figures")
        yield from flowed([[(report, "muted")], *keys], width - 2)

    def _validation(self, view: RunView, values: Mapping[str, float]) -> Line:
        """The best validation, and how far the test is from it."""
        track = view.validation.get(view.monitor)
        found = best(track, up=view.monitor_up) if track is not None else None
        if found is None:
            return []
        line = [("best epoch ", "muted"), (str(found[1]), "ink"), (", validation ", "muted"), (figure(found[0]), "ink")]
        if view.monitor in values and "test" in view.results:
            gap = values[view.monitor] - found[0]
            line += [(", gap ", "muted"), (f"{'+' if gap >= 0 else '−'}{abs(gap):.3f}", "ink")]
        return line

    # --- failed, lost, stopped -----------------------------------------------------------------

    def _ended(self, snapshot: RunSnapshot, width: int) -> Iterator[Line]:
        message, hint = (one_line(text) for text in ending(snapshot))
        command = one_line(self._command)  # from where it is read, which the one who wrote the hint did not know
        hint = from_here(self.folder, hint)
        color = "warning" if snapshot.state in {"stopped", "finished"} else "error"
        yield from ([(row, color)] for row in wrapped(message, width - 2))
        yield from ([(row, "ink")] for row in wrapped(hint, width - 2))
        saved = bool(snapshot.view.checkpoints)
        named = not saved or command in f"{message} {hint}" or snapshot.state == "finished"
        parts: list[Line] = [] if named else [[(command, "accent")]]
        if snapshot.state == "lost" and snapshot.view.time_s:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(snapshot.view.time_s))
            parts.append([("last event ", "muted"), (when, "ink")])
        unsaved: list[Line] = [] if "no checkpoint" in hint else [[("no checkpoint was written", "muted")]]
        keys = _keys("<resume:R>", "resume", "<fork:F>", "fork") if saved else unsaved
        parts += [*keys, *_keys("<report:e>", "report")]
        yield from flowed_with(parts, _keys("<number(6):6>", "log"), width - 2)


def _value(part: SplitSummary, name: str, value: float, look: str) -> Line:
    line: Line = [(f"{one_line(spoken(name, part.unit))} ", "muted"), (figure(value), look)]
    bounds = part.interval(name)
    if bounds and all(isinstance(bound, int | float) for bound in bounds):
        line.append((f" ({figure(bounds[0])} to {figure(bounds[1])})", "muted"))
    return line


def flowed_with(parts: list[Line], more: list[Line], width: int) -> list[Line]:
    """The lines of ``parts``, and of ``more`` where that costs no line."""
    lines, longer = list(flowed(parts, width)), list(flowed([*parts, *more], width))
    return longer if len(longer) == len(lines) else lines


def _keys(*named: str) -> list[Line]:
    """Keys and words in turns."""
    return [
        [(keyed(key), "accent bold"), (f" {words}", "muted")]
        for key, words in zip(named[::2], named[1::2], strict=True)
    ]
