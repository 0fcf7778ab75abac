"""Intervals against statsmodels, SciPy, a hand-worked example and simulation, and what has none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from engine.metrics.intervals import (
    ALL_EQUAL,
    RESAMPLES_AGREE,
    Estimate,
    mean_interval,
    parted,
    percentile_interval,
    resamples_of,
    share_interval,
    unit_index,
)


def all_resamples(*args, **kwargs):
    return np.concatenate(list(resamples_of(*args, **kwargs)))


# ------------------------------------------------------------------------------------------- shares


@settings(max_examples=200, deadline=None)
@given(st.integers(5, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_of_cases_has_statsmodels_wilson_interval(counts):
    right, n = counts
    expected = proportion_confint(right, n, method="wilson")
    assert share_interval(np.arange(n) < right).interval == pytest.approx(expected, abs=1e-12)


def test_twenty_of_twenty_right_is_no_certainty():
    """Wilson (1927): 20 / (20 + 1.96^2) = 0.8389."""
    assert share_interval([True] * 20).interval == pytest.approx((20 / (20 + 1.959964**2), 1.0), abs=1e-6)


def test_a_share_lies_in_its_interval_to_the_last_bit():
    for n in range(5, 300):
        assert share_interval(np.ones(n, bool)).interval[1] == 1
        assert share_interval(np.zeros(n, bool)).interval[0] == 0


def test_a_clustered_share_by_hand():
    """Six pairs, four right twice and two wrong twice: 12 cases that count as 6.

    p = 2/3, sum of squared deviations of the groups 4 (2/3)^2 + 2 (4/3)^2 = 16/3, variance 6/5 (16/3) / 144 = 2/45,
    effective n = (2/9) / (2/45) = 5, but never fewer than 144 / 24 = 6 groups; t of 5 degrees of freedom 2.5706.
    """
    groups = [str(i // 2) for i in range(12)]
    z2 = stats.t.ppf(0.975, 5) ** 2
    centre = (2 / 3 + z2 / 12) / (1 + z2 / 6)
    half = math.sqrt(z2) / (1 + z2 / 6) * math.sqrt(2 / 9 / 6 + z2 / (4 * 36))
    expected = centre - half, centre + half
    assert share_interval([True] * 8 + [False] * 4, groups).interval == pytest.approx(expected)


def test_groups_that_disagree_within_are_as_good_as_cases():
    right = [True, False] * 20
    groups = [str(i // 2) for i in range(40)]
    z = stats.t.ppf(0.975, 19)
    expected = proportion_confint(20, 40, alpha=2 * stats.norm.sf(z), method="wilson")
    assert share_interval(right, groups).interval == pytest.approx(expected)


# ------------------------------------------------------------------------------------------- means


def test_without_skewness_a_mean_has_students_interval():
    values = np.concatenate([np.arange(1.0, 11.0), -np.arange(1.0, 11.0)])
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(values).interval == pytest.approx(expected)
    assert mean_interval(values).error == pytest.approx(stats.sem(values))


def test_a_skewed_mean_is_halls_transformation_solved_numerically():
    """The bounds are where t + a (t^2 / 3 + 1/6) / sqrt(n) + a^2 t^3 / 27n, which has no skewness, is Student's."""
    values = np.random.default_rng(0).lognormal(size=30)
    n, error, t = 30, stats.sem(values), stats.t.ppf(0.975, 29)
    a = stats.skew(values, bias=False) * (1 + 4 / n)
    roots = [
        np.roots([a**2 / (27 * n), a / (3 * math.sqrt(n)), 1.0, a / (6 * math.sqrt(n)) - quantile])
        for quantile in (t, -t)
    ]
    above, below = (float(root[np.abs(root.imag).argmin()].real) for root in roots)
    hall = values.mean() - above * error, values.mean() - below * error
    student = values.mean() - t * error, values.mean() + t * error
    low, high = mean_interval(values).interval
    assert high == pytest.approx(hall[1])
    assert low == pytest.approx(hall[0] + (1 - 3 / n) * (student[0] - hall[0]))


def test_a_long_tail_is_answered_on_its_side():
    values = np.random.default_rng(0).lognormal(size=30)
    low, high = mean_interval(values).interval
    assert high - values.mean() > 1.3 * (values.mean() - low)
    mirrored = mean_interval(-values).interval
    assert mirrored == pytest.approx((-high, -low))


def test_an_interval_ends_where_values_do():
    dice = [0.99, 0.98, 1.0, 0.99, 0.60, 0.97]
    free, cut = mean_interval(dice).interval, mean_interval(dice, limits=(0.0, 1.0)).interval
    assert free[1] > 1.0
    assert cut == (free[0], 1.0)


