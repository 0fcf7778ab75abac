"""Runs sent to a real SLURM; skipped where there is none."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from engine.commands.sweep import sweep
from engine.commands.train import train
from engine.errors import MedtuiError, UsageError
from engine.requests import Sweep, Train
from engine.runfolder import RunFolder, list_runs, read_manifest, read_status
from engine.runfolder.study import read_study
from engine.studies.slurm import submit
from tests.engine.runs import SEGMENTATION, request, run, same_weights
from tests.engine.studies.conftest import small, study_in
from tests.engine.studies.test_work import begun

LONG = ("train.epochs=12", "train.checkpoint_iterations=2")


def answers() -> bool:
    if not shutil.which("sinfo"):
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=20, check=False).returncode == 0


slurm = pytest.mark.skipif(not answers(), reason="no SLURM answers here")


def sent(folder: Path, *overrides: str, **fields: object) -> tuple[str, Path]:
    asked = msgspec.structs.replace(request(folder, SEGMENTATION, *overrides), on="slurm", **fields)
    pytest.importorskip("submitit")
    job, log = submit(asked, "test")
    return job, log.parents[1]


def waited(runs: Path, seen: str, seconds: float = 240.0) -> RunFolder:
    """The run, when its stream or its state says so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for folder in list_runs(runs):
            if seen == read_status(folder).state or (folder.events.exists() and seen in folder.events.read_text()):
                return folder
        time.sleep(0.2)
    raise AssertionError(f"{seen} did not come: {[path.read_text() for path in (runs / '.slurm').glob('*.log')]}")


@slurm
def test_a_run_that_is_put_back_into_the_queue_ends_as_one_left_alone(tmp_path):
    job, runs = sent(tmp_path, *LONG)
    folder = waited(runs, '"iteration":4,')
    subprocess.run(["scontrol", "requeue", job], check=True)
    end, hints = time.monotonic() + 60, set()
    while read_manifest(folder).sessions == 1 and time.monotonic() < end:
        hints.add(read_status(folder).hint)
        time.sleep(1.0)  # SLURM lets a job wait for two minutes that it put back, unless it is told otherwise
        subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], capture_output=True, check=False)
    assert waited(runs, "finished").root == folder.root
    assert read_manifest(folder).sessions == 2
    assert (
        f"job {job} goes on with it by itself where squeue shows it; else go on with: medtui resume {folder.id}"
        in hints
    )
    _, alone = run(tmp_path / "alone", SEGMENTATION, *LONG)
    assert same_weights(folder.last, alone.last)


@slurm
def test_two_tasks_of_a_job_are_one_run(tmp_path):
    _, runs = sent(tmp_path, "train.batch_size=2", nproc=2)
    folder = waited(runs, "finished")
    assert read_manifest(folder).processes == 2
    assert len(list_runs(runs)) == 1


@slurm
def test_the_members_of_a_study_are_jobs(tmp_path, alone):
    pytest.importorskip("submitit")
    assert sweep(small(tmp_path, folds=2, on="slurm")) == 0
    study = study_in(tmp_path)
    assert [member.state for member in read_study(study).member] == ["finished", "finished"]
    assert study.metrics.read_text() == alone.metrics.read_text()
    assert len(list((study.root / "log" / "slurm").glob("*_submitted.pkl"))) == 2


@slurm
def test_a_sweep_that_is_stopped_takes_its_waiting_jobs_out_of_the_queue(tmp_path):
    pytest.importorskip("submitit")
    process, end = begun(small(tmp_path, folds=2, on="slurm", slurm=("hold",))), time.monotonic() + 60
    queue = ["squeue", "-h", "-o", "%j", "--states=PENDING"]
    while (
        sorted(subprocess.check_output(queue, text=True).split()) != ["tiny-f0-s3", "tiny-f1-s3"]
        and time.monotonic() < end
    ):
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 3
    assert not subprocess.check_output(queue)


@slurm
def test_a_study_finds_its_waiting_jobs_again_after_its_machine_was_restarted(tmp_path):
    pytest.importorskip("submitit")
    before = begun(small(tmp_path, folds=2, on="slurm", slurm=("hold",)))
    jobs = named(tmp_path, 1)
    for sender in [*psutil.Process(before.pid).children(), before]:
        sender.kill()
    again = begun(Sweep(recipe=study_in(tmp_path).root, resume=True))
    assert named(tmp_path, 2) == jobs * 2
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 3


