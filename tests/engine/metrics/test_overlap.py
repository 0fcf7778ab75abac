"""Dice and Jaccard against MedPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from medpy.metric import binary as medpy

from engine.metrics.masks import mask_pair
from engine.metrics.overlap import dice, overlap

pairs = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def jaccard(prediction, truth):
    return overlap(*mask_pair(prediction, truth))[1]


@settings(max_examples=400, deadline=None)
@given(pairs)
def test_equal_medpy_where_medpy_has_a_value(pair):
    prediction, truth = pair
    if prediction.any() or truth.any():
        assert dice(prediction, truth) == pytest.approx(medpy.dc(prediction, truth), abs=1e-12)
        assert jaccard(prediction, truth) == pytest.approx(medpy.jc(prediction, truth), abs=1e-12)
    else:
        assert dice(prediction, truth) == jaccard(prediction, truth) == 1.0


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_one_follows_from_the_other(pair):
    d, j = dice(*pair), jaccard(*pair)
    assert 0 <= j <= d <= 1
    assert d == pytest.approx(2 * j / (1 + j))


def test_by_hand():
    prediction, truth = np.array([1, 1, 1, 0, 0]), np.array([0, 1, 1, 1, 1])
    assert dice(prediction, truth) == pytest.approx(4 / 7)
    assert jaccard(prediction, truth) == pytest.approx(2 / 5)


def test_one_empty_mask_is_worth_nothing():
    assert dice(np.zeros(4), np.ones(4)) == jaccard(np.ones(4), np.zeros(4)) == 0.0


def test_probabilities_are_refused():
    with pytest.raises(ValueError, match="threshold"):
        dice(np.full(4, 0.4), np.ones(4))
    with pytest.raises(ValueError, match="shape"):
        jaccard(np.ones(4), np.ones(5))
