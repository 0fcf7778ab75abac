"""Paired tests against SciPy, statsmodels, scikit-learn, brute force and simulation."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from engine.metrics.auc import placements
from engine.metrics.classification import summarise
from engine.metrics.compare import PairedTest, holm, mcnemar, sign_flip_p, wilcoxon
from engine.metrics.compare_classes import classification_differences, delong
from engine.metrics.intervals import mean_interval, resamples_of

# ------------------------------------------------------------------------------------------- Wilcoxon


@pytest.mark.parametrize("n", [2, 6, 13, 20, 49, 80])
def test_wilcoxon_is_scipys(n):
    rng = np.random.default_rng(n)
    first, second = rng.normal(0.85, 0.05, n), rng.normal(0.83, 0.05, n)
    test = wilcoxon(first, second)
    theirs = stats.wilcoxon(first, second)
    assert (test.statistic, test.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-12)
    assert test.difference == pytest.approx(first.mean() - second.mean())
    assert test.ci95 == mean_interval(first - second).interval
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
    assert (wilcoxon([0.9], [0.5]).ci95, wilcoxon([0.9], [0.5]).reason) == (None, "1 case; an interval needs 5")


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
    test = mcnemar(first, second)
    assert (test.statistic, test.p) == pytest.approx((theirs.statistic, min(1.0, theirs.pvalue)), abs=1e-12)
    assert test.difference == pytest.approx(first.mean() - second.mean())


def test_mcnemar_by_hand():
    """One case for the one and five for the other: 2 * (1 + 6) / 2^6."""
    first = np.array([1] + [0] * 5 + [1] * 10, dtype=bool)
    second = np.array([0] + [1] * 5 + [1] * 10, dtype=bool)
    assert mcnemar(first, second).p == pytest.approx(14 / 64)
    assert mcnemar([], []) == PairedTest("mcnemar", 0)


def signs_of(sums):
    """Every choice of signs, one a row."""
    return np.array(np.meshgrid(*[(-1, 1)] * len(sums))).reshape(len(sums), -1).T


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=10))
def test_the_sign_flip_test_is_every_choice_of_signs(sums):
    reached = np.abs(signs_of(sums) @ np.abs(sums)) >= abs(sum(sums))
    assert sign_flip_p(np.array(sums)) == pytest.approx(reached.mean())


def test_mcnemar_with_groups_is_scipys_permutation_test_of_their_sums():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 36)) < [[0.8], [0.6]]
    groups = [str(i // 3) for i in range(36)]
    sums = (first.astype(int) - second).reshape(12, 3).sum(axis=1)
    theirs = stats.permutation_test(
        (sums,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=10_000, vectorized=True
    )
    test = mcnemar(first, second, groups)
    assert test.p == pytest.approx(theirs.pvalue)
    assert test.ci95 == mean_interval(first.astype(float) - second, groups).interval


def pictures_of_lesions(rng, lesions=60, of_each=4):
    """Two equally good classifiers on several pictures a lesion, on which each is right or wrong alike."""
    latent = rng.normal(size=(2, lesions, 1)) + 0.4 * rng.normal(size=(2, lesions, of_each))
    return (latent < 0.8).reshape(2, -1), [str(i) for i in np.repeat(np.arange(lesions), of_each)]


def test_mcnemar_keeps_its_level_where_pictures_share_a_lesion():
    """240 pictures of 60 lesions: cases taken alone would give p < 0.05 five times too often."""
    rng = np.random.default_rng(1)
    samples = [pictures_of_lesions(rng) for _ in range(400)]
    with_groups = np.mean([mcnemar(*right, groups).p < 0.05 for right, groups in samples])
    alone = np.mean([mcnemar(*right).p < 0.05 for right, _ in samples])
    assert with_groups <= 0.06
    assert alone > 0.15


# ------------------------------------------------------------------------------------------- power


def test_cases_needed_is_the_sample_size_of_a_paired_t_test():
    """Difference of half a deviation, 80 % power: 31.4 by the normal formula, 33.4 by statsmodels' exact one."""
    from statsmodels.stats.power import TTestPower

    test = PairedTest("wilcoxon", 10, 0.5, error=1 / math.sqrt(10))
    assert test.cases_needed() == 32
    assert test.cases_needed() == pytest.approx(TTestPower().solve_power(0.5, power=0.8, alpha=0.05), abs=2)
    assert PairedTest("wilcoxon", 10, 0.0, error=0.1).cases_needed() is None
    assert PairedTest("wilcoxon", 10, 1e-6, error=0.1).cases_needed() is None
    assert PairedTest("wilcoxon", 10, 0.1).cases_needed() is None