@slurm
@pytest.mark.parametrize("moment", ["sbatch", "log"])
def test_a_sender_that_is_killed_behind_sbatch_has_sent_its_job_once(tmp_path, monkeypatch, moment):
    """Killed before it reads the job's number from sbatch, and before it writes it into the member's log."""
    pytest.importorskip("submitit")
    own, real = tmp_path / "bin", shutil.which("sbatch")
    own.mkdir()
    if moment == "sbatch":
        kill = f"rm -r {own}; kill -9 $PPID $(ps -o ppid= $PPID)"
        (own / "sbatch").write_text(f'#!/bin/sh\n{real} "$@"; {kill}\n')
        (own / "sbatch").chmod(0o755)
        monkeypatch.setenv("PATH", str(own), prepend=":")
    asked = msgspec.structs.replace(small(tmp_path, folds=2, on="slurm", slurm=("hold",)), jobs=1)
    before, end = begun(asked), time.monotonic() + 90
    if moment == "log":
        while not (log := study_log(tmp_path)) or "job" not in log.read_text():
            assert time.monotonic() < end
            time.sleep(0.1)
        for sender in [*psutil.Process(before.pid).children(), before]:
            sender.kill()
        log.write_text("")
    before.wait(90)
    (first,) = queued()
    again = begun(Sweep(recipe=study_in(tmp_path).root, resume=True))
    while not (log := study_log(tmp_path)) or "job" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.1)
    (second,) = queued()
    assert (second == first) == (moment == "log")  # one without its work is taken out, and sent anew
    assert log.read_text().strip() == f"job {second}"
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 3


def study_log(place: Path) -> Path | None:
    return next(iter(place.glob("runs/*.study/log/*.log")), None)


def queued() -> list[str]:
    return subprocess.check_output(["squeue", "-h", "-o", "%i"], text=True).split()


@slurm
def test_what_is_wrong_for_all_members_leaves_no_job_in_the_queue(tmp_path):
    pytest.importorskip("submitit")
    asked = small(tmp_path, folds=2, on="slurm")
    next((tmp_path / "data").rglob("mri_norm2.h5")).write_bytes(b"no scan")
    with pytest.raises(MedtuiError, match="could not be started"):
        sweep(asked)
    end = time.monotonic() + 60
    while (queue := subprocess.check_output(["squeue", "-h"], text=True)) and time.monotonic() < end:
        time.sleep(0.5)
    logs = sorted((study_in(tmp_path).root / "log").glob("*.log"))
    assert queue == ""
    assert any("mri_norm2" in log.read_text() for log in logs)  # both, where there are cores for both at once


def named(place: Path, times: int) -> list[str]:
    """The jobs that the logs of two members name, once both do so many ``times``."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        logs = [log.read_text().splitlines() for log in sorted(place.glob("runs/*.study/log/*.log"))]
        if [len(log) for log in logs] == [times] * 2:
            return [log[at] for at in range(times) for log in logs]
        time.sleep(0.5)
    raise AssertionError(logs)


@pytest.mark.parametrize("text", ["gpu; rm -rf", "partition=a\n#SBATCH x", "=3", ""])
def test_what_is_no_option_of_sbatch_is_refused(tmp_path, text):
    pytest.importorskip("submitit")
    with pytest.raises(UsageError, match="an option of sbatch"):
        submit(Train(recipe=tmp_path, runs=tmp_path / "runs", slurm=(text,)), "test")


def test_processes_and_nodes_must_fit(tmp_path):
    pytest.importorskip("submitit")
    with pytest.raises(UsageError, match="a multiple of --nodes"):
        submit(Train(recipe=tmp_path, runs=tmp_path / "runs", nodes=2, nproc=3), "test")


def test_what_is_wrong_with_a_recipe_is_said_before_it_is_sent(tmp_path):
    asked = msgspec.structs.replace(request(tmp_path, SEGMENTATION, "train.batch_size=3"), on="slurm", nproc=2)
    with pytest.raises(Exception, match="a multiple of 2"):
        train(asked)
    assert not asked.runs.exists()
