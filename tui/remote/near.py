"""The near end: a thread that keeps a mirror of a host's runs up to date over ssh, and connects again."""

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

import msgspec

from engine.errors import UsageError, printable, raised_as
from engine.runfolder import RunFolder, take
from engine.runfolder.careful import UNREADABLE
from engine.runfolder.mirror import ASKED, STREAM, WATCHED, WATCHED_S, Asked, fetch, watch
from tui.remote.hosts import Host
from tui.remote.mirror import Mirror, place
from tui.remote.protocol import BEAT_S, LONGEST_LINE, VERSION, FromFar, FromNear, digest, is_file_name

POLL_S, SOON_S = 0.2, 0.02  # between two looks at what is asked for; and as long as somebody waits for a first screen
PATIENCE_S = 30.0  # how long a first connection may take
LONGEST_PAUSE_S = 30.0  # between two attempts to connect again
STALE_S = 60.0  # a request that could not be sent for so long is dropped: a stop that comes an hour late helps nobody
SAY_S = 1.0  # between two problems of the far end that a person is told
MOST_NOISE = 64 << 10  # bytes that a login may print before `medtui tail` speaks
NO_TAIL = "what the far end says is no medtui tail"


class Link:
    """Keeps the mirror of one host up to date in a thread, until it is closed; a lost connection is made again."""

    def __init__(self, host: Host, say: Callable[[str], None] = lambda _text: None) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "medtui" / "hosts" / host.name
        # Two folders of one host have mirrors of their own.
        self.runs = base / digest(f"{host.ssh} {host.runs}".encode()) / "runs"
        self.say = say  # called in that thread with a line for people when the connection is lost or is back
        self._host = host
        self._room = f"it needs room in {base.parent}; XDG_CACHE_HOME names another place"
        with raised_as(UsageError, f"no mirror of {host.name} can be kept here", self._room):
            self._mirror = Mirror(self.runs, host.name, host.by_hand("%s"), f"{host.name}:{host.runs}")
        self._listed, self._stopped, self._failed = threading.Event(), threading.Event(), threading.Event()
        self._failure = UsageError(f"{host.name} does not answer", f"try it by hand: {host.by_hand()}")
        self._whole: set[str] = set()
        self._held: set[str] = set()
        self._shared, self._said_s = False, 0.0
        self._thread = threading.Thread(target=self._run, name=f"link {host.name}", daemon=True)

    def open(self) -> None:
        """Connect, and wait until all runs are named.

        Raises:
            UsageError: the host cannot be reached, or has no medtui.
        """
        self._thread.start()
        end = time.monotonic() + PATIENCE_S
        while not self._listed.wait(SOON_S):
            if self._failed.is_set() or time.monotonic() > end:
                failure = self._failure  # before closing makes another
                self.close()
                raise failure

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(3.0)

    def hold(self, folder: RunFolder, wait_s: float = PATIENCE_S) -> None:
        """Follow a run until the link is closed, and wait until all of its stream is here."""
        self._held.add(folder.id)
        if self._shared:
            fetch(folder, STREAM, wait_s=wait_s)
        end = time.monotonic() + wait_s
        while not self._shared and self._awaits() and time.monotonic() < end:
            time.sleep(SOON_S)

    def _awaits(self) -> bool:
        return not self._held <= self._whole

    def _look(self) -> float:
        """Keep what is held; how soon to look again."""
        for name in self._held.copy():
            watch(RunFolder(self.runs / name))
        return SOON_S if self._awaits() else POLL_S

    def _run(self) -> None:
        with (self.runs.parent / ".lock").open("w") as lock:
            pause_s = 1.0
            while not self._stopped.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # another terminal keeps this mirror up
                    self._shared = True
                    self._listed.set()
                    self._look()
                    self._stopped.wait(1.0)
                    continue
                self._shared = False
                began_s = time.monotonic()
                self._failure = self._connect()
                if not self._listed.is_set():
                    self._failed.set()
                    return
                self._mirror.lost(f"{self._failure.message}; trying again")
                if self._stopped.is_set():
                    return
                self.say(f"{self._failure.message}; trying again")
                pause_s = 1.0 if time.monotonic() - began_s > BEAT_S else min(2 * pause_s, LONGEST_PAUSE_S)
                self._stopped.wait(pause_s)

    def _connect(self) -> UsageError:
        """Connect, follow the host until the connection ends, and return why it ended."""
        with tempfile.TemporaryFile() as errors:
            pipe, words = subprocess.PIPE, self._host.command("tail")
            try:
                ssh = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True)
            except OSError as error:
                return UsageError(f"ssh cannot be started: {error.strerror or error}", "install an OpenSSH client")
            try:
                problem = _Connection(ssh, self._mirror, self._heard, self._look).follow(self._stopped)
            except OSError as error:
                said = f"the mirror of {self._host.name} cannot be written: {error.strerror or error}"
                return UsageError(said, self._room)
            finally:
                code = _end(ssh)
            if problem:
                return UsageError(f"{self._host.name}: {problem}", f"see by hand: {self._host.by_hand('tail')}")
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4000))
            return self._host.failure(code, errors.read())

    def _heard(self, message: FromFar) -> None:
        if message.whole:
            self._whole.add(message.run)
        if message.problem and not message.done and time.monotonic() - self._said_s > SAY_S:
            self._said_s = time.monotonic()
            self.say(f"{self._host.name}: {printable(message.problem[:300], keep='')}")
        if message.listed:
            self._mirror.forget_others()
            self._mirror.lost("")
            if self._listed.is_set():
                self.say(f"connected to {self._host.name} again")
            self._listed.set()


