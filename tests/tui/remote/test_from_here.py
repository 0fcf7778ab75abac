"""What a far run's words lead to: every path and command that is printed here works where it is typed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading

import pytest

from engine.errors import UsageError
from engine.runfolder import RunFolder, find_run, list_runs, read_status
from engine.runfolder.mirror import command_for, from_here
from tests.tui.recorded import Plan, end, record
from tests.tui.remote.far_machine import children, wait_for
from tui.cli import main
from tui.remote.hosts import Host
from tui.remote.near import Link, linked
from tui.remote.protocol import is_run_name


def stopped(far, name: str = "seg_best") -> RunFolder:
    plan = Plan(name=name, epochs=5, done=3, extra_steps=0)
    return end(record(far.runs, plan), plan, "stopped", "stopped on request", "go on with: medtui resume x")


def test_nothing_printed_names_the_mirror(far, capsys):
    run = stopped(far)
    for words in (["--once"], ["--once", "--json"], ["--plain"]):
        main(["attach", "gpu1:seg_best", *words])
        said = capsys.readouterr()
        assert str(far.cache) not in said.out + said.err
    assert "go on    ssh gpu1 medtui resume" in said.out
    main(["attach", "gpu1:seg_best", "--once", "--json"])
    assert json.loads(capsys.readouterr().out)["path"] == f"gpu1:runs/{run.id}"


def test_commands_that_reach_the_run_are_typed_here_and_others_there(far, tmp_path):
    run = stopped(far)
    host = Host(name="gpu1", ssh="anna@gpu1", runs="my runs")
    (far.home / "my runs").symlink_to(far.runs)
    with linked(host, far.runs.relative_to(far.home)) as link:
        here = find_run(link.runs, run.id)
        assert command_for(here, "stop") == f"medtui stop gpu1:{run.id} --runs 'my runs'"
        assert command_for(here, "resume") == f"ssh anna@gpu1 medtui resume {run.id} --runs 'my runs'"
        there = from_here(here, f"go on with: medtui resume --take /far/runs/{run.id}; or not")
        assert there == f"go on with: ssh anna@gpu1 medtui resume --take {run.id} --runs 'my runs'; or not"
        assert from_here(here, there) == there
        assert from_here(here, f"medtui resume {run.id}-2") == f"medtui resume {run.id}-2"


def test_an_address_is_one_word_of_a_shell(tmp_path):
    assert RunFolder(tmp_path / "a b").address == f"'{tmp_path}/a b'"


def test_the_folder_that_was_asked_for_is_the_one_that_is_named(far):
    stopped(far)
    far.runs.rename(far.home / "other")
    with pytest.raises(UsageError, match="gpu1 has no runs in runs"):
        main_raising(["attach", "gpu1:", "--once"])
    with pytest.raises(UsageError, match='no run in gpu1:other is called "x"') as refused:
        main_raising(["attach", "gpu1:x", "--once", "--runs", "other"])
    assert refused.value.hint == "see them with: medtui runs --host gpu1 --runs other"


def main_raising(words: list[str]) -> None:
    from tui.arguments import parser

    arguments = parser(str).parse_args(words)
    arguments.perform(arguments)


def test_runs_that_somebody_named_by_hand_are_there_too(far, capsys):
    stopped(far).root.rename(far.runs / 'it\'s a "Herz" für 日本')
    odd = stopped(far, "cls_ce").root.rename(far.runs / os.fsdecode(b"bad\xff"))
    assert main(["attach", "gpu1:it's", "--once"]) == 0
    assert main(["runs", "--host", "gpu1", "--json"]) == 0  # a strict reader refuses a list with half a character
    out = capsys.readouterr().out
    assert '"id": "bad\\\\udcff"' in out
    said: list[str] = []
    link = Link(Host(name="gpu1", ssh="gpu1"), said.append)
    link.open()
    try:
        assert [run.id for run in list_runs(link.runs)] == ['it\'s a "Herz" für 日本']
        wait_for(lambda: said)
    finally:
        link.close()
    assert said == [r"gpu1: 1 run cannot be named here: rename the folder bad\udcff"]
    assert not is_run_name(odd.name)


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a\nb", "a\0b", "-rf", "日" * 100, "a\x1b[2J"])
def test_no_name_of_a_run_leads_elsewhere(name):
    assert not is_run_name(name)


def test_a_machine_without_runs_says_so(far, capsys):
    assert main(["runs", "--host", "gpu1"]) == 0
    assert capsys.readouterr().err == "no runs in gpu1:runs\n"
    stopped(far)
    assert main(["runs", "--host", "gpu1", "--filter=-x"]) == 0
    assert capsys.readouterr().err == "no run has -x in gpu1:runs\n"


def test_a_study_there_is_resumed_there(far, capsys):
    assert main(["sweep", "gpu1:folds", "--resume"]) == 2
    assert "do this over there: ssh gpu1 medtui resume folds" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "table"), [("gpu1", "[gpu1]"), ("anna@gpu1.example", '["anna@gpu1.example"]')])
def test_what_is_to_be_written_into_the_hosts_file_is_toml(name, table):
    assert f": {table} medtui = " in Host(name=name).failure(127, b"sh: exec: medtui: not found").hint


def test_a_mirror_without_room_says_where_it_is_to_be(far, capsys, monkeypatch):
    stopped(far)
    far.cache.write_text("no folder")
    assert main(["attach", "gpu1:", "--once"]) == 2
    assert "XDG_CACHE_HOME names another place" in capsys.readouterr().err
    far.cache.unlink()
    monkeypatch.setattr("tui.remote.mirror.LEAST_FREE", 1 << 60)
    assert main(["attach", "gpu1:", "--once"]) == 2
    assert "XDG_CACHE_HOME names another place" in capsys.readouterr().err


def test_a_hint_for_the_other_machine_is_for_this_one(far):
    plan = Plan(name="gone", done=3)
    run = record(far.runs, plan).folder
    run.status.write_text(run.status.read_text().replace(f'"pid":{os.getpid()}', '"pid":0'))
    assert read_status(run).state == "lost"
    with linked(Host(name="gpu1", ssh="gpu1"), far.runs.relative_to(far.home)) as link:
        assert f"ssh gpu1 medtui resume {run.id}" in read_status(find_run(link.runs, None)).hint


def test_plain_lines_say_that_the_connection_was_lost(far, capsys):
    far.live()
    thread = threading.Thread(target=main, args=(["attach", "gpu1:seg_best", "--plain"],), daemon=True)
    thread.start()
    wait_for(lambda: capsys.readouterr().out)
    for number in wait_for(lambda: children("tail")):
        os.kill(number, signal.SIGKILL)
    said = wait_for(lambda: capsys.readouterr().err)
    assert "; trying again" in said
    shutil.rmtree(far.runs / list_runs(far.runs)[0].id)  # ends it
    thread.join(30)
    assert not thread.is_alive()
