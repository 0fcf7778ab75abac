"""Paired tests against SciPy, statsmodels, brute force and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from engine.metrics.classification import summarise
from engine.metrics.compare import (
    PairedTest,
    bootstrap_difference,
    classification_differences,
    delong,
    holm,
    mcnemar,
    placements,
    wilcoxon,
)
from engine.metrics.intervals import bootstrap_mean

# ------------------------------------------------------------------------------------------- Wilcoxon


@pytest.mark.parametrize("n", [2, 6, 13, 20, 49, 80])
def test_wilcoxon_is_scipys(n):
    rng = np.random.default_rng(n)
    first, second = rng.normal(0.85, 0.05, n), rng.normal(0.83, 0.05, n)
    test = wilcoxon(first, second)
    theirs = stats.wilcoxon(first, second)
    assert (test.statistic, test.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-12)
    assert test.difference == pytest.approx(first.mean() - second.mean())
    assert test.ci95 == bootstrap_mean(first - second)
    assert (test.test, test.n) == ("wilcoxon", n)


@pytest.mark.parametrize("n", [5, 10, 30, 60])
def test_wilcoxon_with_ties_and_zeros_is_scipys(n):
    rng = np.random.default_rng(n)
    first, second = rng.integers(0, 4, n) / 4, rng.integers(0, 4, n) / 4
    theirs = stats.wilcoxon(first, second)
    assert wilcoxon(first, second).p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_wilcoxon_by_hand():
    """Differences 1, 2, 3, 4: all of one sign, so 2 of 2^4 signs are as extreme."""
    test = wilcoxon([2.0, 4.0, 6.0, 8.0], [1.0, 2.0, 3.0, 4.0])
    assert (test.statistic, test.p) == pytest.approx((0.0, 2 / 16))


def test_wilcoxon_where_nothing_differs_or_nothing_was_measured():
    same = wilcoxon([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert (same.p, same.difference, same.n) == (1.0, 0.0, 3)
    assert wilcoxon([None, 0.5], [0.4, None]) == PairedTest("wilcoxon", 0)
    assert wilcoxon([], []) == PairedTest("wilcoxon", 0)
    assert wilcoxon([0.9], [0.5]).ci95 is None


def test_wilcoxon_leaves_out_pairs_that_were_not_measured():
    first, second = [0.9, None, 0.8, 0.7, float("nan")], [0.5, 0.4, 0.6, 0.2, 0.1]
    assert wilcoxon(first, second) == wilcoxon([0.9, 0.8, 0.7], [0.5, 0.6, 0.2])


def test_wilcoxon_averages_a_group_first():
    first, second = np.array([0.9, 0.7, 0.8, 0.6]), np.array([0.5, 0.5, 0.7, 0.65])
    test = wilcoxon(first, second, ["p", "p", "q", None])
    assert test.p == stats.wilcoxon([0.3, 0.1, -0.05]).pvalue
    assert test.difference == pytest.approx((first - second).mean())
    assert test.n == 4


def test_values_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="do not pair"):
        wilcoxon([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="do not pair"):
        mcnemar([True], [True, False])
    with pytest.raises(ValueError, match="do not pair"):
        delong([1, 0], [0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match="do not pair"):
        classification_differences([0], [[0.5, 0.5]], [[0.2, 0.3, 0.5]])


# ------------------------------------------------------------------------------------------- McNemar


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemar_is_statsmodels(pairs):
    first, second = np.array(pairs).T
    table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
    theirs = statsmodels_mcnemar(table, exact=True)
    test = mcnemar(first, second, resamples=5)
    assert (test.statistic, test.p) == pytest.approx((theirs.statistic, min(1.0, theirs.pvalue)), abs=1e-12)
    assert test.difference == pytest.approx(first.mean() - second.mean())


def test_mcnemar_by_hand():
    """One case for the one and five for the other: 2 * (1 + 6) / 2^6."""
    first = np.array([1] + [0] * 5 + [1] * 10, dtype=bool)
    second = np.array([0] + [1] * 5 + [1] * 10, dtype=bool)
    assert mcnemar(first, second).p == pytest.approx(14 / 64)
    assert mcnemar([], []) == PairedTest("mcnemar", 0)


# ------------------------------------------------------------------------------------------- DeLong


def kernel(positives, negatives):
    """The Mann-Whitney kernel of every pair, as DeLong et al. (1988) define it."""
    pair = np.asarray(positives)[:, None] - np.asarray(negatives)[None]
    return (pair > 0) + 0.5 * (pair == 0)


def delong_of_every_pair(targets, first, second):
    kernels = [kernel(s[targets], s[~targets]) for s in (first, second)]
    aucs = [k.mean() for k in kernels]
    of_positive = np.cov([k.mean(axis=1) for k in kernels], ddof=1) / targets.sum()
    of_negative = np.cov([k.mean(axis=0) for k in kernels], ddof=1) / (~targets).sum()
    covariance = of_positive + of_negative
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    z = (aucs[0] - aucs[1]) / math.sqrt(variance)
    return z, math.erfc(abs(z) / math.sqrt(2)), aucs[0] - aucs[1]


def random_scores(rng, n, coarse):
    targets = rng.random(n) < 0.4
    targets[:2], targets[2:4] = True, False
    signal = targets + rng.normal(size=n)
    scores = [signal + rng.normal(scale=s, size=n) for s in (0.5, 1.5)]
    return targets, *(np.round(s) if coarse else s for s in scores)


@pytest.mark.parametrize("coarse", [False, True])
def test_delong_is_the_sum_over_every_pair(coarse):
    rng = np.random.default_rng(1)
    for _ in range(150):
        targets, first, second = random_scores(rng, int(rng.integers(8, 60)), coarse)
        test = delong(targets, first, second)
        if test.p is None or test.statistic == 0:
            continue
        expected = delong_of_every_pair(targets, first, second)
        assert (test.statistic, test.p, test.difference) == pytest.approx(expected, abs=1e-9)
        aucs = [sk.roc_auc_score(targets, s) for s in (first, second)]
        assert test.difference == pytest.approx(aucs[0] - aucs[1], abs=1e-12)
        parts = placements(targets, np.stack([first, second]))
        assert [part.mean(axis=1) for part in parts] == [pytest.approx(aucs), pytest.approx(aucs)]
        assert sum(test.ci95) / 2 == pytest.approx(test.difference)


def test_delong_agrees_with_the_bootstrap():
    targets, first, second = random_scores(np.random.default_rng(2), 400, coarse=False)
    test = delong(targets, first, second)

    def as_probabilities(scores):
        positive = 1 / (1 + np.exp(-scores))
        return np.stack([1 - positive, positive], axis=1)

    drawn = classification_differences(targets, as_probabilities(first), as_probabilities(second), resamples=4000)
    assert drawn["auc"].difference == pytest.approx(test.difference, abs=1e-12)
    assert drawn["auc"].ci95 == pytest.approx(test.ci95, abs=0.006)


def test_delong_keeps_its_level():
    """Two models that are equally good: p under 0.05 in about 5 % of the samples."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        targets = np.arange(80) < 35
        scores = (targets + rng.normal(size=80))[None] + rng.normal(size=(2, 80))
        hits += delong(targets, *scores).p < 0.05
    assert 8 <= hits <= 34


