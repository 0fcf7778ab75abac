"""Precision by measurement: what is chosen, and what a measurement leaves alone."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from engine import device as module
from engine.device import BF16_FLAGS, Device, measured
from engine.hardware import cpu_flags
from engine.runfolder import send
from tests.engine.runs import SEGMENTATION, go_on, run, same_weights

CPU = Device(torch.device("cpu"), None, channels_last=False)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 3))


@pytest.fixture
def with_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that says it has units for bf16; torch computes it on any."""
    monkeypatch.setattr(module, "cpu_flags", lambda: BF16_FLAGS)
    monkeypatch.setattr(module, "_PAIRS", 1)


def test_a_processor_without_units_is_not_measured(monkeypatch):
    monkeypatch.setattr(module, "cpu_flags", lambda: frozenset({"avx2"}))
    assert measured(CPU, network(), (2, 1, 16, 16)) is CPU


@pytest.mark.parametrize(("gain", "precision", "said"), [(0.0, "bf16", "bf16 is"), (1e9, "float32", "bf16 would be")])
def test_what_is_faster_is_taken_and_the_figure_said(monkeypatch, with_units, gain, precision, said):
    monkeypatch.setattr(module, "_GAIN", gain)
    found = measured(CPU, network(), (2, 1, 16, 16))
    assert found.precision == precision
    assert found.reason.startswith(said)


def test_a_measurement_leaves_weights_statistics_and_random_states_alone(with_units):
    model = network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    measured(CPU, model, (2, 1, 16, 16))
    drawn = torch.rand(4)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(4))
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_resumed_run_and_its_evaluation_keep_the_precision_that_was_chosen(tmp_path, monkeypatch, with_units):
    monkeypatch.setattr(module, "_GAIN", 0.0)
    auto = ('train.amp="auto"', "train.epochs=4")
    code, whole = run(tmp_path / "whole", SEGMENTATION, *auto, cases=6)
    assert code == 0
    assert json.loads(whole.manifest.read_text())["precision"] == "cpu bf16"

    _, cut = run(tmp_path / "cut", SEGMENTATION, *auto, cases=6, then=lambda folder: send(folder, "stop_now") and None)
    monkeypatch.setattr(module, "_GAIN", 1e9)  # another measurement would say otherwise now
    assert go_on(cut, tmp_path / "cut" / "data") == 0
    assert json.loads(cut.manifest.read_text())["precision"] == "cpu bf16"
    assert same_weights(whole.last, cut.last)


def test_flags_are_those_of_this_processor():
    flags = cpu_flags()
    assert not flags or any(name in flags for name in ("sse2", "fpu", "asimd", "fp"))


@pytest.mark.parametrize("dilation", [1, 2])
def test_one_volume_is_predicted_as_two_are_in_their_layout(dilation):
    device = Device(torch.device("cpu"), None, channels_last=True)
    network = nn.Sequential(nn.Conv3d(2, 8, 3, padding=dilation, dilation=dilation), nn.Conv3d(8, 8, 3, 2))
    network = network.to(memory_format=torch.channels_last_3d)
    one = device.move(torch.randn(1, 2, 12, 10, 8))
    with torch.inference_mode():
        expected = network(torch.cat((one, one)))[:1]
        with device.alone(one):
            found = network(one)
    torch.testing.assert_close(found, expected)
    assert not network(one).is_contiguous(memory_format=torch.channels_last_3d)  # else torch needs no help any more
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