def test_coverage_of_a_mean():
    """95 of 100 intervals hold the true mean; the whole table is in docs/statistics.md."""
    rng = np.random.default_rng(5)
    draws = {
        "normal": (lambda: rng.normal(size=6), 0.0),
        "Dice-like": (lambda: rng.beta(18, 2, 6), 0.9),
        "distance-like": (lambda: rng.lognormal(0, 1, 20), math.exp(0.5)),
    }
    for name, (draw, mean) in draws.items():
        intervals = [mean_interval(draw()).interval for _ in range(1000)]
        share = np.mean([low <= mean <= high for low, high in intervals])
        assert 0.93 <= share <= 0.97, (name, share)


def test_coverage_of_a_clustered_mean():
    rng = np.random.default_rng(6)
    groups = [str(i) for i in np.repeat(np.arange(20), 4)]
    hits = 0
    for _ in range(1000):
        values = np.repeat(rng.normal(size=20), 4) + rng.normal(size=80)
        low, high = mean_interval(values, groups).interval
        hits += low <= 0 <= high
    assert 930 <= hits <= 970


def test_groups_of_one_are_cases():
    values = [0.1, 0.5, 0.9, 0.7, 0.2]
    assert mean_interval(values, list("vwxyz")) == mean_interval(values)
    assert share_interval([True, False, True, True, True], list("vwxyz")) == share_interval([1, 0, 1, 1, 1])


def test_equal_cases_of_a_group_say_nothing_more():
    rng = np.random.default_rng(3)
    facts = rng.normal(size=20)
    values, groups = np.repeat(facts, 10), [str(i) for i in np.repeat(np.arange(20), 10)]
    assert mean_interval(values, groups).interval == pytest.approx(mean_interval(facts).interval)


# ------------------------------------------------------------------------------------------- none


@pytest.mark.parametrize(
    ("values", "groups", "reason"),
    [
        ([], None, "not measured"),
        ([None, None], None, "not measured"),
        ([0.5], None, "1 case; an interval needs 5"),
        ([0.5, 0.6, 0.7, 0.4, None, float("nan")], None, "4 cases; an interval needs 5"),
        ([0.5, 0.6, 0.7, 0.4, 0.1, 0.2], list("aabbcc"), "3 groups; an interval needs 5"),
        ([0.7] * 6, None, ALL_EQUAL),
        ([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3], None, ALL_EQUAL),
    ],
)
def test_where_nothing_can_be_said_there_is_none_and_why(values, groups, reason):
    estimate = mean_interval(values, groups)
    assert (estimate.interval, estimate.reason) == (None, reason)


def test_few_cases_have_no_share():
    assert share_interval([True, True]).reason == "2 cases; an interval needs 5"
    assert share_interval([]).reason == "not measured"
    assert share_interval([True] * 8, list("aabbccdd")).reason == "4 groups; an interval needs 5"


def test_metrics_json_has_a_reason_for_each_null():
    found = {"dice": Estimate((0.1, 0.2)), "asd": Estimate(reason="not measured")}
    assert parted(found) == ({"dice": (0.1, 0.2)}, {"asd": "not measured"})


def test_groups_that_do_not_fit_are_refused():
    for interval in (mean_interval, share_interval):
        with pytest.raises(ValueError, match="3 groups for 2 cases"):
            interval([0.1, 0.2], ["a", "b", "c"])


# ------------------------------------------------------------------------------------------- bootstrap


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


def test_blocks_do_not_change_the_shape_of_the_draws(monkeypatch):
    monkeypatch.setattr("engine.metrics.intervals._CHUNK", 50)
    counts = all_resamples(20, resamples=101)
    assert counts.shape == (101, 20)
    assert (counts.sum(axis=1) == 20).all()


def test_the_expanded_percentile_interval_by_hand():
    """Hesterberg (2015): for n = 10 the tails are those of z = sqrt(10/9) 2.262, 0.0085 each."""
    tail = stats.norm.cdf(-math.sqrt(10 / 9) * stats.t.ppf(0.975, 9))
    assert percentile_interval(np.arange(101.0), 10).interval == pytest.approx((100 * tail, 100 * (1 - tail)))


def test_of_a_normal_mean_it_is_as_wide_as_students():
    values = np.random.default_rng(0).normal(size=12)
    means = np.concatenate([c @ values / 12 for c in resamples_of(12, resamples=40_000)])
    low, high = percentile_interval(means, 12).interval
    student = stats.ttest_1samp(values, 0).confidence_interval()
    assert high - low == pytest.approx(student.high - student.low, rel=0.03)


def test_resamples_that_are_undefined_or_agree():
    values = np.concatenate([np.arange(101.0), np.full(50, np.nan)])
    assert percentile_interval(values, 400).interval == pytest.approx((2.5, 97.5), abs=0.1)
    assert percentile_interval(np.array([np.nan, 1.0, np.nan]), 9).reason == "undefined in most resamples"
    assert percentile_interval(np.ones(100), 9).reason == RESAMPLES_AGREE
    assert percentile_interval(np.arange(9.0), 4).reason == "4 cases; an interval needs 5"
