"""SIGKILL at random moments and in every phase: what comes of it is what comes of a run left alone."""

from __future__ import annotations

import random
from multiprocessing.context import ForkServerContext

import pytest

from engine.events import RunStarted
from engine.runfolder import RunFolder
from tests.engine.runs import SEGMENTATION, events
from tests.faults.killing import differences, killed_again_and_again, server

SHORT = ("train.epochs=3", "train.checkpoint_iterations=2", "data.samples_per_case=2", "train.accumulate=2")
MARKS = [
    ('"phase":"caching"', 0.0),
    ('"iteration":3,', 0.001),
    ('"kind":"checkpoint"', 0.002),
    ('"phase":"validation"', 0.005),
    ('"phase":"test"', 0.01),
]


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    return server()


@pytest.fixture(scope="module")
def alone(context: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return killed_again_and_again(context, tmp_path_factory.mktemp("alone"), SEGMENTATION, SHORT, [])[0]


def test_a_run_killed_at_random_moments_ends_as_one_left_alone(context, alone, tmp_path):
    draw = random.Random(3)
    moments = [(draw.randint(1, 7000), draw.choice([0.0, draw.uniform(0.0, 0.03)])) for _ in range(5)]
    killed, kills = killed_again_and_again(context, tmp_path, SEGMENTATION, SHORT, moments)
    assert kills >= 2
    # The first checkpoint comes after 3.7 kB of the stream; a run that begins again each time shows nothing.
    assert any(event.resumed for event in events(killed) if isinstance(event, RunStarted))
    assert differences(alone, killed) == []


def test_a_run_killed_in_every_phase_ends_as_one_left_alone(context, alone, tmp_path):
    killed, kills = killed_again_and_again(context, tmp_path, SEGMENTATION, SHORT, MARKS)
    assert kills >= 4
    assert differences(alone, killed) == []
