"""One member of a study: what its process and its run folder say of it, and how it is started."""

import fcntl
import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from engine.hardware import cores, default_threads, python_path
from engine.requests import Request, Resume, Train, encode
from engine.runfolder import ENDED, RunFolder, read_manifest, read_status
from engine.runfolder.study import Member, Study, member_folder
from engine.studies.members import settings

Process = subprocess.Popen[bytes]


def seen(folder: RunFolder, study: Study, member: Member, process: Process | None) -> Member:
    """A member as it is now. Without a ``process`` of ours, one of a sweep that was killed may still be at work."""
    lives = process.poll() is None if process else _is_held(log_of(folder, member))
    found = member_folder(folder, member) if member.run else _find(folder, member.name)
    if found is None or not found.root.exists():
        state = "starting" if lives else "failed" if process else "waiting"
        return msgspec.structs.replace(member, state=state, run="")
    state = str(read_status(found).state)
    if lives and state in ENDED:
        state = "running"  # it is about to go on, or to end
    if not lives and state == "silent" and study.on == "slurm":
        state = "lost"  # its job is gone, and its node with it
    return msgspec.structs.replace(member, state=state, run=found.id)


def start(folder: RunFolder, study: Study, member: Member) -> Process | None:
    """Start a member, or go on with it; None where a process of a sweep that was killed has it.

    Until it has its run folder, the process holds a lock on its file in ``log/``, where it also says what is wrong.
    """
    run = member_folder(folder, member) if member.run else None
    if run and not run.recipe.exists():  # it was killed before there was anything to go on with
        if read_manifest(run).study.id == folder.id:
            shutil.rmtree(run.root)
        run = None
    log = log_of(folder, member)
    log.parent.mkdir(exist_ok=True)
    descriptor = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if study.on == "local":  # on SLURM it names the job that may still be in the queue
            os.ftruncate(descriptor, 0)
        request: Request = _train(folder, study, member, descriptor)
        if run:
            request = Resume(run=run.root, data=Path(study.data), handshake=descriptor)
        return subprocess.Popen(
            _command(study, member, request, log),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=(descriptor,),
            start_new_session=True,
            env=_environment(study.jobs if study.on == "local" else 1),
        )
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)


def _command(study: Study, member: Member, request: Request, log: Path) -> list[str]:
    """What runs a member here, or sends it to SLURM and stays as long as its job does."""
    words, engine = [request.command, encode(request)], [sys.executable, "-P", "-m"]
    if study.on == "local":
        return [*engine, "engine", *words]
    return [*engine, "engine.studies.slurm", *words, str(log.resolve()), member.name, *study.slurm]


def log_of(folder: RunFolder, member: Member) -> Path:
    """Where a member says what it has to say before it has a run folder."""
    return folder.root / "log" / f"{member.name}.log"


def _train(folder: RunFolder, study: Study, member: Member, descriptor: int) -> Train:
    fold = [] if member.fold is None else [f"data.validation_fold={member.fold}"]
    place = {key: getattr(member, key) for key in ("fold", "seed", "grid")}
    return Train(
        recipe=folder.recipe,
        overrides=(*settings(member.grid), f"seed={member.seed}", *fold),
        data=Path(study.data),
        allow_outside=study.outside,
        runs=folder.root.parent,
        name=member.name,
        handshake=descriptor,
        study={"id": folder.id, "member": member.name, **place},
    )


def _find(folder: RunFolder, name: str) -> RunFolder | None:
    for root in sorted(folder.root.parent.glob(f"*-{glob.escape(name)}*"), reverse=True):
        known = read_manifest(RunFolder(root)).study
        if (known.id, known.member) == (folder.id, name):
            return RunFolder(root)
    return None


def _is_held(log: Path) -> bool:
    """Whether a process that was started for a member still stands before its run folder."""
    try:
        with log.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or a file system without locks
        return False
    return False


def _environment(jobs: int) -> dict[str, str]:
    """Of a member: a copy that runs uninstalled finds itself, and ``jobs`` members divide the cores."""
    share = {} if jobs == 1 else {"OMP_NUM_THREADS": str(min(default_threads(), max(1, cores() // jobs)))}
    return {**os.environ, **share, "PYTHONPATH": python_path()}
