"""The tables that compare runs: metrics side by side, classes, differences with their tests, settings."""

from collections.abc import Iterator, Sequence

import numpy as np

from engine.errors import counted
from engine.measures import better_up, find, in_tables, is_distance, leading, of_task, title
from engine.readers.numbers import digits, duration, interval, short, units
from engine.readers.run import RunData
from engine.readers.together import Runs
from engine.report.blocks import Block, Cell, Section, Table, Text
from engine.report.paired import TESTS, Comparison
from engine.report.results import count_words
from engine.report.shared import barrier, comparable, families, other_unions, summaries
from engine.report.verdict import p_value
from engine.runfolder import SplitSummary
from engine.toml import flat


def metrics_table(together: Runs) -> Table:
    """A row a run on the cases that all measured, as papers print it; the best value is bold where they compare."""
    parts = summaries(together)
    columns = [name for name in in_tables(together.task) if any(part.value(name) is not None for part in parts)]
    best = {name: _best(together, [part.value(name) for part in parts], name) for name in columns}
    rows: list[list[str | Cell]] = []
    for index, (label, part) in enumerate(zip(together.labels, parts, strict=True)):
        beside = "" if together.unit else f" {together.runs[index].unit}"
        cells = [
            Cell(
                digits(part.value(name)) + (beside if is_distance(name) and part.value(name) is not None else ""),
                interval(part.interval(name)),
                strong=index in best[name],
            )
            for name in columns
        ]
        row: list[str | Cell] = [label, *cells]
        if together.task == "segmentation":
            row.append(count_words(part.missed))
        rows.append([*row, count_words(part.n)])
    heads = ["Run", *(title(name, together.unit) for name in columns)]
    heads += ["Missed", "Cases"] if together.task == "segmentation" else ["Cases"]
    caption = f"The {together.split} split; small print: 95 % interval"
    caption += "." if barrier(together) else "; bold: the best value."
    if any(map(is_distance, columns)):
        caption += f" Distances in {units(together.unit) if together.unit else 'the unit beside them'}."
    return Table(heads, rows, caption, small=len(heads) > 8)


def _best(together: Runs, values: Sequence[float | None], metric: str) -> set[int]:
    """Which runs have the best value; none where they cannot be compared, or all are alike."""
    known = [value for value in values if value is not None]
    if len(set(known)) < 2 or find(metric).up is None or not comparable(together, metric) or barrier(together):
        return set()
    top = max(known) if better_up(metric) else min(known)
    return {index for index, value in enumerate(values) if value == top}


def seeds(together: Runs) -> Iterator[Table]:
    """Mean and deviation over the seeds of one recipe, where there are several."""
    repeated = [members for members in families(together) if len(members) > 1]
    if not repeated:
        return
    measured = summaries(together)
    columns = [name for name in in_tables(together.task) if name in measured[0].values]
    rows: list[list[str]] = []
    for members in repeated:
        parts = [measured[index] for index in members]
        cells = []
        for name in columns:
            known = [value for part in parts if (value := part.value(name)) is not None]
            spread = f" ± {digits(float(np.std(known, ddof=1)))}" if len(known) > 1 else ""
            cells.append(f"{digits(float(np.mean(known)))}{spread}" if known else "–")
        rows.append([together.runs[members[0]].name, str(len(members)), *cells])
    heads = ["Recipe", "Seeds", *(title(name, together.unit) for name in columns)]
    yield Table(heads, rows, "Mean and standard deviation over runs that differ in the seed only.")


def per_class(together: Runs) -> Iterator[Section]:
    """The two leading metrics of every class in every run, and of every region; nothing where there is one class."""
    parts, first = summaries(together), together.runs[0]
    classes = [name for name in first.classes if all(name in part.per_class for part in parts)]
    unlike = other_unions(together)
    shared = (name for name in first.regions if all(name in part.per_region for part in parts))
    regions = [name for name in shared if name not in unlike]
    if len(classes) > 1:
        yield Section("Classes", _of_labels(together, parts, "class", classes))
    if regions:
        yield Section("Regions", _of_labels(together, parts, "region", regions))


def _of_labels(together: Runs, parts: Sequence[SplitSummary], what: str, labels: Sequence[str]) -> list[Block]:
    wanted = leading(in_tables(together.task, per_class=True))[:2]
    blocks: list[Block] = []
    for metric in wanted:
        rows: list[list[str | Cell]] = []
        for name in labels:
            values = [part.value(metric, name) for part in parts]
            best = _best(together, values, metric)
            cells = [Cell(digits(v), strong=i in best) for i, v in enumerate(values)]
            rows.append([name, *cells, _present(together, name)])
        heads = [what.capitalize(), *together.labels, title("present")]
        caption = f"{title(metric, together.unit)} of each {what}, and in how many cases it is."
        blocks.append(Table(heads, rows, caption))
    return blocks


