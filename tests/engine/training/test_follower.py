"""Two gloo processes are one: weights, metrics, resume, failures. Each run of two starts a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
import torch

from engine.commands.resume import resume
from engine.commands.train import refuse_uneven, train
from engine.errors import RecipeError
from engine.events import Iteration
from engine.recipe import load_recipe
from engine.requests import Resume
from engine.runfolder import RunFolder, list_runs, read_manifest, read_metrics, read_status, send
from tests.engine.commands.test_resume import when
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, events, request, run, weights, write_recipe

TWENTY = ("train.epochs=4", "train.batch_size=4", "data.samples_per_case=5", "train.clip_norm=1.0")
GENTLE = ('optimizer.name="sgd"', "optimizer.lr=1e-7")  # a network that learns fast makes much of a last bit
PICTURES = ("train.epochs=3", "train.batch_size=8", "data.size=[64,64]", "figures.previews=true", *GENTLE)


def run_two(folder: Path, text: str, *overrides: str, cases: int = 8, then=lambda _: None) -> tuple[int, RunFolder]:
    """As `run`, on two processes."""
    asked = request(folder, text, *overrides, cases=cases)
    code = train(msgspec.structs.replace(asked, nproc=2), then)
    return code, list_runs(asked.runs)[-1]


def distance(one: Path, other: Path) -> float:
    """The largest difference between two checkpoints' weights; running statistics are compared by their size."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    parts = {name: (value.double(), second[name].double()) for name, value in first.items()}
    for name in [name for name in parts if "running" in name or "tracked" in name]:
        assert torch.allclose(*parts.pop(name), rtol=1e-3, atol=1e-4), name
    return max(float((a - b).abs().max()) for a, b in parts.values())


def same_results(one: RunFolder, other: RunFolder) -> None:
    first, second = read_metrics(one), read_metrics(other)
    assert first.keys() == second.keys()
    for split, summary in first.items():
        assert summary.n == second[split].n
        assert summary.values == pytest.approx(second[split].values, abs=1e-5, nan_ok=True)
    ids = [[line.partition(",")[0] for line in folder.cases.read_text().splitlines()] for folder in (one, other)]
    assert ids[0] == ids[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    code, folder = run(tmp_path_factory.mktemp("alone"), SEGMENTATION, *TWENTY)
    assert code == 0
    return folder


def test_two_processes_segment_as_one(tmp_path, alone):
    code, folder = run_two(tmp_path, SEGMENTATION, *TWENTY, "loss.batch_dice=true")
    assert code == 0
    _, one = run(tmp_path / "one", SEGMENTATION, *TWENTY, "loss.batch_dice=true")
    assert distance(folder.last, one.last) < 1e-6
    same_results(folder, one)
    assert len(list_runs(tmp_path / "runs")) == 1
    assert read_manifest(folder).processes == 2
    for part in ("previews", "examples", "predictions"):
        names = [sorted(p.name for p in (f.root / part).rglob("*") if p.is_file()) for f in (folder, one)]
        assert names[0] == names[1], part
    assert [event.seq for event in events(folder)] == list(range(1, len(events(folder)) + 1))
    assert distance(one.last, alone.last) > 1e-4  # batch_dice is another loss


def test_two_processes_classify_as_one(tmp_path):
    """With batch norm, classes that weigh differently, and a last batch that is shared unevenly."""
    text = CLASSIFICATION.replace('"cross_entropy_focal"', '"cross_entropy_focal"\nclass_weights = "balanced"')
    code, folder = run_two(tmp_path, text, *PICTURES, cases=32)
    _, one = run(tmp_path / "one", text, *PICTURES, cases=32)
    assert code == 0
    assert distance(folder.last, one.last) < 1e-6
    steps = [[event for event in events(each) if isinstance(event, Iteration)] for each in (folder, one)]
    assert len(steps[0]) == 9
    assert [step.loss for step in steps[0]] == pytest.approx([step.loss for step in steps[1]], rel=1e-4)
    assert [step.grad_norm for step in steps[0]] == pytest.approx([step.grad_norm for step in steps[1]], rel=1e-2)
    same_results(folder, one)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(tmp_path, alone, before, after, monkeypatch):
    monkeypatch.setattr("engine.training.handlers.control.POLL_S", 0.0)  # the run may be shorter

    def stop(folder: RunFolder) -> None:
        when(folder, lambda text: '"epoch":2,' in text, lambda: send(folder, "stop_now"))

    begin = run if before == 1 else run_two
    code, folder = begin(tmp_path, SEGMENTATION, *TWENTY, then=stop)
    assert code == 3
    assert read_status(folder).state == "stopped"
    asked = Resume(run=folder.root, data=tmp_path / "data", nproc=after)
    assert resume(asked, lambda _: None) == 0
    assert distance(folder.last, alone.last) < 1e-6
    same_results(folder, alone)


def test_a_process_that_is_killed_ends_the_run_with_one_message(tmp_path):
    def kill(folder: RunFolder) -> None:
        def act() -> None:
            (child,) = (c for c in psutil.Process().children() if "engine" in c.cmdline())
            child.send_signal(signal.SIGKILL)

        when(folder, lambda text: '"iteration":2,' in text, act)

    code, folder = run_two(tmp_path, SEGMENTATION, *TWENTY, "train.epochs=400", then=kill)
    assert code == 1
    assert read_status(folder).message.startswith("process 1 of 2 was killed")
    assert not [c for c in psutil.Process().children() if "engine" in c.cmdline()]


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path, SEGMENTATION), ("train.batch_size=9",))
    refuse_uneven(recipe, 3)
    with pytest.raises(
        RecipeError, match=r"found 9, for 6 .*\n.*a multiple of 6: --set train.batch_size=12; or --nproc 3"
    ):
        refuse_uneven(recipe, 6)


def test_torchrun_makes_one_run(tmp_path):
    asked = request(tmp_path, SEGMENTATION, *TWENTY)
    medtui = "import sys; from tui.cli import main; sys.exit(main())"
    script = tmp_path / "medtui.py"
    script.write_text(medtui)
    sets = [part for text in asked.overrides for part in ("--set", text)]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script)]
    command += ["run", str(asked.recipe), "--data", str(asked.data), "--runs", str(asked.runs), *sets]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = list_runs(asked.runs)
    assert read_status(folder).state == "finished"
    assert read_manifest(folder).processes == 2
    assert torch.isfinite(next(iter(weights(folder.last).values()))).all()
