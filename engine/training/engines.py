"""The trainer: one optimizer step, and the Ignite engine over the endless stream of its batches."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from engine.data.loaders import Batch
from engine.data.mix import BatchChanges
from engine.device import Device
from engine.distributed import add_up, among, gather, share_buffers, sum_gradients, world
from engine.errors import RunError
from engine.losses import Totals, deep_loss, totals_of
from engine.models.joint_dropout import join_dropout
from engine.models.joint_norm import join_norms
from engine.network import Network
from engine.recipe import Recipe
from engine.training.optim import Ema, build_optimizer, build_schedule
from engine.training.stream import EpochStream


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What one optimizer step leaves for the handlers."""

    loss: float  # of all cases of the step
    cases: int  # how many there were
    lr: float  # the learning rate that was used
    grad_norm: float  # norm of the whole gradient before clipping; not finite where the loss scaler skipped the step
    confusion: Tensor  # (O, O) counts, rows true, columns predicted, of voxels or cases
    update_ratio: float | None = None  # norm of the change of the weights by their norm; None where it was not measured


@dataclass(slots=True)
class TrainStep:
    """One optimizer step over one or more batches: forward, loss, backward, clip, update, average."""

    model: nn.Module  # the network
    criterion: Callable[[Tensor, Tensor], Tensor]
    optimizer: Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    device: Device
    labels: int  # classes that a label may hold, background included
    levels: Sequence[Sequence[int]] = ((),)  # sizes of the logits, see `Network`
    clip_norm: float | None = None
    ema: Ema | None = None
    changes: BatchChanges | None = None
    clock: Callable[[str], object] = str  # called with the name of each part when it is over

    def __call__(self, engine: Engine, batches: list[Batch]) -> StepOutput:
        """Train on ``batches``, and on those of the other processes, as if they were one batch.

        Raises:
            RunError: the loss, the gradient or a weight is not finite; the message names iteration,
                epoch and cases.
        """
        self.clock("loader")
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        cases = [int(count) for count in add_up([len(batch["id"]) for batch in batches])]
        total = 0.0
        confusion = torch.zeros(self.labels, self.labels, dtype=torch.int64)
        totals = totals_of(self.criterion, [batch["label"] for batch in batches], self.levels)
        for number, (batch, whole) in enumerate(zip(batches, cases, strict=True)):
            with among(whole):
                if batch["id"]:
                    loss, counts = self._backward(engine, batch, totals, number)
                    total += loss
                    confusion += counts
        if min(cases) < world():
            share_buffers(self.model)
        total, confusion = _summed(total, confusion)
        self.clock("training metrics")
        if not math.isfinite(total):
            raise _not_finite("loss", total, engine, batches)
        lr = float(self.optimizer.param_groups[0]["lr"])
        looked_at = engine.state.iteration % _UPDATE_EVERY == 1
        before = [p.detach().clone() for p in self.model.parameters()] if looked_at else None
        norm = self._update(engine, batches)
        return StepOutput(total, sum(cases), lr, norm, confusion, self._moved(before))

    def _moved(self, before: list[Tensor] | None) -> float | None:
        """Norm of the change of the weights since ``before`` by their norm; a healthy one is about 1e-3."""
        if before is None:
            return None
        changes = [now.detach() - then for now, then in zip(self.model.parameters(), before, strict=True)]
        whole = float(nn.utils.get_total_norm(before))
        return float(nn.utils.get_total_norm(changes)) / whole if whole else None

    def _backward(self, engine: Engine, batch: Batch, totals: Totals | None, number: int) -> tuple[float, Tensor]:
        image = self.device.move(batch["image"])
        label = batch["label"].to(self.device.device, non_blocking=True)
        self.clock("copies")
        mixture = [(1.0, label)]
        if self.changes is not None:
            state = engine.state
            image = self.changes.sized(image, max(state.epoch - 1, 0) / (state.max_epochs or 1))
            image, mixture = self.changes.mixed(image, label, state.iteration, number)
        with self.device.autocast():
            output = self.model(image)
        self.clock("forward")
        levels = output if isinstance(output, tuple) else (output,)
        parts = [part * deep_loss(self.criterion, levels, truth, totals) for part, truth in mixture]
        loss = torch.stack(parts).sum()
        self.clock("loss")
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.clock("backward")
        return float(loss.detach()), _confusion(levels[0].detach(), label, self.labels)

    def _update(self, engine: Engine, batches: list[Batch]) -> float:
        parameters = list(self.model.parameters())
        sum_gradients(parameters)
        self.scaler.unscale_(self.optimizer)
        total = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        norm = float(total)
        if math.isfinite(norm):
            if self.clip_norm is not None:
                nn.utils.clip_grads_with_norm_(parameters, self.clip_norm, total)
            self.scaler.step(self.optimizer)
            self.schedule.step()
            weights = float(nn.utils.get_total_norm(parameters))  # that of order infinity takes 14 times as long
            if not math.isfinite(weights):
                raise _not_finite("norm of the weights", weights, engine, batches)
            self.clock("optimizer")
            if self.ema is not None:
                self.ema.update()
                self.clock("average")
        elif self.scaler.get_scale() <= _SMALLEST_SCALE:
            raise _not_finite("gradient", norm, engine, batches)
        self.scaler.update()
        return norm


