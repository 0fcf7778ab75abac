"""What a person wants to see before the first validation: a crop as the network gets it, and what the run will cost."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import psutil
import torch
from ignite.engine import Engine, Events

from engine.data.train_loader import Batch
from engine.errors import counted
from engine.evaluation.previews import write_training_crop
from engine.events import Event, Log
from engine.readers.numbers import duration
from engine.recipe import FiguresTable
from engine.runfolder import RunFolder

_STEPS = 10  # steps after which a step's time is told; those of the first epoch only, as a validation lies behind it


class FirstMinute:
    """Shows the first batch and, some steps later, tells the time and the memory that the training will take."""

    def __init__(
        self, folder: RunFolder, emit: Callable[[Event], object], classes: Sequence[str], figures: FiguresTable
    ) -> None:
        self._folder, self._emit = folder, emit
        self._classes, self._figures = classes, figures
        self._start = 0.0

    def attach(self, trainer: Engine) -> None:
        """Listen to the first steps of a run that begins, not of one that goes on."""
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), self._look)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=_STEPS), self._tell)

    def _look(self, trainer: Engine) -> None:
        batch: Batch = trainer.state.batch[0]
        if batch["id"]:
            self._emit(Log(message=f"first batch: {describe(batch, self._classes)}"))
            if self._figures.previews:
                case = batch["id"][0] if self._figures.case_names else "of the training"
                image, label = batch["image"][0].float().numpy(), batch["label"][0].numpy()
                if label.ndim:  # what is not known is not shown
                    label = np.where(label > len(self._classes), 0, label)
                write_training_crop(self._folder, self._emit, case, image, label)
        self._start = time.monotonic()

    def _tell(self, trainer: Engine) -> None:
        steps, epochs = int(trainer.state.epoch_length or 0), int(trainer.state.max_epochs or 0)
        if steps < _STEPS:
            return
        each = (time.monotonic() - self._start) / (_STEPS - 1)
        cost = f"{duration(each * steps * epochs)} for {counted(epochs, 'epoch')} of {steps} steps, validations apart"
        self._emit(Log(message=f"a step takes {each:.3g} s: about {cost}; {_memory()}"))


def describe(batch: Batch, classes: Sequence[str]) -> str:
    """Count, size and intensities of the images of a batch, and how often each class is there."""
    image, label = batch["image"].float(), batch["label"]
    size = "x".join(map(str, image.shape[2:]))
    low, high, mean = (float(value) for value in (image.min(), image.max(), image.mean()))
    words = f"{len(image)} of {size}, intensities {low:.3g} to {high:.3g} (mean {mean:.3g}); "
    if label.ndim == 1:
        counts = torch.bincount(label, minlength=len(classes)).tolist()
        return words + ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=False) if count)
    names = ("background", *classes)
    *counts, unknown = torch.bincount(label.reshape(-1), minlength=len(names) + 1).tolist()
    shares = [(name, count / label.numel()) for name, count in zip(names, counts, strict=True)][:12]
    shares += [("not known", unknown / label.numel())] if unknown else []
    return words + ", ".join(f"{name} {share * 100:.3g} %" for name, share in shares)


def _memory() -> str:
    if torch.cuda.is_available() and torch.cuda.max_memory_reserved():
        return f"GPU memory {torch.cuda.max_memory_reserved() / 1e9:.1f} GB"
    return f"memory {psutil.Process().memory_info().rss / 1e9:.1f} GB"
