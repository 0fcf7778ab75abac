"""What scripts read: every field that docs/scripts.md names, and no other."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.runfolder import create, own_status, write_status
from engine.runfolder.lines import encode
from tests.engine.diagnosis import streams
from tests.engine.diagnosis.test_diagnosis import PLANS
from tui.cli import main

DOCS = Path(__file__).resolve().parents[3] / "docs" / "scripts.md"


def documented(title: str) -> set[str]:
    part = DOCS.read_text(encoding="utf-8").split(f"## medtui {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \| ", part, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.fixture
def runs(tmp_path):
    plan = dataclasses.replace(PLANS["skin"], fault=streams.missing_class)
    folder = create(tmp_path, "skin")
    folder.events.write_bytes(b"".join(map(encode, streams.stream(plan))))
    write_status(folder, replace(own_status("skin", "classification", plan.epochs), state="stopped"))
    return tmp_path


def printed(capsys, *words: str):
    assert main([*words]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_field_is_documented(runs, capsys):
    where = ("--runs", str(runs))
    found = printed(capsys, "findings", "--json", *where)
    assert [finding["code"] for finding in found] == ["class_never_predicted"]
    assert set(found[0]) == documented("findings --json")
    (row,) = printed(capsys, "runs", "--json", *where)
    assert set(row) == documented("runs --json")
    assert set(row["findings"][0]) == {"severity", "code", "message", "since_epoch", "remedy"}
    view = printed(capsys, "attach", "--once", "--json", *where)
    assert set(view) - set(row) == documented("attach --once --json") - set(row)
    assert view["findings"] == row["findings"]
    assert sum(view["time"].values()) == pytest.approx(1.0, abs=1e-3)


def test_cases_are_those_of_the_last_validation_until_there_are_others(tmp_path, capsys):
    folder = create(tmp_path, "atrium")
    folder.events.write_bytes(b"".join(map(encode, streams.stream(PLANS["short"]))))
    rows = printed(capsys, "cases", "--json", "--runs", str(tmp_path))
    assert len(rows) == 8
    assert all(set(row) == documented("cases --json") for row in rows)
    values = [row["values"]["dice"] for row in rows]
    assert values == sorted(values)


def test_counts_of_cases_are_whole_numbers(runs, capsys):
    folder = next(path for path in runs.iterdir() if path.is_dir())
    text = "id,split,dice,lesions,lesion_false_positives,missed\na,test,1.0,2.0,0.5,1\nb,test,0.9,1.0,,0\n"
    (folder / "cases.csv").write_text(text, encoding="utf-8")
    assert main(["cases", "--runs", str(runs)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["id", "split", "dice", "lesions", "lesion", "FPs", "missed"],
        ["b", "test", "0.900", "1", "–", "0"],
        ["a", "test", "1.00", "2", "0.500", "1"],
    ]


def test_an_input_that_is_not_there_is_said_before_the_engine_starts(runs, capsys):
    where = ("skin", str(runs / "nix"), "-o", str(runs / "out"), "--runs", str(runs))
    assert main(["predict", *where]) == 2
    assert capsys.readouterr().err == f"no input at {runs / 'nix'}\nname files, or folders of files\n"


def test_people_read_lines(runs, capsys):
    assert main(["findings", "--runs", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "class never predicted since epoch 12: never predicted: MEL" in text
    assert main(["attach", "--once", "--runs", str(runs)]) == 0
    assert "never predicted: MEL" in capsys.readouterr().out
    assert main(["attach", "--json", "--runs", str(runs)]) == 2
