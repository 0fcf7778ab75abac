"""What is legal and does less than it seems to is said before a run."""

from __future__ import annotations

import pytest

from engine.recipe import parse_recipe
from engine.training.doubts import doubts
from tests.engine.recipe.good import SEGMENTATION

COSINE = '[schedule]\nname = "cosine"\nwarmup_epochs = '


@pytest.mark.parametrize(
    ("train", "more", "said"),
    [
        ("epochs = 1", COSINE + "1.0", ["schedule.warmup_epochs = 1 is the whole run"]),
        ("epochs = 2", COSINE + "5.0", ["schedule.warmup_epochs = 5 is the whole run"]),
        ("epochs = 2", COSINE + "1.0", []),
        ("minutes = 2.0", COSINE + "9.0", []),
        ("epochs = 2", COSINE + "0.1", ["warmup_epochs = 0.1 is less than two steps (5 an epoch)"]),
        ("epochs = 2\naccumulate = 5", COSINE + "1.0", ["less than two steps (1 an epoch)"]),
        ("epochs = 9\nearly_stop = 8", "", ["train.early_stop = 8 can end nothing early: the run has 9 validations"]),
        ("epochs = 9\nearly_stop = 7", "", []),
        ("epochs = 9\nearly_stop = 4\nvalidate_every = 2", "", ["has 5 validations"]),
        ("epochs = 9\nearly_stop = 3\nvalidate_every = 2", "", []),
        ("minutes = 9.0\nearly_stop = 99", "", []),
        ("epochs = 2\naccumulate = 6", "", ["train.accumulate = 6 is more than an epoch has: it is one step of 5"]),
        ("epochs = 2\naccumulate = 5", "", []),
        (
            "epochs = 2\nema = 0.9",
            "",
            ["train.ema = 0.9 is never reached: the decay rises from step to step, and is 0.9"],
        ),
        ("epochs = 9\nema = 0.9", "", []),
        ("minutes = 2.0\nema = 0.9999", "", []),
        ("epochs = 2", "[evaluate]\nbootstrap = 50", ["the intervals of masks need no resamples"]),
        ("epochs = 2", "[evaluate]\nbootstrap = 0", []),
        ("epochs = 2", "[evaluate]\nflips = true", ["evaluate.flips = true mirrors along every axis, and training"]),
        ("epochs = 2", "[evaluate]\nflips = true\n[augment]\nflip = [2]", []),
    ],
)
def test_what_does_less_than_it_seems_to_is_said(train, more, said):
    text = SEGMENTATION.replace("epochs = 3", train).replace("\nsize =", "\nvalidation_fraction = 0.2\nsize =")
    found = list(doubts(parse_recipe(f"{text}\n{more}\n"), 10))
    assert len(found) == len(said)
    assert all(words in note for words, note in zip(said, found, strict=True))


def test_a_batch_of_more_cases_than_there_are_and_a_dice_of_each_batch_are_said():
    recipe = parse_recipe(SEGMENTATION.replace("batch_size = 2", "batch_size = 2\naccumulate = 2") + "\n")
    assert [*doubts(recipe, 1)] == ["train.batch_size = 2 is more than an epoch has: it is one step of 1"]
    batch = parse_recipe(
        SEGMENTATION.replace('"dice"', '"dice"\nbatch_dice = true').replace("= 2\n", "= 2\naccumulate = 2\n")
    )
    assert "not the 2 batches of a step" in next(doubts(batch, 10))
