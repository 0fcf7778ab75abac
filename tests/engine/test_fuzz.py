"""Bytes changed at random: whatever comes of it is read, or told in one message; nothing hangs, nothing else is raised.

``python -m benchmarks.fuzz`` does the same ten thousand times for each kind of file.
"""

from __future__ import annotations

import pytest

from benchmarks.fuzz import KINDS, fuzz


@pytest.mark.parametrize(("kind", "count"), [("stream", 400), ("recipe", 400), ("checkpoint", 150), ("run files", 200)])
def test_changed_bytes_are_read_or_told(tmp_path, kind, count):
    report = fuzz(KINDS[kind], tmp_path, count, seed=1)
    assert report.faults == []
    assert report.slowest_s < 10