# ------------------------------------------------------------------------------------------- better or not


@pytest.mark.parametrize("n", [20, 50, 130])
def test_of_equal_models_one_is_called_better_in_at_most_5_percent(n):
    rng = np.random.default_rng(n)
    called = {"dice": 0, "accuracy": 0}
    for _ in range(400):
        dice = rng.beta(18, 2, n) + 0.03 * rng.normal(size=(2, n))
        right = rng.random(n) + 0.4 * rng.normal(size=(2, n)) < 0.9
        for name, test in (("dice", wilcoxon(*dice)), ("accuracy", mcnemar(*right))):
            low, high = test.ci95 or (-1.0, 1.0)
            called[name] += test.p < 0.05 and not low <= 0 <= high
    assert max(called.values()) <= 0.05 * 400 + 2 * math.sqrt(400 * 0.05 * 0.95)


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

    drawn = classification_differences(targets, as_probabilities(first), as_probabilities(second))
    counts = np.concatenate(list(resamples_of(400, resamples=4000)))
    areas = [
        [sk.roc_auc_score(targets, scores, sample_weight=row) for scores in (first, second)] for row in counts[:400]
    ]
    assert drawn["auc"].difference == pytest.approx(test.difference, abs=1e-12)
    assert drawn["auc"].ci95 == pytest.approx(test.ci95, abs=1e-12)
    assert test.error == pytest.approx(np.std(np.subtract(*np.transpose(areas))), rel=0.1)


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


def test_the_exchange_test_is_every_exchange():
    """Six cases have 64 exchanges: many random ones give the share of those that reach the difference."""
    rng = np.random.default_rng(8)
    targets = np.array([0, 0, 0, 1, 1, 2])
    pair = rng.dirichlet(np.ones(3), size=(2, 6))
    guesses = pair.argmax(axis=2)

    def difference(first, second):
        return sk.balanced_accuracy_score(targets, first) - sk.balanced_accuracy_score(targets, second)

    observed = difference(*guesses)
    swaps = (signs_of(range(6)) > 0)[:, None]
    exchanged = np.where(swaps, guesses[::-1], guesses)
    share = np.mean([abs(difference(*one)) >= abs(observed) - 1e-12 for one in exchanged])
    p = classification_differences(targets, *pair, resamples=20_000)["balanced_accuracy"].p
    assert p == pytest.approx(share, abs=0.015)


def test_exchanges_of_groups_keep_their_level():
    rng = np.random.default_rng(9)
    p = {"balanced_accuracy": [], "auc": []}
    groups = [str(i) for i in np.repeat(np.arange(60), 4)]
    for _ in range(200):
        targets = np.repeat(np.arange(60) % 2, 4)
        latent = np.repeat(rng.normal(size=(2, 60)), 4, axis=1) + 0.4 * rng.normal(size=(2, 240)) + 1.5 * targets
        positive = 1 / (1 + np.exp(0.75 - latent))
        tests = classification_differences(targets, *np.stack([1 - positive, positive], axis=2), groups, resamples=300)
        for name, values in p.items():
            values.append(tests[name].p < 0.05)
    for name, values in p.items():
        assert np.mean(values) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 200), name


def test_groups_of_one_are_cases_for_delong():
    targets, first, second = random_scores(np.random.default_rng(10), 40, coarse=False)
    assert delong(targets, first, second, [str(i) for i in range(40)]) == delong(targets, first, second)


