"""Run folders, pictures, volumes, checkpoints, recipes and lists that somebody made to do harm.

Each costs one message: no hang, no gigabyte, no program started, nothing outside of its folder opened.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.strangers import CASES

ROOT = Path(__file__).resolve().parents[2]
CPU_S, WALL_S, GROWN_MB, CHARACTERS = 5.0, 45.0, 1000, 20_000
QUIET = (
    *("run_", "mask_", "arrays_", "cases_", "index_", "small_", "metrics_", "stream_", "status_"),  # read as empty
    *("picture_fifo", "picture_endless", "picture_circle", "picture_listener"),  # no files: they are not listed
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process saw of every case; it is a process of its own, for its limits and its peaks of memory."""
    command = [sys.executable, "-m", "tests.faults.strangers", str(tmp_path_factory.mktemp("strangers"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())} | {"errors": done.stderr}


@pytest.mark.parametrize("name", CASES)
def test_what_a_stranger_hands_over_does_no_harm(found: dict[str, Any], name: str) -> None:
    assert name in found, found["errors"][-2000:]
    row = found[name]
    assert row["fault"] == ""
    assert row["outside"] == []
    assert not row["touched"]
    assert row["cpu_s"] < CPU_S
    assert row["wall_s"] < WALL_S  # of a machine that does other things too; a hang takes longer
    assert row["grown_mb"] < GROWN_MB
    assert row["characters"] < CHARACTERS
    assert row["said"] or name.startswith(QUIET)
