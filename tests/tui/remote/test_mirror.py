"""What a stranger at the other end can do to the machine here: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import msgspec
import pytest

from engine.errors import RunError
from engine.runfolder import RunFolder, Status, read_status
from engine.runfolder.lock import take_lock
from tui.remote import mirror as limits
from tui.remote.mirror import Mirror
from tui.remote.near import NO_TAIL, POLL_S, _Connection
from tui.remote.protocol import LONGEST_LINE, MOST_FILE, MOST_NAMES, VERSION, FromFar

RUNNING = msgspec.to_builtins(Status(state="running"))


def test_a_mirror_takes_nothing_that_lies_outside_of_it(tmp_path):
    mirror = Mirror(tmp_path / "runs", "gpu1")
    status = RUNNING
    for run in ("..", ".", "../x", "/etc", "a/b", "", ".hidden", "a\0b"):
        mirror.hear(FromFar(run=run, status=status))
        mirror.hear(FromFar(run=run, gone=True))
    assert not list((tmp_path / "runs").iterdir())
    mirror.hear(FromFar(run="good", status={**status, "state": "nonsense"}))
    mirror.hear(FromFar(run="good", status=status))
    names = ("../../x", "/etc/x", ".mirror", "control/x.json", "checkpoints/best.pt", "previews/../../x", "status.json",
             "events.jsonl", "previews/", "a\0b", "x.pt")  # fmt: skip
    for name in names:
        mirror.hear(FromFar(run="good", file=name, data="evil"))
    mirror.hear(FromFar(run="good", at=10**18, data="evil"))
    mirror.hear(FromFar(run="good", at=-5, data="evil"))
    mirror.hear(FromFar(run="good", at=0, data="Ā"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"evil" in path.read_bytes()]
    assert read_status(RunFolder(tmp_path / "runs" / "good")).state == "running"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_nothing_is_trained_in_a_mirror(tmp_path):
    mirror = Mirror(tmp_path, "gpu1")
    with pytest.raises(RunError, match="is on another machine"):
        take_lock(mirror.folder("good"))


def test_nothing_comes_that_was_not_asked_for(tmp_path):
    mirror = Mirror(tmp_path / "runs", "gpu1")
    mirror.hear(FromFar(run="new", file="metrics.json", at=0, size=1, data="x"))
    mirror.hear(FromFar(run="new", at=0, data="x"))
    assert not (tmp_path / "runs" / "new").exists()  # no status, no run
    mirror.hear(FromFar(run="good", status=RUNNING))
    good = RunFolder(tmp_path / "runs" / "good")
    for number in range(50):
        mirror.hear(FromFar(run="good", file=f"previews/{number}.npz", at=0, size=1, data="x"))
        mirror.hear(FromFar(run="good", done=f"{number}", problem="x"))
    assert not list(good.previews.iterdir())
    assert not (tmp_path / "runs" / ".asked").exists()
    mirror.wanted["key"] = "good", "previews/a.npz"
    for at, size, data in ((1, 2, "x"), (0, 1, "xy"), (-1, 1, "x"), (0, MOST_FILE + 1, "x"), (0, -1, "")):
        mirror.hear(FromFar(run="good", file="previews/a.npz", at=at, size=size, data=data))
    assert not list(good.previews.iterdir())
    mirror.hear(FromFar(run="good", names={f"figures/{n}.png": 1 for n in range(3 * MOST_NAMES)}))
    mirror.hear(FromFar(run="good", names={f"figures/{n}.png": 1 for n in range(3 * MOST_NAMES)}))
    assert len(list(good.figures.iterdir())) == MOST_NAMES
    mirror.hear(FromFar(run="good", names={"../../x": 1, "/etc/x": 1, "figures/a.png": -1, "figures/b.png": 1 << 70}))
    assert not list(good.figures.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_a_host_has_no_more_runs_than_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_RUNS", 5)
    mirror = Mirror(tmp_path, "gpu1")
    for number in range(6):
        mirror.hear(FromFar(run=f"r{number}", status=RUNNING))
    with pytest.raises(OSError, match="more than 5 runs"):
        mirror.hear(FromFar(run="more", status=RUNNING))
    assert len(list(tmp_path.iterdir())) == 6


HELLO = json.dumps({"hello": VERSION})


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (f"print({HELLO!r}); w('x' * {3 * LONGEST_LINE})", NO_TAIL),
        ("w('welcome\\n' * 100000)", NO_TAIL),
        ("w('\\0' * 100000)", NO_TAIL),
        ("print('{\"hello\": 1}')", f"its medtui tail speaks version 1, this one {VERSION}: update the older"),
        ("print('{\"hello\": 99}')", f"its medtui tail speaks version 99, this one {VERSION}: update the older"),
        (f"print({HELLO!r}); w('[' * 100000 + '\\n' + '\\xff\\n{{}}\\nnull\\n' * 1000)", ""),
    ],
)
def test_who_speaks_nonsense_is_left(tmp_path, program, said):
    far = subprocess.Popen(
        [sys.executable, "-c", f"import sys\nw = sys.stdout.write\n{program}\nsys.stdout.flush()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    near = _Connection(far, Mirror(tmp_path, "gpu1"), lambda _message: None, lambda: POLL_S)
    assert near.follow(threading.Event()) == said
    far.kill()
    far.wait()
    assert not list(tmp_path.iterdir())
