"""Values and gradients over all processes of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
Group = Any  # of torch.distributed, which has several types for it

_fast: list[Group] = []  # NCCL, where each process has a GPU of its own
_groups: dict[int, Group] = {}


def rank() -> int:
    """Number of this process; 0 writes the run folder."""
    return int(idist.get_rank())


def world() -> int:
    """Number of processes."""
    return int(idist.get_world_size())


def gather(items: list[T]) -> list[T]:
    """The lists of all processes, interleaved as the cases were dealt out: rank 0's first case first."""
    if world() == 1:
        return items
    shares: list[Any] = [None] * world()
    dist.all_gather_object(shares, items)
    longest = max(len(share) for share in shares)
    return [share[i] for i in range(longest) for share in shares if i < len(share)]


def broadcast(value: T) -> T:
    """The ``value`` that process 0 has."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, 0)
    return box[0]


def add_up(values: Sequence[float]) -> list[float]:
    """Each of ``values`` summed over all processes, in double precision."""
    total = torch.tensor(values, dtype=torch.float64)
    if world() > 1:
        dist.all_reduce(total)
    return [float(value) for value in total]


def use_device(gpu: torch.device | None) -> None:
    """Let gradients be summed by NCCL where each process has a ``gpu`` of its own, else by gloo."""
    if world() > 1 and gpu is not None and dist.is_nccl_available():
        torch.cuda.set_device(gpu)
        _fast[:] = [dist.new_group(backend="nccl")]
        _groups.clear()


def _group() -> Group:
    return _fast[0] if _fast else None


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Put the sum over all processes into each gradient; a process without a case has none, which counts as 0."""
    if world() == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat, group=_group())
    for gradient, part in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def share_buffers(model: torch.nn.Module) -> None:
    """Give every process the running statistics of process 0: one without a case of a batch has not seen it."""
    for buffer in model.buffers():
        dist.broadcast(buffer, 0, group=_group())


_AMONG: ContextVar[tuple[int, int]] = ContextVar("_AMONG", default=(1, 0))  # processes, cases


@contextmanager
def among(cases: int) -> Iterator[None]:
    """The forward pass of one batch of ``cases``, dealt out to the first processes: what `joint` sums over."""
    count = min(cases, world())
    if count not in _groups:
        backend = "nccl" if _fast else None
        _groups[count] = _group() if count == world() else dist.new_group(range(count), backend=backend)
    token = _AMONG.set((count, cases))
    try:
        yield
    finally:
        _AMONG.reset(token)


def group_at_hand() -> list[Group]:
    """The group of processes that share the batch at hand; empty where it is with this one alone."""
    count, _ = _AMONG.get()
    return [] if count == 1 else [_groups[count]]


def own_of_batch() -> tuple[int, slice]:
    """Cases of the batch at hand in all processes, and which are this one's: case k lies with process k modulo their
    number."""
    count, cases = _AMONG.get()
    return cases, slice(rank(), None, count)


def total_of(value: Tensor, group: Group) -> Tensor:
    """``value`` summed over ``group``, without a gradient."""
    total = value.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total


def whole_batch(image: Tensor, label: Tensor) -> tuple[Tensor, Tensor, slice]:
    """``image`` (B, ...) and ``label`` (B, ...) of all processes that share the batch at hand, and which are its own.

    They are in the order in which they were dealt out.
    """
    if not (group := group_at_hand()):
        return image, label, slice(None)
    cases, own = own_of_batch()
    whole = []
    for part in (image, label):
        dealt = part.new_zeros(cases, *part.shape[1:])
        dealt[own] = part
        whole.append(total_of(dealt, group[0]))
    return whole[0], whole[1], own


@contextmanager
def drawn_together(device: torch.device) -> Iterator[None]:
    """Let the processes that share the batch at hand draw from the random generator of ``device`` what process 0 draws
    there; the state of the others is then what it was."""
    if not (group := group_at_hand()):
        yield
        return
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    first = own.to(device, copy=True)
    dist.broadcast(first, 0, group=group[0])
    _set_random_state(first.cpu(), device)
    yield
    if rank():
        _set_random_state(own, device)


def _set_random_state(state: Tensor, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


def joint(value: Tensor) -> Tensor:
    """``value`` summed over the processes that share the batch at hand, with its gradient; else itself."""
    group = group_at_hand()
    return _Sum.apply(value, group[0]) if group else value


class _Sum(torch.autograd.Function):
    """A sum over processes: each adds to all losses, so the gradients of all come back to each."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return total_of(value, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return total_of(gradients[0], ctx.group), None
