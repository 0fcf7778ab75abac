"""What a screen shows of another machine is what one over there would show, and is brought when it is looked at."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from engine.diagnosis import Finding
from engine.evaluation.previews import ExampleWriter
from engine.runfolder import Status, create, find_run, write_status
from engine.runfolder.mirror import LOST, fetch
from tests.tui.remote.far_machine import children, wait_for
from tui.remote.hosts import Host
from tui.remote.near import linked
from tui.state.case_files import example_of, read_example
from tui.state.figure_files import list_figures, load_figure
from tui.state.go_on import write_report
from tui.state.run_facts import read_facts
from tui.state.runs_index import RunRow, RunsIndex

RUNS = Path("runs")


def test_the_list_there_is_the_list_here(far):
    """Studies, their members, findings and values of recipes are what a screen at that machine shows."""
    members = [far.finished(f"seg-{n}").folder for n in range(2)]
    far.live()
    study = create(far.runs, "seg", study=True)
    rows = "".join(f'[[member]]\nname = "m"\nrun = "{run.id}"\nstate = "finished"\n' for run in members)
    (study.root / "study.toml").write_text(f'recipe = "seg.toml"\n{rows}', encoding="utf-8")
    write_status(study, Status(state="finished", name="seg", findings=(FINDING,)))
    study.metrics.write_text('{"out_of_fold": {"dice": 0.8, "n": 4}}', encoding="utf-8")
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        there, here = ({row.id: row for row in listed(runs)} for runs in (far.runs, link.runs))
        assert there.keys() == here.keys()
        ids = {run.id for run in members}
        wait_for(lambda: {row.id for row in listed(link.runs) if row.study == study.id} == ids)
        for name, row in there.items():
            assert (here[name].state, here[name].label, here[name].read) == (row.state, row.label, row.read)
        wait_for(lambda: found(listed(link.runs)) == found(listed(far.runs)))
        facts = read_facts(here[study.id].folder)
        assert facts.results["out_of_fold"].value("dice") == 0.8
        assert read_facts(here[members[0].id].folder).history == read_facts(members[0]).history


FINDING = Finding(severity="warning", code="plateau", message="no better for 9 epochs")


def found(rows: tuple[RunRow, ...]) -> list[tuple[str, str]]:
    return [(row.id, finding.code) for row in rows for finding in row.findings]


def listed(runs: Path) -> tuple[RunRow, ...]:
    index = RunsIndex(runs)
    index.reads = True
    while index.scan():
        pass
    return index.rows()


def test_pictures_are_named_and_come_when_they_are_shown(far):
    done = far.finished().folder
    big = np.random.default_rng(0).integers(0, 255, (1, 96, 96, 90), dtype=np.uint8)  # of several pieces
    masks = {"truth": big[0] > 200, "prediction": big[0] > 100}
    done.examples.mkdir()
    ExampleWriter(done, "test", 1).write("Mürz/7", {"image": big, **{n: m.astype(np.uint8) for n, m in masks.items()}})
    picture = Image.new("RGB", (30, 20), "red")
    picture.save(done.figures / "roc.png")
    done.report_html.write_text("the report", encoding="utf-8")
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
        link.hold(here)
        wait_for(lambda: list_figures(here) == list_figures(done))
        path = wait_for(lambda: example_of(here, "test", "Mürz/7"))
        assert (here.figures / "roc.png").stat().st_size == (here.root / path).stat().st_size == 0
        figure = next(one for one in list_figures(here) if one.name == "roc.png")
        assert np.array_equal(load_figure(here, figure), np.asarray(picture))
        assert read_example(here, path, []).image.shape == (90, 96, 96)
        assert (here.root / path).read_bytes() == (done.root / path).read_bytes()
        assert write_report(here).read_text(encoding="utf-8") == "the report"
        Image.new("RGB", (30, 20), "blue").save(done.figures / "roc.png")
        (done.root / path).unlink()
        wait_for(lambda: example_of(here, "test", "Mürz/7") is None)
        wait_for(lambda: (here.figures / "roc.png").stat().st_size == 0)  # may be noticed later
        assert load_figure(here, figure)[0, 0].tolist() == [0, 0, 255]


def test_a_file_is_asked_for_again_after_the_connection_was_lost(far):
    live = far.live().folder
    with linked(Host(name="gpu1", ssh="gpu1"), RUNS) as link:
        here = find_run(link.runs, None)
        link.hold(here)
        for pid in children("tui.cli tail"):
            os.kill(pid, signal.SIGSTOP)
        name = f"previews/{max(live.previews.iterdir()).name}"
        asking = threading.Thread(target=fetch, args=(here, name))
        asking.start()
        time.sleep(0.5)  # it was asked of who does not answer
        for pid in children("tui.cli tail"):
            os.kill(pid, signal.SIGKILL)
        asking.join()
        wait_for(lambda: not (link.runs / LOST).exists())
        fetch(here, name)
        assert (here.root / name).exists()
