"""What runs can be compared by: the cases that all measured, and whether they were measured alike."""

import re
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from engine.errors import counted
from engine.measures import find, in_tables, is_distance, of_task, title
from engine.metrics import classification
from engine.metrics.intervals import mean_interval
from engine.readers.numbers import digits
from engine.readers.run import CaseTable, RunData
from engine.readers.scores import read_scores
from engine.readers.together import Runs
from engine.report.blocks import Alert
from engine.runfolder import SplitSummary

_METHOD = re.compile(r"^(checkpoint .*|test-time mirroring|largest component.*)$")
"""Parts of a protocol that belong to the method, and not to what is measured of it."""


def barrier(together: Runs) -> str:
    """Why the numbers of these runs say nothing about which is better; empty where they do."""
    if not together.common:
        other = len(together.unlike)
        return "the runs share no case" + (f": {other} have equal ids, but other images or truths" if other else "")
    wholes = {_measured(run.metrics[together.split].protocol) for run in together.runs}
    if len(wholes) > 1:
        return f"the runs were measured in different ways ({'; '.join(sorted(wholes))})"
    if len({tuple(run.classes) for run in together.runs}) > 1:
        return "the runs have different classes"
    if earlier := _of_other_means(together):
        again = ", ".join(f"medtui evaluate {run.folder.id}" for run in earlier)
        return f"an earlier version of medtui counted classes that a case does not have; measure again: {again}"
    if together.task == "classification":
        truths = zip(*([row.true for row in together.table(at).rows] for at in range(len(together.runs))), strict=True)
        other = sum(len(set(each)) > 1 for each in truths)
        if other:
            shared = counted(len(together.common), "case")
            return f"{other} of the {shared} that the runs share have another true class in each"
    return ""


def earlier(together: Runs) -> list[RunData]:
    """The runs whose numbers an earlier version measured, by other definitions than the newest of them."""
    kinds = [run.metrics[together.split].definitions for run in together.runs]
    return [run for run, kind in zip(together.runs, kinds, strict=True) if kind < max(kinds)]


def _of_other_means(together: Runs) -> list[RunData]:
    """Those of `earlier` whose means are other ones: where a case lacks one of several classes."""
    rows = [(run, run.metrics[together.split].per_class) for run in earlier(together)]
    lacking = [(run, sum(row.get("absent") or 0 for row in classes.values())) for run, classes in rows]
    return [run for run, count in lacking if count and len(run.classes) > 1]


def comparable(together: Runs, metric: str) -> bool:
    """Whether a metric has the same meaning in all runs that have it: distances need one unit, NSD one tolerance,
    means over regions the same unions of classes."""
    parts = [run.metrics[together.split] for run in together.runs]
    having = [(run, part) for run, part in zip(together.runs, parts, strict=True) if part.value(metric) is not None]
    if metric.removesuffix("_regions") == "nsd" and len({part.value("nsd_tolerance") for _, part in having}) > 1:
        return False
    if metric.endswith("_regions") and len({frozenset(run.unions.values()) for run, _ in having}) > 1:
        return False
    return not is_distance(metric) or len({run.unit for run in together.runs}) == 1


def other_unions(together: Runs) -> list[str]:
    """Regions that have one name in several runs, and are of other classes in each: nothing of them is compared."""
    names = dict.fromkeys(name for run in together.runs for name in run.unions)
    return [name for name in names if len({run.unions[name] for run in together.runs if name in run.unions}) > 1]


def _measured(protocol: str) -> str:
    return ", ".join(part for part in protocol.split(", ") if not _METHOD.match(part))


def summaries(together: Runs) -> list[SplitSummary]:
    """What each run measured on the cases that all measured."""
    measured = [run.metrics[together.split] for run in together.runs]
    alike = all(len(run.cases(together.split)) == len(together.common) for run in together.runs)
    if (alike and not earlier(together)) or not together.common:
        return measured
    part = _segmented if together.task == "segmentation" else _classified
    return [part(together, index) for index in range(len(measured))]


def _segmented(together: Runs, index: int) -> SplitSummary:
    table, whole = together.table(index), together.runs[index].metrics[together.split]
    part = means_of(table)

    def each(labels: Iterable[str]) -> dict[str, dict[str, float | None]]:
        return {
            label: {name: _mean(table, f"{name}:{label}") for name in part.values if f"{name}:{label}" in table.columns}
            for label in labels
        }

    return msgspec.structs.replace(
        part,
        missed=int(np.nansum(table.numbers("missed"))),
        protocol=whole.protocol,
        unit=whole.unit,
        per_class=each(whole.per_class),
        per_region=each(whole.per_region),
    )


def means_of(table: CaseTable) -> SplitSummary:
    """Means and intervals of the metrics in tables over some cases of a segmentation."""
    names = [name for name in in_tables("segmentation") if name in table.columns]
    return SplitSummary(
        n=len(table),
        values={name: _mean(table, name) for name in names},
        ci95={name: bounds for name in names if (bounds := _interval(table, name)) is not None},
    )


def _mean(table: CaseTable, column: str) -> float | None:
    values = table.numbers(column)
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _interval(table: CaseTable, name: str) -> tuple[float, float] | None:
    return mean_interval(table.numbers(name), table.groups, find(name).bounds).interval


def _classified(together: Runs, index: int) -> SplitSummary:
    run = together.runs[index]
    scores = read_scores(run, together.split).of(together.ids(index))
    recipe, protocol = run.recipe, run.metrics[together.split].protocol
    return classification.summarise(
        scores.targets,
        scores.probabilities,
        scores.classes,
        groups=scores.groups,
        protocol=protocol,
        bootstrap=recipe.evaluate.bootstrap if recipe else 1000,
        seed=recipe.seed if recipe else 0,
    )


def families(together: Runs) -> list[list[int]]:
    """The runs of each recipe: those that differ in the seed only."""
    found: dict[str, list[int]] = {}
    for index, run in enumerate(together.runs):
        if run.recipe is not None:
            found.setdefault(run.recipe.model_copy(update={"seed": 0}).model_dump_json(), []).append(index)
    return list(found.values())


def error_over_cases(part: SplitSummary, metric: str) -> float | None:
    """About the standard error of a metric over the cases, by its 95 % interval; None without one."""
    bounds = part.interval(metric)
    if bounds is None or bounds[0] is None or bounds[1] is None:
        return None
    return (bounds[1] - bounds[0]) / (2 * 1.96)


def seed_notes(together: Runs) -> Iterator[Alert]:
    """How much of a difference may be the seed: said where it is known, and where it is not."""
    repeated = [members for members in families(together) if len(members) > 1]
    if not repeated:
        yield Alert(
            "note",
            "Each recipe was trained with one seed. Another seed moves the numbers too, by how much is not known "
            "here: intervals and p are of the cases alone.",
        )
    decisive = [measure.name for measure in of_task(together.task) if measure.decides]
    parts = summaries(together)
    for members in repeated:
        for metric in decisive:
            values = [value for index in members if (value := parts[index].value(metric)) is not None]
            over_cases = error_over_cases(parts[members[0]], metric)
            if len(values) < 2 or over_cases is None:
                continue
            yield Alert(
                "note",
                f"{together.runs[members[0]].name}: over its {len(values)} seeds the {title(metric)} has a standard "
                f"deviation of {digits(float(np.std(values, ddof=1)), 4)}; the standard error over the cases is about "
                f"{digits(over_cases, 4)}.",
            )