def test_delong_of_one_ranking_is_no_difference():
    targets, first, _ = random_scores(np.random.default_rng(4), 30, coarse=True)
    test = delong(targets, first, np.exp(first))
    assert (test.statistic, test.p, test.difference) == (0.0, 1.0, 0.0)


def test_delong_without_what_it_needs():
    perfect, flat = [0.0, 0.1, 0.8, 0.9], [0.5] * 4
    test = delong([0, 0, 1, 1], perfect, flat)
    assert (test.difference, test.p) == (0.5, None)
    assert delong([0, 0, 0, 1], perfect, flat).difference is None
    with pytest.raises(ValueError, match="NaN"):
        delong([0, 1], [np.nan, 0.1], [0.1, 0.2])


# ------------------------------------------------------------------------------------------- bootstrap


def test_bootstrap_difference():
    rng = np.random.default_rng(5)
    first = rng.normal(0.9, 0.05, 40)
    better = bootstrap_difference(first, first - rng.normal(0.03, 0.02, 40))
    assert better.ci95[0] > 0
    assert better.p == pytest.approx(2 / 1001)
    alike = bootstrap_difference(first, first - rng.normal(0.0, 0.02, 40))
    assert alike.ci95[0] < 0 < alike.ci95[1]
    assert alike.p > 0.05
    assert bootstrap_difference(first, first).p == 1.0
    assert bootstrap_difference([], []) == PairedTest("bootstrap", 0)
    assert bootstrap_difference([0.5], [0.4]) == PairedTest("bootstrap", 1, pytest.approx(0.1))


def test_the_interval_of_the_difference_is_that_of_the_mean():
    rng = np.random.default_rng(6)
    first, second = rng.random(25), rng.random(25)
    groups = [str(i // 2) for i in range(25)]
    assert bootstrap_difference(first, second, groups).ci95 == pytest.approx(bootstrap_mean(first - second, groups))


def test_differences_of_two_classifiers():
    rng = np.random.default_rng(7)
    targets = rng.integers(3, size=90)
    good, poor = (rng.dirichlet(np.ones(3), size=90) + weight * np.eye(3)[targets] for weight in (0.6, 0.1))
    pair = [p / p.sum(axis=1, keepdims=True) for p in (good, poor)]
    tests = classification_differences(targets, *pair)
    summaries = [summarise(targets, p, list("abc"), protocol="", bootstrap=0) for p in pair]
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_weighted", "auc"):
        assert tests[name].difference == pytest.approx(summaries[0][name] - summaries[1][name])
        assert tests[name].ci95[0] > 0
        assert tests[name].p < 0.05
    assert tests["auc:1"].difference == pytest.approx(
        summaries[0]["per_class"]["b"]["auc"] - summaries[1]["per_class"]["b"]["auc"]
    )
    none = classification_differences(targets, pair[0], pair[0])["f1"]
    assert (none.difference, none.p) == (0.0, 1.0)
    assert classification_differences([], np.zeros((0, 2)), np.zeros((0, 2))) == {}


# ------------------------------------------------------------------------------------------- Holm


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(p_values):
    theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(theirs), abs=1e-12)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.02, None, 0.01]) == [pytest.approx(0.02), None, pytest.approx(0.02)]
    assert holm([]) == []
