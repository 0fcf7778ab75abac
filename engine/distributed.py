"""Several processes as one: the few calls of `ignite.distributed` that the engine makes."""

from __future__ import annotations

from typing import Any, TypeVar

import ignite.distributed as idist
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer

T = TypeVar("T")


def rank() -> int:
    """Number of this process; 0 writes the run folder."""
    return int(idist.get_rank())


def world() -> int:
    """Number of processes."""
    return int(idist.get_world_size())


def wrap_model(model: nn.Module) -> nn.Module:
    """The network as every process trains it.

    Only for several processes: alone, ``auto_model`` would move a network to a GPU that the recipe
    did not ask for, and wrap it in DataParallel where there are two.
    """
    if world() == 1:
        return model
    wrapped: nn.Module = idist.auto_model(model)
    return wrapped


def wrap_optimizer(optimizer: Optimizer) -> Optimizer:
    """The optimizer as every process steps it."""
    wrapped: Optimizer = idist.auto_optim(optimizer)
    return wrapped


def gather(items: list[T]) -> list[T]:
    """The lists of all processes, interleaved as the cases were dealt out: rank 0's first case first."""
    if world() == 1:
        return items
    shares: list[Any] = [None] * world()
    dist.all_gather_object(shares, items)
    longest = max(len(share) for share in shares)
    return [share[i] for i in range(longest) for share in shares if i < len(share)]
