"""Classification against scikit-learn, on the cases and on every bootstrap resample of them."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from engine.metrics import classification
from engine.metrics.auc import auc_intervals, freedom_of
from engine.metrics.calibration import calibration_error
from engine.metrics.class_intervals import intervals, precision_interval
from engine.metrics.classification import case_table
from engine.metrics.intervals import RESAMPLES_AGREE, resamples_of
from engine.metrics.resampled import average_precisions, metrics_of, resampled_metrics

pytestmark = [
    pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true"),
    pytest.mark.filterwarnings("ignore:A single label was found"),
]


def summarise(*arguments, **options):
    """The split's part of metrics.json."""
    return classification.summarise(*arguments, **options).to_json()


def random_cases(rng, n, classes, absent=()):
    """Targets and probabilities, coarse enough for ties, some classes never true."""
    present = [k for k in range(classes) if k not in absent]
    targets = rng.choice(present, size=n)
    raw = np.round(rng.dirichlet(np.ones(classes), size=n) * rng.choice([3, 1e6]), 0) + 1e-3
    return targets, raw / raw.sum(axis=1, keepdims=True)


def expected_metrics(targets, probabilities):
    """The contract, spelled with scikit-learn alone."""
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    values = {
        "accuracy": sk.accuracy_score(targets, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(targets, predicted),
    }
    for average, ending in (("macro", ""), ("weighted", "_weighted")):
        three = sk.precision_recall_fscore_support(targets, predicted, average=average, zero_division=0)[:3]
        values |= {f"{name}{ending}": value for name, value in zip(("precision", "recall", "f1"), three, strict=True)}
    auc = {
        k: sk.roc_auc_score(targets == k, probabilities[:, k])
        for k in range(classes)
        if 0 < np.sum(targets == k) < len(targets)
    }
    values["auc"] = np.mean(list(auc.values())) if auc else np.nan
    return values, auc


def test_equal_scikit_learn_on_random_cases():
    rng = np.random.default_rng(0)
    for turn in range(150):
        classes = int(rng.integers(2, 6))
        absent = rng.choice(classes, size=rng.integers(0, classes), replace=False)
        targets, probabilities = random_cases(rng, int(rng.integers(1, 25)), classes, absent)
        expected, auc = expected_metrics(targets, probabilities)
        fast = metrics_of(np.ones((1, len(targets))), targets, probabilities)
        for name, value in expected.items():
            if name != "auc":
                assert fast[name][0] == pytest.approx(value, abs=1e-12, nan_ok=True), name
        for k in np.unique(targets):
            theirs = sk.average_precision_score(targets == k, probabilities[:, k])
            assert fast[f"average_precision:{k}"][0] == pytest.approx(theirs, abs=1e-12)
        if turn % 3 == 0:
            names = [f"class {k}" for k in range(classes)]
            summary = summarise(targets, probabilities, names, protocol="", bootstrap=0)
            known = {name: None if np.isnan(value) else value for name, value in expected.items()}
            assert {name: summary[name] for name in known} == pytest.approx(known, abs=1e-12)
            for k, name in enumerate(names):
                assert summary["per_class"][name]["auc"] == pytest.approx(auc.get(k), abs=1e-12)


def counted_by_hand(targets, probabilities):
    """The same contract without any library: loops over classes."""
    predicted, n, classes = probabilities.argmax(axis=1), len(targets), probabilities.shape[1]
    rows = []
    for k in range(classes):
        right, support, guessed = (np.sum(x) for x in ((targets == k) & (predicted == k), targets == k, predicted == k))
        if support or guessed:
            recall, precision = right / support if support else 0.0, right / guessed if guessed else 0.0
            f1 = 2 * precision * recall / (precision + recall) if right else 0.0
            rows.append((support, precision, recall, f1))
    supports = np.array([row[0] for row in rows])
    values = {"accuracy": np.mean(targets == predicted)}
    values["balanced_accuracy"] = np.mean([row[2] for row in rows if row[0]])
    for column, name in enumerate(("precision", "recall", "f1"), start=1):
        of_classes = np.array([row[column] for row in rows])
        values |= {name: of_classes.mean(), f"{name}_weighted": of_classes @ supports / n}
    return values


def test_equal_a_count_by_hand_on_thousands_of_random_cases():
    rng = np.random.default_rng(10)
    for _ in range(3000):
        classes = int(rng.integers(2, 6))
        absent = rng.choice(classes, size=rng.integers(0, classes), replace=False)
        targets, probabilities = random_cases(rng, int(rng.integers(1, 20)), classes, absent)
        fast = metrics_of(np.ones((1, len(targets))), targets, probabilities)
        for name, value in counted_by_hand(targets, probabilities).items():
            assert fast[name][0] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_every_resample_equals_scikit_learn_on_the_drawn_cases():
    rng = np.random.default_rng(1)
    for groups in (None, [str(i // 3) for i in range(40)]):
        targets, probabilities = random_cases(rng, 40, 4, absent=(2,))
        fast = resampled_metrics(targets, probabilities, groups, resamples=40, seed=9)
        counts = np.concatenate(list(resamples_of(40, groups, resamples=40, seed=9))).astype(int)
        for i, row in enumerate(counts):
            drawn = np.repeat(np.arange(40), row)
            expected, _ = expected_metrics(targets[drawn], probabilities[drawn])
            for name, value in expected.items():
                if name != "auc":
                    assert fast[name][i] == pytest.approx(value, abs=1e-12, nan_ok=True), name
            for k in np.unique(targets[drawn]):
                theirs = sk.average_precision_score(targets[drawn] == k, probabilities[drawn, k])
                assert fast[f"average_precision:{k}"][i] == pytest.approx(theirs, abs=1e-12)
            assert fast["ece"][i] == pytest.approx(calibration_error(targets[drawn], probabilities[drawn]), abs=1e-12)
            table = sk.classification_report(
                targets[drawn], probabilities[drawn].argmax(axis=1), labels=range(4), output_dict=True,
                zero_division=np.nan,
            )  # fmt: skip
            for k in range(4):
                for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
                    assert fast[f"{ours}:{k}"][i] == pytest.approx(table[str(k)][theirs], abs=1e-12, nan_ok=True)


def test_the_rest_of_a_summary_equals_scikit_learn():
    rng = np.random.default_rng(2)
    targets, probabilities = random_cases(rng, 300, 5, absent=(3,))
    names = list("abcde")
    summary = summarise(targets, probabilities, names, protocol="center crop", bootstrap=50)
    predicted = probabilities.argmax(axis=1)
    table = sk.classification_report(targets, predicted, labels=range(5), output_dict=True, zero_division=np.nan)
    matrix = sk.confusion_matrix(targets, predicted, labels=range(5))
    assert summary["confusion"] == matrix.tolist()
    onehot = np.eye(5)[targets]
    assert summary["auc_micro"] == pytest.approx(sk.roc_auc_score(onehot, probabilities, average="micro"), abs=1e-12)
    present = [0, 1, 2, 4]
    weighted = sk.roc_auc_score(onehot[:, present], probabilities[:, present], average="weighted")
    assert summary["auc_weighted"] == pytest.approx(weighted, abs=1e-12)
    for k, name in enumerate(names):
        row = summary["per_class"][name]
        theirs = table[str(k)]
        if k != 3:
            assert [row["precision"], row["recall"], row["f1"], row["support"]] == pytest.approx(
                [theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"]]
            )
        assert row["predicted"] == np.sum(predicted == k)
        others = np.delete(matrix, k, axis=0)
        assert row["specificity"] == pytest.approx(1 - others[:, k].sum() / others.sum())
    assert summary["per_class"]["d"]["auc"] is None
    assert summary["per_class"]["d"]["support"] == 0
    assert (summary["n"], summary["protocol"]) == (300, "center crop")
    json.dumps(summary, allow_nan=False)


def test_two_classes_have_the_auc_of_the_second():
    rng = np.random.default_rng(3)
    targets = rng.integers(2, size=50)
    second = rng.random(50)
    summary = summarise(targets, np.stack([1 - second, second], axis=1), ["no", "yes"], protocol="")
    assert summary["auc"] == pytest.approx(sk.roc_auc_score(targets, second), abs=1e-12)


def test_intervals_hold_the_values_and_follow_the_groups():
    rng = np.random.default_rng(4)
    targets, probabilities = random_cases(rng, 120, 3)
    summary = summarise(targets, probabilities, list("xyz"), protocol="")
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc"):
        low, high = summary["ci95"][name]
        assert low < summary[name] < high, name
    for name in "xyz":
        low, high = summary["ci95"][f"auc:{name}"]
        assert low < summary["per_class"][name]["auc"] < high
    twice = [np.repeat(values, 4, axis=0) for values in (targets, probabilities)]
    grouped = summarise(*twice, list("xyz"), groups=[str(i) for i in np.repeat(np.arange(120), 4)], protocol="")
    assert grouped["ci95"]["accuracy"] == pytest.approx(summary["ci95"]["accuracy"], abs=0.003)
    assert grouped["ci95"]["auc"] == pytest.approx(summary["ci95"]["auc"], abs=0.003)
    assert grouped["ci95"]["f1_weighted"] == summary["ci95"]["f1_weighted"]  # the same 120 units, drawn with one seed
    ungrouped = summarise(*twice, list("xyz"), protocol="")["ci95"]["accuracy"]
    assert ungrouped[1] - ungrouped[0] < 0.7 * (grouped["ci95"]["accuracy"][1] - grouped["ci95"]["accuracy"][0])


def test_few_cases():
    empty = summarise([], np.zeros((0, 2)), ["a", "b"], protocol="")
    assert [empty[name] for name in ("n", "accuracy", "auc", "ece", "brier")] == [0, None, None, None, None]
    assert set(empty["ci95"].values()) == {None}
    assert empty["ci95_reason"]["accuracy"] == "not measured"
    assert empty["confusion"] == [[0, 0], [0, 0]]
    one = summarise([1], [[0.3, 0.7]], ["a", "b"], protocol="")
    assert (one["accuracy"], one["auc"], set(one["ci95"].values())) == (1.0, None, {None})
    assert one["ci95_reason"]["accuracy"] == "1 case; an interval needs 5"
    assert one["per_class"]["b"]["specificity"] is None
    for summary in (empty, one):
        json.dumps(summary, allow_nan=False)


def test_a_class_that_is_predicted_but_never_true_counts_with_zero():
    summary = summarise([0, 0], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], ["a", "b", "c"], protocol="", bootstrap=0)
    assert summary["recall"] == pytest.approx((0.5 + 0.0) / 2)  # c, in neither, does not count
    assert summary["balanced_accuracy"] == pytest.approx(0.5)
    assert summary["macro_over"] == 2


def test_what_was_never_predicted_or_never_true_is_null():
    """a: three cases, two found; b: one case, never predicted; c: no case, predicted once; d: neither."""
    probabilities = np.eye(4)[[0, 0, 2, 0]]
    rows = summarise([0, 0, 0, 1], probabilities, list("abcd"), protocol="", bootstrap=0)["per_class"]
    keys = ("precision", "recall", "f1", "support", "predicted")
    assert {name: [row[key] for key in keys] for name, row in rows.items()} == {
        "a": [pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3), 3, 3],
        "b": [None, 0.0, 0.0, 1, 0],
        "c": [None, None, None, 0, 1],
        "d": [None, None, None, 0, 0],
    }


# ------------------------------------------------------------------------------------------- as clinics read it


def two_classes(n=200, seed=6):
    rng = np.random.default_rng(seed)
    targets = rng.integers(2, size=n)
    second = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.2 * targets - 0.6)))
    return targets, np.stack([1 - second, second], axis=1)


