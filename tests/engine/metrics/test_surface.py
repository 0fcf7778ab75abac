"""Surface distances against MedPy, MONAI, a brute-force search and values worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from medpy.metric import binary as medpy
from scipy.ndimage import binary_dilation, gaussian_filter

from engine.metrics.surface import REDUCTIONS, surface_distances, surface_metrics

MEDPY = {"asd": medpy.asd, "assd": medpy.assd, "hd95": medpy.hd95}


def assert_as_medpy(prediction, truth, spacing=None):
    ours = surface_metrics(prediction, truth, spacing)
    theirs = {name: f(prediction, truth, spacing) for name, f in MEDPY.items()}
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-12, abs=1e-12), (name, np.shape(truth), spacing)


def random_mask(rng, shape):
    kind = rng.integers(6)
    mask = np.zeros(shape, dtype=bool)
    if kind == 0:
        mask = rng.random(shape) < rng.choice([0.02, 0.2, 0.5, 0.9])
    elif kind == 1:
        mask = gaussian_filter(rng.standard_normal(shape), 1.5) > 0
    elif kind == 2:
        corner = [rng.integers(n) for n in shape]
        mask[tuple(slice(c, c + rng.integers(1, n + 1)) for c, n in zip(corner, shape, strict=True))] = True
    elif kind == 3:
        mask[...] = True  # the full image: every border voxel is an edge
    elif kind == 4:
        mask = ~(rng.random(shape) < 0.05)
    if not mask.any():  # and kind 5: one voxel
        mask[tuple(rng.integers(n) for n in shape)] = True
    return mask


@pytest.mark.parametrize("dims", [2, 3])
def test_equals_medpy_on_thousands_of_random_masks(dims):
    rng = np.random.default_rng(dims)
    for _ in range(1200):
        shape = tuple(rng.integers(1, 14, size=dims))
        spacing = [None, 0.625, tuple(rng.uniform(0.2, 5.0, size=dims))][rng.integers(3)]
        assert_as_medpy(random_mask(rng, shape), random_mask(rng, shape), spacing)


@pytest.mark.parametrize("spacing", [None, (0.4, 1.0, 3.3), (6.0, 0.5, 0.5)])
def test_equals_medpy_where_the_surfaces_are_far_apart(spacing):
    rng = np.random.default_rng(7)
    truth = np.zeros((70, 40, 45), dtype=bool)
    truth[50:66, 8:30, 10:33] = gaussian_filter(rng.standard_normal((16, 22, 23)), 2) > -0.05
    prediction = np.roll(truth, (-40, 6, 3), axis=(0, 1, 2))  # the k-d tree's part
    prediction[2, 2, 2] = True
    assert_as_medpy(prediction, truth, spacing)
    noise = rng.random(truth.shape) < 0.5  # nearly all surface: the distance transform's part
    lonely = np.zeros_like(truth)
    lonely[69, 39, 44] = True
    assert_as_medpy(noise, lonely, spacing)
    assert_as_medpy(lonely, noise, spacing)


def test_any_number_type_and_memory_order_gives_the_same():
    rng = np.random.default_rng(0)
    prediction, truth = random_mask(rng, (9, 11, 7)), random_mask(rng, (9, 11, 7))
    spacing = (0.5, 2.0, 1.25)
    expected = surface_metrics(prediction, truth, spacing)
    for kind in (np.uint8, np.int64, np.float32, np.int16):
        assert surface_metrics(prediction.astype(kind), truth.astype(kind), spacing) == expected
    turned = surface_metrics(np.asfortranarray(prediction), np.asfortranarray(truth), spacing)
    mixed = surface_metrics(np.asfortranarray(prediction), truth, spacing)
    strided = surface_metrics(np.repeat(prediction, 2, axis=1)[:, ::2], np.repeat(truth, 2, axis=1)[:, ::2], spacing)
    for other in (turned, mixed, strided):
        assert other == pytest.approx(expected, rel=1e-12)


def test_the_larger_directed_percentile_is_monais():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    rng = np.random.default_rng(3)
    for dims in (2, 3):
        for _ in range(40):
            shape = tuple(rng.integers(3, 14, size=dims))
            spacing = tuple(rng.uniform(0.3, 3.0, size=dims))
            masks = random_mask(rng, shape), random_mask(rng, shape)
            tensors = [torch.from_numpy(mask)[None, None] for mask in masks]
            theirs = metrics.compute_hausdorff_distance(*tensors, percentile=95, spacing=spacing).item()
            assert surface_metrics(*masks, spacing)["hd95_max"] == pytest.approx(theirs, rel=1e-6, abs=1e-6)  # float32


def test_a_far_island_shows_in_the_larger_percentile_only():
    """12 of the prediction's 168 surface pixels are far: over 5 % of its own, under 5 % of the pooled 324."""
    truth = np.zeros((90, 90), dtype=bool)
    truth[5:45, 5:45] = True
    prediction = truth.copy()
    prediction[70:74, 5:9] = True
    metrics = surface_metrics(prediction, truth)
    assert metrics["hd95"] == medpy.hd95(prediction, truth) == 0.0
    assert 26 <= metrics["hd95_max"] <= 29