def build_step(recipe: Recipe, network: Network, labels: int, iterations_per_epoch: int) -> TrainStep:
    """The optimizer step of a recipe.

    Args:
        labels: classes that a label may hold, background included.
    """
    model, device = network.model, network.device
    optimizer = build_optimizer(recipe.optimizer, model)
    schedule = build_schedule(
        recipe.schedule,
        optimizer,
        iterations=recipe.train.planned * iterations_per_epoch,
        iterations_per_epoch=iterations_per_epoch,
    )
    if world() > 1:
        join_norms(model)
    join_dropout(model)
    if recipe.runtime.compile:
        # `open_device` has told the kernels, and not the compiler, whose import takes time.
        torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled(), warn_only=True)
        model.compile()
    return TrainStep(
        model=model,
        criterion=network.criterion,
        optimizer=optimizer,
        schedule=schedule,
        scaler=torch.amp.GradScaler(device.device.type, enabled=device.amp is torch.float16),
        device=device,
        labels=labels,
        levels=network.levels,
        clip_norm=recipe.train.clip_norm,
        ema=Ema(model, recipe.train.ema) if recipe.train.ema else None,
        changes=BatchChanges(recipe.augment, recipe.seed) if recipe.task == "classification" else None,
    )


_UPDATE_EVERY = 50  # steps from one look at the size of the update to the next: it costs a copy of the weights
_SMALLEST_SCALE = 1.0
"""Of the loss, in fp16; where its gradient is not finite then either, smaller ones do not help. 1 without fp16."""
_NOT_FINITE_HINT = (
    'lower optimizer.lr, set train.clip_norm = 1.0, or look at these cases; with train.amp = "fp16" try "bf16". '
    "The last good checkpoint is kept"
)


class NotFiniteError(RunError):
    """A step gave ``value``, which is no number to go on with."""

    value: float = math.nan


def _not_finite(what: str, value: float, engine: Engine, batches: list[Batch]) -> NotFiniteError:
    names = ", ".join(gather([str(name) for batch in batches for name in batch["id"]])[:8])
    error = NotFiniteError(
        f"the {what} is {'NaN' if math.isnan(value) else 'infinite'} at iteration {engine.state.iteration} "
        f"(epoch {engine.state.epoch}), on the cases {names}",
        _NOT_FINITE_HINT,
    )
    error.value = value
    return error


def _summed(loss: float, confusion: Tensor) -> tuple[float, Tensor]:
    if world() == 1:
        return loss, confusion
    total, *counts = add_up([loss, *confusion.flatten().tolist()])
    return total, torch.tensor(counts, dtype=torch.float64).long().reshape(confusion.shape)


@torch.no_grad()
def _confusion(logits: Tensor, label: Tensor, labels: int) -> Tensor:
    """(labels, labels) counts on the CPU of a batch's hard predictions."""
    # torch's argmax over the channels of a volume in the default layout takes eight times as long as its max
    predicted = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.max(dim=1).indices
    flat = label.reshape(-1) * labels + predicted.reshape(-1)
    counts = torch.bincount(flat, minlength=labels * labels)[: labels * labels]  # what is not known lies behind
    return counts.reshape(labels, labels).cpu()


def make_trainer(step: TrainStep, stream: EpochStream) -> Engine:
    """The trainer; ``run(stream, max_epochs, epoch_length=len(stream))`` starts it.

    No handler may listen to EXCEPTION_RAISED: one that does swallows the exception.
    """
    trainer = Engine(step)
    trainer.logger.disabled = True
    stream.trainer = trainer
    return trainer


def run_trainer(trainer: Engine, stream: EpochStream, epochs: int, done: int, *, epoch_open: bool = False) -> None:
    """Train up to ``epochs``, going on after ``done`` iterations. All done already: nothing happens.

    Ignite would start again from the first epoch when it is given a finished state.

    Args:
        done: iterations that lie behind it.
        epoch_open: the last of them was the last of its epoch, and what ends an epoch (validation,
            checkpoints) is still to be done.
    """
    length = len(stream)
    trainer.load_state_dict({"iteration": done, "max_epochs": epochs, "epoch_length": length})
    if epoch_open:
        trainer.fire_event(Events.EPOCH_COMPLETED)
        if trainer.should_terminate:
            return
    if done < epochs * length:
        trainer.run(stream, max_epochs=epochs)
