"""The stream: torn lines, cuts, restarts, and a writer and readers at once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import RunError
from engine.events import Iteration, Log, Note
from engine.runfolder import EventReader, EventWriter
from engine.runfolder.lines import encode

ROOT = Path(__file__).resolve().parents[3]


def fill(path: Path, count: int, start: int = 1) -> EventWriter:
    writer = EventWriter(path)
    for n in range(start, start + count):
        writer.write(Iteration(iteration=n, epoch=1, loss=1.0 / n))
    return writer


def numbers(events) -> list[int]:
    return [event.seq for event in events]


def test_events_are_numbered_without_gaps_and_read_in_order(tmp_path):
    writer = fill(tmp_path / "e", 5)
    reader = EventReader(tmp_path / "e")
    assert numbers(reader.read()) == [1, 2, 3, 4, 5]
    assert reader.read() == []
    writer.write(Note(text="x"))
    assert numbers(reader.read()) == [6]
    assert reader.restarts == 0


def test_a_stream_that_is_not_there_yet_is_empty(tmp_path):
    reader = EventReader(tmp_path / "e")
    assert reader.read() == []
    fill(tmp_path / "e", 1)
    assert numbers(reader.read()) == [1]


def test_a_torn_last_line_waits_and_is_never_read(tmp_path):
    path = tmp_path / "e"
    fill(path, 3).close()
    line = encode(Note(seq=4, text="torn"))
    for cut in range(1, len(line)):
        whole = path.read_bytes()
        path.write_bytes(whole + line[:cut])
        assert numbers(EventReader(path).read()) == [1, 2, 3]
        path.write_bytes(whole)


def test_a_new_writer_mends_a_torn_line_and_goes_on_counting(tmp_path):
    path = tmp_path / "e"
    fill(path, 3).close()
    reader = EventReader(path)
    with path.open("ab") as stream:
        stream.write(b'{"kind":"note","seq":4,"te')
    assert numbers(reader.read()) == [1, 2, 3]
    writer = EventWriter(path)
    assert writer.write(Note(text="x")) == 4
    assert numbers(reader.read()) == [4]
    assert (reader.skipped, reader.restarts) == (0, 0)
    assert numbers(EventReader(path).read()) == [1, 2, 3, 4]


@given(tail=st.binary(max_size=80), count=st.integers(0, 4))
def test_no_rubbish_at_the_end_stops_a_new_writer(tmp_path_factory, tail, count):
    path = tmp_path_factory.mktemp("stream") / "e"
    fill(path, count).close()
    with path.open("ab") as stream:
        stream.write(tail)
    writer = EventWriter(path)
    writer.write(Note(text="x"))
    events = EventReader(path).read()
    assert events[-1].text == "x"
    assert [event.seq for event in events if isinstance(event, Iteration)] == list(range(1, count + 1))


def test_lines_of_a_later_version_are_skipped_and_kept(tmp_path):
    path = tmp_path / "e"
    fill(path, 2).close()
    with path.open("ab") as stream:
        stream.write(b'{"kind":"of tomorrow","seq":3,"time_s":1.0}\n')
    writer = EventWriter(path)
    assert writer.write(Note(text="x")) == 4
    reader = EventReader(path)
    assert numbers(reader.read()) == [1, 2, 4]
    assert reader.skipped == 1


def test_a_cut_takes_back_and_keeps_what_it_took(tmp_path):
    path = tmp_path / "events.jsonl"
    writer = fill(path, 4)
    mark = writer.position
    for n in range(5, 9):
        writer.write(Iteration(iteration=n, epoch=2, loss=0.0))
    whole = path.read_bytes()
    writer.cut(*mark)
    assert writer.write(Note(text="again")) == 5
    assert numbers(EventReader(path).read()) == [1, 2, 3, 4, 5]
    assert (tmp_path / "events.discarded.jsonl").read_bytes() == whole[mark[1] :]


@pytest.mark.parametrize("regrown", [0, 1, 4, 9])
def test_a_reader_notices_a_cut_however_far_the_stream_grew_again(tmp_path, regrown):
    path = tmp_path / "events.jsonl"
    writer = fill(path, 4)
    mark = writer.position
    for n in range(4):
        writer.write(Log(message=f"old {n}"))
    reader = EventReader(path)
    assert len(reader.read()) == 8
    writer.cut(*mark)
    for n in range(regrown):
        writer.write(Log(message=f"new {n}"))
    events = reader.read()
    assert reader.restarts == 1
    assert numbers(events) == list(range(1, 5 + regrown))
    assert all("old" not in getattr(event, "message", "") for event in events)


def test_a_replaced_stream_is_read_from_its_start(tmp_path):
    path = tmp_path / "e"
    fill(path, 3).close()
    reader = EventReader(path)
    reader.read()
    fill(tmp_path / "f", 5).close()
    os.replace(tmp_path / "f", path)
    assert numbers(reader.read()) == [1, 2, 3, 4, 5]
    assert reader.restarts == 1


def test_a_large_stream_comes_in_parts_and_nothing_means_the_end(tmp_path):
    path = tmp_path / "e"
    fill(path, 500).close()
    with path.open("ab") as stream:
        stream.write(b"x" * 5000 + b"\n" + b"{}\n" * 500)
    with path.open("ab") as stream:
        stream.write(encode(Note(seq=501, text="after the rubbish")))
    reader = EventReader(path)
    parts = []
    while part := reader.read(max_bytes=1000):
        parts.append(part)
    assert len(parts) > 20
    assert numbers(event for part in parts for event in part) == list(range(1, 502))


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_mutated_streams_never_raise_and_can_be_written_on(tmp_path_factory, seed):
    draw = random.Random(seed)
    path = tmp_path_factory.mktemp("stream") / "e"
    fill(path, 20).close()
    content = bytearray(path.read_bytes())
    for _ in range(draw.randint(1, 10)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)
    reader = EventReader(path)
    while reader.read(max_bytes=256):
        pass
    EventWriter(path).write(Note(text="x"))
    assert EventReader(path).read()[-1].text == "x"


def test_writers_of_many_threads_make_one_stream(tmp_path):
    writer = EventWriter(tmp_path / "e")

    def work(name: str) -> None:
        for n in range(200):
            writer.write(Log(message=f"{name} {n}"))

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(EventReader(tmp_path / "e").read()) == list(range(1, 801))


WRITE = """
import sys, time
from engine.runfolder import EventWriter
from engine.events import Log
from pathlib import Path
writer = EventWriter(Path(sys.argv[1]))
n = writer.position[0]
while True:
    n += 1
    writer.write(Log(message=f"{n} " + "x" * (n % 300)))
