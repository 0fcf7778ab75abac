"""The first batch in words and as a picture, and what a training will cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from engine.events import Event, Log, Preview
from engine.readers.arrays import load_arrays
from engine.recipe import FiguresTable
from engine.runfolder.paths import create
from engine.training.handlers.first_minute import FirstMinute, describe


def batch(label: torch.Tensor) -> dict[str, object]:
    size = tuple(label.shape[1:]) or (6, 4)
    image = torch.arange(2 * int(np.prod(size)), dtype=torch.float32).reshape(2, 1, *size)
    return {"image": image, "label": label, "id": ["a", "b"]}


def test_shares_of_classes_and_intensities() -> None:
    label = torch.zeros(2, 5, 4, 2, dtype=torch.int64)
    label[0, 0, 0] = 1  # 2 of 80
    label[1, :, :, 0] = 2  # 20 of 80
    words = describe(batch(label), ["anterior", "posterior"])  # type: ignore[arg-type]
    assert words.startswith("2 of 5x4x2, intensities 0 to 79 (mean 39.5); ")
    assert words.endswith("background 72.5 %, anterior 2.5 %, posterior 25 %")
    label[0, 1:] = 3  # 32 of 80, of which nobody knows the truth
    words = describe(batch(label), ["anterior", "posterior"])  # type: ignore[arg-type]
    assert words.endswith("background 32.5 %, anterior 2.5 %, posterior 25 %, not known 40 %")
    of_two = describe(batch(torch.tensor([1, 1])), ["nevus", "melanoma"])  # type: ignore[arg-type]
    assert of_two.endswith("; melanoma 2")


@pytest.mark.parametrize("dense", [True, False])
def test_a_crop_with_its_truth_and_then_the_cost(tmp_path: Path, dense: bool) -> None:
    folder = create(tmp_path, "a")
    said: list[Event] = []
    label = torch.ones(2, 6, 4, 3, dtype=torch.int64) if dense else torch.tensor([1, 0])
    if dense:
        label[0, 0] = 3  # not known, and not shown
    trainer = Engine(lambda *_: None)
    FirstMinute(folder, said.append, ["nevus", "melanoma"], FiguresTable(case_names=False)).attach(trainer)
    trainer.run([[batch(label)]] * 12, max_epochs=2)
    preview = next(event for event in said if isinstance(event, Preview))
    assert (preview.epoch, preview.split, preview.case) == (0, "train", "of the training")
    arrays = load_arrays(folder.root / preview.path)
    assert set(arrays) == {"image", "slices", "truth" if dense else "true"}
    assert not dense or arrays["truth"].max() == 1
    messages = [event.message for event in said if isinstance(event, Log)]
    assert len(messages) == 2
    assert "s for 2 epochs of 12 steps" in messages[1]
    assert "GB" in messages[1]
