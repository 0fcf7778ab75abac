"""Crops and affine sampling, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from engine.data.crops import (
    MAX_VOXELS,
    affine_draw,
    affine_move,
    crop_start,
    foreground_voxels,
    turn_draw,
    turned,
)
from engine.recipe import AugmentTable, DataTable

SHAPE, SIZE = (20, 24, 18), (8, 10, 12)


def table(crop: str, share: float = 1.0) -> DataTable:
    return DataTable(source="decathlon", root="d", size=SIZE, crop=crop, foreground_share=share)


def label_with(*voxels: tuple[int, int, int]) -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    for value, voxel in enumerate(voxels, 1):
        label[voxel] = value
    return label


@settings(max_examples=100, deadline=None)
@given(voxel=st.tuples(*[st.integers(0, side - 1) for side in SHAPE]), seed=st.integers(0, 1000))
def test_a_foreground_crop_holds_its_voxel(voxel: tuple[int, int, int], seed: int) -> None:
    start = crop_start(SHAPE, foreground_voxels(label_with(voxel)), table("foreground"), np.random.default_rng(seed))
    for first, at, part, whole in zip(start, voxel, SIZE, SHAPE, strict=True):
        assert 0 <= first <= whole - part
        assert first <= at < first + part


def test_rare_classes_are_drawn_as_often_as_common_ones() -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[:, :, :9] = 1
    label[10, 12, 17] = 2
    voxels = foreground_voxels(label)
    assert [len(own) for own in voxels] == [np.count_nonzero(label == 1), 1]
    rng = np.random.default_rng(0)
    ends = sum(crop_start(SHAPE, voxels, table("foreground"), rng)[2] == SHAPE[2] - SIZE[2] for _ in range(400))
    assert 160 < ends < 240


def test_without_foreground_and_without_luck_the_crop_is_anywhere() -> None:
    rng = np.random.default_rng(0)
    for recipe, voxels in ((table("foreground"), ()), (table("random"), ())):
        starts = np.array([crop_start(SHAPE, voxels, recipe, rng) for _ in range(300)])
        assert starts.min(axis=0).tolist() == [0, 0, 0]
        assert starts.max(axis=0).tolist() == [whole - part for whole, part in zip(SHAPE, SIZE, strict=True)]
    assert crop_start(SHAPE, (), table("center"), rng) == (6, 7, 3)


def test_kept_voxels_are_spread_and_bounded() -> None:
    voxels = foreground_voxels(np.ones((40, 40, 40), np.uint8))
    assert len(voxels[0]) <= MAX_VOXELS
    assert voxels[0].max() > 0.9 * 40**3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_affine_sampling_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    augment = AugmentTable(rotate_degrees=40.0, scale=0.3, translate=0.1)
    draw = affine_draw(augment, 3, rng)
    assert draw is not None
    move = affine_move(SHAPE, (5, 6, 3), SIZE, draw, (1.0, 1.5, 2.0))
    image = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    wanted = [
        ndimage.affine_transform(channel, move.matrix, move.origin, SIZE, order=1, mode="nearest") for channel in image
    ]
    label = rng.integers(0, 4, SHAPE, dtype=np.uint8)
    seen, mask = move.both(image, label)
    np.testing.assert_allclose(seen.numpy(), wanted, atol=2e-4)
    nearest = ndimage.affine_transform(label, move.matrix, move.origin, SIZE, order=0, mode="nearest")
    assert np.mean(mask.numpy() != nearest) < 0.01  # voxels halfway between two


def test_a_slice_and_one_voxel_are_volumes_too() -> None:
    rng = np.random.default_rng(0)
    for shape in ((9, 8, 1), (1, 1, 1)):
        move = affine_move(shape, (0, 0, 0), shape, (np.eye(3) * 0.9, np.full(3, 0.1)), (1.0, 1.0, 1.0))
        image, label = rng.normal(size=(1, *shape)).astype(np.float32), rng.integers(0, 4, shape, dtype=np.int16)
        seen, mask = move.both(image, label)
        wanted = ndimage.affine_transform(image[0], move.matrix, move.origin, shape, order=1, mode="nearest")
        np.testing.assert_allclose(seen[0].numpy(), wanted, atol=1e-5)
        nearest = ndimage.affine_transform(label, move.matrix, move.origin, shape, order=0, mode="nearest")
        np.testing.assert_array_equal(mask.numpy(), nearest)


def test_affine_in_two_dimensions_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(3, 30, 20)).astype(np.float32)
    draw = affine_draw(AugmentTable(rotate_degrees=30.0, scale=0.2), 2, rng)
    assert draw is not None
    move = affine_move((30, 20), (0, 0), (30, 20), draw, (1.0, 1.0))
    wanted = [ndimage.affine_transform(c, move.matrix, move.origin, order=1, mode="nearest") for c in image]
    np.testing.assert_allclose(move.image(image, "border").numpy(), wanted, atol=1e-4)


def test_a_draw_of_nothing_moves_nothing() -> None:
    assert affine_draw(AugmentTable(), 3, np.random.default_rng(0)) is None
    image = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)
    move = affine_move(SHAPE, (5, 6, 3), SIZE, (np.eye(3), np.zeros(3)), (1.0, 1.0, 3.0))
    label = (image[0] > 0).astype(np.uint8)
    seen, mask = move.both(image, label)
    np.testing.assert_allclose(seen[0], image[0, 5:13, 6:16, 3:15], atol=1e-5)
    np.testing.assert_array_equal(mask, label[5:13, 6:16, 3:15])


def test_rotations_are_rigid_in_millimetres() -> None:
    """Two points a fixed way apart stay as far apart, though voxels are five times as tall as wide."""
    spacing = np.array([1.0, 1.0, 5.0])
    draw = affine_draw(AugmentTable(rotate_degrees=90.0), 3, np.random.default_rng(3))
    assert draw is not None
    move = affine_move((60, 60, 60), (20, 20, 20), (20, 20, 20), draw, tuple(spacing))
    steps = (move.matrix @ np.eye(3)) * spacing[:, None] / spacing[None, :]
    assert np.linalg.norm(steps, axis=0) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("size", [(40, 20, 24), (40, 30, 24), (30, 20, 20)])
def test_centres_reach_every_part_of_a_class(size):
    label = np.ones(size, np.uint8)
    (flat,) = foreground_voxels(label)
    planes = np.unravel_index(flat, size)[0]
    assert len(flat) <= MAX_VOXELS
    assert set(planes.tolist()) == set(range(size[0]))


@pytest.mark.parametrize("plane", [(0, 1), (2, 0)])
def test_a_turn_in_a_plane_is_scipys_rotation(plane: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (2, *SIZE)).astype(np.float32)
    mask = np.zeros(SIZE, np.uint8)
    mask[2:6, 3:8, 2:9] = 1
    augment = AugmentTable(rotate_degrees=20.0, rotate_plane=plane)
    assert affine_draw(augment, 3, rng) is None
    angles = [turn_draw(augment, rng) for _ in range(200)]
    assert -20 <= min(angles) < -18
    assert 18 < max(angles) <= 20
    moved, label = turned(torch.from_numpy(image), torch.from_numpy(mask), angles[0], plane)
    for channel, ours in zip(image, moved, strict=True):
        assert np.array_equal(ours, ndimage.rotate(channel, angles[0], plane, reshape=False, order=3, cval=0.0))
    assert np.array_equal(label, ndimage.rotate(mask, angles[0], plane, reshape=False, order=3, cval=0.0))
    _, classes = turned(torch.from_numpy(image), torch.from_numpy(2 * mask), angles[0], plane)
    assert np.array_equal(classes, 2 * label)
