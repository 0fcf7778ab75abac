"""Changes of intensity do what their keys say, and no more."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.data import augment
from engine.data.cache import LoadedImage, LoadedVolume
from engine.data.samples import Transform
from engine.recipe import AugmentTable, DataTable

VOLUME = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 16, 16, 16)).astype(np.float32))


def changed(image: torch.Tensor, seed: int = 0, *, colour: bool = False, **keys: float) -> torch.Tensor:
    table = AugmentTable(intensity_probability=1.0, **keys)
    rng = np.random.default_rng(seed)
    image = augment.apply(augment.before_normalisation(table, colour=colour), image, rng)
    return augment.apply(augment.after_normalisation(table), image, rng)


def test_nothing_is_done_by_default() -> None:
    table = AugmentTable()
    assert augment.before_normalisation(table, colour=True) == []
    assert augment.after_normalisation(table) == []


def test_brightness_multiplies() -> None:
    factors = [float((changed(VOLUME, seed, brightness=0.3) / VOLUME).median()) for seed in range(50)]
    assert 0.7 <= min(factors) < 0.8
    assert 1.2 < max(factors) <= 1.3


def test_contrast_keeps_the_mean() -> None:
    moved = changed(VOLUME, contrast=0.4)
    assert moved.mean() == pytest.approx(float(VOLUME.mean()), abs=1e-5)
    assert not torch.allclose(moved, VOLUME)


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    assert float((changed(VOLUME, noise=0.5) - VOLUME).std()) == pytest.approx(0.5, rel=0.05)


def test_blur_smooths() -> None:
    assert changed(VOLUME, seed=3, blur=2.0).std() < VOLUME.std()


def test_gamma_keeps_the_range() -> None:
    moved = changed(VOLUME, gamma=0.4)
    assert float(moved.min()) == pytest.approx(float(VOLUME.min()), abs=1e-4)
    assert float(moved.max()) == pytest.approx(float(VOLUME.max()), abs=1e-4)


def test_saturation_leaves_grey_alone() -> None:
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    grey = image.mean(0, keepdim=True).expand(3, 8, 8)
    torch.testing.assert_close(changed(grey, colour=True, saturation=0.9), grey)
    moved = changed(image, colour=True, saturation=0.9)
    weights = torch.tensor(augment.GREY).reshape(3, 1, 1)
    torch.testing.assert_close((moved * weights).sum(0), (image * weights).sum(0))
    assert not torch.allclose(moved, image)


@pytest.mark.parametrize("size", [(12, 12), (12, 20)])
def test_right_angles_and_mirrors_keep_every_pixel(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    table = DataTable(source="csv", root="d", size=size, intensity="none")
    transform = Transform(table, AugmentTable(rotate90=True, flip=(0, 1)), colour=True)
    seen = set()
    for seed in range(60):
        image = transform.picture(LoadedImage(pixels), np.random.default_rng(seed))
        assert image.shape == (3, *size)
        np.testing.assert_allclose(np.sort(image.numpy().ravel()), np.sort(pixels.ravel()) / np.float32(255), atol=1e-6)
        seen.add(image.numpy().tobytes())
    assert len(seen) == (8 if size[0] == size[1] else 4)


def test_random_crops_cover_at_least_their_share() -> None:
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[..., 0] = np.arange(60)[:, None] * 4
    pixels[..., 1] = np.arange(90)[None, :] * 2
    table = DataTable(source="csv", root="d", size=(30, 30), intensity="none")
    transform = Transform(table, AugmentTable(crop_scale=0.5), colour=True)
    areas = []
    for seed in range(60):
        image = transform.picture(LoadedImage(pixels), np.random.default_rng(seed)) * 255
        rows = float(image[0].max() - image[0].min()) / 4 + 2
        columns = float(image[1].max() - image[1].min()) / 2 + 3
        areas.append(rows * columns / (60 * 90))
    assert min(areas) > 0.4
    assert max(areas) > 0.85


def test_flips_move_image_and_label_together() -> None:
    label = np.zeros((8, 8, 8), np.uint8)
    label[:3, :4, :2] = 1
    volume = LoadedVolume(label[None].astype(np.float32), label, (), (1.0, 1.0, 1.0))
    table = DataTable(source="decathlon", root="d", size=(8, 8, 8), intensity="none")
    transform = Transform(table, AugmentTable(flip=(0, 2)), colour=False)
    corners = set()
    for seed in range(30):
        image, moved = transform.volume(volume, np.random.default_rng(seed))
        assert torch.equal(image[0], moved.float())
        corners.add((bool(moved[0, 0, 0]), bool(moved[-1, 0, 0]), bool(moved[0, 0, -1]), bool(moved[-1, 0, -1])))
    assert len(corners) == 4


def test_brightness_and_gamma_are_monais() -> None:
    from monai.transforms import RandAdjustContrast, RandScaleIntensity

    for seed in range(20):
        bright = RandScaleIntensity(factors=0.2, prob=0.5).set_random_state(seed)(VOLUME).as_tensor()
        assert torch.equal(augment.Change(augment.brightness, 0.2, 0.5)(VOLUME, np.random.RandomState(seed)), bright)
        gamma = RandAdjustContrast(gamma=(0.7, 1.3), prob=0.5).set_random_state(seed)(VOLUME).as_tensor()
        assert torch.equal(augment.Change(augment.gamma, 0.3, 0.5)(VOLUME, np.random.RandomState(seed)), gamma)
