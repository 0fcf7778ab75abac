"""Preparation: the network's grid, and the way back to the case's own geometry."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from PIL import Image
from scipy import ndimage

from engine.data.prepare import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    intensity_map,
    normalise,
    normalise_image,
    prepare,
    resize_image,
)
from engine.data.read import RawCase
from engine.data.resampling import resample, resample_label
from engine.data.volumes import spacing_of
from engine.errors import DataError
from engine.recipe import DataTable
from tests.engine.data import builders as b
from tests.engine.evaluation.one_piece import restored

CODES = ["".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)]


def table(**changes: object) -> DataTable:
    return DataTable(**{"source": "decathlon", "root": "d", "size": (8, 8, 8), "intensity": "none", **changes})


def sample(image: np.ndarray, label: np.ndarray | None = None, affine: np.ndarray | None = None) -> RawCase:
    spacing = None if affine is None else spacing_of(affine)
    return RawCase("c", image.astype(np.float32)[None], label, affine, spacing)


def in_orientation(codes: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An RAS volume, the same stored as ``codes``, and its affine then."""
    ras = b.volume(3, (9, 11, 10))
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    grid = np.diag([1.0, 2.0, 3.0, 1.0])
    grid[:3, 3] = (-5, 4, 7)
    image = nibabel.Nifti1Image(ras, grid).as_reoriented(turn)
    return ras, np.asarray(image.dataobj), image.affine @ inv_ornt_aff(np.array([[0, 1], [1, 1], [2, 1]]), ras.shape)


@pytest.mark.parametrize("codes", CODES)
def test_every_orientation_reaches_the_network_as_ras_and_comes_back(codes: str) -> None:
    ras, stored, affine = in_orientation(codes)
    prepared = prepare(sample(stored, (stored > 0).astype(np.uint8), affine), table())
    np.testing.assert_array_equal(prepared.image[0], ras)
    np.testing.assert_array_equal(prepared.label_net, ras > 0)
    np.testing.assert_array_equal(prepared.label, stored > 0)
    np.testing.assert_array_equal(restored(prepared, prepared.image), stored[None])
    assert prepared.spacing_net == pytest.approx((1.0, 2.0, 3.0))


def test_small_volumes_are_padded_in_the_middle() -> None:
    volume = b.volume(1, (5, 8, 13))
    prepared = prepare(sample(volume, (volume > 0).astype(np.uint8)), table(size=(8, 8, 8)))
    assert prepared.image.shape == (1, 8, 8, 13)
    np.testing.assert_array_equal(prepared.image[0, 1:6], volume)
    assert prepared.image[0, 0].max() == prepared.image[0, 6:].max() == 0
    assert prepared.label_net is not None
    assert prepared.label_net.shape == (8, 8, 13)
    np.testing.assert_array_equal(restored(prepared, prepared.image)[0], volume)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(9, 20)] * 3),
    spacing=st.tuples(*[st.floats(0.6, 2.5)] * 3),
    codes=st.sampled_from(CODES),
)
def test_a_smooth_map_survives_the_way_there_and_back(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], codes: str
) -> None:
    axes = np.meshgrid(*[np.linspace(0, 1, side) for side in shape], indexing="ij")
    smooth = (axes[0] + 2 * axes[1] - axes[2]).astype(np.float32)
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    image = nibabel.Nifti1Image(smooth, np.eye(4)).as_reoriented(turn)
    stored = np.asarray(image.dataobj)
    prepared = prepare(sample(stored, None, image.affine), table(spacing=spacing))
    sides = zip(shape, spacing, prepared.resampled, strict=True)
    assert all(abs(was / new - now) <= 0.5 for was, new, now in sides)
    back = restored(prepared, prepared.image)
    assert back.shape == (1, *stored.shape)
    inner = (slice(None), *[slice(3, -3)] * 3)
    assert np.abs(back - stored[None])[inner].max(initial=0) < 0.12
    assert back.min() >= stored.min() - 1e-5
    assert back.max() <= stored.max() + 1e-5


def test_labels_keep_their_volume_when_resampled() -> None:
    label = b.mask((30, 30, 30))
    label[5:25, 6:24, 7:23] = 1
    prepared = prepare(sample(b.volume(0, (30, 30, 30)), label, b.affine(1, 1, 2)), table(spacing=(2.0, 2.0, 2.0)))
    assert prepared.label_net is not None
    assert prepared.label_net.shape == (15, 15, 30)
    assert int(prepared.label_net.sum()) * 8 == pytest.approx(int(label.sum()) * 2, rel=0.01)


