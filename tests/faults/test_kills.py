from __future__ import annotations

import random

import pytest

from tests.engine.runs import SEGMENTATION
from tests.faults.killing import differences, killed_again_and_again, server

SHORT = ("train.epochs=4", "train.checkpoint_iterations=2", "data.samples_per_case=2", "train.accumulate=2")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_at_random_moments_ends_as_one_left_alone(tmp_path, seed):
    draw = random.Random(seed)
    context = server()
    alone, none = killed_again_and_again(context, tmp_path / "alone", SEGMENTATION, SHORT, [])
    steps = [draw.randint(1, 2500) for _ in range(5)]
    killed, kills = killed_again_and_again(context, tmp_path / "killed", SEGMENTATION, SHORT, steps)
    assert none == 0
    assert kills >= 2
    assert differences(alone, killed) == []