"""


def test_a_reader_beside_a_writer_that_is_killed_again_and_again(tmp_path):
    path = tmp_path / "e"
    path.touch()
    reader = EventReader(path)
    read: list[int] = []
    draw = random.Random(0)
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], cwd=ROOT)
        start = len(read)
        end = time.monotonic() + 20
        while len(read) - start < 300 and time.monotonic() < end:
            read += numbers(reader.read(max_bytes=draw.randint(500, 5000)))
        time.sleep(draw.random() * 0.02)
        writer.kill()
        writer.wait()
    while events := reader.read():
        read += numbers(events)
    assert len(read) > 1000
    assert read == list(range(1, len(read) + 1))  # none lost, none twice, none torn
    assert (reader.skipped, reader.restarts) == (0, 0)


def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "e"
    writer = fill(path, 2)
    real = os.pwrite

    def full(handle, content, place):
        real(handle, content[:7], place)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RunError, match="No space left") as caught:
        writer.write(Note(text="lost"))
    assert "medtui resume" in caught.value.hint
    monkeypatch.undo()
    assert writer.write(Note(text="room again")) == 3
    assert numbers(EventReader(path).read()) == [1, 2, 3]


def test_a_link_is_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "e").symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match="cannot write"):
        EventWriter(tmp_path / "e")
    assert (tmp_path / "precious").read_text() == "mine"
