"""Bootstrap intervals: against SciPy's, against theory, and what has none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.metrics.intervals import bootstrap_mean, bootstrap_means, percentile_interval, resamples_of, unit_index


def all_resamples(*args, **kwargs):
    return np.concatenate(list(resamples_of(*args, **kwargs)))


def test_close_to_scipys_bootstrap():
    values = np.random.default_rng(0).normal(0.85, 0.05, size=40)
    ours = bootstrap_mean(values, resamples=20_000, seed=1)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2).confidence_interval
    assert ours == pytest.approx(theirs, abs=5e-4)


def test_every_resample_draws_as_many_cases_as_there_are():
    counts = all_resamples(17, resamples=300)
    assert counts.shape == (300, 17)
    assert (counts.sum(axis=1) == 17).all()
    assert counts.mean() == pytest.approx(1.0)
    # A case is drawn a binomial number of times: the share of none is (1 - 1/17)^17.
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 17) ** 17, abs=0.02)


def test_a_group_comes_with_all_its_cases():
    groups = ["a", "b", "a", None, "c", "b", ""]
    counts = all_resamples(7, groups, resamples=200)
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 1] == counts[:, 5]).all()
    units = counts[:, [0, 1, 3, 4, 6]]  # a, b, c and the two cases without a group
    assert (units.sum(axis=1) == 5).all()


def test_units_are_numbered_as_they_appear():
    units, count = unit_index(5, ["b", None, "b", "a", None])
    assert units.tolist() == [0, 1, 0, 2, 3]
    assert count == 4


def test_groups_of_one_are_cases():
    values = [0.1, 0.5, 0.9, 0.7]
    assert bootstrap_mean(values, ["w", "x", "y", "z"]) == bootstrap_mean(values)


def test_the_cluster_bootstrap_is_wider_where_groups_agree():
    rng = np.random.default_rng(3)
    values = np.repeat(rng.normal(size=20), 10)  # ten equal cases a patient: 20 facts, not 200
    groups = [str(i) for i in np.repeat(np.arange(20), 10)]
    low, high = bootstrap_mean(values, groups)
    naive = bootstrap_mean(values)
    assert high - low > 2.5 * (naive[1] - naive[0])
    error = values.std() / np.sqrt(20)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_coverage_of_the_mean():
    """About 95 of 100 intervals of normal samples hold the true mean (a little less, as the percentile method)."""
    rng = np.random.default_rng(5)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_mean(rng.normal(size=50), resamples=400, seed=seed)
        hits += low <= 0 <= high
    assert 178 <= hits <= 198


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(12)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_blocks_do_not_change_the_shape_of_the_draws(monkeypatch):
    monkeypatch.setattr("engine.metrics.intervals._CHUNK", 50)
    counts = all_resamples(20, resamples=101)
    assert counts.shape == (101, 20)
    assert (counts.sum(axis=1) == 20).all()


@pytest.mark.parametrize(
    ("values", "groups"),
    [([], None), ([0.5], None), ([0.5, 0.6], ["a", "a"]), ([None, 0.6, float("nan")], None), ([None, None], None)],
)
def test_fewer_than_two_units_have_no_interval(values, groups):
    assert bootstrap_mean(values, groups) is None


def test_cases_not_measured_are_left_out_of_the_mean():
    low, high = bootstrap_mean([1.0, None, 3.0, None], resamples=500)
    assert (low, high) == (1.0, 3.0)


def test_columns_share_their_resamples():
    table = np.random.default_rng(0).normal(size=(12, 3))
    table[:, 2] = table[:, 0]
    first, second, third = bootstrap_means(table)
    assert first == third
    assert first == bootstrap_mean(table[:, 0])
    assert second == bootstrap_mean(table[:, 1])


def test_undefined_resamples_are_dropped():
    assert percentile_interval(np.array([np.nan, 1.0, np.nan])) is None
    assert percentile_interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 groups for 2 cases"):
        bootstrap_mean([0.1, 0.2], ["a", "b", "c"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.integers(0, 5))
def test_an_interval_lies_within_the_values(values, seed):
    low, high = bootstrap_mean(values, resamples=50, seed=seed)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
