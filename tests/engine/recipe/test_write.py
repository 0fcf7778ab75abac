"""A resolved recipe reads back as itself, and the JSON Schema agrees with the parser."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import RecipeError
from engine.recipe import json_schema, load_recipe, parse_recipe, recipe_toml
from engine.recipe.optim import AdamTable, PolynomialTable
from engine.recipe.tables import AugmentTable, RuntimeTable, SegmentationEvaluateTable, TrainTable
from tests.engine.recipe.good import CLASSIFICATION, SEGMENTATION

RECIPES = sorted((Path(__file__).resolve().parents[3] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("text", [SEGMENTATION, CLASSIFICATION])
def test_a_recipe_reads_back_as_itself(text):
    recipe = parse_recipe(text)
    assert parse_recipe(recipe_toml(recipe)) == recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_read_back_as_themselves(path):
    recipe = load_recipe(path)
    assert parse_recipe(recipe_toml(recipe)) == recipe


def fractions(low, high, **options):
    return st.floats(low, high, allow_subnormal=False, **options)


@given(
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    train=st.builds(
        TrainTable,
        epochs=st.integers(1, 100_000),
        batch_size=st.integers(1, 4096),
        clip_norm=st.none() | fractions(0, 1e6, exclude_min=True),
        ema=st.none() | fractions(0, 1, exclude_min=True, exclude_max=True),
        amp=st.sampled_from(["off", "auto", "bf16", "fp16"]),
        early_stop=st.none() | st.integers(1, 1_000_000),
    ),
    optimizer=st.builds(AdamTable, lr=fractions(0, 100, exclude_min=True), weight_decay=fractions(0, 10)),
    schedule=st.builds(PolynomialTable, power=fractions(0, 10, exclude_min=True), final_share=fractions(0, 1)),
    augment=st.builds(
        AugmentTable, flip=st.lists(st.integers(0, 2), max_size=3, unique=True).map(tuple), noise=fractions(0, 10)
    ),
    evaluate=st.builds(SegmentationEvaluateTable, overlap=fractions(0, 1, exclude_max=True)),
    runtime=st.builds(RuntimeTable, workers=st.just("auto") | st.integers(0, 128), compile=st.booleans()),
    root=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    classes=st.none() | st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3, unique=True).map(tuple),
)  # fmt: skip
def test_every_value_survives_the_way_through_toml(root, classes, **tables):
    base = parse_recipe(SEGMENTATION)
    try:
        data = type(base.data).model_validate({**base.data.model_dump(), "root": root, "classes": classes})
    except ValidationError:
        return  # a class name that UTF-8 cannot write
    recipe = base.model_copy(update={**tables, "data": data})
    try:
        again = parse_recipe(recipe_toml(recipe))
    except RecipeError as error:
        assert {problem.key for problem in error.problems} == {"data.root"}  # a path that leaves
        return
    assert again == recipe


def test_the_schema_allows_what_the_parser_allows():
    schema = json_schema()
    assert schema["properties"]["train"] == {"$ref": "#/$defs/TrainTable"}
    assert schema["additionalProperties"] is False
    assert {"required": ["extends"]} in schema["anyOf"]
    for name, definition in schema["$defs"].items():
        assert definition["additionalProperties"] is False, name
        for key, part in definition["properties"].items():
            assert part.get("description"), f"{name}.{key} has no documentation"


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(tomllib.loads(SEGMENTATION))
    assert not validator.is_valid(tomllib.loads(SEGMENTATION.replace("epochs = 3", "epochs = 0")))


def test_the_schema_knows_a_key_whose_others_all_stand_at_their_defaults():
    fits = jsonschema.Draft202012Validator(json_schema()).is_valid
    for table, idle, needed in (
        ("data", {"fold": 1}, {"split": "kfold"}),
        ("data", {"split_seed": 1}, {"limit_test": 3}),
        ("augment", {"affine_probability": 0.5}, {"scale": 0.1}),
        ("evaluate", {"connectivity": 6}, {"largest_component": True}),
    ):
        whole = tomllib.loads(SEGMENTATION)
        before = whole.get(table, {})
        assert not fits(whole | {table: before | idle})
        assert fits(whole | {table: before | idle | needed})
        assert fits(whole | {table: before | idle, "extends": "other.toml"})  # what it inherits may give it a meaning
