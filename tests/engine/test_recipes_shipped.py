"""The recipes that ship: each loads, and is what its name promises; each makes a step of training."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
import torch

from engine.losses import build_loss
from engine.models import build_model, output_kind
from engine.recipe import Recipe, json_schema, load_recipe, parse_recipe, recipe_toml
from engine.training.optim import build_optimizer, build_schedule

FOLDER = Path(__file__).parents[2] / "recipes"
FILES = sorted(FOLDER.glob("*.toml"))
NAMES = {
    "quickstart", "hippocampus", "seg_best", "cls_best",
    "cls_ce", "cls_ce_focal", "seg_bce", "seg_dice", "seg_dice_aug",
}  # fmt: skip


def recipe(name: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.toml")


def test_they_are_all_there():
    assert {path.stem for path in FILES} == NAMES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_loads_and_runs_again_as_it_was_resolved(path):
    loaded = load_recipe(path)
    assert loaded.name == path.stem
    assert loaded.description
    assert parse_recipe(recipe_toml(loaded)) == loaded


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_says_what_it_is_and_points_to_the_schema(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#:schema ./recipe.schema.json\n\n# ")
    assert "# Needs:" in text
    assert "# Expect:" in text or "# Reported:" in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_the_schema_is_up_to_date():
    written = json.loads((FOLDER / "recipe.schema.json").read_text(encoding="utf-8"))
    assert written == json_schema(), "run: python tools/reference.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_stands_in_the_schema(path):
    """An editor that knows the schema underlines nothing in what ships."""
    jsonschema.Draft202012Validator(json_schema()).validate(tomllib.loads(path.read_text(encoding="utf-8")))


def test_the_experiments_are_those_of_the_table():
    classification = ("isic2018", (224, 224), "resnet50", True, "adam", 1e-3, 32)
    for name, loss, epochs in (("cls_ce", "cross_entropy", 15), ("cls_ce_focal", "cross_entropy_focal", 10)):
        found = recipe(name)
        assert (
            found.data.source, found.data.size, found.model.name, found.model.pretrained,
            found.optimizer.name, found.optimizer.lr, found.train.batch_size,
        ) == classification  # fmt: skip
        assert (found.loss.name, found.train.epochs, found.schedule.name) == (loss, epochs, "constant")
        assert found.data.intensity == "imagenet"
        assert found.augment == type(found.augment)()
    assert recipe("cls_ce_focal").loss.gamma == 2.0


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("seg_bce", ("bce", 1e-3, 4, 50, 0.0, ())),
        ("seg_dice", ("dice", 1e-5, 2, 75, 0.0, ())),
        ("seg_dice_aug", ("dice", 1e-5, 2, 75, 20.0, (0, 1, 2))),
    ],
)
def test_the_atrium_experiments_are_those_of_the_table(name, table):
    found = recipe(name)
    assert (
        found.loss.name, found.optimizer.lr, found.train.batch_size, found.train.epochs,
        found.augment.rotate_degrees, found.augment.flip,
    ) == table  # fmt: skip
    assert (found.data.source, found.data.size, found.data.crop) == ("left_atrium", (112, 112, 80), "center")
    assert (found.model.name, found.model.channels) == ("unet3d", (32, 64, 128, 256, 512))
    assert (found.optimizer.name, found.schedule.name) == ("adam", "constant")
    assert (found.evaluate.mode, found.evaluate.checkpoint) == ("center_crop", "last")
    assert found.data.validation_fraction == 0.0


def test_an_experiment_that_extends_another_changes_nothing_else():
    for name, parent, tables in (
        ("seg_dice_aug", "seg_dice", {"augment"}),
        ("cls_ce_focal", "cls_ce", {"loss", "train"}),
    ):
        ours, theirs = recipe(name).model_dump(), recipe(parent).model_dump()
        assert {key for key in ours if ours[key] != theirs[key]} == {"name", "description", *tables}
    assert recipe("cls_ce_focal").train.model_copy(update={"epochs": 15}) == recipe("cls_ce").train


CLASSES = {"isic2018": 7, "decathlon": 2, "left_atrium": 1}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_makes_a_step_of_training(path, tmp_path):
    found = load_recipe(path, ["model.pretrained=false"])
    classes = CLASSES[found.data.source]
    segmentation = found.task == "segmentation"
    channels = 1 if segmentation else 3
    # The network as the recipe has it, which shows that its size fits; the step on a small image.
    model = build_model(
        found.model,
        task=found.task,
        channels=channels,
        classes=classes,
        spatial_dims=len(found.data.size),
        size=found.data.size,
        root=tmp_path,
    )
    output = output_kind(found.model, found.task, classes)
    loss = build_loss(found.loss, task=found.task, output=output, labels=max(classes, 2), counts=[3] * max(classes, 2))
    optimizer = build_optimizer(found.optimizer, model)
    schedule = build_schedule(found.schedule, optimizer, iterations=10, iterations_per_epoch=5)
    size = (32,) * len(found.data.size)
    target = torch.randint(0, 2, (2, *size) if segmentation else (2,))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    value = loss(model(torch.randn(2, channels, *size)), target)
    value.backward()
    optimizer.step()
    schedule.step()
    assert value.isfinite()
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(changed) > 0.9 * len(changed)
