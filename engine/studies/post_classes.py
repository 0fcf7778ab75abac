"""How far a classification favours rare classes, chosen on cases that the networks were not trained on."""

from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import softmax

from engine.losses import log_shares
from engine.measures import spoken
from engine.metrics.compare_classes import classification_differences
from engine.metrics.intervals import Floats
from engine.metrics.resampled import confusion_metrics, confusions
from engine.readers.numbers import signed
from engine.recipe import load_run_recipe
from engine.runfolder import RunFolder, read_cases, read_manifest
from engine.runfolder.study import Study
from engine.studies.work import show

_POWERS = tuple(tenth / 10 for tenth in range(-10, 11))


def choose_adjustment(study: Study, runs: Sequence[RunFolder]) -> Study:
    """The study with the ``evaluate.logit_adjustment`` by which the monitored metric is best out of fold.

    From the probabilities that the members wrote of their own folds: nothing is predicted again. It is taken where the
    interval of the gain, paired and over groups, lies above 0; of a metric that no class decides, such as the loss or
    an AUC, there is none.
    """
    now = float(getattr(load_run_recipe(runs[0].recipe).evaluate, "logit_adjustment", 0.0))
    classes = read_manifest(runs[0]).data.classes
    logits, offsets, targets, groups = [], [], [], []
    for run in runs:
        known = read_manifest(run).data.counts.get("train", {})
        shares = log_shares([known.get(name, 0) for name in classes], 1.0)
        for row in read_cases(run):
            if row.split == "validation" and row.true in classes:
                logits.append([np.log(max(row.probabilities.get(name, 0.0), 1e-30)) for name in classes])
                offsets.append(shares)
                targets.append(classes.index(row.true))
                groups.append(row.group or row.id)  # of several seeds, a case is one unit
    if not targets:
        return study
    true, found, shares_of = np.array(targets), np.array(logits), np.array(offsets)

    def adjusted(power: float) -> Floats:
        shares: Floats = softmax(found - (power - now) * shares_of, axis=1)
        return shares

    def measured(power: float) -> dict[str, Floats]:
        guesses = adjusted(power).argmax(axis=1)
        return confusion_metrics(confusions(np.ones((1, len(true))), true, guesses, len(classes)))

    if study.monitor not in measured(now):
        return study
    best = max(_POWERS, key=lambda power: (float(measured(power)[study.monitor][0]), -abs(power - now)))
    if best == now:
        return study
    test = classification_differences(true, adjusted(best), adjusted(now), groups)[study.monitor]
    taken = test.ci95 is not None and test.ci95[0] > 0
    spread = f" ({signed(test.ci95[0], 4)} to {signed(test.ci95[1], 4)})" if test.ci95 else ""
    gain = "not measured" if test.difference is None else f"{signed(test.difference, 4)}{spread}"
    said = f"{'taken' if taken else 'not taken'}: {spoken(study.monitor)} {gain}"
    words = f"logit_adjustment = {best:g}"
    show(f"post-processing {words}: {said}")
    return msgspec.structs.replace(study, post={"logit_adjustment": best} if taken else {}, tried={words: said})
