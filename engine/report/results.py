"""The numbers of a run as tables: the split as a whole, every class, every case."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from engine import measures
from engine.errors import counted
from engine.measures import beside, better_up, find, in_tables, is_count, is_distance, leading, ordered, title
from engine.readers.numbers import digits, interval, units
from engine.readers.run import RunData
from engine.report.blocks import Block, Card, Cards, Cell, Section, Table, Text
from engine.report.spread import spread_table
from engine.runfolder import SplitSummary
from engine.runfolder.study import result_words

_WORST_SHOWN = 15
_CALIBRATED = "_calibrated"
_REGIONS = "_regions"
_WIDE = 7  # columns beyond which a table is set small


def headline(run: RunData) -> Cards | None:
    """The four numbers that are read first."""
    result = run.result
    names = measures.headline(result.values)
    cards = [Card(title(name, run.unit), digits(result.value(name)), _spread(result, name)) for name in names]
    return Cards(cards, of_cases(result, run.split, run.classes)) if cards else None


def results(run: RunData) -> list[Section]:
    """A section for every split that was measured, the reported one first."""
    splits = [run.split, *(name for name in run.metrics if name != run.split)]
    return [split_results(run, name) for name in splits if name in run.metrics and not run.metrics[name].empty]


def split_results(run: RunData, split: str) -> Section:
    """The tables of one split."""
    part = run.metrics[split]
    blocks: list[Block] = [Text(of_cases(part, split))]
    reported = run.recipe.evaluate.reported if run.recipe and split == "test" else {}
    if run.task == "classification":
        blocks += [summary_table(part, run, reported), class_report(part, run.classes), *calibration_table(part)]
    else:
        blocks.append(segmentation_table(part, run.classes, run.unit, reported))
        blocks += [region_table(part, run)] if part.per_region else []
        blocks += [*spread_table(run, split), *detection_table(run, split)]
    return Section(f"Results: {result_words(split)}", blocks)


_MACRO = "Precision, recall, F1, AUC and average precision are means over the classes (macro), if not said otherwise."
_REPORTED = "Reported before: as the recipe gives it; to be compared where the data and the settings are the same."


def summary_table(part: SplitSummary, run: RunData, reported: Mapping[str, float]) -> Table:
    """Every metric of a split with its interval, beside what was ``reported`` before."""
    names = [name for name in part.values if not is_count(name) and find(name).up is not None]
    apart = _probabilities(part)
    names = ordered(name for name in names if name not in apart and not name.endswith(_CALIBRATED))
    rows = [[title(name, run.unit), digits(part.value(name)), interval(part.interval(name))] for name in names]
    said = [_MACRO] if len(run.classes) > 2 else []
    if (threshold := part.value("threshold")) is not None:
        second = run.classes[1] if len(run.classes) > 1 else "the second class"
        said.append(f"Sensitivity, specificity and average precision are those of {second}.")
        where = "" if part.value("temperature") is None else ", which was chosen on the validation split"
        said.append(f"It counts as predicted from a probability of {threshold:.3g} on{where} (for the first two).")
    if not reported:
        return Table(["Metric", "Value", "95 % interval"], rows, " ".join(said))
    rows = [[*row, digits(reported[name]) if name in reported else ""] for name, row in zip(names, rows, strict=True)]
    return Table(["Metric", "Value", "95 % interval", "Reported before"], rows, " ".join([*said, _REPORTED]))


def _probabilities(part: SplitSummary) -> list[str]:
    """What judges the probabilities and was measured with a temperature too, see :func:`calibration_table`."""
    return ordered(name.removesuffix(_CALIBRATED) for name in part.values if name.endswith(_CALIBRATED))


def calibration_table(part: SplitSummary) -> list[Table]:
    """Errors of the probabilities before and after the temperature, and of each class; nothing where there is none."""
    if (temperature := part.value("temperature")) is None:
        return []
    of_split = _probabilities(part)
    rows: list[list[str | Cell]] = [[title(m), measured(part, m), measured(part, m + _CALIBRATED)] for m in of_split]
    ruled = frozenset({len(rows)})
    known = [label for label, row in part.per_class.items() if "ece" in row]
    rows += [[f"ECE, {label}", measured(part, "ece", label), ""] for label in known]
    ended = (
        "" if 0.051 < temperature < 19.9 else ", at the end of its range: too few errors there, or too many, to set it"
    )
    caption = (
        f"Small print: 95 % interval. Temperature: {temperature:.3g}, chosen on the validation split{ended}; it "
        "moves no prediction. ECE: expected calibration error of the predicted class, class-wise: mean of those of the "
        "classes, in 15 bins."
    )
    heads = ["Probabilities", "as predicted", "with temperature"]
    return [Table(heads, rows, caption, rule_before=ruled)]


def class_report(part: SplitSummary, classes: Sequence[str]) -> Table:
    """Precision, recall, F1 and support of every class, then accuracy, macro and weighted means."""
    per_class = part.per_class
    names = [name for name in classes if name in per_class] or list(per_class)
    columns = [name for name in in_tables("classification", per_class=True) if any(name in per_class[c] for c in names)]
    rows: list[list[str | Cell]] = []
    for name in names:
        values = per_class[name]
        never = "never predicted" if values.get("predicted") == 0 else ""
        cells = [
            Cell(digits(part.value(m, name)), interval(part.interval(m, name)) or (never if m == "precision" else ""))
            for m in columns
        ]
        rows.append([name, *cells, count_words(values.get("support"))])
    rule = len(rows)
    total = count_words(part.n)
    rows.append(["accuracy", *("" if m != "f1" else measured(part, "accuracy") for m in columns), total])
    for label, ending in (("macro mean", ""), ("weighted mean", "_weighted")):
        # What stands first of two classes is of the second one, and no mean.
        means = ["" if len(classes) == 2 and find(m).of_two else m + ending for m in columns]
        rows.append([label, *(measured(part, m) if m in part.values else Cell("") for m in means), total])
    caption = (
        "Small print: 95 % interval. The accuracy stands in the column of F1, as in scikit-learn's report. "
        "A dash: the class has no case in this split, or was never predicted."
    )
    if (over := part.value("macro_over")) is not None and over != len(names):
        of = counted(len(names), "class")
        caption += f" Macro means are over the {over:g} of {of} that are there or were predicted."
    heads = ["Class", *(title(m) for m in columns), "Support"]
    return Table(heads, rows, caption, rule_before=frozenset({rule}), small=len(heads) > _WIDE)


def segmentation_table(
    part: SplitSummary, classes: Sequence[str], unit: str, reported: Mapping[str, float] | None = None
) -> Table:
    """Dice, Jaccard and distances of every class and their mean, with the cases that were missed.

    ``reported`` is what others reported before of the mean.
    """
    names = [name for name in classes if name in part.per_class] or list(part.per_class)
    columns = _columns(part)
    rows = _rows_of(part, names, columns)
    ruled: frozenset[int] = frozenset()
    if len(names) != 1:
        ruled = frozenset({len(rows)})
        cells = [measured(part, m, strong=True) for m in columns]
        rows.append(["mean", *cells, count_words(part.missed), "", count_words(part.value("false_positive_cases"))])
    caption = (
        f"Means over {counted(part.n, 'case') if part.n is not None else 'cases'}; small print: 95 % interval. "
        "Missed: cases with the class and an empty prediction. "
        "Present in: cases with the class in the truth. FP cases: those without it where it is predicted."
    )
    if any(map(is_distance, columns)):
        caption += f" Distances in {units(unit)}."
    if (tolerance := part.value("nsd_tolerance")) is not None and "nsd" in columns:
        caption += f" NSD: share of both surfaces within {tolerance:g} {unit} of the other."
    if len(names) != 1:
        caption += " A class counts in the cases in which it is present."
    if reported:
        ruled |= {len(rows)}
        rows.append(["reported before", *(digits(reported[m]) if m in reported else "" for m in columns)])
        rows[-1] += [""] * len(_COUNTS)
        caption += f" {_REPORTED}"
    heads = [title(m, unit) for m in columns] + [title(count) for count in _COUNTS]
    return Table(["Class", *heads], rows, caption, rule_before=ruled, small=len(heads) > _WIDE)


_COUNTS = ("missed", "present", "false_positive_cases")


def _columns(part: SplitSummary) -> list[str]:
    """The metrics that classes and regions have."""
    return [name for name in in_tables("segmentation") if name in part.values and not name.endswith(_REGIONS)]


def _rows_of(part: SplitSummary, labels: Sequence[str], columns: Sequence[str]) -> list[list[str | Cell]]:
    """A row of metrics and counts for each class, or region."""
    found = part.per_class | part.per_region
    return [
        [name, *(measured(part, m, name) for m in columns), *(count_words(found[name].get(c)) for c in _COUNTS)]
        for name in labels
    ]


def region_table(part: SplitSummary, run: RunData) -> Table:
    """What `segmentation_table` has, of unions of classes; the recipe says of which."""
    columns, names = _columns(part), list(part.per_region)
    rows = _rows_of(part, names, columns)
    if len(names) > 1:
        means = [measured(part, m + _REGIONS, strong=True) for m in columns]
        rows.append(["mean of regions", *means, "", "", ""])
    members = run.recipe.regions if run.recipe else {}
    said = "; ".join(f"{name}: {', '.join(own)}" for name, own in members.items() if name in names)
    caption = f"Unions of classes{f' ({said})' if said else ''}, each measured as one mask."
    caption += " A region counts in the cases in which it is present."
    heads = ["Regions", *(title(m, run.unit) for m in columns), *(title(count) for count in _COUNTS)]
    return Table(heads, rows, caption, rule_before=frozenset({len(names)}), small=len(heads) > _WIDE + 1)


def detection_table(run: RunData, split: str) -> list[Table]:
    """Volumes, and where a class has several components in a case their detection; nothing where none was measured."""
    part, cases = run.metrics[split], run.cases(split)
    names = [name for name in run.classes if name in part.per_class] or list(part.per_class)
    pieces = [cases.numbers(f"lesions:{name}") for name in (*names, *part.per_region)]
    several = any(np.nanmax(found, initial=0) > 1 for found in pieces) if len(cases) else False
    columns = [name for name in beside("volume", *(["lesions"] if several else [])) if name in part.values]
    if not columns:
        return []
    rows: list[list[str | Cell]] = [
        [label or "mean", *(measured(part, m, label) for m in columns)]
        for label in (*names, *([None] if len(names) != 1 else []), *part.per_region)
    ]
    ruled = {len(names), *([len(rows) - len(part.per_region)] if part.per_region else [])}
    size, voxel = ("area", "pixel") if run.unit == "pixel" else ("volume", "voxel")
    caption = f"{size.capitalize()} error: predicted minus true {size}, as a share of the true one."
    if several:
        caption += (
            f" Lesions: connected components of a case (a shared corner connects); one is found where any {voxel} of "
            f"it is predicted, and a predicted one without a true {voxel} is false. Means over cases."
        )
    heads = ["Class or region" if part.per_region else "Class", *(title(m, run.unit) for m in columns)]
    return [Table(heads, rows, caption, rule_before=frozenset(ruled))]


def case_section(run: RunData) -> Section | None:
    """Every case of a segmentation, worst first; of a classification, the cases with the largest loss."""
    if not len(run.cases()):
        return None
    return _classified(run) if run.task == "classification" else _segmented(run)


def _segmented(run: RunData) -> Section:
    cases = run.cases()
    columns = [name for name in in_tables("segmentation") if name in cases.columns]
    values = {name: cases.numbers(name) for name in columns}
    missed = cases.numbers("missed")
    order = list(range(len(cases)))
    if columns:
        main = leading(columns)[0]
        keys = values[main] if better_up(main) else -values[main]
        order = np.argsort(np.where(np.isnan(keys), np.inf, keys)).tolist()
    rows: list[list[str | Cell]] = []
    for index in order:
        cells = [digits(float(values[name][index])) for name in columns]
        rows.append([run.case_name(cases.ids[index]), *cells, "yes" if missed[index] > 0 else ""])
    text = Text(f"All {counted(len(cases), 'case')} of the {run.split} split, the worst first.")
    table = Table(["Case", *(title(name, run.unit) for name in columns), "Missed"], rows, small=True)
    return Section("Cases", [text, table])


def _classified(run: RunData) -> Section:
    cases = run.cases()
    loss = cases.numbers("loss")
    order = np.argsort(-np.where(np.isnan(loss), -np.inf, loss))[:_WORST_SHOWN]
    rows: list[list[str | Cell]] = []
    for index in order:
        row = cases.rows[index]
        shares = [digits(row.probabilities.get(name)) for name in (row.true, row.predicted)]
        rows.append([run.case_name(row.id), row.true, shares[0], row.predicted, shares[1]])
    wrong = sum(row.true != row.predicted for row in cases.rows)
    text = Text(
        f"Classified wrongly: {wrong} of {counted(len(cases), 'case')} of the {run.split} split. "
        f"Those with the largest loss ({len(rows)}); all are in cases.csv."
    )
    columns = ["Case", "True", "its probability", "Predicted", "its probability"]
    return Section("Hardest cases", [text, Table(columns, rows, left=frozenset({1, 3}), small=True)])


def of_cases(part: SplitSummary, split: str, classes: Sequence[str] = ()) -> str:
    """Of how many cases of what split the numbers are, and how these were measured; ``classes`` where that is alone."""
    where = {"out_of_fold": "out of fold", "test_members": "of the test split"}.get(split, f"of the {split} split")
    text = f"{counted(part.n, 'case')} {where}" if part.n is not None else f"Cases {where}"
    text = f"{text}: {part.protocol}." if part.protocol else f"{text}."
    return f"{text} {_MACRO}" if len(classes) > 2 and "f1" in part.values else text


def _spread(part: SplitSummary, name: str) -> str:
    text = interval(part.interval(name))
    return f"95 %: {text}" if text else ""


def measured(part: SplitSummary, metric: str, label: str | None = None, *, strong: bool = False) -> Cell:
    """A metric of a split or of one class, with its interval in small print."""
    return Cell(digits(part.value(metric, label)), interval(part.interval(metric, label)), strong)


def count_words(value: float | None) -> str:
    """A whole number, a mean of such with a decimal; an en dash for what was not counted."""
    if value is None or not math.isfinite(value):
        return "–"
    return str(int(value)) if value == int(value) else f"{value:.1f}"
