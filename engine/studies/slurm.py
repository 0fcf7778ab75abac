"""A run sent to SLURM: its job begins it, and goes on with it when SLURM has put the job back into the queue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import UsageError
from engine.requests import Resume, Train, encode
from engine.runfolder import ENDED, RunFolder, read_status

_WAIT_S = 180.0  # longer than the trainer of the last try can look alive
_DAY_MIN = 1440
_NOTICE_S = 120


@dataclass
class SlurmRun:
    """What the job calls: the engine in a process of its own.

    Attributes:
        request: the run to begin.
        log: what the engine said before it had a run folder, and then which it is.
        environment: what the engine needs beside the job's own.
    """

    request: Train
    log: Path
    environment: dict[str, str]
    _process: Any = field(default=None, repr=False)

    def __call__(self) -> int:
        """Begin the run, or go on with it; its exit code."""
        folder = self._begun()
        if folder is not None:
            end = time.monotonic() + _WAIT_S
            while (state := read_status(folder).state) not in {*ENDED, "silent"} and time.monotonic() < end:
                time.sleep(1.0)
            if state == "finished":
                return 0
        descriptor = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        request: Train | Resume = msgspec.structs.replace(self.request, handshake=descriptor)
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
            env={**os.environ, **self.environment},
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

    def _begun(self) -> RunFolder | None:
        """The run folder that an earlier try of the job made."""
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        for line in reversed(lines):
            if line.startswith('{"run": '):
                return RunFolder(Path(json.loads(line)["run"]))
        return None


def submit(request: Train, name: str) -> tuple[str, Path]:
    """Send a run to SLURM.

    Args:
        request: the run; its ``nproc`` tasks are shared out over its ``nodes``.
        name: of the job.

    Returns:
        The job's number, and the file in which it says its run folder.

    Raises:
        UsageError: submitit or SLURM is not here, or SLURM refuses the job.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise UsageError("--on slurm needs submitit, which is not installed", "pip install 'medtui[slurm]'") from None
    tasks, left = divmod(request.nproc or request.nodes, request.nodes)
    if left:
        found = f"found {request.nproc}, for {request.nodes} nodes"
        raise UsageError(f"--nproc: {found}", "as many processes on every node: a multiple of --nodes")
    absolute = {name: Path(value).resolve() for name in ("recipe", "runs", "data") if (value := getattr(request, name))}
    alone = msgspec.structs.replace(request, **absolute, on="local", nodes=1, slurm=(), nproc=None)
    folder = alone.runs / ".slurm"
    log = folder / f"{name}-{time.time_ns():x}.log"
    options = dict(_option(text) for text in request.slurm)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=1 << 20)
        executor.update_parameters(
            name=name,
            nodes=request.nodes,
            tasks_per_node=tasks,
            timeout_min=_DAY_MIN,
            slurm_signal_delay_s=_NOTICE_S,
            stderr_to_stdout=True,
            slurm_additional_parameters={"requeue": True, **options},
        )
        job = executor.submit(SlurmRun(alone, log, _environment()))
    except (RuntimeError, OSError, submitit.core.utils.FailedJobError) as error:
        raise UsageError(f"SLURM does not take the job: {error}", "change it with --slurm KEY=VALUE") from None
    return job.job_id, log


def _option(text: str) -> tuple[str, str | bool]:
    """An option of sbatch: ``partition=gpu``, or ``exclusive`` alone. Raises: UsageError: it is none."""
    key, given, value = text.lstrip("-").partition("=")
    if not key.replace("-", "").isalnum() or "\n" in value:
        raise UsageError(f'--slurm: found "{text}"', "an option of sbatch, such as --slurm partition=gpu")
    return key, value if given else True


def _environment() -> dict[str, str]:
    """A copy that runs uninstalled finds itself; nothing is fetched where the job runs."""
    path = [str(Path(__file__).parents[2]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    spin = {} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "10000")}
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(path)), **spin}