class _Connection:
    """One ssh that lives."""

    def __init__(
        self, ssh: subprocess.Popen[bytes], mirror: Mirror, heard: Callable[[FromFar], None], look: Callable[[], float]
    ) -> None:
        """``look`` keeps what is watched, and says how soon it is to be called again."""
        self._ssh, self._mirror, self._heard, self._look = ssh, mirror, heard, look
        self._whole: set[str] = set()
        self._said_s = self._beat_s = time.monotonic()
        self._greeted, self._problem, self._poll_s = False, "", POLL_S
        mirror.followed.clear()
        mirror.wanted.clear()

    def follow(self, stopped: threading.Event) -> str:
        """Until the far end is gone, or ``stopped``; what is wrong with what it says, if that is why."""
        assert self._ssh.stdout is not None  # noqa: S101 - it is a pipe
        out, waiting, heard = self._ssh.stdout.fileno(), bytearray(), 0
        while not stopped.is_set() and not self._problem:
            if select.select([out], [], [], self._poll_s)[0]:
                part = os.read(out, 1 << 18)
                if not part:
                    return ""
                waiting += part
                heard += len(part)
                if len(waiting) > LONGEST_LINE or (heard > MOST_NOISE and not self._greeted):
                    return NO_TAIL
                if b"\n" in part:
                    *lines, rest = waiting.split(b"\n")
                    waiting = bytearray(rest)
                    for line in lines:
                        self._line(bytes(line))
            if self._greeted:
                self._ask()
        return self._problem

    def _line(self, line: bytes) -> None:
        try:
            message = msgspec.json.decode(line, type=FromFar)
        except UNREADABLE:
            return  # what a login prints
        if not self._greeted:
            self._greeted = message.hello == VERSION
            if message.hello not in {None, VERSION}:
                self._problem = f"its medtui tail speaks version {message.hello}, this one {VERSION}: update the older"
            if self._greeted:
                self._mirror.status.clear()  # all are named anew: what was removed meanwhile is not
            return
        self._mirror.hear(message)
        if message.whole:
            self._whole.add(message.run)
        self._heard(message)
        if time.monotonic() - self._beat_s > BEAT_S:
            self._beat_s = time.monotonic()
            self._mirror.beat()

    def _ask(self) -> None:
        """Say which runs are watched, what is asked for, and what trainers are asked to do."""
        self._poll_s = self._look()
        for name, seen_s in _marks(self._mirror.root / WATCHED):
            if name in self._mirror.status:
                self._turn_to(RunFolder(self._mirror.root / name), watched=time.time() - seen_s < WATCHED_S)
        for key, put_s in _marks(self._mirror.root / ASKED):
            self._pass_on(key, late=time.time() - put_s > STALE_S)
        if time.monotonic() - self._said_s > BEAT_S:
            self._say(FromNear())

    def _turn_to(self, run: RunFolder, *, watched: bool) -> None:
        """Follow a run as long as it is watched, and pass on what its trainer is asked to do."""
        followed = self._mirror.followed
        if watched and run.id not in followed and not run.is_study:
            at, before = place(run)
            followed.add(run.id)
            self._say(FromNear(run=run.id, follow=True, at=at, before=before))
        elif not watched and run.id in followed:
            followed.discard(run.id)
            self._whole.discard(run.id)
            self._say(FromNear(run=run.id, follow=False))
        for request in take(run):
            if time.time() - request.time_s < STALE_S:
                self._say(FromNear(run=run.id, request=request))

    def _pass_on(self, key: str, *, late: bool) -> None:
        """Ask the far end, once on this connection; that a stream is here is known without it."""
        if key in self._mirror.wanted:
            return
        try:
            asked = msgspec.json.decode((self._mirror.root / ASKED / key).read_bytes(), type=Asked)
        except UNREADABLE:
            late = True
        if late or (asked.file and asked.file != STREAM and not is_file_name(asked.file)):
            self._mirror.answer(key)
        elif asked.file == STREAM:
            if asked.run in self._whole or asked.run not in self._mirror.status or RunFolder(Path(asked.run)).is_study:
                self._mirror.answer(key)
        else:
            self._mirror.wanted[key] = asked.run, asked.file
            self._say(FromNear(run=asked.run, key=key, asked=asked))

    def _say(self, message: FromNear) -> None:
        assert self._ssh.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # then reading ends too
            self._ssh.stdin.write(msgspec.json.encode(message) + b"\n")
            self._ssh.stdin.flush()
        self._said_s = time.monotonic()


def _marks(folder: Path) -> list[tuple[str, float]]:
    """Names of the files in a folder, and when they were touched; those with a dot are being written, or answers."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(OSError):
                found.append((path.name, path.stat().st_mtime))
    return [mark for mark in found if "." not in mark[0] or folder.name == WATCHED]


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
