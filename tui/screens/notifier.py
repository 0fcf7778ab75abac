"""Tells the terminal how a run stands: its title while it goes on, a bell and a notification at its end, and once for
each severe finding."""

from textual.app import App
from textual.notifications import SeverityLevel

from tui import terminal
from tui.state.estimate import done_share
from tui.state.feed import RunSnapshot
from tui.text import one_line


class Notifier:
    """Speaks for one run."""

    def __init__(self, app: App[object], run: str) -> None:
        self._app, self._run = app, run
        self._title = ""
        self._before: RunSnapshot | None = None
        self._rung: set[str] = set()  # codes of findings that a bell was rung for

    def update(self, now: RunSnapshot) -> None:
        """Take a new snapshot, and say what is new in it."""
        before, self._before = self._before, now
        share = done_share(now.view)
        name = now.view.started.name if now.view.started else self._run
        percent = "" if share is None or now.over else f"{share * 100:.0f} %"
        state = now.state if now.over or now.state == "paused" else ""
        self._name(" ".join(word for word in (percent, state, name, "– medtui") if word))
        severe = [finding for finding in now.findings if finding.severity == "error"]
        new = [finding for finding in severe if finding.code not in self._rung]
        self._rung |= {finding.code for finding in severe}
        if before is None or before.read_share < 1:
            return  # what was so when the run was opened is no news
        if new and not now.over:
            self._ring(f"{name}: {new[0].message}")
            notify(self._app, new[0].message, "error")
        if not before.over and now.over:
            self._ring(f"{name}: {now.state}")
            notify(self._app, f"the run is {now.state}", "information" if now.state == "finished" else "error")

    def _ring(self, text: str) -> None:
        self._app.bell()
        self._say(terminal.notification(one_line(text)))

    def leave(self) -> None:
        """Give the terminal the title back that it had."""
        if self._title:
            self._say(terminal.GIVE_TITLE_BACK)
            self._title = ""

    def _name(self, title: str) -> None:
        if title != self._title:
            if not self._title:
                self._say(terminal.KEEP_TITLE)
            self._title = title
            self._say(terminal.title(title))

    def _say(self, sequence: str) -> None:
        driver = self._app._driver  # Textual has no public way to write a sequence of one's own
        if driver is not None and not self._app.is_headless:
            driver.write(sequence)


def notify(app: App[object], text: str, severity: SeverityLevel = "information", timeout: float = 3) -> None:
    """A short message over the corner of the screen. Names in it come from files, so it is plain text."""
    app.notify("\n".join(map(one_line, text.splitlines())), severity=severity, markup=False, timeout=timeout)
