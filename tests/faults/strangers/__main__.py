"""Reads hostile files in a process whose time, memory and opened files are watched.

``python -m tests.faults.strangers DIR [NAME ...]`` prints a line of JSON for each.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import matplotlib.font_manager  # noqa: F401
import torch

import tui.cli  # noqa: F401  what is imported later, and its list of fonts, would count as read outside
from engine.errors import MedtuiError
from tests.faults.strangers import CASES

HANG_S = 60.0
GROWTH = 4 << 30  # address space beyond what is mapped at the start: a safety net


def peak_mb() -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def watched(name: str, folder: Path, opened: list[str]) -> dict[str, object]:
    """Build and read one case; what it took and said."""
    folder.mkdir()
    act = CASES[name](folder)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mb()
    opened.clear()
    start, wall = time.process_time(), time.monotonic()
    said, fault = "", ""
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            act()
    except MedtuiError as error:
        said = str(error)
    except BaseException:
        fault = traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "name": name, "cpu_s": round(time.process_time() - start, 2), "wall_s": round(time.monotonic() - wall, 2),
        "grown_mb": round(peak_mb() - before), "said": said[:500], "characters": len(said), "fault": fault,
        "outside": [path for path in opened if _outside(path, folder)],
        "touched": (folder / "touched").exists(),
    }  # fmt: skip


def _outside(path: str, folder: Path) -> bool:
    """Whether a file is neither of the case, nor of Python and its packages, nor one of the kernel's."""
    real = os.path.realpath(path)
    kernel = ("/dev/zero", "/proc/", "/sys/", "/usr/")  # a device is opened, and refused before it is read
    own = (str(folder), *kernel, sys.prefix, sys.base_prefix, str(Path(__file__).parents[3]))
    packages = tuple(entry for entry in sys.path if entry)
    return (real.startswith("/") and not real.startswith((*own, *packages))) or "secret" in real


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError("hung")


def _listen(opened: list[str]) -> None:
    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            opened.append(os.fsdecode(args[0]))

    sys.addaudithook(hook)


def results(place: Path, names: list[str]) -> Iterator[dict[str, object]]:
    signal.signal(signal.SIGALRM, _hung)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + GROWTH, resource.RLIM_INFINITY))
    tempfile.gettempdir()  # looks for a place by writing there, once
    opened: list[str] = []
    _listen(opened)
    for name in names or CASES:
        yield watched(name, place / name, opened)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for result in results(Path(sys.argv[1]), sys.argv[2:]):
        print(json.dumps(result), flush=True)
