"""Agreement of two label maps: kinds, coarser grids, outlines, Dice of a slice."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tui.plotting.agreement import (
    ADDED,
    AGREED,
    MISSED,
    NOTHING,
    SWAPPED,
    codes_of,
    edges,
    fitted,
    kind_of,
    letters_of,
    overlaps,
    wrong_slices,
)  # fmt: skip

TRUTH = np.array([[0, 1, 1, 2]], np.uint8)
GUESS = np.array([[2, 1, 0, 1]], np.uint8)


def test_kinds_and_classes() -> None:
    codes = codes_of(TRUTH, GUESS)
    assert kind_of(codes).tolist() == [[ADDED, AGREED, MISSED, SWAPPED]]
    assert (codes & 255).tolist() == GUESS.tolist()
    assert (codes >> 8 & 255).tolist() == TRUTH.tolist()
    assert kind_of(codes_of(TRUTH, GUESS, only=2)).tolist() == [[ADDED, NOTHING, NOTHING, MISSED]]


def test_an_error_outlives_every_coarser_grid() -> None:
    truth, guess = np.ones((60, 70), np.uint8), np.ones((60, 70), np.uint8)
    guess[41, 23] = 0
    codes = codes_of(truth, guess)
    for size in ((60, 70), (31, 33), (7, 5), (2, 1), (100, 140)):
        small = kind_of(fitted(codes, size))
        assert small.shape == size
        assert MISSED in small


def test_outlines_are_of_both_masks() -> None:
    truth, guess = np.zeros((7, 7), np.uint8), np.zeros((7, 7), np.uint8)
    truth[1:6, 1:6] = 1
    guess[1:6, 1:5] = 1
    outline = kind_of(edges(codes_of(truth, guess)))
    assert outline[3].tolist() == [NOTHING, AGREED, NOTHING, NOTHING, AGREED, MISSED, NOTHING]


def test_dice_of_a_slice_is_the_f1_of_its_pixels() -> None:
    truth, guess = np.random.default_rng(0).integers(0, 4, (2, 30, 20)).astype(np.uint8)
    for each in overlaps(truth, guess):
        label = each.place + 1
        assert each.dice == pytest.approx(f1_score((truth == label).ravel(), (guess == label).ravel()))
    assert [each.place for each in overlaps(TRUTH * 0, GUESS)] == [0, 1]
    assert overlaps(TRUTH * 0, TRUTH * 0) == []


def test_slices_with_errors() -> None:
    truth = np.zeros((5, 4, 4), np.uint8)
    guess = truth.copy()
    guess[[1, 4], 2, 2] = 1
    assert wrong_slices(truth, guess).tolist() == [1, 4]


def test_letters_differ() -> None:
    names = ["liver", "lung", "lesion", "l", "Leber", "\u80dd", "7"]
    letters = letters_of(names)
    assert letters[:3] == ["L", "U", "E"]
    assert len(set(letters)) == len(names)
    assert len(letters_of([f"c{n}" for n in range(60)])) == 60
