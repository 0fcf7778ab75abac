"""Through a real sshd on loopback: five runs, a connection that is cut, a trainer that is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runfolder import find_run, list_runs, send, take
from tests.tui.recorded import Plan, record, train_epoch
from tests.tui.remote.far_machine import ROOT, program, wait_for
from tests.tui.remote.sshd import SSHD, Sshd
from tui.remote.hosts import Host
from tui.remote.near import Link

pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd here")


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Sshd(tmp_path / "sshd")
    yield made
    made.close()


def test_five_runs_over_a_real_ssh_that_is_cut(sshd, tmp_path):
    runs = tmp_path / "runs"
    recorders = [record(runs, Plan(name=f"run{n}", done=4)) for n in range(5)]
    medtui = tmp_path / "medtui"
    program(medtui, f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tui.cli "$@"\n')
    host = Host(name="loopback", ssh="loopback", runs=str(runs), medtui=str(medtui), config=str(sshd.config))
    said: list[str] = []
    link = Link(host, said.append)
    link.open()
    try:
        assert len(list_runs(link.runs)) == 5
        there, here = recorders[2].folder, find_run(link.runs, "run2")
        link.hold(here)
        assert here.events.read_bytes() == there.events.read_bytes()
        sshd.door.slam()
        wait_for(lambda: said)
        train_epoch(recorders[2], Plan(name="run2"), 5, 9)
        recorders[2].flush()
        wait_for(lambda: here.events.read_bytes() == there.events.read_bytes())
        send(here, "pause")
        assert wait_for(lambda: take(there))[0].command == "pause"
    finally:
        link.close()
