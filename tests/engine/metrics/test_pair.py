"""The metrics of two masks that are neither overlap nor plain surface distance, against others and by hand."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import torch
from medpy.metric import binary as medpy
from monai.metrics import compute_surface_dice

from engine.errors import UsageError
from engine.metrics.pair import MaskPair, computes, measure_pair, normalised_surface_dice
from engine.metrics.segmentation import case_metrics

EVERY = frozenset({"surface_validation", "all_voxel_distances"})


def pair_of(prediction, truth, spacing=None, tolerance=1.0) -> MaskPair:
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    return MaskPair(prediction, truth, tuple(spacing or (1.0,) * truth.ndim), truth.shape, tolerance)


def blobs(rng, shape=(14, 15, 16)):
    """A random mask with a margin of background, for MONAI counts no border of the image as surface."""
    mask = np.zeros(shape, bool)
    low = rng.integers(1, 5, size=3)
    high = low + rng.integers(2, 8, size=3)
    mask[tuple(map(slice, low, high))] = True
    mask &= rng.random(shape) < 0.9
    mask[tuple(low)] = True
    return mask


@pytest.mark.parametrize("tolerance", [0.0, 0.7, 1.0, 2.0, 3.3])
def test_the_normalised_surface_dice_is_that_of_monai(tolerance):
    rng = np.random.default_rng(5)
    for _ in range(20):
        masks, spacing = (blobs(rng), blobs(rng)), tuple(rng.uniform(0.5, 2.5, size=3))
        one_hot = [torch.from_numpy(mask)[None, None] for mask in masks]
        theirs = compute_surface_dice(*one_hot, [tolerance], include_background=True, spacing=spacing).item()
        assert normalised_surface_dice(pair_of(*masks, spacing, tolerance)) == pytest.approx(theirs, abs=1e-6)


def test_the_normalised_surface_dice_by_hand():
    # In one dimension the surface of 2..5 is {2, 5} and that of 3..8 is {3, 8}: distances 1, 2 and 1, 3.
    line = np.arange(12)
    prediction, truth = (line >= 2) & (line <= 5), (line >= 3) & (line <= 8)
    shares = {0.0: 0.0, 1.0: 2 / 4, 2.0: 3 / 4, 3.0: 1.0}
    assert {t: normalised_surface_dice(pair_of(prediction, truth, None, t)) for t in shares} == shares
    # 3 steps of 0.1 mm are 0.3 mm, although 3 * 0.1 > 0.3 in floating point.
    assert normalised_surface_dice(pair_of(prediction, truth, (0.1,), 0.3)) == 1.0


def test_distances_of_all_voxels_are_those_of_medpy_with_a_trailing_axis():
    rng = np.random.default_rng(6)
    for _ in range(20):
        masks = blobs(rng), blobs(rng)
        found = measure_pair(pair_of(*masks), EVERY)
        flat = [mask[..., None] for mask in masks]
        assert found["assd_all_voxels"] == pytest.approx(medpy.assd(*flat), abs=1e-9)
        assert found["hd95_all_voxels"] == pytest.approx(medpy.hd95(*flat), abs=1e-9)


def test_volume_errors_by_hand():
    truth = np.arange(20) < 10
    found = measure_pair(pair_of(np.arange(20) < 7, truth), frozenset())
    assert (found["volume_error"], found["absolute_volume_error"]) == pytest.approx((-0.3, 0.3))
    assert measure_pair(pair_of(np.arange(20) < 15, truth), frozenset())["volume_error"] == pytest.approx(0.5)


def test_lesions_by_hand():
    truth, found = (np.array([list(row) for row in rows]) == "x" for rows in (
        ("xx....x", ".......", "x..x...", "....x..", "......x"),  # 5: a corner connects the two in the middle
        (".x.....", "......x", "...xx..", ".......", "x......"),
    ))  # fmt: skip
    # Found: the first row's left one, by one voxel, and the middle one. Right beside one is not on it, so of the three
    # predicted parts two are right in the same way, and the two others are false.
    assert pair_of(found, truth).lesions == (5, 2, 2)
    volume = pair_of(found[..., None], truth[..., None], (1.0, 1.0, 3.0))
    assert measure_pair(volume, EVERY)["lesion_sensitivity"] == pytest.approx(2 / 5)
    # One prediction over two lesions finds both; two predictions on one lesion are both right.
    line = np.array([1, 0, 1, 0, 1, 1, 1, 1, 1])
    other = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1])
    assert pair_of(other, line).lesions == (3, 3, 0)
    assert pair_of(line, other).lesions == (3, 3, 0)


def test_lesions_are_those_of_a_graph():
    """Counted again as components of a graph of touching voxels, by networkx."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        masks = [rng.random((5, 6, 7)) < 0.08 for _ in range(2)]
        parts = [graph_components(mask) for mask in masks]
        voxels = [set(map(tuple, np.argwhere(mask).tolist())) for mask in masks]
        found = sum(bool(part & voxels[0]) for part in parts[1])
        false = sum(not part & voxels[1] for part in parts[0])
        assert pair_of(*masks).lesions == (len(parts[1]), found, false)


