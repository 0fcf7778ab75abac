"""A machine to go to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.remote.far_machine import FarMachine


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FarMachine:
    return FarMachine(tmp_path, monkeypatch)
