"""The near end: a thread that keeps a mirror of a host's runs up to date over ssh, and connects again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import msgspec

from engine.errors import UsageError, printable
from engine.runfolder import RunFolder, take
from engine.runfolder.careful import UNREADABLE
from engine.runfolder.mirror import ASKED, WATCHED, WATCHED_S, watch
from tui.remote.hosts import Host
from tui.remote.mirror import Mirror, place
from tui.remote.protocol import BEAT_S, LONGEST_LINE, VERSION, FromFar, FromNear, digest, is_file_name

POLL_S = 0.2
PATIENCE_S = 30.0
"""How long a first connection may take."""
LONGEST_PAUSE_S = 30.0
"""Between two attempts to connect again."""
STALE_S = 60.0
"""A request that could not be sent for so long is dropped: a stop that comes an hour late helps nobody."""
MOST_NOISE = 64 << 10
"""Bytes that a login may print before `medtui tail` speaks."""


class Link:
    """Keeps the mirror of one host up to date in a thread, until it is closed; a lost connection is made again.

    Attributes:
        runs: the folder of runs here.
        say: called in that thread with a line for people when the connection is lost or is back.
    """

    def __init__(self, host: Host, say: Callable[[str], None] = lambda _text: None) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "medtui" / "hosts" / host.name
        # Two folders of one host have mirrors of their own.
        self.runs = base / digest(f"{host.ssh} {host.runs}".encode()) / "runs"
        self.say = say
        self._host, self._mirror = host, Mirror(self.runs, host.name)
        self._listed, self._stopped, self._failed = threading.Event(), threading.Event(), threading.Event()
        self._failure = UsageError(f"{host.name} does not answer", "try it by hand: ssh " + host.ssh)
        self._whole: set[str] = set()
        self._held: set[str] = set()
        self._shared = False
        self._thread = threading.Thread(target=self._run, name=f"link {host.name}", daemon=True)

    def open(self) -> None:
        """Connect, and wait until all runs are named.

        Raises:
            UsageError: the host cannot be reached, or has no medtui.
        """
        self._thread.start()
        end = time.monotonic() + PATIENCE_S
        while not self._listed.wait(0.02):
            if self._failed.is_set() or time.monotonic() > end:
                self.close()
                raise self._failure

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(3.0)

    def hold(self, folder: RunFolder) -> None:
        """Follow a run until the link is closed, and wait until all of its stream is here."""
        self._held.add(folder.id)
        end = time.monotonic() + (2.0 if self._shared else PATIENCE_S)
        while folder.id not in self._whole and time.monotonic() < end and not self._stopped.is_set():
            time.sleep(0.02)

    def _watch(self) -> None:
        for name in self._held.copy():
            watch(RunFolder(self.runs / name))

    def _run(self) -> None:
        with (self.runs.parent / ".lock").open("w") as lock:
            pause_s = 1.0
            while not self._stopped.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # another terminal keeps this mirror up
                    self._shared = True
                    self._listed.set()
                    self._watch()
                    self._stopped.wait(1.0)
                    continue
                began_s = time.monotonic()
                self._failure = self._connect()
                if not self._listed.is_set():
                    self._failed.set()
                    return
                if self._stopped.is_set():
                    return
                with contextlib.suppress(OSError):
                    self._mirror.beat(f"{self._failure.message}; trying again")
                self.say(f"{self._failure.message}; trying again")
                pause_s = 1.0 if time.monotonic() - began_s > BEAT_S else min(2 * pause_s, LONGEST_PAUSE_S)
                self._stopped.wait(pause_s)

    def _connect(self) -> UsageError:
        """Connect, follow the host until the connection ends, and return why it ended."""
        with tempfile.TemporaryFile() as errors:
            try:
                ssh = subprocess.Popen(
                    self._host.command("tail"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError as error:
                return UsageError(f"ssh cannot be started: {error.strerror or error}", "install an OpenSSH client")
            try:
                problem = _Connection(ssh, self._mirror, self._heard, self._watch).follow(self._stopped)
            except OSError as error:
                problem = f"the mirror of {self._host.name} cannot be written: {error.strerror or error}"
            finally:
                code = _end(ssh)
            if problem:
                return UsageError(problem)
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4000))
            return self._host.failure(code, errors.read())

    def _heard(self, message: FromFar) -> None:
        if message.whole:
            self._whole.add(message.run)
        if message.problem:
            self.say(f"{self._host.name}: {printable(message.problem)}")
        if message.listed:
            self._mirror.forget_others()
            if self._listed.is_set():
                self.say(f"connected to {self._host.name} again")
            self._listed.set()


class _Connection:
    """One ssh that lives."""

    def __init__(
        self,
        ssh: subprocess.Popen[bytes],
        mirror: Mirror,
        heard: Callable[[FromFar], None],
        watched: Callable[[], None],
    ) -> None:
        self._ssh, self._mirror, self._heard, self._watch = ssh, mirror, heard, watched
        self._follows: set[str] = set()
        self._said_s = self._beat_s = time.monotonic()

    def follow(self, stopped: threading.Event) -> str:
        """Until the far end is gone, or ``stopped``; what is wrong with what it says, if that is why."""
        assert self._ssh.stdout is not None  # noqa: S101 - it is a pipe
        out, waiting, greeted, heard = self._ssh.stdout.fileno(), bytearray(), False, 0
        while not stopped.is_set():
            if select.select([out], [], [], POLL_S)[0]:
                part = os.read(out, 1 << 18)
                if not part:
                    return ""
                waiting += part
                heard += len(part)
                if len(waiting) > LONGEST_LINE or (heard > MOST_NOISE and not greeted):
                    return "what the far end says is no medtui tail"
                if b"\n" in part:
                    *lines, rest = waiting.split(b"\n")
                    waiting = bytearray(rest)
                    for line in lines:
                        greeted = self._line(bytes(line), greeted)
            if greeted:
                self._ask()
        return ""

    def _line(self, line: bytes, greeted: bool) -> bool:
        try:
            message = msgspec.json.decode(line, type=FromFar)
        except UNREADABLE:
            return greeted  # what a login prints
        if not greeted:
            return message.hello == VERSION
        self._mirror.hear(message)
        self._heard(message)
        if time.monotonic() - self._beat_s > BEAT_S:
            self._beat_s = time.monotonic()
            self._mirror.beat()
        return True

    def _ask(self) -> None:
        """Say which runs are watched, which files are asked for, and what trainers are asked to do."""
        self._watch()
        for name in list(self._mirror.status):
            run = RunFolder(self._mirror.root / name)
            try:
                watched = time.time() - (run.root / WATCHED).stat().st_mtime < WATCHED_S
            except OSError:
                continue  # nobody has ever looked at it
            if watched and name not in self._follows:
                at, before = place(run)
                self._follows.add(name)
                self._say(FromNear(run=name, follow=True, at=at, before=before))
            elif not watched and name in self._follows:
                self._follows.discard(name)
                self._say(FromNear(run=name, follow=False))
            for file in _asked_files(run):
                self._say(FromNear(run=name, file=file))
            for request in take(run):
                if time.time() - request.time_s < STALE_S:
                    self._say(FromNear(run=name, request=request))
        if time.monotonic() - self._said_s > BEAT_S:
            self._say(FromNear())

    def _say(self, message: FromNear) -> None:
        assert self._ssh.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # then reading ends too
            self._ssh.stdin.write(msgspec.json.encode(message) + b"\n")
            self._ssh.stdin.flush()
        self._said_s = time.monotonic()


def _asked_files(run: RunFolder) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for path in sorted((run.root / ASKED).iterdir()):
            name = unquote(path.name)
            if not is_file_name(name):
                path.unlink()
            elif not path.stat().st_size:
                path.write_bytes(b"asked")
                yield name


def _end(ssh: subprocess.Popen[bytes]) -> int:
    """End ssh; its exit code, or that of its own end."""
    for pipe in (ssh.stdin, ssh.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        return ssh.wait(1.0)
    except subprocess.TimeoutExpired:
        ssh.kill()
        return ssh.wait()


@contextlib.contextmanager
def linked(host: Host, runs: Path) -> Iterator[Link]:
    """A `Link` that is open. ``runs``, where it is not the usual one, is the folder of runs there.

    Raises:
        UsageError: see `Link.open`.
    """
    link = Link(host if runs == Path("runs") else msgspec.structs.replace(host, runs=str(runs)))
    link.open()
    try:
        yield link
    finally:
        link.close()
