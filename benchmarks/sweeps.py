"""A study that is killed again and again: ``python -m benchmarks.sweeps [KILLS]``.

``medtui sweep recipes/quickstart.toml --folds 5 --seeds 2 --jobs 2`` (a few cases, two epochs) is left alone once, and
once killed by SIGKILL at random moments and resumed each time: now the sweep, now a member, now all of it. What both
gave is compared: metrics, cases, post-processing, the weights of every member.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.checkpoint import load_checkpoint
from engine.runfolder import ENDED, RunFolder, list_runs, read_manifest, read_status
from engine.runfolder.study import Study, member_folder, read_study
from tests.faults.killing import same_weights
from tests.phantoms import phantom_root

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "quickstart.toml"
SMALL = (
    "data.root=left_atrium",
    "data.size=[24,24,24]",
    "data.samples_per_case=1",
    "train.epochs=2",
    "train.validate_every=1",
    "train.checkpoint_iterations=1",
    "evaluate.overlap=0.0",
    "figures.enabled=false",
    "runtime.workers=0",
)
LONGEST_S = 40.0


def sweep(place: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tui.cli", "sweep", *words, "--runs", str(place / "runs")]
    log = (place / "log").open("ab")
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def begin(place: Path, data: Path) -> subprocess.Popen[bytes]:
    sets = [word for text in SMALL for word in ("--set", text)]
    return sweep(place, str(RECIPE), "--folds", "5", "--seeds", "2", "--jobs", "2", "--data", str(data), *sets)


def study_in(place: Path) -> RunFolder | None:
    return next((folder for folder in list_runs(place / "runs", studies=True) if folder.is_study), None)


def trainers(place: Path) -> list[int]:
    """Processes of members that are at work, by their run folders."""
    live = [read_status(folder) for folder in list_runs(place / "runs")]
    return [status.pid for status in live if status.state not in ENDED]


def strike(place: Path, process: subprocess.Popen[bytes], draw: random.Random) -> str:
    """Kill the sweep, its members, or both; which."""
    what = draw.choice(["sweep", "member", "all", "all"])
    struck = trainers(place)
    if what != "member":
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pid in struck[: 1 if what == "member" else len(struck)] if what != "sweep" else []:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return what


def killed(place: Path, data: Path, kills: int) -> int:
    """A study that is struck so often, and how many processes it took; the last is left to finish."""
    draw, met = random.Random(0), 0
    process = begin(place, data)
    while met < kills:
        code: int | None
        try:
            code = process.wait(draw.uniform(0.5, LONGEST_S))
        except subprocess.TimeoutExpired:
            met += 1
            print(f"{met}: {strike(place, process, draw)} killed", flush=True)
            code = process.poll()
        if code == 0:
            break
        if code is not None:
            found = study_in(place)
            process = sweep(place, "--resume", str(found.root)) if found else begin(place, data)
    while process.wait() != 0:
        found = study_in(place)
        process = sweep(place, "--resume", str(found.root)) if found else begin(place, data)
    return met


def differences(one: RunFolder, other: RunFolder) -> list[str]:
    """What differs between two studies that should be one."""
    studies = read_study(one), read_study(other)
    found = [name for name in ("metrics.json", "cases.csv") if _bytes(one, name) != _bytes(other, name)]
    found += [] if studies[0].post == studies[1].post and studies[0].tried == studies[1].tried else ["post-processing"]
    for member, again in zip(studies[0].member, studies[1].member, strict=True):
        runs = member_folder(one, member), member_folder(other, again)
        found += [] if same_weights(runs[0].last, runs[1].last) else [f"weights of {member.name}"]
        load_checkpoint(runs[1].best)
    return found + _strays(other, studies[1])


def _bytes(folder: RunFolder, name: str) -> bytes:
    return (folder.root / name).read_bytes()


def _strays(folder: RunFolder, study: Study) -> list[str]:
    known = {member.run for member in study.member}
    runs = [run for run in list_runs(folder.root.parent) if run.id not in known]
    return [f"a run that is no member: {run.id} ({read_manifest(run).study.member})" for run in runs]


def main() -> int:
    kills, start = int(sys.argv[1]) if len(sys.argv) > 1 else 20, time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        data = phantom_root(place / "data", "left_atrium", cases=14)
        for part in ("alone", "struck"):
            (place / part).mkdir()
        assert begin(place / "alone", data).wait() == 0, (place / "alone" / "log").read_text()
        print(f"left alone: {time.monotonic() - start:.0f} s", flush=True)
        met = killed(place / "struck", data, kills)
        alone, struck = study_in(place / "alone"), study_in(place / "struck")
        if alone is None or struck is None:
            raise RuntimeError("there is no study")
        found = differences(alone, struck)
    print(f"{met} kills, {time.monotonic() - start:.0f} s: {', '.join(found) or 'the same numbers as one left alone'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
