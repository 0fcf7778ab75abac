"""What the list says of a run before it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui import recorded
from tui.state import run_facts


def test_the_best_validation_is_not_guessed_from_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recorded.finished(tmp_path)
    whole = run_facts.read_facts(folder)
    assert whole.best is not None
    assert whole.best[0] == max(whole.history)
    monkeypatch.setattr(run_facts, "QUICK_BYTES", 1000)
    assert run_facts.read_facts(folder).best is None