def test_sensitivity_and_specificity_at_a_threshold_are_scikit_learns():
    targets, probabilities = two_classes()
    summary = summarise(targets, probabilities, ["no", "yes"], protocol="", threshold=0.3)
    positive = probabilities[:, 1] >= 0.3
    assert summary["threshold"] == 0.3
    assert summary["sensitivity"] == pytest.approx(sk.recall_score(targets, positive))
    assert summary["specificity"] == pytest.approx(sk.recall_score(targets, positive, pos_label=0))
    count = int((positive & (targets == 1)).sum()), int((targets == 1).sum())
    assert summary["ci95"]["sensitivity"] == pytest.approx(proportion_confint(*count, method="wilson"))
    three = summarise([0, 1, 2], np.eye(3), list("abc"), protocol="", bootstrap=0)
    assert not {"sensitivity", "threshold"} & set(three)
    with pytest.raises(ValueError, match="the threshold is 1"):
        summarise([0], [[1.0, 0.0]], ["no", "yes"], protocol="", threshold=1.2)


def test_scores_of_probabilities_are_scikit_learns():
    targets, probabilities = two_classes()
    summary = summarise(targets, probabilities, ["no", "yes"], protocol="")
    assert summary["brier"] == pytest.approx(sk.brier_score_loss(targets, probabilities[:, 1]))
    assert summary["log_loss"] == pytest.approx(sk.log_loss(targets, probabilities))
    assert summary["average_precision"] == pytest.approx(sk.average_precision_score(targets, probabilities[:, 1]))
    assert summary["ci95"]["average_precision"] == summary["ci95"]["average_precision:yes"]
    rng = np.random.default_rng(7)
    targets, probabilities = random_cases(rng, 90, 4)
    summary = summarise(targets, probabilities, list("abcd"), protocol="")
    assert summary["brier"] == pytest.approx(np.sum((probabilities - np.eye(4)[targets]) ** 2) / 90)
    per_class = [sk.average_precision_score(targets == k, probabilities[:, k]) for k in range(4)]
    assert summary["average_precision"] == pytest.approx(np.mean(per_class))
    assert summary["log_loss"] == pytest.approx(sk.log_loss(targets, probabilities, labels=range(4)))


