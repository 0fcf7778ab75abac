"""Why a pane is empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.runfolder import read_status
from tests.tui import recorded
from tui.state.feed import RunSnapshot, view_of
from tui.state.reasons import no_validation


@pytest.mark.parametrize(
    ("state", "words"), [("running", "the test at its end measures"), ("finished", "the report has its test")]
)
def test_a_run_without_validation_says_where_its_test_is(tmp_path: Path, state: str, words: str) -> None:
    folder = recorded.no_validation(tmp_path)
    snapshot = RunSnapshot(view_of(folder, 1 << 20), read_status(folder))
    status = msgspec.structs.replace(snapshot.status, state=state)
    assert no_validation(replace(snapshot, status=status)).endswith(words)