def _present(together: Runs, label: str) -> str:
    """In how many cases a class is, of those that all share or else of each run's own.

    Of several classes, an absent one has no value in cases.csv.
    """
    tables = [together.table(0)] if together.common else [run.cases(together.split) for run in together.runs]
    if together.task == "classification":
        return ", ".join(str(sum(row.true == label for row in table.rows)) for table in tables)
    column = f"{leading(in_tables(together.task))[0]}:{label}"
    return ", ".join(str(np.isfinite(table.numbers(column)).sum()) for table in tables)


def differences(together: Runs, comparisons: list[Comparison]) -> Section:
    """Every difference with its interval and test."""
    if not comparisons:
        why = barrier(together) or "no case has a value in both"
        return Section("Differences", [Text(f"There are none to show: {why}.")])
    classes = len({one.label for one in comparisons if one.label and one.test.p is not None})
    deciding = [title(measure.name).lower() for measure in of_task(together.task) if measure.decides]
    several = len(together.pairs) > 1 or classes > 1 or len(deciding) > 1
    rows: list[list[str | Cell]] = []
    rules: set[int] = set()
    before: tuple[int, int] | None = None
    for one in comparisons:
        pair = one.first, one.second
        if before is not None and pair != before:
            rules.add(len(rows))
        names = together.labels[one.first], together.labels[one.second]
        head = "" if pair == before else f"{names[0]} − {names[1]}"
        before = pair
        rows.append([head, *_difference(one, names, together.unit, several)])
    heads = ["Runs", "Metric", "Difference", "95 % interval", "Test", "p"]
    heads += ["corrected", "Better"] if several else ["Better"]
    caption = f"The first run minus the second on the {counted(len(together.common), 'case')} that all runs measured. "
    if over := _family(len(together.pairs), classes):
        caption += f"p is corrected by Holm, for each metric by itself, over {over}. "
    if len(deciding) > 1:
        caption += f"{' and '.join(deciding).capitalize()}, which give the answer, are corrected together. "
    caption += "A run is called better where p is below 0.05 and the interval excludes 0."
    left = frozenset({1, 4, len(heads) - 1})
    table = Table(heads, rows, caption, frozenset(rules), left, small=True)
    return Section("Differences", [table, Text(_tests_in_words(together))])


def _family(pairs: int, classes: int) -> str:
    """What the correction of a metric goes over."""
    over = [f"the {pairs} pairs of runs"] if pairs > 1 else []
    over += [f"the {classes} classes where there is one test a class"] if classes > 1 else []
    return " and ".join(over)


def _difference(one: Comparison, names: tuple[str, str], unit: str, several: bool) -> list[str | Cell]:
    test = one.test
    corrected = [Cell(p_value(one.corrected), strong=one.significant)] if several else []
    p = p_value(test.p) if several else Cell(p_value(test.p), strong=one.significant)
    return [
        title(one.metric, unit) + (f", {one.label}" if one.label else ""),
        digits(test.difference),
        interval(test.ci95),
        TESTS.get(test.test, test.test),
        p,
        *corrected,
        (names[0] if one.first_is_better else names[1]) if one.significant else "not told",
    ]


def _tests_in_words(together: Runs) -> str:
    grouped = together.table(0).groups is not None
    over = "groups (patients, lesions)" if grouped else "cases"
    if together.task == "segmentation":
        return f"Wilcoxon signed-rank test over {over}; interval: Student's t with Hall's correction."
    auc = "Obuchowski's form of DeLong's test" if grouped else "DeLong's test"
    return (
        f"All tests are over {over}. Accuracy: exact McNemar test. Balanced accuracy and macro F1: the runs change "
        f"names at random; interval: expanded percentile bootstrap. AUC: {auc}, with five {over} of each class."
    )


def settings(together: Runs) -> Section:
    """The keys of the recipes that are not the same in all runs, and what it cost."""
    recipes = [flat(run.recipe.model_dump(mode="json")) if run.recipe else {} for run in together.runs]
    keys = dict.fromkeys(key for recipe in recipes for key in recipe if key not in {"name", "description"})
    unlike = [key for key in keys if any(recipe.get(key) != recipes[0].get(key) for recipe in recipes)]
    rows: list[list[str]] = [[key, *(str(recipe.get(key, "–")) for recipe in recipes)] for key in unlike]
    if len({run.data.fingerprint for run in together.runs}) > 1:
        rows.append(["data and splits", *(run.data.fingerprint[:12] or "–" for run in together.runs)])
    rows.append(["epochs done", *(_epochs(run) for run in together.runs)])
    rows.append(["duration", *(duration(run.manifest.duration_s) for run in together.runs)])
    rows.append(["parameters", *(_parameters(run) for run in together.runs)])
    left = frozenset(range(1, len(together.runs) + 1))
    return Section("What differs", [Table(["", *together.labels], rows, left=left, small=True)])


def _epochs(run: RunData) -> str:
    done = run.manifest.epochs_done
    return str(run.view.epochs_completed if done is None else done)


def _parameters(run: RunData) -> str:
    count = run.manifest.model.parameters
    return "–" if count is None else f"{short(count / 1e6)} M"
