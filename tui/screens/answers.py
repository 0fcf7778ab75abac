"""Takes the terminal's answers out of what it sends, before Textual would read them as keys.

They may come late, over a slow line: nothing waits for them. Keys of the number pad get the names of their likes.
"""

import contextlib
import re
from collections.abc import Callable, Iterable

from textual._keyboard_protocol import FUNCTIONAL_KEYS
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.drivers._writer_thread import WriterThread
from textual.keys import _character_to_key
from textual.message import Message

from tui.terminal import ANSWERS

# By kitty's protocol they have codes of their own, which Textual calls decimal, divide, add: nothing binds those.
_PAD = zip((*range(57409, 57414), 57415, 57416), "./*-+=,", strict=True)
FUNCTIONAL_KEYS.update({f"{code}u": _character_to_key(char) for code, char in _PAD})


class _Writer(WriterThread):
    """Textual's own ends by the first error of a terminal that is gone; its queue fills, and the dashboard hangs."""

    def run(self) -> None:
        while (text := self._queue.get()) is not None:
            with contextlib.suppress(OSError):
                self._file.write(text)
                if self._queue.qsize() == 0:
                    self._file.flush()
        with contextlib.suppress(OSError):
            self._file.flush()


def outlive_the_terminal() -> None:
    """Let the writer of what is shown go on when nobody takes it any more, until `tui.terminal.watch` ends it all."""
    setattr(linux_driver, "WriterThread", _Writer)  # noqa: B010  # as in `listen`


_BEGUN = re.compile(r"\x1b(?:\[(?:6;|\?)[\d;]*|P>(?:\|[^\x1b]{0,80}\x1b?)?)\Z")


def listen(take: Callable[[str], object]) -> None:
    """Hand every answer that the terminal gives to ``take``, in the thread that reads it."""

    class Parser(XTermParser):
        """Textual's own, which sees what is left."""

        begun = ""  # of an answer that is not all there

        def feed(self, data: str) -> Iterable[Message]:
            if not data:  # the end
                return super().feed(data)
            data, self.begun = self.begun + data, ""
            for answer in ANSWERS.finditer(data):
                take(answer[0])
            data = ANSWERS.sub("", data)
            if begun := _BEGUN.search(data):
                data, self.begun = data[: begun.start()], begun[0]
            return super().feed(data) if data else ()

    setattr(linux_driver, "XTermParser", Parser)  # noqa: B010  # the driver has no other way to another parser