def test_two_voxels_by_hand():
    """Three steps of 2 mm and four of 1 mm apart: 6 and 4, the root of 52."""
    prediction, truth = np.zeros((5, 6), bool), np.zeros((5, 6), bool)
    prediction[0, 0] = truth[3, 4] = True
    expected = math.sqrt(52)
    assert surface_metrics(prediction, truth, (2.0, 1.0)) == pytest.approx(dict.fromkeys(REDUCTIONS, expected))


def test_a_line_by_hand():
    """Prediction columns 0-1, truth columns 1-3 of one row: 1, 0 and 0, 1, 2."""
    prediction, truth = np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]])
    metrics = surface_metrics(prediction, truth)
    assert metrics["asd"] == pytest.approx(0.5)
    assert metrics["assd"] == pytest.approx(4 / 5)
    assert metrics["hd95"] == pytest.approx(np.percentile([1, 0, 0, 1, 2], 95))
    assert metrics["hd95_max"] == pytest.approx(np.percentile([0, 1, 2], 95))


def test_the_border_of_the_image_is_outside():
    """In a full image only the border is surface, so the inner voxel is one step away from it."""
    full, inner = np.ones((3, 3), bool), np.zeros((3, 3), bool)
    inner[1, 1] = True
    outward, inward = surface_distances(full, inner, (1.0, 1.0))
    assert sorted(outward) == pytest.approx([1, 1, 1, 1, *[math.sqrt(2)] * 4])
    assert list(inward) == [1.0]


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 12), (1, 1)])
def test_empty_masks(shape):
    spacing = (3.0, 4.0, 1.0)[: len(shape)]
    empty, full = np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
    diagonal = math.sqrt(sum((n * s) ** 2 for n, s in zip(shape, spacing, strict=True)))
    assert surface_metrics(empty, empty, spacing) == dict.fromkeys(REDUCTIONS, 0.0)
    assert surface_metrics(full, empty, spacing) == pytest.approx(dict.fromkeys(REDUCTIONS, diagonal))
    assert surface_metrics(empty, full, spacing) == pytest.approx(dict.fromkeys(REDUCTIONS, diagonal))


def test_nothing_costs_more_than_a_missed_mask():
    corner, opposite = np.zeros((6, 7, 8), bool), np.zeros((6, 7, 8), bool)
    corner[0, 0, 0] = opposite[-1, -1, -1] = True
    assert surface_metrics(corner, opposite)["hd95"] < surface_metrics(corner, np.zeros_like(corner))["hd95"]


