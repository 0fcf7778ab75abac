"""Pipes, devices, holes of terabytes and nests of brackets in place of the files of a run."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.events import Note
from engine.runfolder import (
    EventReader,
    EventWriter,
    RunFolder,
    SplitSummary,
    open_regular,
    read_cases,
    read_manifest,
    read_metrics,
    read_object,
    read_small,
    read_status,
    write_metrics,
)

HOLE = 1 << 40
AT_ONCE_S = 5.0


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def hole(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(HOLE)


def folder(path: Path) -> None:
    path.mkdir()


def nest(path: Path) -> None:
    path.write_text('{"a":' * 900 + "1" + "}" * 900)


@pytest.mark.parametrize("bad", [fifo, device, hole, folder, nest])
def test_whatever_lies_there_is_nothing_at_once(tmp_path, bad):
    run = RunFolder(tmp_path)
    for path in (run.status, run.events, run.cases, run.metrics, run.manifest):
        bad(path)
    start = time.monotonic()
    assert read_status(run).state == "lost"
    assert read_metrics(run) == {}
    assert read_manifest(run).data.classes == []
    assert read_cases(run) == ()
    assert EventReader(run.events).read() == []
    assert time.monotonic() - start < AT_ONCE_S


@pytest.mark.parametrize("bad", [fifo, folder])
def test_a_stream_that_is_no_file_is_refused_by_its_writer(tmp_path, bad):
    bad(tmp_path / "e")
    with pytest.raises(RunError, match="cannot write"):
        EventWriter(tmp_path / "e")


def test_events_beside_a_hole_are_read_and_written_on(tmp_path):
    path = tmp_path / "e"
    EventWriter(path).write(Note(text="before"))
    with path.open("r+b") as stream:
        stream.truncate(HOLE)
        stream.seek(HOLE)
        stream.write(b"\n" + b'{"kind":"note","seq":2,"time_s":1.0,"text":"behind"}\n')
    reader = EventReader(path)
    start = time.monotonic()
    texts = []
    while block := reader.read():
        texts += [event.text for event in block]
    assert texts == ["before", "behind"]
    assert reader.restarts == 0
    with path.open("r+b") as stream:
        stream.truncate(HOLE)
    writer = EventWriter(path)  # a torn end, of a machine that lost its power
    assert writer.write(Note(text="again")) == 2
    assert time.monotonic() - start < AT_ONCE_S
    assert path.stat().st_size < 1000


def test_a_link_may_be_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_small(tmp_path / "link") == b"x"
    with pytest.raises(OSError, match="symbolic links"):
        open_regular(tmp_path / "link", links=False)


def test_files_are_opened_where_the_system_has_few_flags(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"a\r\n")
    for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_NOFOLLOW"):  # exported folders run on Windows, too
        monkeypatch.delattr(os, name)
    assert read_small(tmp_path / "a", links=False) == b"a\r\n"
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path)


def test_objects_are_bounded_in_depth(tmp_path):
    path = tmp_path / "o.json"
    path.write_text('{"a":' * 60 + "1" + "}" * 60)
    assert read_object(path)
    nest(path)
    assert read_object(path) == {}


def test_a_summary_is_put_beside_what_else_there_is(tmp_path):
    run = RunFolder(tmp_path)
    run.metrics.write_text('{"of a later version": {"x": [1, {"y": 2}]}}')
    summary = SplitSummary(
        n=2, values={"dice": 0.5, "asd": float("nan")}, ci95={"dice": (0.4, 0.6)}, ci95_reason={"asd": "not measured"}
    )
    write_metrics(run, "test", summary)
    content = json.loads(run.metrics.read_text())
    assert content["of a later version"] == {"x": [1, {"y": 2}]}
    assert content["test"]["asd"] is None
    assert content["test"]["ci95"] == {"asd": None, "dice": [0.4, 0.6]}
    assert read_metrics(run)["test"].interval("dice") == (0.4, 0.6)
    assert stat.S_ISREG(run.metrics.stat().st_mode)
