"""Memory that is kept, by what the kernel counts."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


def counted(setting: str, **environment: str) -> tuple[int, int]:
    """Pages that the kernel cleared for 64 MB that had been taken, written and given back just before; and MB that the
    process holds at the end, when they are given back once more."""
    code = f"""
import resource
import psutil
from engine.training.pages import give_memory_back, keep_memory
{setting}
letters = bytearray(b"x")
letters * (64 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
letters * (64 << 20)
cleared = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
held = psutil.Process().memory_info().rss
give_memory_back()
print(cleared, (held - psutil.Process().memory_info().rss) >> 20)
"""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    found = subprocess.run(
        [sys.executable, "-c", code], env=plain | environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    cleared, given = map(int, found.stdout.split())
    return cleared, given


def test_memory_that_is_kept_is_not_cleared_again_and_can_be_given_back() -> None:
    cleared, given = counted("")
    assert cleared > 10_000  # of 16,384 pages
    assert given < 8
    cleared, given = counted("keep_memory()")
    assert cleared < 100
    assert given > 56


def test_who_sets_the_allocator_up_has_the_last_word() -> None:
    assert counted("keep_memory()", MALLOC_TRIM_THRESHOLD_="131072")[0] > 10_000
