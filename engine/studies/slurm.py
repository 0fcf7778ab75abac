"""A run sent to SLURM: its job begins it, and goes on with it when SLURM has put the job back into the queue."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.console import guarded
from engine.errors import UsageError
from engine.hardware import JOB, engine_environment
from engine.requests import Resume, Train, decode, encode
from engine.runfolder import ENDED, RunFolder, read_status

_WAIT_S = 180.0  # longer than the trainer of the last try can look alive
_DAY_MIN = 1440
_NOTICE_S = 120
_PLACES = ("recipe", "run", "runs", "data", "start")
R = TypeVar("R", bound=Train | Resume)
_LOOK_S, _MOST_LOOK_S = 3.0, 30.0  # a study of many members is not to keep SLURM busy with questions
_OVER = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT"}
)


@dataclass
class SlurmRun:
    """What the job calls: the engine in a process of its own."""

    request: Train | Resume  # the run to begin, or to go on with
    log: Path  # what the engine said before it had a run folder, and then which it is
    environment: dict[str, str]  # what the engine needs beside the job's own
    _process: Any = field(default=None, repr=False)

    def __call__(self) -> int:
        """Begin the run, or go on with it; its exit code."""
        folder = self.begun()
        if folder is not None:
            end = time.monotonic() + _WAIT_S
            while (state := read_status(folder).state) not in {*ENDED, "silent"} and time.monotonic() < end:
                time.sleep(1.0)
            if state == "finished":
                return 0
        descriptor = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        request = msgspec.structs.replace(self.request, handshake=descriptor)
        if folder is not None:
            request = Resume(run=folder.root, data=self.request.data, take=True, handshake=descriptor)
        command = [sys.executable, "-P", "-m", "engine", request.command, encode(request)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=(descriptor,),
            start_new_session=True,
            env={**os.environ, **self.environment, JOB: os.environ.get("SLURM_JOB_ID", "")},
        )
        os.close(descriptor)
        return int(self._process.wait())

    def checkpoint(self) -> Any:
        """SLURM gives notice: the run is stopped with a checkpoint, and the job goes back into the queue."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
            self._process.wait()
        return DelayedSubmission(SlurmRun(self.request, self.log, self.environment))

    def begun(self) -> RunFolder | None:
        """The run folder that there is: the one to go on with, or one that an earlier try of the job made."""
        if isinstance(self.request, Resume):
            return RunFolder(self.request.run)
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        for line in reversed(lines):
            if line.startswith('{"run": '):
                return RunFolder(Path(json.loads(line)["run"]))
        return None


def submit(request: Train, name: str) -> tuple[str, Path]:
    """Send a run to SLURM; its ``nproc`` tasks are shared out over its ``nodes``.

    Returns:
        The number of the job, whose name is ``name``, and the file in which it says its run folder.

    Raises:
        UsageError: submitit or SLURM is not here, or SLURM refuses the job.
    """
    tasks, left = divmod(request.nproc or request.nodes, request.nodes)
    if left:
        found = f"found {request.nproc}, for {request.nodes} nodes"
        raise UsageError(f"--nproc: {found}", "as many processes on every node: a multiple of --nodes")
    alone = msgspec.structs.replace(_absolute(request), on="local", nodes=1, slurm=(), nproc=None)
    log = alone.runs / ".slurm" / f"{name}-{time.time_ns():x}.log"
    work = SlurmRun(alone, log, engine_environment())
    return _sent(work, log.parent, name, request.slurm, (request.nodes, tasks)), log


def _absolute(request: R) -> R:
    """A request that means the same in every folder, and in no process's descriptors."""
    places = {name: Path(value).resolve() for name in _PLACES if (value := getattr(request, name, None))}
    return msgspec.structs.replace(request, **places, handshake=None)


