"""What builds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop

from engine.data.cases import DatasetIndex
from engine.data.sources.index import read_index
from engine.data.sources.left_atrium import left_atrium
from engine.losses.base import Loss, Output, Weights
from engine.losses.base import build as build_loss
from engine.models.base import build as build_model
from engine.recipe.sources import LeftAtriumTable
from engine.training.optim import optimizer, shape
from mine.tables import MineTable, RmsTable, StairsTable, TinyTable, TverskyTable


@dataclass(frozen=True)
class Tversky:
    beta: float

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        shares, truth = logits[:, 0].float().sigmoid(), target.float()
        hit, missed, wrong = (shares * truth).sum(), ((1 - shares) * truth).sum(), (shares * (1 - truth)).sum()
        return 1 - hit / (hit + self.beta * missed + (1 - self.beta) * wrong).clamp_min(1e-6)


@build_loss.register
def tversky(table: TverskyTable, output: Output, weights: Weights) -> Loss:
    return Tversky(table.beta)


class Tiny(nn.Sequential):
    @property
    def cam_layer(self) -> nn.Module:
        return self[0]


@build_model.register
def tiny(table: TinyTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    first = nn.Conv3d(channels, table.width, 3, padding=1)
    return Tiny(first, nn.ReLU(), nn.Conv3d(table.width, outputs, 1))


@optimizer.register
def rmsprop(table: RmsTable, parameters: list[nn.Parameter]) -> Optimizer:
    return RMSprop(parameters, lr=table.lr, weight_decay=table.weight_decay)


@shape.register
def stairs(table: StairsTable, progress: float) -> float:
    return 1.0 if progress < 0.5 else 0.5


@read_index.register
def mine(table: MineTable, folder: Path, task: str) -> DatasetIndex:
    values = table.model_dump() | {"source": "left_atrium"}
    return left_atrium(LeftAtriumTable(**values), folder, task)
