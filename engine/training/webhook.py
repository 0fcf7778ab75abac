"""Tells an address on the web how a run ends, and what goes badly wrong in it.

The address is a secret: who has it can write there. It stands in a file of its own, and in no recipe.toml, checkpoint,
event or report.
"""

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.diagnosis import Finding
from engine.recipe.tables import WEB_ADDRESS
from engine.runfolder import RunFolder, State, read_small, write_text

_TIMEOUT_S = 5.0  # for an answer, and at the end of a run for all that are still waited for


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the address was not meant for another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def keep_webhook(folder: RunFolder, url: str | None) -> None:
    """Keep the address of a run or a study in its folder, for its owner only; None keeps what is there."""
    if url:
        write_text(folder.webhook, url)


def stored_webhook(folder: RunFolder) -> str | None:
    """The address of a run or a study; None where it has none that a recipe could have."""
    try:
        text = read_small(folder.webhook).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.match(WEB_ADDRESS, text) else None


class Webhook:
    """The address of one run. Each message has a thread of its own, and training waits for none."""

    def __init__(self, folder: RunFolder, name: str, log: Callable[[str, str], None]) -> None:
        """``log`` takes a message and a level, in any thread."""
        self._url = stored_webhook(folder)
        self._run, self._name, self._log = folder.id, name, log
        self._threads: list[threading.Thread] = []
        self._over = False

    def announce(self) -> None:
        """Say in the log that something will be sent, and where to."""
        if self._url:
            self._log(f"the end of this run and its errors are sent to {urlsplit(self._url).hostname}", "info")

    def say(self, state: State, message: str = "", finding: Finding | None = None) -> None:
        """Send that the run is in a state, or that something is wrong with it."""
        if not self._url:
            return
        text = f"{self._name}: {finding.message if finding else ' '.join(filter(None, (state, message)))}"
        values = {"run": self._run, "name": self._name, "state": state, "message": message, "finding": finding}
        data = msgspec.json.encode({**values, "text": text})
        head = {"Content-Type": "application/json", "User-Agent": "medtui"}
        request = urllib.request.Request(self._url, data, head)  # noqa: S310  # http(s): `stored_webhook` saw to it
        thread = threading.Thread(target=self._send, args=(request,), name="webhook", daemon=True)
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        """Wait for what is under way, some seconds at most; what fails later is told to nobody."""
        limit = time.monotonic() + _TIMEOUT_S + 1
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))
        late, self._over = any(thread.is_alive() for thread in self._threads), True
        if late:
            self._log("the webhook did not answer", "warning")

    def _send(self, request: urllib.request.Request) -> None:
        try:
            with _OPENER.open(request, timeout=_TIMEOUT_S):
                return
        except urllib.error.HTTPError as error:
            reason = f"it answered {error.code}"
        except Exception as error:  # noqa: BLE001  # the thread's boundary; no text of an error names the address
            reason = type(getattr(error, "reason", error)).__name__
        if not self._over:
            self._log(f"the webhook was not reached: {reason}", "warning")
