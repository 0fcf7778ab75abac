"""``medtui rename``, ``note``, ``delete`` and ``runs --filter``, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.runfolder import Label, RunFolder, read_label
from tests.tui.state.test_runs_index import run, study
from tui.cli import main


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    run(tmp_path, 1, name="seg", best=0.8)
    run(tmp_path, 2, "failed", name="other", best=0.4)
    return tmp_path


def typed(runs: Path, *words: str, code: int = 0) -> None:
    assert main([*words, "--runs", str(runs)]) == code


def ids(runs: Path, capsys: pytest.CaptureFixture[str], words: str) -> list[str]:
    typed(runs, "runs", "--json", "--filter", words)
    return [record["id"][9:15] for record in json.loads(capsys.readouterr().out)]


def test_name_and_note_stand_wherever_the_run_does(runs, capsys):
    folder = RunFolder(runs / "20260101-000001-seg")
    folder.report_html.touch()
    typed(runs, "rename", "seg", "for the paper")
    assert f"{folder.id} is called for the paper" in capsys.readouterr().out
    typed(runs, "note", "for the paper", "keep\nit")
    assert f"{folder.id} has the note: keep it\nits report has it once" in capsys.readouterr().out
    typed(runs, "runs")
    table = capsys.readouterr().out.splitlines()
    assert table[0].endswith("note")
    assert "for the paper" in table[1]
    assert table[1].endswith("keep it")
    typed(runs, "runs", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["title"], one["note"]) for one in found] == [
        ("seg", "for the paper", "keep it"),
        ("other", "", ""),
    ]
    typed(runs, "attach", folder.id, "--once")
    assert capsys.readouterr().out.startswith("for the paper  finished")
    typed(runs, "rename", "seg", "")
    typed(runs, "note", "seg", "")
    assert read_label(folder) == Label()


def test_delete_asks_and_says_what_it_refuses(runs, capsys):
    live = run(runs, 3, "starting", name="live", host="elsewhere", heartbeat_s=4e9)
    of_all = study(runs, 4)
    typed(runs, "delete", "01-seg", code=2)
    assert "delete asks first, and there is nobody to ask\nwithout a question: --yes" in capsys.readouterr().err
    typed(runs, "delete", "live", "--yes", code=1)
    assert f"{live.id} is" in capsys.readouterr().err
    typed(runs, "delete", str(runs.parent), "--yes", code=2)
    typed(runs, "delete", "20260101-000001-seg", "--yes")
    assert "20260101-000001-seg is deleted" in capsys.readouterr().out
    typed(runs, "delete", of_all.id, "--yes")
    assert sorted(path.name for path in runs.iterdir()) == ["20260101-000002-other", live.id]
    live.events.touch()
    assert main(["delete", str(live.root), "--runs", str(runs / "deeper"), "--yes"]) == 2
    assert "does not lie in" in capsys.readouterr().err


def test_runs_are_filtered_as_on_the_screen(runs, capsys):
    assert ids(runs, capsys, "state:failed") == ["000002"]
    assert ids(runs, capsys, "dice>0.5 seg") == ["000001"]
    assert ids(runs, capsys, "nothing") == []
    typed(runs, "runs", "--filter", "best<0.5")
    assert "000001" not in capsys.readouterr().out
    typed(runs, "runs", "--filter", "nothing")
    assert capsys.readouterr().out == f"no run in {runs} has nothing\n"
    typed(runs, "runs", "--filter", "dise>1", code=2)
    assert capsys.readouterr().err == '"dise" is no value of a run; did you mean "dice"?\n'
