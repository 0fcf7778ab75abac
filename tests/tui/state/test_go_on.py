"""Going on with a run from the dashboard, by the command that a person would type."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import RunError
from tests.tui import recorded
from tui.state.go_on import go_on, set_options, write_report


def test_keys_of_a_fork_become_options() -> None:
    assert set_options("train.epochs=20 seed=4") == ["--set", "train.epochs=20", "--set", "seed=4"]
    assert set_options("'name=a b'") == ["--set", "name=a b"]
    assert set_options("") == []


def test_a_refusal_is_what_the_command_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recorded.lost(tmp_path)
    for name in ("engine", "tui"):  # a user's own folders of these names
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no data set at"):
        go_on(folder)


def test_a_report_is_written_once(tmp_path: Path) -> None:
    folder = recorded.finished(tmp_path)
    (folder.root / "report.html").write_text("there")
    assert write_report(folder).read_text() == "there"
