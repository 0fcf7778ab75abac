"""All that decides how training goes on, to be kept in ``last.pt``."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from engine.checkpoint import Content, StateDict, load_weights
from engine.training.engines import TrainStep
from engine.training.optim import Ema


class Stateful(Protocol):
    """A handler whose memory belongs into a checkpoint."""

    def state_dict(self) -> StateDict: ...
    def load_state_dict(self, state: StateDict) -> None: ...


class TrainerState:
    """Everything that decides how training goes on, as one dictionary of plain data and tensors."""

    def __init__(self, step: TrainStep, parts: Mapping[str, Stateful], facts: Mapping[str, Any]) -> None:
        self.step = step
        self.parts = parts
        self.facts = dict(facts)

    def weights(self) -> StateDict:
        """The state dict that is evaluated: the averaged one where there is one."""
        ema = self.step.ema
        return (ema.module if ema else self.step.model).state_dict()

    def take(self, *, epoch: int, iteration: int, length: int) -> Content:
        """The content of ``last.pt``; an epoch is ``length`` iterations long."""
        step = self.step
        return {
            **self.facts,
            "epoch": epoch,
            "iteration": iteration,
            "length": length,
            "model": self.weights(),
            "raw": step.model.state_dict() if step.ema else None,
            "ema_steps": step.ema.steps if step.ema else 0,
            "optimizer": step.optimizer.state_dict(),
            "schedule": step.schedule.state_dict(),
            "scaler": step.scaler.state_dict(),
            "rng": self.rng(),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }

    def rng(self) -> StateDict:
        """The states of torch's random generators."""
        cuda = torch.cuda.get_rng_state_all() if self.step.device.device.type == "cuda" else []
        return {"torch": torch.get_rng_state(), "cuda": cuda}

    def restore(self, content: Mapping[str, Any], done: int) -> None:
        """Bring everything back to the moment of `take`, after ``done`` iterations.

        In a fork the settings come from the recipe, and only the memory from the checkpoint.
        """
        step, forked = self.step, content.get("forked")
        load_weights(step.model, content["raw"] or content["model"], "last.pt")
        if step.ema:
            load_weights(step.ema.module, content["model"], "last.pt")
            step.ema.steps = content["ema_steps"]
        if forked:
            self._restore_forked(content, done, optimizer=forked["optimizer"])
        else:
            step.optimizer.load_state_dict(content["optimizer"])
            step.schedule.load_state_dict(content["schedule"])
        if content["scaler"]:  # a run that began without fp16 has none, and a fresh one serves
            step.scaler.load_state_dict(content["scaler"])
        for name, part in self.parts.items():
            if not forked or name in content["parts"]:
                part.load_state_dict(content["parts"][name])
        torch.set_rng_state(content["rng"]["torch"])
        if content["rng"]["cuda"] and step.device.device.type == "cuda":
            torch.cuda.set_rng_state_all(content["rng"]["cuda"])

    def _restore_forked(self, content: Mapping[str, Any], done: int, *, optimizer: bool) -> None:
        """The optimizer's moments, if it is still the same, with the hyperparameters of the new recipe."""
        step = self.step
        groups = [{k: v for k, v in group.items() if k != "params"} for group in step.optimizer.param_groups]
        if optimizer:
            step.optimizer.load_state_dict(content["optimizer"])
        schedule = step.schedule.state_dict() | {"last_epoch": done}
        step.schedule.load_state_dict(schedule)
        for group, settings, rate in zip(step.optimizer.param_groups, groups, step.schedule.get_last_lr(), strict=True):
            group.update(settings, lr=rate)


def evaluated_weights(step: TrainStep) -> torch.nn.Module:
    """The network that validation measures: the averaged one where there is one."""
    ema: Ema | None = step.ema
    return ema.module if ema else step.model
