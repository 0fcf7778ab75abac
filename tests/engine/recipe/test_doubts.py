"""What a recipe may say, and hardly means."""

from __future__ import annotations

import pytest

from engine.recipe import doubts, load_recipe
from tests.engine.recipe.good import SEGMENTATION


@pytest.fixture
def noted(tmp_path):
    (tmp_path / "a.toml").write_text(SEGMENTATION, encoding="utf-8")
    return lambda *settings: [note.split(" = ")[0] for note in doubts(load_recipe(tmp_path / "a.toml", list(settings)))]


@pytest.mark.parametrize(
    ("warmup", "length", "said"),
    [(1, "epochs=1", True), (5, "epochs=2", True), (1, "epochs=2", False), (9, "minutes=5", False)],
)
def test_a_warm_up_that_is_the_whole_run(noted, warmup, length, said):
    found = noted("schedule.name=cosine", f"schedule.warmup_epochs={warmup}", f"train.{length}")
    assert found == ["schedule.warmup_epochs"] * said


def test_mirroring_that_training_never_saw(noted):
    assert noted("evaluate.flips=true") == ["evaluate.flips"]
    assert noted("evaluate.flips=true", "augment.flip=[2]") == noted() == []