def test_each_metric_of_a_split_has_an_interval_around_it():
    targets, probabilities = two_classes()
    summary = summarise(targets, probabilities, ["no", "yes"], protocol="")
    numbers = {key for key, value in summary.items() if isinstance(value, float)}
    for name in numbers - {"threshold", "auc_weighted", "auc_micro"}:
        low, high = summary["ci95"][name]
        assert low <= summary[name] <= high, name
    for label, row in summary["per_class"].items():
        for metric in ("precision", "recall", "f1", "auc", "average_precision", "specificity", "ece"):
            low, high = summary["ci95"][f"{metric}:{label}"]
            assert low <= row[metric] <= high, (metric, label)


def test_ranking_among_cases_of_one_class_is_not_measured():
    """scikit-learn's average precision is 1 there whatever is predicted, and its area under the curve is undefined."""
    for probability in (0.1, 0.9):
        probabilities = np.tile([1 - probability, probability], (6, 1))
        assert sk.average_precision_score(np.ones(6), probabilities[:, 1]) == 1
        summary = summarise(np.ones(6, np.int64), probabilities, ["no", "yes"], protocol="")
        assert summary["average_precision"] is None
        assert summary["per_class"]["yes"]["average_precision"] is None
        assert summary["auc"] is None


def test_the_interval_of_a_class_is_wilsons():
    targets, probabilities = two_classes()
    summary = summarise(targets, probabilities, ["no", "yes"], protocol="")
    cells = np.array(summary["confusion"])
    expected = {
        "accuracy": (np.trace(cells), 200),
        "recall:yes": (cells[1, 1], cells[1].sum()),
        "precision:yes": (cells[1, 1], cells[:, 1].sum()),
        "specificity:yes": (cells[0, 0], cells[0].sum()),
    }
    for name, count in expected.items():
        assert summary["ci95"][name] == pytest.approx(proportion_confint(*count, method="wilson")), name
    # F1 from the share of right cases among those that are, or are called, of the class.
    low, high = proportion_confint(cells[1, 1], cells[1].sum() + cells[0, 1], method="wilson")
    assert summary["ci95"]["f1:yes"] == pytest.approx([2 * low / (1 + low), 2 * high / (1 + high)])


