"""Recipes: strict TOML tables, with errors that say what is wrong and what is legal."""

from engine.recipe.load import load_recipe, parse_recipe
from engine.recipe.model import Recipe
from engine.recipe.schema import json_schema
from engine.recipe.tables import (
    AugmentTable,
    DataTable,
    EvaluateTable,
    FiguresTable,
    LossTable,
    ModelTable,
    OptimizerTable,
    RuntimeTable,
    ScheduleTable,
    TrainTable,
)
from engine.recipe.write import recipe_toml

__all__ = [
    "AugmentTable",
    "DataTable",
    "EvaluateTable",
    "FiguresTable",
    "LossTable",
    "ModelTable",
    "OptimizerTable",
    "Recipe",
    "RuntimeTable",
    "ScheduleTable",
    "TrainTable",
    "json_schema",
    "load_recipe",
    "parse_recipe",
    "recipe_toml",
]