def graph_components(mask):
    points = list(map(tuple, np.argwhere(mask).tolist()))
    graph = nx.Graph()
    graph.add_nodes_from(points)
    graph.add_edges_from((a, b) for a in points for b in points if max(abs(np.subtract(a, b))) == 1)
    return list(nx.connected_components(graph))


def test_empty_masks():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    both = measure_pair(pair_of(empty, empty), EVERY)
    assert (both["nsd"], both["assd_all_voxels"], both["volume_error"]) == (1.0, 0.0, 0.0)
    missed, made_up = measure_pair(pair_of(empty, full), EVERY), measure_pair(pair_of(full, empty), EVERY)
    for found in (missed, made_up):
        assert (found["nsd"], found["dice"]) == (0.0, 0.0)
        assert found["hd95_all_voxels"] == found["assd"] == pytest.approx(math.hypot(3, 4))
    assert missed["volume_error"] == -1.0
    counts = [[found[name] for name in ("lesions", "lesion_sensitivity", "lesion_false_positives")]
              for found in (both, missed, made_up)]  # fmt: skip
    assert counts == [[0, None, 0], [1, 0, 0], [0, None, 1]]
    assert made_up["volume_error"] is made_up["absolute_volume_error"] is None


def test_only_what_is_asked_for_is_measured():
    masks = np.eye(4), np.eye(4)
    overlap = {"dice", "jaccard", "volume_error", "absolute_volume_error"}
    assert measure_pair(pair_of(*masks), frozenset()).keys() == overlap
    surfaces = measure_pair(pair_of(*masks), frozenset({"surface_validation"})).keys() - overlap
    lesions = {"lesions", "lesion_sensitivity", "lesion_false_positives"}
    assert surfaces == {"nsd", "asd", "assd", "hd95", "hd95_max", *lesions}


def test_a_computation_needs_a_name_in_the_table():
    with pytest.raises(UsageError, match=r'no metric "dic"'):
        computes("dic")


def test_distances_of_a_case_are_those_beside_what_is_known():
    """A crop about the masks keeps what is beside them: the known slice alone, whose masks are a voxel apart."""
    truth, prediction = np.zeros((20, 20, 9), np.uint8), np.zeros((20, 20, 9), np.uint8)
    truth[5:10, 5:10, 4], prediction[6:10, 5:10, 4] = 1, 1
    unknown = np.ones(truth.shape, np.bool_)
    unknown[:, :, 4] = False
    found = case_metrics(prediction, truth, ("organ",), unknown=unknown)["organ"]
    plane = case_metrics(prediction[..., 4], truth[..., 4], ("organ",))["organ"]
    assert {name: found[name] for name in ("dice", "assd", "hd95", "nsd")} == {
        name: plane[name] for name in ("dice", "assd", "hd95", "nsd")
    }
    unknown[:, :, 4] = truth[:, :, 4] == 0  # a scribble: where it ends, nothing is known
    found = case_metrics(truth, truth, ("organ",), unknown=unknown)["organ"]
    assert (found["dice"], found["assd"], found["nsd"]) == (1, None, None)