def test_a_coarser_grid_is_smoothed_before_it_and_a_wave_too_fine_for_it_vanishes() -> None:
    """A wave of 2.5 voxels on a grid of 3: linear interpolation alone makes a slow wave of a third of its height."""
    wave = np.broadcast_to(np.cos(2 * np.pi / 2.5 * np.arange(90))[:, None, None], (90, 6, 6)).astype(np.float32)
    assert np.abs(ndimage.zoom(wave, (1 / 3, 1, 1), order=1, grid_mode=True, mode="nearest")).max() > 0.9
    assert np.abs(resample(wave, (30, 6, 6))[3:-3]).max() < 0.05
    slow = np.broadcast_to(np.cos(2 * np.pi / 60 * np.arange(90))[:, None, None], (90, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(resample(slow, (30, 6, 6))[:, 0, 0], slow[1::3, 0, 0], atol=0.02)


def test_a_truth_on_a_coarser_grid_is_what_most_of_a_voxel_is() -> None:
    label = np.zeros((12, 12, 12), np.uint8)
    label[:6], label[6:, :, ::4] = 1, 2  # class 2 in a quarter of the voxels there
    wanted = np.zeros((3, 3, 3), np.uint8)
    wanted[:1], wanted[1] = 1, 1  # the middle is half of class 1, three eighths of nothing
    np.testing.assert_array_equal(resample_label(label, (3, 3, 3)), wanted)


def test_a_spacing_that_would_fill_any_memory_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.spacing makes 9000x9000x9000 voxels of case c"):
        prepare(sample(np.ones((9, 9, 9)), affine=np.eye(4)), table(spacing=(1e-3, 1e-3, 1e-3)))


def test_zscore_is_not_moved_by_one_hot_voxel() -> None:
    volume = b.volume(0, (20, 20, 20)) * 300 + 1000
    hot = volume.copy()
    hot[0, 0, 0] = 1e7
    plain, robust = (normalise(v, table(intensity="zscore")) for v in (volume, hot))
    assert np.abs(plain[1:] - robust[1:]).max() < 0.02
    assert abs(plain.mean()) < 1e-5
    assert plain.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(normalise(volume * 1e-3, table(intensity="zscore")), plain, atol=1e-4)


def test_body_is_the_same_however_much_is_padded_and_zscore_is_not() -> None:
    scan = b.volume(0, (20, 20, 20)) * 30 + 400
    padded = np.pad(scan, 5)
    for intensity, same in (("body", True), ("zscore", False)):
        changed = normalise(padded, table(intensity=intensity))[5:-5, 5:-5, 5:-5]
        own = normalise(scan, table(intensity=intensity))
        assert np.allclose(changed, own, atol=0.02) is same
    picture = (scan[:, :, :3] / 4).astype(np.uint8)
    scale, shift = intensity_map(np.pad(picture, ((9, 9), (9, 9), (0, 0))), table(intensity="body"))
    np.testing.assert_allclose((scale, shift), intensity_map(picture, table(intensity="body")), rtol=0.05)


def test_minmax_and_window() -> None:
    volume = np.array([[[-200.0, -100.0, 0.0, 100.0, 900.0]]])
    np.testing.assert_allclose(normalise(volume, table(intensity="minmax"))[0, 0, [0, -1]], [0, 1])
    window = normalise(volume, table(intensity="window", window=(-100.0, 300.0)))
    np.testing.assert_allclose(window[0, 0], [0, 0, 0.25, 0.5, 1])


def test_images_are_normalised_as_torchvision_does() -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.functional")
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3), dtype=np.uint8)
    wanted = functional.normalize(functional.to_tensor(Image.fromarray(pixels)), IMAGENET_MEAN, IMAGENET_STD)
    found = normalise_image(pixels, table(size=(8, 8), intensity="imagenet"))
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("intensity", "low", "high"), [("none", 0.0, 1.0), ("minmax", 0.0, 1.0)])
def test_ranges_of_images(intensity: str, low: float, high: float) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    values = normalise_image(pixels, table(size=(8, 8), intensity=intensity))
    assert values.min() >= low
    assert values.max() <= high
    if intensity == "minmax":
        assert (values.min(), values.max()) == (0, 1)


def test_resize_stretches_or_keeps_the_aspect() -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = 255  # a square in the middle
    stretched = resize_image(pixels, table(size=(20, 20)))
    cropped = resize_image(pixels, table(size=(20, 20), resize="crop"))
    assert stretched.shape == cropped.shape == (20, 20, 3)
    assert stretched[:, 0].max() == 0
    assert cropped[:, 1:-1].min() == 255
