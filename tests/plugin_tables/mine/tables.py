"""What a recipe may say of them. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.recipe.base import SEGMENTATION
from engine.recipe.losses import LossTable
from engine.recipe.models import SegmenterTable
from engine.recipe.optim import OptimizerTable, ScheduleTable
from engine.recipe.sources import DataTable


class TverskyTable(LossTable):
    """Tversky loss (Salehi et al. 2017)."""

    tasks = SEGMENTATION
    outputs = frozenset({"sigmoid"})
    name: Literal["tversky"]
    beta: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.7
    """Weight of what is missed; the rest is that of what is wrongly found."""


class TinyTable(SegmenterTable):
    """Two convolutions."""

    name: Literal["tiny"]
    width: int = 4
    """Features between them."""


class RmsTable(OptimizerTable):
    """RMSprop."""

    name: Literal["rmsprop"]


class StairsTable(ScheduleTable):
    """Half the learning rate after half of the steps."""

    name: Literal["stairs"]


class MineTable(DataTable):
    """The left atrium's layout under another name."""

    tasks = SEGMENTATION
    source: Literal["mine"]
