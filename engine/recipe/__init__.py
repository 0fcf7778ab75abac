"""Recipes: strict TOML tables, with errors that say what is wrong and what is legal."""

from engine.recipe.dead import applies, refuse_dead
from engine.recipe.load import load_recipe, load_run_recipe, parse_recipe, placed
from engine.recipe.losses import LossTable
from engine.recipe.model import Recipe, memory_advice
from engine.recipe.models import ModelTable
from engine.recipe.optim import OptimizerTable, ScheduleTable
from engine.recipe.regions import region_indices
from engine.recipe.schema import json_schema
from engine.recipe.sources import DataTable
from engine.recipe.tables import AugmentTable, EvaluateTable, FiguresTable, RuntimeTable, SegmentationEvaluateTable
from engine.recipe.write import recipe_toml, toml_value
