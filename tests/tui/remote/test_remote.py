"""Runs on another machine, through an ssh that leads to another folder of this one."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest

from engine.errors import RunError, UsageError
from engine.events import Control
from engine.readers.fold import read_view
from engine.runfolder import Label, RunFolder, find_run, list_runs, read_label, read_status, send, take, write_label
from engine.runfolder.mirror import LOST, STREAM, change, fetch, lost, path_of
from engine.runfolder.remove import remove
from tests.tui.remote.far_machine import children, wait_for
from tui.cli import main
from tui.remote.far import Far
from tui.remote.hosts import Host, find_host, hosts_path, split_address
from tui.remote.mirror import Mirror
from tui.remote.near import Link, _Connection, linked

RUNS = Path("runs")


def same(far: RunFolder, here: RunFolder) -> bool:
    return far.events.read_bytes() == here.events.read_bytes()


def test_a_run_there_is_shown_as_one_here(far, capsys):
    far.live()
    there = far.finished()
    assert main(["attach", "anna@gpu1:cls_ce", "--once"]) == 0
    over_ssh = capsys.readouterr().out
    assert main(["attach", str(there.folder.root), "--once"]) == 0
    assert over_ssh.splitlines()[1:] == capsys.readouterr().out.splitlines()[1:]
    options, _, words = far.log.read_text().partition(" -- ")
    assert "-oBatchMode=yes" in options
    assert words == "anna@gpu1 exec medtui tail --runs runs\n"


def test_all_runs_are_named_and_only_the_one_that_is_looked_at_is_brought(far):
    live, done = far.live(), far.finished()
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        assert [run.id for run in list_runs(link.runs)] == sorted([live.folder.id, done.folder.id])
        here = find_run(link.runs, "seg_best")
        link.hold(here)
        assert same(live.folder, here)
        assert here.recipe.read_bytes() == live.folder.recipe.read_bytes()
        assert read_status(here).state == "running"
        assert read_status(here).host == "gpu1"
        assert (here.root.stat().st_mode & 0o777, link.runs.stat().st_mode & 0o777) == (0o700, 0o700)
        assert RunFolder(link.runs / done.folder.id).events.stat().st_size == 0
        train(live, 20)
        wait_for(lambda: same(live.folder, here))


def train(recorder, steps: int) -> None:
    from tests.tui.recorded import Plan, train_epoch

    train_epoch(recorder, Plan(name="seg_best"), 8, steps)
    recorder.flush()


def test_previews_and_other_files_come_when_they_are_looked_at(far):
    live = far.live()
    preview = max(live.folder.previews.iterdir())
    live.folder.last.write_bytes(b"weights")
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
        link.hold(here)
        assert not list(here.previews.iterdir())
        fetch(here, f"previews/{preview.name}")
        assert (here.previews / preview.name).read_bytes() == preview.read_bytes()
        for name in ("previews/none.npz", "checkpoints/last.pt", "../../secret", "control/x.json"):
            fetch(here, name, wait_s=5)
            assert not (here.root / name).exists()


def test_the_trainer_there_is_asked_and_its_answer_is_printed(far, capsys):
    live = far.live()
    over = threading.Event()

    def answer() -> None:
        while not over.wait(0.05):
            for request in take(live.folder):
                live.write(Control(request=request.id, command=request.command, state="done", message="paused here"))
                live.flush()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert main(["pause", "gpu1:seg_best"]) == 0
    finally:
        over.set()
        thread.join()
    assert capsys.readouterr().out == f"{live.folder.id}: paused here\n"


def test_a_lost_connection_comes_back_by_itself_and_brings_what_was_missed(far):
    live, said = far.live(), []
    link = Link(Host(name="gpu1", ssh="gpu1"), said.append)
    link.open()
    try:
        here = find_run(link.runs, None)
        link.hold(here)
        for pid in children("tui.cli tail"):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: said)
        assert "trying again" in read_status(here).message
        assert lost(link.runs) == read_status(here).message
        train(live, 30)
        wait_for(lambda: same(live.folder, here))
        assert said[-1] == "connected to gpu1 again"
        wait_for(lambda: not read_status(here).message)
        assert not lost(link.runs)
    finally:
        link.close()
    wait_for(lambda: not children("tui.cli tail"))


def test_a_second_terminal_is_served_by_the_first_and_takes_over(far):
    live, host = far.live(), Host(name="gpu1", ssh="gpu1")
    second = Link(host)
    with linked(host, RUNS):
        second.open()
        here = find_run(second.runs, None)
        began = time.monotonic()
        second.hold(here)
        assert time.monotonic() - began < 10
        assert same(live.folder, here)
        assert len(children("tui.cli tail")) == 1
    train(live, 9)
    wait_for(lambda: same(live.folder, here))
    second.close()


def test_a_stream_that_was_cut_is_brought_anew(far):
    live = far.live()
    host = Host(name="gpu1", ssh="gpu1")
    with linked(host, RUNS) as link:
        here = find_run(link.runs, None)
        link.hold(here)
        lines = live.folder.events.read_bytes().splitlines(keepends=True)
        live.folder.events.write_bytes(b"".join(lines[:40]))
        train(live, 3)
        wait_for(lambda: same(live.folder, here))
    live.folder.events.write_bytes(b"".join(lines[:30]))  # while nobody looked
    live.folder.events.open("ab").write(b"".join(reversed(lines[30:])))
    with linked(host, RUNS) as link:
        link.hold(here)
        assert same(live.folder, here)


def test_a_run_that_is_removed_there_is_removed_here(far):
    import shutil

    done, live = far.finished(), far.live()
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        shutil.rmtree(live.folder.root)
        wait_for(lambda: [run.id for run in list_runs(link.runs)] == [done.folder.id])
    shutil.rmtree(done.folder.root)
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        assert not list_runs(link.runs)
    with pytest.raises(UsageError, match="gpu1 has no runs in runs"):
        main_raising(["attach", "gpu1:", "--once"])


def main_raising(words: list[str]) -> None:
    from tui.arguments import parser

    arguments = parser(str).parse_args(words)
    arguments.perform(arguments)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nowhere", "ssh cannot reach nowhere: ssh: Could not resolve hostname nowhere"),
        ("bare", "bare has no command medtui"),
        ("old", "the medtui on old is too old"),
        ("odd", "what the far end says is no medtui tail"),
    ],
)
def test_what_keeps_a_machine_away_is_one_clear_line(far, capsys, host, words):
    assert main(["attach", f"{host}:", "--once"]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["-oProxyCommand=touch x", "a b", "host;ls", "$(ls)", "", "-F", "x@-y", "\x1b[2J"])
def test_no_name_of_a_host_is_an_option_or_a_command(far, name):
    with pytest.raises(UsageError, match="is no name of a host"):
        find_host(name)
    assert not far.log.exists()


def test_the_hosts_file_names_machines(far, capsys):
    path = hosts_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('[gpu1]\nssh = "anna@gpu1.example"\nruns = "~/my runs"\nmedtui = "~/venv/bin/medtui"\n[gpu2]\n')
    host = find_host("gpu1")
    assert host.command("tail")[-2:] == ["anna@gpu1.example", "exec ~/venv/bin/medtui tail --runs ~/'my runs'"]
    assert split_address("gpu1:seg") == (host, "seg")
    assert split_address("seg_best") is None
    path.write_text("[gpu1]\nport = 22\n")
    with pytest.raises(UsageError, match="unknown field `port`"):
        find_host("gpu1")


def test_the_runs_of_several_machines_stand_in_one_table(far, capsys):
    far.finished()
    far.live()
    assert main(["runs", "--host", "gpu1", "--host", "anna@gpu2", "--host", "bare"]) == 1
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["host", "state", "recipe"]
    own = [["finished", "cls_ce"], ["running", "seg_best"]]
    assert sorted(row[:3] for row in rows[1:]) == [[host, *run] for host in ("anna@gpu2", "gpu1") for run in own]
    assert "bare has no command medtui" in err
    assert main(["runs", "--host", "gpu1", "--json"]) == 0
    assert {record["host"] for record in json.loads(capsys.readouterr().out)} == {"gpu1"}
    assert main(["runs", "--host", "gpu1", "--json", "--filter", "state:running lr<1 'x"]) == 0
    assert json.loads(capsys.readouterr().out) == []  # a quote stays a word, and what is asked is one word there
    assert main(["runs", "--host", "gpu1", "--json", "--filter", "state:running lr<1"]) == 0
    assert [record["name"] for record in json.loads(capsys.readouterr().out)] == ["seg_best"]


def test_a_study_there_stands_in_the_table_as_it_does_here(far, capsys):
    there = far.finished("seg.study").folder
    (there.root / "study.toml").write_text("", encoding="utf-8")
    assert main(["runs", "--host", "gpu1"]) == 0
    assert there.id in capsys.readouterr().out
    for options, ids in (([], []), (["--studies"], [there.id])):
        assert main(["runs", "--host", "gpu1", "--json", *options]) == 0
        assert [record["id"] for record in json.loads(capsys.readouterr().out)] == ids


def test_name_and_note_come_along_and_are_changed_there(far, capsys):
    there = far.finished().folder
    write_label(there, title="for the paper")
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
        wait_for(lambda: read_label(here).title == "for the paper")
        assert write_label(here, note="keep it").note == "keep it"
        assert read_label(there) == read_label(here) == Label(title="for the paper", note="keep it")
    assert main(["rename", "gpu1:cls_ce", "baseline"]) == 0
    assert main(["note", "gpu1:cls_ce", ""]) == 0
    assert read_label(there) == Label(title="baseline")
    assert capsys.readouterr().out == f"{there.id} is called baseline\n{there.id} has the note: none\n"


def test_a_run_is_deleted_there_and_a_live_one_is_not(far, capsys):
    there, live = far.finished().folder, far.live().folder
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, "seg_best")
        with pytest.raises(RunError, match="is running"):
            remove(link.runs, here)
        with pytest.raises(UsageError, match=f"gpu1: {live.id} is running"):
            change(here, {}, delete=True)  # whatever is known here
    assert main(["delete", "gpu1:cls_ce", "--yes"]) == 0
    assert capsys.readouterr().out == f"{there.id} is deleted\n"
    assert [run.id for run in list_runs(far.runs)] == [live.id]


@pytest.mark.parametrize("words", [("report",), ("figures",), ("evaluate",), ("resume", "--fork")])
def test_work_on_a_run_is_done_where_it_is(far, capsys, words):
    there = far.finished().folder
    host = Host(name="gpu1", ssh="anna@gpu1", runs="my runs", medtui="~/venv/bin/medtui", config="~/.ssh/x y")
    assert host.by_hand("runs") == "ssh -F '~/.ssh/x y' anna@gpu1 ~/venv/bin/medtui runs --runs 'my runs'"
    with linked(Host(name="gpu1", ssh="anna@gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
        assert path_of(here) == f"gpu1:runs/{there.id}"
        before = sorted(here.root.iterdir())
    for run in (str(here.root), "anna@gpu1:cls_ce"):
        assert main([words[0], run, *words[1:]]) == 2
        said = capsys.readouterr().err
        assert f"do this over there: ssh anna@gpu1 medtui {words[0]} " in said
        assert len(said.splitlines()) == 2
    assert sorted(here.root.iterdir()) == before


def test_findings_and_cases_are_read_from_here(far, capsys):
    far.live()
    for words in (["findings"], ["cases"]):
        assert main([*words, "gpu1:seg_best"]) == 0
        over_ssh = capsys.readouterr().out
        assert main([*words, "--runs", str(far.runs)]) == 0
        assert over_ssh == capsys.readouterr().out
    with pytest.raises(UsageError, match='no run in gpu1:runs is called "nothing"'):
        main_raising(["findings", "gpu1:nothing"])


def test_who_is_not_connected_says_so_at_once(far):
    far.finished()
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
    (link.runs / LOST).write_text("ssh cannot reach gpu1")
    began = time.monotonic()
    with pytest.raises(RunError, match="gpu1 is not connected"):
        write_label(here, note="x")
    fetch(here, STREAM, "metrics.json")
    assert time.monotonic() - began < 5


def test_what_no_end_says_is_ignored(tmp_path):
    said, deep, nothing = io.BytesIO(), b"[" * 100_000 + b"]" * 100_000, cast("Any", None)
    end = Far(tmp_path, said)
    for line in (b"", b"\xff", b"{}", b"[]", b'{"run":1}', b'{"x":' + deep + b"}"):
        end.asked(line)
    assert said.getvalue().count(b"\n") == 1
    near = _Connection(nothing, Mirror(tmp_path / "here", "gpu1"), nothing, nothing)
    near._line(b'{"status":' + deep + b"}")
    assert not near._greeted


def test_requests_that_waited_for_a_connection_too_long_are_dropped(far):
    live = far.live()
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
        link.hold(here)
    send(here, "pause")
    (path,) = here.control.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"time_s":1', b'"time_s":0.1'))
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        link.hold(here)
        send(here, "checkpoint")
        (request,) = wait_for(lambda: take(live.folder))
    assert request.command == "checkpoint"


def test_the_view_of_a_mirror_is_that_of_the_run(far):
    live = far.live()
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
        link.hold(here)
        assert read_view(here.events) == read_view(live.folder.events)
