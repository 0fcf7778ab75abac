"""The dashboard's memory is kept out of the home of whoever runs the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("MEDTUI_ASCII", raising=False)
    yield home
    faults = [path.read_text(encoding="utf-8") for path in home.glob("medtui/faults/*.txt")]
    assert not faults, faults[0]  # a pane keeps its faults to itself: a test must see them
