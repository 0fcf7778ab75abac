"""Mixed and growing batches, against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.data.mix import BatchChanges
from engine.recipe import AugmentTable

IMAGE = torch.randn(6, 3, 40, 48, generator=torch.Generator().manual_seed(0))
LABEL = torch.arange(6)


def changes(**keys) -> BatchChanges:
    return BatchChanges(AugmentTable(**keys), seed=1)


def test_mixup_is_the_mean_of_two_pictures_by_the_shares_of_their_losses():
    for iteration in range(20):
        image, ((mine, own), (rest, other)) = changes(mixup=0.4).mixed(IMAGE, LABEL, iteration, 0)
        assert mine + rest == pytest.approx(1)
        torch.testing.assert_close(image, mine * IMAGE[own] + rest * IMAGE[other])
        assert own.tolist() == LABEL.tolist()
        assert sorted(other.tolist()) == LABEL.tolist()


def test_cutmix_counts_the_pixels_that_were_pasted():
    areas = []
    for iteration in range(400):
        image, ((mine, _), (rest, other)) = changes(cutmix=1.0).mixed(IMAGE, LABEL, iteration, 0)
        moved = [i for i in range(6) if int(other[i]) != i]
        for i in moved[:1]:
            pasted = (image[i] != IMAGE[i]).all(0)
            assert torch.equal(image[i][:, pasted], IMAGE[other[i]][:, pasted])
            assert pasted.float().mean().item() == pytest.approx(rest, abs=1e-6)
        assert mine + rest == pytest.approx(1)
        areas.append(rest)
    # Beta(1, 1) is uniform: 1/2 on the mean before the border cuts some of it off.
    assert 0.2 < np.mean(areas) < 0.4


def test_chance_hangs_on_seed_iteration_and_number_only():
    both = changes(mixup=1.0, cutmix=1.0, mix_probability=0.5)
    again = [both.mixed(IMAGE, LABEL, 3, number) for number in (0, 0, 1)]
    assert torch.equal(again[0][0], again[1][0])
    assert not torch.equal(again[0][0], again[2][0]) or again[0][1][0][0] != again[2][1][0][0]
    plain = sum(len(both.mixed(IMAGE, LABEL, iteration, 0)[1]) == 1 for iteration in range(400))
    assert 150 < plain < 250
    assert changes().mixed(IMAGE, LABEL, 0, 0)[0] is IMAGE


def test_pictures_grow_by_even_steps_and_are_whole_for_the_last_third():
    grow, image = changes(grow_from=0.5), torch.zeros(1, 3, 128, 96)
    sides = [tuple(grow.sized(image, progress).shape[2:]) for progress in (0.0, 1 / 3, 0.5, 2 / 3, 1.0)]
    assert sides == [(64, 48), (96, 64), (112, 80), (128, 96), (128, 96)]  # 72 and 84 to the nearest, half to even
    assert grow.sized(image, 0.7) is image
    first = grow.full_size(10)  # epoch 8 begins after seven tenths
    assert first == 8
    assert [grow.sized(image, (epoch - 1) / 10) is image for epoch in (first - 2, first)] == [False, True]
    assert changes(mixup=0.2).full_size(10) == 1
    assert changes().sized(image, 0.0) is image
    pixels = np.mean([min(0.5 + 0.5 * t / (2 / 3), 1) ** 2 for t in np.linspace(0, 1, 100_001)])
    assert grow.small_share * 0.25 + 1 - grow.small_share == pytest.approx(pixels, abs=1e-4)


def test_volumes_are_mixed_by_boxes_and_grow_by_means_of_eight():
    volumes = torch.randn(4, 1, 32, 48, 40, generator=torch.Generator().manual_seed(1))
    shares = []
    for iteration in range(60):
        image, (_, (rest, other)) = changes(cutmix=1.0).mixed(volumes, torch.arange(4), iteration, 0)
        for i in [i for i in range(4) if int(other[i]) != i][:1]:
            pasted = (image[i] != volumes[i]).all(0)
            assert torch.equal(image[i][:, pasted], volumes[other[i]][:, pasted])
            assert pasted.float().mean().item() == pytest.approx(rest, abs=1e-6)
            shares.append(rest)
    assert 0.1 < np.mean(shares) < 0.4
    small = changes(grow_from=0.5).sized(torch.arange(64.0**3).reshape(1, 1, 64, 64, 64), 0.0)
    assert small.shape == (1, 1, 32, 32, 32)
    wanted = np.arange(64.0**3).reshape(32, 2, 32, 2, 32, 2).mean((1, 3, 5))
    np.testing.assert_allclose(small[0, 0].numpy(), wanted, rtol=1e-5)
