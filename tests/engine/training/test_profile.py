"""``check --profile``: parts that add up, costs that come from the recipe, advice that fits."""

from __future__ import annotations

import re
import time

import pytest
import torch

from engine.commands.check import check
from engine.device import Device
from engine.recipe import load_recipe
from engine.requests import Check
from engine.training.profile import Stopwatch, advice
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, request

CPU = Device(torch.device("cpu"), None, channels_last=True)


def test_a_stopwatch_gives_each_part_its_time():
    watch = Stopwatch(CPU)
    watch("loader")  # starts it
    time.sleep(0.02)
    watch("forward")
    time.sleep(0.06)
    watch("backward")
    names, shares = zip(*watch.shares(), strict=True)
    assert names == ("backward", "forward")
    assert sum(shares) == pytest.approx(1)
    assert watch.seconds["forward"] >= 0.02
    assert watch.seconds["backward"] >= 0.06


@pytest.mark.parametrize("text", [SEGMENTATION, CLASSIFICATION])
def test_check_says_where_the_time_goes(tmp_path, capsys, monkeypatch, text):
    monkeypatch.setattr("engine.commands.check._PROFILED_MINUTES", 0.3)  # a second of steps
    asked = request(tmp_path, text)
    assert check(Check(recipe=asked.recipe, data=asked.data, profile=True)) == 0
    said = capsys.readouterr().out
    shares = {part: float(share) for share, part in re.findall(r"([\d.]+)%  ([a-z ]+)", said)}
    assert {"loader", "copies", "forward", "loss", "backward", "optimizer", "training metrics"} <= shares.keys()
    assert ("average" in shares) == ("ema" in text)
    assert sum(shares.values()) == pytest.approx(100, abs=0.5)
    line = next(line for line in said.splitlines() if line.startswith("sample"))
    if text == SEGMENTATION:
        assert all(name in line for name in ("rotation, zoom and shift", "flips", "noise"))
        assert "blur" not in line
    else:
        assert "nothing is changed at random" in line


def test_advice_names_keys_of_the_recipe(tmp_path):
    recipe = load_recipe(request(tmp_path).recipe, ["runtime.channels_last=false"])
    plain = Device(torch.device("cpu"), None, channels_last=False)
    facts = {"cached": True, "workers": 0}
    waits = list(advice(recipe, plain, {"loader": 0.5}, "noise", **facts))
    assert [("noise" in text, "runtime.workers" in text) for text in waits] == [(True, False), (False, True)]
    computes = list(advice(recipe, plain, {"forward": 0.3, "backward": 0.6}, "", **facts))
    assert any("channels_last" in text for text in computes)
    assert not list(advice(recipe, CPU, {"forward": 0.4, "training metrics": 0.6}, "", **facts))