def test_balanced_accuracy_by_variance_recovery():
    """Zou & Donner (2008): the distances from each recall to its Wilson bound add up as squares."""
    targets, probabilities = two_classes()
    summary = summarise(targets, probabilities, ["no", "yes"], protocol="")
    cells = np.array(summary["confusion"])
    bounds = np.array([proportion_confint(cells[k, k], cells[k].sum(), method="wilson") for k in range(2)])
    recalls = np.diag(cells) / cells.sum(axis=1)
    away = np.sqrt(((recalls[:, None] - bounds) ** 2).sum(axis=0)) / 2
    expected = [recalls.mean() - away[0], recalls.mean() + away[1]]
    assert summary["ci95"]["balanced_accuracy"] == pytest.approx(expected)


def test_the_interval_of_an_auc_is_delongs_on_the_logit_scale():
    """The variance summed over every pair of cases (DeLong et al. 1988), in a program of its own."""
    targets, probabilities = two_classes(60)
    positives, negatives = probabilities[targets == 1, 1], probabilities[targets == 0, 1]
    kernel = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    variance = kernel.mean(axis=1).var(ddof=1) / len(positives) + kernel.mean(axis=0).var(ddof=1) / len(negatives)
    area = kernel.mean()
    half = stats.t.ppf(0.975, min(len(positives), len(negatives)) - 1) * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    expected = 1 / (1 + np.exp(-np.array([logit - half, logit + half])))
    assert summarise(targets, probabilities, ["no", "yes"], protocol="")["ci95"]["auc:yes"] == pytest.approx(expected)


