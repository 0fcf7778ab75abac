"""Slices show the patient as radiologists do, and the contours lie where the masks are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.figures.slices import chosen, cut, draw, round_length
from engine.figures.volume import read_volume
from engine.readers.run import Example, FigureError, RunData
from engine.runfolder import RunFolder


def _example(affine: np.ndarray, spacing: tuple[float, ...] = (1.0, 2.0, 3.0), **changes: np.ndarray) -> Example:
    """A mask whose voxel (1, 2, 3) of (6, 8, 10) is in the truth, and (4, 5, 3) in the prediction."""
    truth, prediction = np.zeros((6, 8, 10), np.uint8), np.zeros((6, 8, 10), np.uint8)
    truth[1, 2, 3] = 1
    prediction[4, 5, 3] = 1
    image = np.arange(480, dtype=np.float32).reshape(1, 6, 8, 10)
    arrays = {"image": image, "truth": truth, "prediction": prediction, "spacing": np.array(spacing), "affine": affine}
    return Example(Path("x.npz"), "x", "test", "best", {**arrays, **changes})


def test_the_patients_right_is_on_the_left_and_the_front_is_above() -> None:
    volume = read_volume(_example(np.diag([1.0, 2.0, 3.0, 1.0])))
    plane = cut(volume, 2)
    rows, columns = np.nonzero(plane.truth)
    assert (rows[0], columns[0]) == (2, 6 - 1 - 1)  # rows are drawn upwards: y; columns are mirrored: x
    assert plane.name == "axial 4"
    assert plane.letters == "RLPA"
    assert plane.extent == (0.0, 6.0, 0.0, 16.0)


def test_a_volume_stored_the_other_way_round_looks_the_same() -> None:
    straight = read_volume(_example(np.diag([1.0, 2.0, 3.0, 1.0])))
    example = _example(np.diag([-1.0, 2.0, 3.0, 1.0]))
    flipped = {
        name: np.ascontiguousarray(example.arrays[name][..., ::-1, :, :]) for name in ("image", "truth", "prediction")
    }
    turned = read_volume(Example(example.path, "x", "test", "best", {**example.arrays, **flipped}))
    assert np.array_equal(turned.truth, straight.truth)
    assert np.array_equal(turned.image, straight.image)


def test_the_spacing_follows_its_axis() -> None:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 1.0, 2.0, 3.0, 1.0  # stored as (S, R, A)
    volume = read_volume(_example(affine))
    assert volume.truth.shape == (8, 10, 6)
    assert volume.spacing == (2.0, 3.0, 1.0)


def test_without_a_geometry_planes_are_named_by_axes_and_measured_in_voxels() -> None:
    volume = read_volume(_example(np.zeros(0), ()))
    plane = cut(volume, 1)
    assert (volume.unit, volume.oriented) == ("voxel", False)
    assert plane.letters == ""
    assert plane.name.startswith("xz plane, y")


def test_the_slice_with_the_most_foreground_is_shown_and_an_empty_case_shows_its_middle() -> None:
    example = _example(np.zeros(0))
    example.arrays["truth"][:, :, 7] = 1
    assert cut(read_volume(example), 2).name == "xy plane, z 8"
    nothing = np.zeros((6, 8, 10), np.uint8)
    empty = read_volume(_example(np.zeros(0), truth=nothing, prediction=nothing))
    assert empty.empty == "truth and prediction are empty"
    assert cut(empty, 2).name == "xy plane, z 6"
    assert cut(empty, 2).box == cut(empty, 2).extent


def test_the_box_holds_both_masks_and_keeps_the_proportions() -> None:
    plane = cut(read_volume(_example(np.diag([1.0, 2.0, 3.0, 1.0]))), 2)
    left, right, bottom, top = plane.box
    assert left >= 0
    assert bottom >= 0
    assert right <= plane.extent[1] + 1e-9
    assert top <= plane.extent[3] + 1e-9
    assert (top - bottom) / (right - left) == pytest.approx(plane.extent[3] / plane.extent[1])


def test_a_caption_says_of_how_many_cases_and_what_the_numbers_and_letters_are(
    atrium: RunFolder, hippocampus: RunFolder, tmp_path: Path
) -> None:
    captions = [
        draw(run, chosen(run)[0].path, tmp_path / "a.png").caption for run in (RunData(atrium), RunData(hippocampus))
    ]
    assert captions[0].startswith("Best of the 6 cases of the test split by Dice (0.")
    assert "Classes:" not in captions[0]
    assert "another class" not in captions[0]
    assert "Best of the 5 cases" in captions[1]
    assert "Classes: 1 anterior, 2 posterior." in captions[1]
    assert ["patient's right" in caption for caption in captions] == [False, True]


def test_arrays_that_do_not_fit_are_refused_in_one_line() -> None:
    with pytest.raises(FigureError, match="prediction"):
        read_volume(_example(np.zeros(0), prediction=np.zeros((6, 8, 9), np.uint8)))


@pytest.mark.parametrize(("length", "bar"), [(37.0, 20.0), (50.0, 50.0), (0.9, 0.5), (1234.0, 1000.0), (2.0, 2.0)])
def test_scale_bars_have_round_lengths(length: float, bar: float) -> None:
    assert round_length(length) == pytest.approx(bar)


def test_where_the_truth_is_not_known_a_plane_says_so_in_the_axes_of_the_patient() -> None:
    unknown = np.zeros((6, 8, 10), bool)
    unknown[0, 7, 3] = True
    plane = cut(read_volume(_example(np.diag([1.0, 2.0, 3.0, 1.0]), unknown=unknown)), 2)
    assert np.argwhere(plane.unknown).tolist() == [[7, 5]]
    plane = cut(read_volume(_example(np.diag([1.0, 2.0, 3.0, 1.0]))), 2)
    assert not plane.unknown.any()