def _sent(run: SlurmRun, folder: Path, name: str, options: Sequence[str], size: tuple[int, int]) -> str:
    """The number of the job that ``run`` became; ``size``: nodes, and tasks on each."""
    try:
        import submitit
    except ModuleNotFoundError:
        raise UsageError("--on slurm needs submitit, which is not installed", "pip install 'medtui[slurm]'") from None
    given = {"requeue": True, **dict(_option(text) for text in options)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=1 << 20)
        executor.update_parameters(
            name=name,
            nodes=size[0],
            tasks_per_node=size[1],
            timeout_min=_DAY_MIN,
            slurm_signal_delay_s=_NOTICE_S,
            stderr_to_stdout=True,
            slurm_additional_parameters=given,
        )
        return str(executor.submit(run).job_id)
    except (RuntimeError, OSError, submitit.core.utils.FailedJobError) as error:
        raise UsageError(f"SLURM does not take the job: {error}", "change it with --slurm KEY=VALUE") from None


def main(words: Sequence[str]) -> int:
    """A member of a study: send it, and stay as long as its job is there. SIGTERM stops the run with a checkpoint; a
    job that waits in the queue leaves it.

    ``words``: the request's command and JSON, the file for what it says, its name, and options of sbatch.
    """
    command, text, log, name, *options = words
    request = decode(command, text)
    assert isinstance(request, Train | Resume)  # noqa: S101  the study has no others
    run = SlurmRun(_absolute(request), Path(log), engine_environment())
    folder = run.log.resolve().parent / "slurm"
    if not (job := _queued(run.log) or _sent_before(folder, name)):
        os.truncate(log, 0)
        job = _sent(run, folder, name, options, (1, 1))
    signal.signal(signal.SIGTERM, lambda *_: _stop(job))
    print(f"job {job}", flush=True)
    wait_s = _LOOK_S
    while _is_there(job):
        time.sleep(wait_s)
        wait_s = min(1.5 * wait_s, _MOST_LOOK_S)
    return 0 if run.begun() else 1


def _queued(log: Path) -> str:
    """The job that was sent for a member before, where it still waits or runs: it goes on by itself; else ""."""
    jobs = re.findall(r"^job (\d+)$", log.read_text("utf-8", "replace"), re.MULTILINE)
    return jobs[-1] if jobs and _is_there(jobs[-1]) else ""


def _sent_before(folder: Path, name: str) -> str:
    """The job of a member whose sender was killed before it had written its number; else "".

    One that has no work to do yet never gets it, and is taken out of the queue.

    Raises:
        UsageError: SLURM does not answer: the member is not sent a second time.
    """
    asked = subprocess.run(["squeue", "-h", "-n", name, "-o", "%i %o"], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise UsageError(f"SLURM does not answer: {asked.stderr.strip()}", "go on later with: medtui resume")
    found = ""
    for job, _, script in (line.partition(" ") for line in asked.stdout.splitlines()):
        if Path(script).parent == folder:
            if (folder / f"{job}_submitted.pkl").exists():
                found = job
            else:
                subprocess.run(["scancel", "--quiet", job], check=False)
    return found


def _stop(job: str) -> None:
    for options in (["--state=PENDING"], ["--signal=USR1", "--full"]):  # a job that waits takes no signal
        subprocess.run(["scancel", "--quiet", *options, job], check=False)


def _is_there(job: str) -> bool:
    """Whether a job waits or runs; also where SLURM does not answer."""
    asked = subprocess.run(["squeue", "-h", "-o", "%T", "-j", job], capture_output=True, text=True, check=False)
    if asked.returncode:
        return "Invalid job id" not in asked.stderr
    return bool(asked.stdout.strip()) and asked.stdout.strip() not in _OVER


def _option(text: str) -> tuple[str, str | bool]:
    """An option of sbatch: ``partition=gpu``, or ``exclusive`` alone. Raises: UsageError: it is none."""
    key, given, value = text.lstrip("-").partition("=")
    if not key.replace("-", "").isalnum() or "\n" in value:
        raise UsageError(f'--slurm: found "{text}"', "an option of sbatch, such as --slurm partition=gpu")
    return key, value if given else True


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