def test_an_auc_of_too_few_groups_has_no_interval():
    """Four pictures of one patient are all that is positive: how patients differ is not known."""
    targets, probabilities = two_classes(60)
    groups = ["one" if target else str(i) for i, target in enumerate(targets)]
    summary = summarise(targets, probabilities, ["no", "yes"], groups=groups, protocol="")
    assert summary["ci95"]["auc"] is summary["ci95"]["auc:yes"] is None
    assert summary["ci95_reason"]["auc"] == "1 group; an interval needs 5"


def test_a_mean_auc_over_several_classes_knows_how_rare_the_rarest_is():
    """Of three classes, the third of 4 or 5 cases; the degrees of freedom are those of Welch's test."""
    rng = np.random.default_rng(3)
    targets = np.repeat([0, 1, 2], [30, 25, 5])
    logits = rng.normal(size=(60, 3)) + 1.3 * np.eye(3)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = auc_intervals(targets[:-1], probabilities[:-1])["auc"]
    assert (found.interval, found.reason) == (None, "4 cases; an interval needs 5")
    found = auc_intervals(targets, probabilities)["auc"]
    area, (low, high) = np.mean([sk.roc_auc_score(targets == k, probabilities[:, k]) for k in range(3)]), found.interval
    plain = 1 / (1 + np.exp(-np.log(area / (1 - area)) + stats.t.ppf(0.975, 59) * found.error / (area * (1 - area))))
    assert low < plain < area < high
    first, second = rng.normal(size=12), 3 * rng.normal(size=5)
    parts = [(x - x.mean()) / np.sqrt(x.size * (x.size - 1)) for x in (first, second)]
    freedom = freedom_of(np.concatenate(parts), np.repeat([0, 1], [12, 5]), np.arange(17))
    assert freedom == pytest.approx(stats.ttest_ind(first, second, equal_var=False).df)


def test_the_interval_of_a_mean_auc_is_that_of_the_classes_put_together():
    """By variance estimates recovery, with correlations of the placements in a program of its own."""
    rng = np.random.default_rng(3)
    targets = np.repeat([0, 1, 2], [30, 25, 8])
    logits = rng.normal(size=(63, 3)) + 1.3 * np.eye(3)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = auc_intervals(targets, probabilities)
    areas = np.array([sk.roc_auc_score(targets == k, probabilities[:, k]) for k in range(3)])
    errors = np.zeros((3, 63))
    for k, scores in enumerate(probabilities.T):
        for mine in (True, False):
            own, others = np.flatnonzero((targets == k) == mine), scores[(targets == k) != mine]
            share = ((scores[own, None] > others) == mine).mean(axis=1)
            errors[k, own] = (share - share.mean()) / np.sqrt(own.size * (own.size - 1))
    below, above = (np.abs(areas - [found[f"auc:{k}"].interval[side] for k in range(3)]) for side in (0, 1))
    alike = np.corrcoef(errors)
    expected = areas.mean() - np.sqrt(below @ alike @ below) / 3, areas.mean() + np.sqrt(above @ alike @ above) / 3
    assert found["auc"].interval == pytest.approx(expected)


