"""The dashboard on a real pseudo-terminal: what it sends, and what its end leaves alone; titles and bells."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from textual.drivers import linux_driver
from textual.events import Key

from tests.tui import recorded
from tui.ascii import wants_ascii
from tui.screens.answers import listen
from tui.settings import Settings, load_settings, save_settings, settings_path
from tui.terminal import ASK, Pictures, notification, pictures, title

OWN = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"  # its terminal, whose end reaches it
OPEN = (
    "import sys\nfrom pathlib import Path\nfrom engine.runfolder import RunFolder\nfrom tui.app import MedtuiApp\n"
    "MedtuiApp(Path(sys.argv[1]).parent, RunFolder(Path(sys.argv[1]))).run()"
)


class Terminal:
    """A dashboard in a pseudo-terminal of 120x40."""

    def __init__(self, folder: Path, home: Path, before: str = OWN, code: str = OPEN) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        env = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", XDG_CONFIG_HOME=str(home))
        for name in ("COLUMNS", "LINES"):  # which other tests, and some shells, leave behind
            env.pop(name, None)

        self.process = subprocess.Popen(
            [sys.executable, "-c", before + code, str(folder)],
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        os.close(slave)

    def read(self, seconds: float, until: bytes = b"") -> bytes:
        end, seen = time.monotonic() + seconds, b""
        while time.monotonic() < end and (not until or until not in seen):
            if select.select([self.master], [], [], 0.05)[0]:
                seen += os.read(self.master, 1 << 16)
        return seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def plan() -> recorded.Plan:
    return recorded.Plan(epochs=200, done=12, per_epoch=40, step_s=0.5)


def test_few_bytes_in_the_steady_state_and_sighup_ends_the_viewer_only(tmp_path: Path, plan: recorded.Plan) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.tui import recorded as r; "
        "r.go_on(Path(sys.argv[1]), 2, r.Plan(epochs=200, done=12, per_epoch=40, step_s=0.5))"
    )
    trainer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert trainer.stdout is not None
    folder = Path(trainer.stdout.readline().split()[0].decode())
    terminal = Terminal(folder, tmp_path)
    try:
        assert b"running" in terminal.read(20, until=b"running")
        terminal.read(2)
        count = len(terminal.read(5))
        assert 0 < count < 5 * 4000
        os.write(terminal.master, b"\x0c")
        assert len(terminal.read(2)) > 8000  # Ctrl+L: all of it
        before = (folder / "events.jsonl").stat().st_size
        os.close(terminal.master)  # the terminal goes: the kernel sends SIGHUP
        assert terminal.process.wait(timeout=60) is not None
        time.sleep(1.5)
        assert trainer.poll() is None
        assert (folder / "events.jsonl").stat().st_size > before
    finally:
        terminal.close()
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()


@pytest.mark.parametrize("before", ["", OWN + "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"])
def test_a_terminal_that_goes_without_a_signal_ends_the_viewer(tmp_path: Path, before: str) -> None:
    terminal = Terminal(recorded.finished(tmp_path).root, tmp_path, before)
    try:
        assert b"finished" in terminal.read(20, until=b"finished")
        os.close(terminal.master)
        assert terminal.process.wait(timeout=60) == 0
        assert (tmp_path / "medtui" / "dashboard.json").is_file()  # it ended as by q: the place is remembered
    finally:
        terminal.close()


def test_the_end_of_a_run_rings_and_is_told(tmp_path: Path, plan: recorded.Plan) -> None:
    recorder = recorded.record(tmp_path, plan)
    terminal = Terminal(recorder.folder.root, tmp_path)
    try:
        assert b"]2;6 % seg_best" in terminal.read(20, until=b"]2;6 %")
        terminal.read(1.0)
        recorded.end(recorder, plan, "failed", "out of memory")
        seen = terminal.read(8, until=b"out of memory") + terminal.read(1)
        assert b"\x1b]9;seg_best: failed\x07" in seen
        assert seen.replace(b"failed\x07", b"").count(b"\x07") >= 1
        os.write(terminal.master, b"q")
        assert terminal.process.wait(timeout=60) == 0
    finally:
        terminal.close()


def test_a_folder_of_runs_alone_opens_the_list_of_them(tmp_path: Path) -> None:
    recorded.finished(tmp_path / "elsewhere")
    code = "from tui.cli import main\nmain(['--runs', sys.argv[1]])"
    terminal = Terminal(tmp_path / "elsewhere", tmp_path, "import sys\n", code)
    try:
        assert b"seg_best" in terminal.read(20, until=b"seg_best")
    finally:
        terminal.close()


def test_titles_and_notifications_carry_no_sequence_of_a_name() -> None:
    assert title("a\x1b]0;x\x07b") == "\x1b]2;a·]0;x·b\x07"
    assert notification("a;b\x07", {"TERM": "foot"}) == "\x1b]777;notify;medtui;a,b·\x07"
    assert notification("a", {"TERM": "xterm"}) == "\x1b]9;a\x07"
    assert notification("a", {"TERM": "tmux-256color", "TMUX": "x"}) == "\x1bPtmux;\x1b\x1b]9;a\x07\x1b\\"


@pytest.mark.parametrize(
    ("environ", "protocol", "ask"),
    [
        ({"TERM": "xterm-kitty"}, "", True),
        ({"TERM": "xterm-ghostty"}, "kitty", False),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm", False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm", False),
        ({"TERM": "xterm-256color"}, "", True),
        ({"TERM": "foot"}, "", True),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, "", False),
        ({"TERM": "tmux-256color", "LC_TERMINAL": "iTerm2"}, "", False),
        ({"TERM": "xterm-kitty", "MEDTUI_IMAGES": "blocks"}, "", False),
        ({"TERM": "tmux-256color", "MEDTUI_IMAGES": "sixel"}, "sixel", False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, "", False),
        ({"TERM": "linux"}, "", False),
    ],
)
def test_how_a_terminal_takes_pictures_is_known_by_its_name_or_asked(
    environ: dict[str, str], protocol: str, ask: bool
) -> None:
    found = pictures(environ, os.open(os.devnull, os.O_RDONLY))
    assert (found.protocol, found.ask) == (protocol, ask)


def test_an_answer_names_sixel_where_the_size_of_a_cell_is_known() -> None:
    asked = Pictures(ask=True)
    assert asked.answered("\x1b[6;20;10t").answered("\x1b[?62;4;22c") == Pictures("sixel", (10, 20))
    assert asked.answered("\x1b[?62;4;22c").protocol == ""
    assert asked.answered("\x1b[6;20;10t").answered("\x1b[?64;1;2c").protocol == ""


@pytest.mark.parametrize(
    ("name", "protocol"),
    # kitty 0.26 is what Debian 12 has: it shows a box in the place of each placeholder
    [("kitty(0.26.5)", ""), ("kitty(0.28.0)", "kitty"), ("kitty(1.0)", "kitty"), ("XTerm(379)", ""), ("tmux 3.3a", "")],
)
def test_only_a_kitty_that_knows_placeholders_gets_them(name: str, protocol: str) -> None:
    said = f"\x1bP>|{name}\x1b\\"
    assert Pictures("", (8, 16), ask=True).answered(said).answered("\x1b[?62;c") == Pictures(protocol, (8, 16))
    assert Pictures(ask=True).answered(said).protocol == protocol


def test_answers_are_no_keys_however_they_come() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linux_driver, "XTermParser", linux_driver.XTermParser)
        taken: list[str] = []
        listen(taken.append)
        whole = "q\x1b[6;20;10t\x1bP>|kitty(0.41.1)\x1b\\\x1b[?64;1;2;4cs"
        in_parts = ["q\x1b[6;20;1", "0t\x1bP>", "|kitty(0.4", "1.1)\x1b", "\\\x1b[?64;1", ";2;4", "cs"]
        for parts in ([whole], in_parts):
            parser = linux_driver.XTermParser()
            events = [event for part in parts for event in parser.feed(part)]
            assert [event.key for event in events if isinstance(event, Key)] == ["q", "s"]
            assert taken == ["\x1b[6;20;10t", "\x1bP>|kitty(0.41.1)\x1b\\", "\x1b[?64;1;2;4c"]
            taken.clear()


def test_the_number_pad_has_the_keys_of_its_likes_by_kittys_protocol() -> None:
    # https://sw.kovidgoyal.net/kitty/keyboard-protocol/#functional-key-definitions: KP_0 is 57399; num lock is 128
    pad = "0123456789./*-+"
    sent = [f"\x1b[{57399 + at};129;{ord(char)}u" for at, char in enumerate(pad)]
    keys = [event for event in linux_driver.XTermParser().feed("".join(sent)) if isinstance(event, Key)]
    assert [event.key for event in keys[10:]] == ["full_stop", "slash", "asterisk", "minus", "plus"]
    assert [event.character for event in keys] == [*pad]


def test_a_terminal_that_answers_gets_pictures_and_none_under_the_help(tmp_path: Path) -> None:
    terminal = Terminal(recorded.finished(tmp_path).root, tmp_path)
    try:
        seen = terminal.read(20, until=ASK.encode())
        assert ASK.encode() in seen
        os.write(terminal.master, b"\x1b[6;20;10t\x1b[?62;4c")
        assert b"\x1bP0;1;0q" in terminal.read(20, until=b"\x1bP0;1;0q")
        terminal.read(1)
        os.write(terminal.master, b"?")
        seen = terminal.read(2)
        assert b"everywhere" in seen
        assert not re.search(rb"\x1bP0;1;0q|#\d+;2;\d+;\d+;\d+", seen)  # neither a picture nor the rest of one
        os.write(terminal.master, b"\x1b")
        assert b"\x1bP0;1;0q" in terminal.read(5, until=b"\x1bP0;1;0q")
        terminal.read(1)
        os.write(terminal.master, b"f")  # a figure, all of it white, in the pixels of 20 rows at least
        assert terminal.read(5, until=b"curves.png").count(b"\x1bP0;1;0q") + terminal.read(2).count(b"\x1bP0;1;0q") > 20
    finally:
        terminal.close()


def test_ascii_is_chosen_by_request_or_by_the_terminals_coding() -> None:
    assert wants_ascii({"MEDTUI_ASCII": "1"}, "utf-8")
    assert not wants_ascii({"MEDTUI_ASCII": "0"}, "utf-8")
    assert wants_ascii({}, "ANSI_X3.4-1968")
    assert not wants_ascii({}, "UTF-8")


def test_settings_survive_and_damage_does_not_matter() -> None:
    assert load_settings() == Settings()
    save_settings(Settings(theme="medtui-light", smoothing=5))
    assert load_settings() == Settings(theme="medtui-light", smoothing=5)
    settings_path().write_text('{"smoothing": "many"}')
    assert load_settings() == Settings()