def test_rounding_is_no_difference():
    values = np.random.default_rng(0).beta(18, 2, 30)
    for other in (values + 1e-15, values * (1 + 1e-12)):
        test = wilcoxon(other, values)
        assert (test.difference, test.p, test.ci95) == (0.0, 1.0, None)


def test_an_auc_of_few_patients_is_not_compared_and_of_five_by_student():
    """Ten pictures of each of the patients that are positive; two models that are equally good."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        of = np.r_[np.repeat(np.arange(5), 10), 5 + np.arange(30)]
        targets = of < 5
        noise = 0.7 * rng.normal(size=(2, 35))[:, of] + 0.3 * rng.normal(size=(2, of.size))
        scores = 1.3 * targets + 0.7 * rng.normal(size=of.size) + noise
        patients = [str(patient) for patient in of]
        test = delong(targets, *scores, patients)
        assert -1 <= test.ci95[0] <= test.difference <= test.ci95[1] <= 1
        hits += test.p < 0.05
    assert hits <= 16  # 21 by the normal distribution
    few = delong(targets[10:], *scores[:, 10:], patients[10:])
    assert (few.p, few.ci95, few.reason) == (None, None, "4 groups; an interval needs 5")
    assert few.difference is not None
    both = np.stack([1 / (1 + np.exp(scores)), 1 / (1 + np.exp(-scores))], axis=2)[:, 10:]
    assert classification_differences(targets[10:], *both, patients[10:], resamples=10)["auc"].p is None


def test_delong_of_groups_is_obuchowskis_variance():
    """Sums of placements a group (Obuchowski 1997), spelled out; groups of one kind of case have no covariance."""
    targets, first, second = random_scores(np.random.default_rng(11), 60, coarse=False)
    order = np.argsort(~targets, kind="stable")
    targets, pair = targets[order], np.stack([first, second])[:, order]
    positives = targets.sum()
    groups = [f"{kind}{i // 2}" for kind, count in (("p", positives), ("n", 60 - positives)) for i in range(count)]
    variance = 0.0
    for part, names in zip(placements(targets, pair), (groups[:positives], groups[positives:]), strict=True):
        away = part[0] - part[1] - (part[0] - part[1]).mean()
        sums = {name: sum(a for a, of in zip(away, names, strict=True) if of == name) for name in names}
        variance += len(sums) / (len(sums) - 1) * sum(v**2 for v in sums.values()) / part.shape[1] ** 2
    assert delong(targets, *pair, groups).error == pytest.approx(math.sqrt(variance))


def test_differences_of_two_classifiers():
    rng = np.random.default_rng(7)
    targets = rng.integers(3, size=90)
    good, poor = (rng.dirichlet(np.ones(3), size=90) + weight * np.eye(3)[targets] for weight in (0.6, 0.1))
    pair = [p / p.sum(axis=1, keepdims=True) for p in (good, poor)]
    tests = classification_differences(targets, *pair)
    summaries = [summarise(targets, p, list("abc"), protocol="", bootstrap=0).to_json() for p in pair]
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_weighted", "auc"):
        assert tests[name].difference == pytest.approx(summaries[0][name] - summaries[1][name])
        assert tests[name].ci95[0] > 0
        assert tests[name].p < 0.05
    assert tests["recall:1"].difference == pytest.approx(
        summaries[0]["per_class"]["b"]["recall"] - summaries[1]["per_class"]["b"]["recall"]
    )
    none = classification_differences(targets, pair[0], pair[0])["f1"]
    assert (none.difference, none.p) == (0.0, 1.0)
    assert classification_differences([], np.zeros((0, 2)), np.zeros((0, 2))) == {}


# ------------------------------------------------------------------------------------------- Holm


@pytest.fixture(scope="module")
def _cheap_collections() -> None:
    """``multipletests`` collects garbage at every call, among all that the tests before this one have left."""
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("_cheap_collections")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(p_values):
    theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(theirs), abs=1e-12)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.02, None, 0.01]) == [pytest.approx(0.02), None, pytest.approx(0.02)]
    assert holm([]) == []
