"""How the numbers of a report are defined: the paragraph that a paper needs."""

from engine.readers.run import RunData
from engine.report.blocks import Section, Text

_SEGMENTATION = (
    (
        "Each metric is measured on every case and class, then averaged over the classes of a case and over the cases. "
        "Dice = 2|P∩T| / (|P| + |T|), Jaccard = |P∩T| / |P∪T|, with P the predicted and T the true mask."
    ),
    (
        "Distances are in {unit}, between the {border} of P and T. ASD: mean distance from those of P to those of "
        "T. ASSD: mean of both directions. 95HD: 95th percentile of the distances of both directions pooled, "
        "as MedPy defines it."
    ),
    (
        "NSD: share of both surfaces within a tolerance of the other. {size} error: (|P| - |T|) / |T|. Lesions: "
        "connected components; one of T is found where it shares a {voxel} with P."
    ),
    (
        "An empty prediction of a class that is there counts with Dice 0 and, as distances, with the diagonal of the "
        "image. Of several classes, one that is not in T is not measured in that case; with one class, two empty masks "
        "count with Dice 1 and distances 0."
    ),
)
_UNKNOWN = (
    "A {voxel} whose truth is not known is in neither P nor T. A mask that ends at such {voxel}s has no surface there, "
    "and one that ends nowhere else has no distances in that case."
)
_CLASSIFICATION = (
    "Precision, recall, specificity and F1 are measured for each class against all others; macro: mean over classes; "
    "weighted: mean weighted by support. Balanced accuracy: mean recall over the classes. AUC: area under the ROC "
    "curve of each class against all others, macro mean. Average precision: mean precision over the recall gained. "
    "Of two classes, sensitivity, specificity and average precision are those of the second. Brier score: squared "
    "error of the probabilities. Log loss: mean of -log of the probability of the true class; loss: that of training. "
    "ECE: gap between probability and frequency in 15 bins. Point values are scikit-learn's; a dash: there is nothing "
    "to measure it on."
)


def methods(run: RunData) -> Section:
    """Definitions of the metrics and intervals of this run's task."""
    lines = _segmentation(run) if run.task == "segmentation" else [_CLASSIFICATION]
    return Section("How the numbers are defined", [Text(line) for line in [*lines, _intervals(run)] if line])


def _segmentation(run: RunData) -> list[str]:
    unit = "millimetres" if run.unit == "mm" else f"{run.unit}s (the files carry no {run.unit} size)"
    border, size, voxel = ("border pixels", "Area", "pixel") if run.pictures else ("surface voxels", "Volume", "voxel")
    lines = [*_SEGMENTATION, *([] if run.data.ignore is None else [_UNKNOWN])]
    return [line.format(unit=unit, border=border, size=size, voxel=voxel) for line in lines]


def _intervals(run: RunData) -> str:
    if not run.result.ci95:
        return ""
    over = "groups (patients, lesions) of cases" if run.cases().groups else "cases"
    means = f"means over cases: Student's t with Hall's correction for skewness, over {over}"
    none = "There is none over fewer than 5, or where all agree."
    if run.task == "segmentation":
        return f"95 % intervals of {means}. {none}"
    resamples = run.recipe.evaluate.bootstrap if run.recipe else 1000
    return (
        f"95 % intervals over {over}. Shares (accuracy, recall, precision, specificity): Wilson's; F1 of a class: from "
        "Wilson's of its Jaccard index; balanced accuracy, macro means, weighted precision: from those of the classes "
        "(macro F1 and average precision: or the bootstrap's bound, where further out); AUC: DeLong's variance on the "
        "logit scale; average precision of a class: on the logit scale, by bootstrap and binomial variance; "
        f"calibration errors: Student's t with the bootstrap's error; Brier score and log loss, as {means}; "
        f"weighted F1: expanded percentile bootstrap. {resamples} resamples. {none}"
    )
