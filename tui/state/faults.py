"""Faults of the dashboard itself: kept in a file, so that the screen need say one line only."""

import itertools
import os
import time
import traceback
from pathlib import Path

_KEPT = 20
_NUMBERS = itertools.count(1)


def faults_folder() -> Path:
    """``$XDG_STATE_HOME/medtui/faults``, by default under ``~/.local/state``."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "medtui" / "faults"


def write_fault(where: str, error: BaseException) -> str:
    """Keep a traceback in a file of its own, named after the part that failed; its path, or why there is none."""
    folder = faults_folder()
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{next(_NUMBERS):03d}-{where}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.txt"))[: -_KEPT + 1]:
            old.unlink(missing_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
    except OSError as problem:
        return f"nowhere: {problem.strerror or problem}"
    return str(path)


def in_short(error: BaseException) -> str:
    """An error in one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' + text if text else ''}"[:120]