@pytest.mark.parametrize(
    ("prediction", "truth", "spacing", "words"),
    [
        (np.zeros((3, 3)), np.zeros((3, 4)), None, "shape"),
        (np.full((3, 3), 0.4), np.zeros((3, 3)), None, "prediction is not binary"),
        (np.zeros((3, 3)), np.full((3, 3), np.nan), None, "truth is not binary"),
        (np.full((3, 3), 2, np.uint8), np.zeros((3, 3)), None, "first is 2"),
        (np.full((3, 3), -1), np.zeros((3, 3)), None, "first is -1"),
        (np.array([["a"]]), np.zeros((1, 1)), None, "type"),
        (np.array(1), np.array(1), None, "dimension"),
        (np.zeros((3, 3)), np.zeros((3, 3)), (1.0, 1.0, 1.0), "does not fit"),
        (np.zeros((3, 3)), np.zeros((3, 3)), (1.0, 0.0), "above 0"),
        (np.zeros((3, 3)), np.zeros((3, 3)), (1.0, float("nan")), "finite"),
        (np.zeros((3, 3)), np.zeros((3, 3)), -1.0, "above 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(prediction, truth, spacing, words):
    with pytest.raises(ValueError, match=words):
        surface_metrics(prediction, truth, spacing)


def test_equals_medpy_on_real_labels(real_data):
    nibabel = pytest.importorskip("nibabel")
    files = sorted(real_data.glob("Task04_Hippocampus/labelsTr/*.nii.gz"))[:12]
    if len(files) < 2:
        pytest.skip("no Task04_Hippocampus there")
    for file, other in itertools.pairwise(files):
        truth, prediction = (np.asarray(nibabel.load(f).dataobj) > 0 for f in (file, other))
        box = tuple(slice(0, min(n)) for n in zip(truth.shape, prediction.shape, strict=True))
        assert_as_medpy(prediction[box], truth[box], (1.0, 1.5, 0.8))


# ------------------------------------------------------------------------------------------- properties

shapes = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7)


@st.composite
def pairs(draw):
    shape = draw(shapes)
    masks = [draw(hnp.arrays(bool, shape)) for _ in range(2)]
    spacing = draw(st.tuples(*[st.floats(0.1, 10.0) for _ in shape]))
    return *masks, spacing


def brute_force(prediction, truth, spacing):
    """Edges by looking at every neighbour, distances by looking at every pair."""

    def edges(mask):
        found = []
        for voxel in itertools.product(*(range(n) for n in mask.shape)):
            neighbours = [
                tuple(v + (d if i == axis else 0) for i, v in enumerate(voxel))
                for axis in range(mask.ndim)
                for d in (-1, 1)
            ]
            outside = [
                any(not 0 <= v < s for v, s in zip(n, mask.shape, strict=True)) or not mask[n] for n in neighbours
            ]
            if mask[voxel] and any(outside):
                found.append(np.array(voxel) * spacing)
        return np.array(found)

    first, second = edges(prediction), edges(truth)
    pairwise = np.sqrt(((first[:, None] - second[None]) ** 2).sum(axis=-1))
    return pairwise.min(axis=1), pairwise.min(axis=0)


@settings(max_examples=150, deadline=None)
@given(pairs())
def test_distances_are_those_of_a_search_of_every_pair(pair):
    prediction, truth, spacing = pair
    if not prediction.any() or not truth.any():
        return
    ours = surface_distances(prediction, truth, spacing)
    for mine, theirs in zip(ours, brute_force(prediction, truth, np.array(spacing)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(pairs(), st.integers(0, 4))
def test_what_the_distances_do_not_depend_on(pair, padding):
    prediction, truth, spacing = pair
    here = surface_metrics(prediction, truth, spacing)
    swapped = surface_metrics(truth, prediction, spacing)
    assert all(here[name] == pytest.approx(swapped[name]) for name in ("assd", "hd95", "hd95_max"))
    assert surface_metrics(truth, truth, spacing) == dict.fromkeys(REDUCTIONS, 0.0)
    turned = surface_metrics(prediction.T, truth.T, spacing[::-1])
    assert turned == pytest.approx(here)
    larger = surface_metrics(prediction, truth, [2 * s for s in spacing])
    assert larger == pytest.approx({name: 2 * value for name, value in here.items()})
    if prediction.any() and truth.any():
        moved = surface_metrics(np.pad(prediction, padding), np.pad(truth, padding), spacing)
        assert moved == pytest.approx(here)


def test_a_dilated_mask_is_one_voxel_away():
    truth = np.zeros((40, 40, 40), bool)
    truth[10:30, 10:30, 10:30] = True
    grown = binary_dilation(truth)
    assert surface_metrics(truth, grown)["asd"] == pytest.approx(1.0)


def test_a_mask_that_ends_at_what_is_not_known_has_no_surface_there():
    """Of one known slice in a volume the distances are those in that slice alone, by MedPy."""
    rng = np.random.default_rng(0)
    first, second = (gaussian_filter(rng.normal(size=(24, 20)), 2) > 0 for _ in range(2))
    masks = np.zeros((2, 24, 20, 5), np.bool_)
    masks[0, :, :, 2], masks[1, :, :, 2] = first, second
    unknown = np.ones((24, 20, 5), np.bool_)
    unknown[:, :, 2] = False
    for order in ("C", "F"):
        arrays = [np.asarray(each, order=order) for each in (*masks, unknown)]
        found = surface_distances(arrays[0], arrays[1], (1.0, 2.0, 3.0), arrays[2])
        assert REDUCTIONS["assd"](found) == pytest.approx(medpy.assd(first, second, (1.0, 2.0)))
        assert REDUCTIONS["hd95"](found) == pytest.approx(medpy.hd95(first, second, (1.0, 2.0)))
        cut = surface_distances(arrays[0], arrays[1], (1.0, 2.0, 3.0))
        assert REDUCTIONS["assd"](cut) < REDUCTIONS["assd"](found)  # faces that agree in being cut


def test_without_a_known_surface_there_is_no_distance():
    mask = np.zeros((6, 6), np.bool_)
    mask[2:4, 2:4] = True
    assert [part.size for part in surface_distances(mask, mask, (1.0, 1.0), ~mask)] == [0, 0]
