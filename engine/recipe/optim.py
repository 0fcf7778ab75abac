"""``[optimizer]`` and ``[schedule]``: a table for each. Their code is in `engine.training.optim`."""

from typing import Annotated, Literal

from pydantic import Field

from engine.recipe.base import NamedTable, Share, above

Decay = Annotated[float, Field(ge=0.0, lt=1.0)]


class OptimizerTable(NamedTable):
    """How weights are updated."""

    name: str
    lr: Annotated[float, Field(gt=0.0, le=100.0)] = 1e-3
    """Learning rate (the highest, where a schedule changes it)."""
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Weight decay: an L2 term (adam, sgd) or decoupled (adamw)."""


class _Adaptive(OptimizerTable):
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the two moments."""
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-8
    """Added to the root of the second moment."""


class AdamTable(_Adaptive):
    """Adam (Kingma and Ba 2015)."""

    name: Literal["adam"] = "adam"


class AdamWTable(_Adaptive):
    """AdamW (Loshchilov and Hutter 2019); norms and biases are not decayed."""

    name: Literal["adamw"]


class SgdTable(OptimizerTable):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    momentum: Decay = 0.9
    """Momentum."""
    nesterov: Annotated[bool, above("optimizer.momentum")] = False
    """Nesterov's form of the momentum."""


class ScheduleTable(NamedTable):
    """How the learning rate changes, by iteration."""

    name: str
    warmup_epochs: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    """Epochs of linear rise from 0 before it."""


class _Falling(ScheduleTable):
    final_share: Share = 0.0
    """Learning rate at the end, as a share of optimizer.lr."""


class ConstantTable(ScheduleTable):
    """The same learning rate to the end."""

    name: Literal["constant"] = "constant"


class CosineTable(_Falling):
    """Down along half a cosine (Loshchilov and Hutter 2017, without restarts)."""

    name: Literal["cosine"]


class PolynomialTable(_Falling):
    """Down as (1 - progress)^power."""

    name: Literal["polynomial"]
    power: Annotated[float, Field(gt=0.0, le=10.0)] = 0.9
    """The exponent."""


class OneCycleTable(_Falling):
    """From 1/25 up in the first 30 %, then down, both along a cosine (Smith and Topin 2018)."""

    name: Literal["one_cycle"]