def test_a_mean_auc_with_a_rare_class_covers():
    """Five cases beside 300; one variance of the mean with Welch's degrees of freedom covered 0.88 to 0.90."""
    truth, hits = 0.9098, 0  # of the same mixture in 60,000 cases
    targets = np.repeat([0, 1, 2], [5, 100, 200])
    for seed in range(150):
        logits = np.random.default_rng((seed, 305)).normal(size=(305, 3)) + 1.5 * np.eye(3)[targets]
        odds = np.exp(1.5 * logits)
        low, high = auc_intervals(targets, odds / odds.sum(axis=1, keepdims=True))["auc"].interval
        hits += low <= truth <= high
    assert hits >= 0.91 * 150


def test_a_class_without_an_error_leaves_the_mean_an_interval():
    targets = np.repeat([0, 1, 2], [6, 20, 20])
    probabilities = np.random.default_rng(1).dirichlet([1, 2, 2], 46)
    probabilities[:, 0] = (targets == 0) * 0.9
    found = auc_intervals(targets, probabilities)
    assert found["auc:0"].interval is None
    assert "separated" in found["auc:0"].reason
    low, high = found["auc"].interval
    wilson = 6 / (6 + stats.t.ppf(0.975, 5) ** 2)
    assert low < np.mean([sk.roc_auc_score(targets == k, probabilities[:, k]) for k in range(3)]) - (1 - wilson) / 3
    assert high < 1


def test_a_macro_average_precision_lies_in_its_interval_which_covers():
    """300,000 cases give the true value; the bootstrap alone covers it in 0.92 and may leave the value itself out."""
    hits = 0
    truth = average_precisions(np.ones((1, 300_000)), *three_classes(300_000, 0)).mean()
    for seed in range(150):
        drawn = three_classes(60, seed + 1)
        low, high = intervals(*drawn, resamples=150, seed=seed, threshold=0.5)["average_precision"].interval
        assert low <= average_precisions(np.ones((1, 60)), *drawn).mean() <= high
        hits += low <= truth <= high
    assert hits >= 0.92 * 150


def test_coverage_of_macro_means_where_patients_have_images_of_several_classes():
    """Twenty patients with four images of any of four classes, 80 % right, those of a patient alike."""
    hits = dict.fromkeys(("balanced_accuracy", "precision"), 0)
    patient = np.repeat(np.arange(20), 4)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        targets = rng.integers(0, 4, 80)
        right = np.sqrt(0.5) * (rng.normal(size=20)[patient] + rng.normal(size=80)) < stats.norm.ppf(0.8)
        predicted = np.where(right, targets, (targets + 1 + rng.integers(0, 3, 80)) % 4)
        groups = [str(one) for one in patient]
        found = intervals(targets, 0.05 + 0.8 * np.eye(4)[predicted], groups, resamples=5, seed=0, threshold=0.5)
        for name in hits:
            low, high = found[name].interval
            hits[name] += low <= 0.8 <= high
    assert min(hits.values()) >= 0.92 * 120, hits  # 108 and 108 as if the classes were independent


def three_classes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, n)
    scores = np.exp(rng.normal(size=(n, 3)) + np.eye(3)[targets])
    return targets, scores / scores.sum(axis=1, keepdims=True)


def test_coverage_of_accuracy_auc_and_f1():
    """True values from a million cases of the same kind."""
    targets, probabilities = two_classes(1_000_000, seed=8)
    truth = summarise(targets, probabilities, ["no", "yes"], protocol="", bootstrap=0)
    names = ("accuracy", "balanced_accuracy", "f1", "auc", "average_precision", "brier", "log_loss", "ece")
    hits = dict.fromkeys(names, 0)
    for seed in range(200):
        found = intervals(*two_classes(60, seed=100 + seed), resamples=200, seed=0, threshold=0.5)
        for name in names:
            low, high = found[name].interval
            hits[name] += low <= truth[name] <= high
    assert min(hits.values()) >= 0.92 * 200, hits


