"""The recipes that ship: each loads, and is what its name promises; each makes a step of training."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from engine.losses import build_loss, deep_loss
from engine.models import build_model, count_parameters, output_kind
from engine.recipe import Recipe, json_schema, load_recipe, parse_recipe, recipe_toml
from engine.training.optim import build_optimizer, build_schedule

FOLDER = Path(__file__).parents[2] / "recipes"
FILES = sorted(FOLDER.glob("*.toml"))
NAMES = {
    "quickstart", "quickstart_2d", "quickstart_nodules", "hippocampus", "seg_best", "cls_best",
    "hippocampus_hour", "seg_best_hour", "cls_best_hour", "cls_lite_hour",
    "cls_ce", "cls_ce_focal", "cls_focal", "seg_bce", "seg_dice", "seg_dice_aug",
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
    experiment = "# Experiment:" in text
    assert ("# Expect:" in text) != experiment
    assert ("# Reported:" in text) == ("# Differs:" in text) == ("reported = {" in text) == experiment
    assert all(len(line) <= 120 for line in text.splitlines())


def test_the_schema_is_up_to_date():
    written = json.loads((FOLDER / "recipe.schema.json").read_text(encoding="utf-8"))
    assert written == json_schema(), "run: python tools/reference.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_stands_in_the_schema(path):
    """An editor that knows the schema underlines nothing in what ships."""
    jsonschema.Draft202012Validator(json_schema()).validate(tomllib.loads(path.read_text(encoding="utf-8")))


def test_the_experiments_are_those_of_the_table():
    classification = ("isic2018", (224, 224), "resnet50", True, "V2", "adam", 1e-3, 32, "accuracy", "none")
    for name, loss, epochs, reported in (
        ("cls_ce", "cross_entropy", 15, (0.7116, 0.49)),
        ("cls_ce_focal", "cross_entropy_focal", 10, (0.7394, 0.50)),
        ("cls_focal", "focal", 10, (0.7394, 0.50)),
    ):
        found = recipe(name)
        assert (
            found.data.source, found.data.size, found.model.name, found.model.pretrained,
            found.model.imagenet_weights, found.optimizer.name, found.optimizer.lr, found.train.batch_size,
            found.monitor, found.data.intensity,
        ) == classification  # fmt: skip
        assert found.evaluate.reported == dict(zip(("accuracy", "f1"), reported, strict=True))
        assert (found.loss.name, found.train.epochs, found.schedule.name) == (loss, epochs, "constant")
        assert found.augment == type(found.augment)()
    assert recipe("cls_ce_focal").loss.gamma == recipe("cls_focal").loss.gamma == 2.0


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("seg_bce", ("bce", 1e-3, 4, 50, 0.0, None, (), "sample", (0.758, 0.639, 1.945, 8.606))),
        ("seg_dice", ("dice", 1e-5, 2, 75, 0.0, None, (), "sample", (0.810, 0.686, 0.930, 6.087))),
        ("seg_dice_aug", ("dice", 1e-5, 2, 75, 20.0, (0, 1), (1,), "batch", (0.737, 0.593, 1.612, 9.047))),
    ],
)
def test_the_atrium_experiments_are_those_of_the_table(name, table):
    found = recipe(name)
    assert (
        found.loss.name, found.optimizer.lr, found.train.batch_size, found.train.epochs,
        found.augment.rotate_degrees, found.augment.rotate_plane, found.augment.flip, found.augment.draw,
        tuple(found.evaluate.reported.values()),
    ) == table  # fmt: skip
    assert list(found.evaluate.reported) == ["dice", "jaccard", "assd_all_voxels", "hd95_all_voxels"]
    assert (found.model.upsample, found.model.init, found.optimizer.epsilon) == ("nearest", "glorot", 1e-7)
    assert not found.data.shuffle
    assert (found.data.source, found.data.size, found.data.crop) == ("left_atrium", (112, 112, 80), "center")
    assert (found.model.name, found.model.channels) == ("unet3d", (32, 64, 128, 256, 512))
    assert (found.optimizer.name, found.schedule.name) == ("adam", "constant")
    assert (found.evaluate.mode, found.evaluate.checkpoint) == ("center_crop", "last")
    assert found.data.validation_fraction == 0.0


def test_an_experiment_that_extends_another_changes_nothing_else():
    for name, parent, tables in (
        ("seg_dice_aug", "seg_dice", {"augment", "evaluate"}),
        ("cls_ce_focal", "cls_ce", {"loss", "train", "evaluate"}),
        ("cls_focal", "cls_ce", {"loss", "train", "evaluate"}),
    ):
        ours, theirs = recipe(name).model_dump(), recipe(parent).model_dump()
        assert {key for key in ours if ours[key] != theirs[key]} == {"name", "description", *tables}
        reported = {"reported": recipe(parent).evaluate.reported}
        assert recipe(name).evaluate.model_copy(update=reported) == recipe(parent).evaluate
    assert recipe("cls_ce_focal").train.model_copy(update={"epochs": 15}) == recipe("cls_ce").train


def test_the_losses_of_the_experiments_are_the_formulas_of_their_notebooks():
    random = np.random.default_rng(0)
    logits, truth = random.normal(0, 2, (2, 1, 6, 5, 4)), random.integers(0, 2, (2, 6, 5, 4))
    share, mask = 1 / (1 + np.exp(-logits.ravel())), truth.ravel()
    scores, classes = random.normal(0, 2, (8, 7)), random.integers(0, 7, 8)
    true = (np.exp(scores) / np.exp(scores).sum(1, keepdims=True))[np.arange(8), classes]
    dice = 1 - (2 * (share * mask).sum() + 1e-6) / (share.sum() + mask.sum() + 1e-6)
    focal = ((1 - true) ** 2 * -np.log(true)).mean()
    values = {
        "seg_bce": -(mask * np.log(share) + (1 - mask) * np.log(1 - share)).mean(),
        "seg_dice": dice,
        "seg_dice_aug": dice,
        "cls_ce": -np.log(true).mean(),
        "cls_focal": focal,
        "cls_ce_focal": -np.log(true).mean() + focal,
    }
    for name, value in values.items():
        found = recipe(name)
        given, target = (logits, truth) if found.task == "segmentation" else (scores, classes)
        output = output_kind(found.model, found.task, 1)
        loss = build_loss(found.loss, task=found.task, output=output, labels=7)
        for dtype in (torch.float32, torch.float64):
            ours = loss(torch.tensor(given, dtype=dtype), torch.tensor(target)).item()
            assert ours == pytest.approx(value, abs=1e-6)


def test_the_network_of_the_atrium_experiments_is_that_of_their_notebook():
    with torch.device("meta"):
        model = build_model(
            recipe("seg_dice").model, task="segmentation", channels=1, classes=1, spatial_dims=3, size=(112, 112, 80),
            root=Path(),
        )  # fmt: skip
    assert count_parameters(model) == 23_532_289


def test_those_of_an_hour_are_made_by_the_clock_and_need_nothing_from_elsewhere():
    for name, minutes in (("seg_best_hour", 60), ("cls_best_hour", 60), ("hippocampus_hour", 10)):
        found = recipe(name)
        assert (found.train.minutes, found.train.epochs, found.train.amp) == (minutes, None, "auto")
        assert not getattr(found.model, "pretrained", False)
        assert found.evaluate.checkpoint == "last"


CLASSES = {"isic2018": 7, "decathlon": 2, "left_atrium": 1, "image_pairs": 1, "image_folder": 2}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_makes_a_step_of_training(path, tmp_path):
    found = load_recipe(path, ["model.pretrained=false"])
    classes = CLASSES[found.data.source]
    segmentation = found.task == "segmentation"
    channels = 1 if len(found.data.size) == 3 else 3
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
    logits = model(torch.randn(2, channels, *size))
    levels = logits if isinstance(logits, tuple) else (logits,)
    value = deep_loss(loss, levels, target)
    value.backward()
    optimizer.step()
    schedule.step()
    assert value.isfinite()
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(changed) > 0.9 * len(changed)
