"""Taking a run or a study away for good: only what is one, lies in the folder of runs, and is at rest."""

import os
import shutil
from pathlib import Path

from engine.errors import RunError, UsageError, raised_as
from engine.runfolder.lock import release_lock, take_lock
from engine.runfolder.mirror import change, command_for, host_of, is_mirror
from engine.runfolder.paths import RunFolder, list_runs
from engine.runfolder.status import ENDED, read_status
from engine.runfolder.study import study_file, study_of


def refuse_removal(runs: Path, folder: RunFolder, *, held: bool = False) -> None:
    """Make sure that a run may be removed; ``held``: by who has its lock.

    Raises:
        UsageError: it is no run, lies elsewhere than in ``runs``, or is a link.
        RunError: somebody is at work on it, or on the study that it is a member of.
    """
    root = folder.root
    if os.path.realpath(root.parent) != os.path.realpath(runs):
        raise UsageError(f"{root} does not lie in {runs}", f"name the folder of the run: --runs {root.parent}")
    if root.is_symlink():
        raise UsageError(f"{root} is a link: what it leads to is not touched", f"remove the link itself: rm {root}")
    own = (study_file(folder),) if folder.is_study else (folder.events, folder.status, folder.recipe)
    if folder not in list_runs(folder.root.parent, studies=True) or not any(path.is_file() for path in own):
        raise UsageError(f"{root} holds no run", "what medtui did not write it does not remove")
    study = study_of(folder)
    for busy in (folder, *([study] if study else ())):
        state = read_status(busy, held=held and busy is folder).state
        if busy.status.exists() and state not in ENDED:
            gone = f"if its trainer, which was elsewhere, is gone: rm -r {root}"
            stop = f"stop it first: {command_for(busy, 'stop')}"
            raise RunError(f"{busy.id} is {state}", gone if state == "silent" else stop)


def remove(runs: Path, folder: RunFolder) -> None:
    """Remove a run, or a study without its members, which stay as runs. No link is followed.

    Raises:
        UsageError, RunError: see `refuse_removal`; or something of it cannot be removed.
    """
    refuse_removal(runs, folder)
    if is_mirror(folder):
        return change(folder, {}, delete=True)
    lock = take_lock(folder, links=True)
    try:
        with raised_as(RunError, f"cannot remove {folder.root}", f"what is left: ls -A {runs}"):
            refuse_removal(runs, folder, held=True)  # the lock was waited for
            gone = folder.root.with_name(f".deleted-{folder.id}")  # nobody lists half a run
            os.rename(folder.root, gone)
            shutil.rmtree(gone)
    finally:
        release_lock(lock)


def what_goes(folder: RunFolder) -> str:
    """The question before a removal: what it is, how much of the disk it holds, and what stays."""
    sizes = (os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(folder.root) for name in names)
    held = f"on {host_of(folder)}" if is_mirror(folder) else f"{sum(sizes) / 1e6:.1f} MB"
    text = f"Delete {folder.id} ({read_status(folder).state}, {held}) for good?"
    if folder.is_study:
        return f"{text} Its members stay, as runs of their own."
    study = study_of(folder)
    return f"{text} Its study {study.id} keeps the numbers that it has, and votes without it." if study else text