def test_few_cases_of_a_class_have_no_interval_and_why():
    targets = [0] * 20 + [1] * 2
    probabilities = np.eye(2)[[0] * 22] * 0.8 + 0.1
    summary = summarise(targets, probabilities, ["many", "two"], protocol="")
    assert summary["ci95"]["recall:two"] is None
    assert summary["ci95_reason"]["recall:two"] == "2 cases; an interval needs 5"
    assert summary["ci95_reason"]["precision:two"] == "not measured"
    assert summary["ci95"]["accuracy"] == pytest.approx(proportion_confint(20, 22, method="wilson"))


def test_calibration_error_by_hand():
    """Confidences 0.9, 0.9 (one right) and 0.6 (right): 2/3 * |0.9 - 0.5| + 1/3 * |0.6 - 1|."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    assert calibration_error(np.array([0, 1, 1]), probabilities) == pytest.approx(0.4)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 10**6))
def test_calibration_error_bin_by_bin(n, classes, seed):
    targets, probabilities = random_cases(np.random.default_rng(seed), n, classes)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    expected = 0.0
    for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert calibration_error(targets, probabilities) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("targets", "probabilities", "words"),
    [
        ([0, 1], [[0.5, 0.5]], "do not fit 2 classes"),
        ([0], [[0.2, 0.3, 0.5]], "do not fit 2 classes"),
        ([2], [[0.5, 0.5]], "from 2 to 2"),
        ([-1], [[0.5, 0.5]], "from -1 to -1"),
        ([0.5], [[0.5, 0.5]], "index of a class"),
        ([0], [[np.nan, 0.5]], "NaN"),
        ([0], [[3.0, -2.0]], "within 0 and 1"),
    ],
)
def test_what_is_no_probability_is_refused(targets, probabilities, words):
    with pytest.raises(ValueError, match=words):
        summarise(targets, probabilities, ["a", "b"], protocol="")


def test_the_bootstrap_is_fast():
    rng = np.random.default_rng(5)
    targets, probabilities = random_cases(rng, 1500, 7)
    start = time.process_time()
    resampled_metrics(targets, probabilities, resamples=1000)
    assert time.process_time() - start < 3.0


def test_the_rows_of_cases_csv():
    header, body = case_table(
        ["i1", "i2"], [0, 1], np.array([[0.25, 0.75], [0.1, 0.9]]), ["MEL", "NV"], "test",
        groups=["lesion", None], losses=[1.5, 0.1],
    )  # fmt: skip
    assert header == ["id", "group", "split", "true", "predicted", "loss", "prob:MEL", "prob:NV"]
    assert body == [
        ["i1", "lesion", "test", "MEL", "NV", "1.5", "0.25", "0.75"],
        ["i2", "", "test", "NV", "NV", "0.1", "0.1", "0.9"],
    ]
    assert case_table(["i"], [0], np.array([[1.0]]), ["a"], "test")[1][0][1:6] == ["", "test", "a", "a", ""]


def test_segmentation_does_not_pay_for_scikit_learn():
    import subprocess

    code = (
        "import sys, engine.metrics.segmentation, engine.metrics.classification, engine.metrics.compare;"
        "sys.exit(sorted({'sklearn', 'torch', 'monai'} & set(sys.modules)) != [])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_interval_of_an_average_precision_worked_by_hand() -> None:
    """Ten positive cases: both variances count half. Logits of the resamples are 1 apart from that of 0.8."""
    resampled = special.expit(special.logit(0.8) + np.array([-1.0, 1.0] * 500))
    found = precision_interval(0.8, resampled, 10)
    variance = 0.5 * (1000 / 999) * (10 / 9) + 0.5 / (10 * 0.8 * 0.2)
    half = 1.959963985 * np.sqrt(variance)
    assert found.interval == pytest.approx(special.expit(special.logit(0.8) + np.array([-half, half])), abs=1e-9)
    assert precision_interval(1.0, np.ones(1000), 10).reason == RESAMPLES_AGREE
    found = precision_interval(1.0, np.array([1.0, 0.9] * 500), 10)
    assert found.interval is not None
    assert found.interval[1] == 1.0
