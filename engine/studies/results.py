"""What the members of a study give together: every case measured by networks that were not trained on it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev

import msgspec
import numpy as np
from msgspec.structs import replace

from engine.errors import counted
from engine.metrics import classification, segmentation
from engine.recipe import Recipe, load_run_recipe
from engine.runfolder import (
    CaseRow,
    DataFacts,
    RunFolder,
    SplitSummary,
    read_cells,
    read_manifest,
    read_metrics,
    read_object,
    read_splits,
    update_manifest,
    write_splits,
    write_text,
)
from engine.runfolder.cases import case_row, put_rows
from engine.runfolder.study import Member, Study, best_setting, member_folder, pooled_name

TESTED = "test_members"
"""The name of the mean over the members on the test split; ``test`` is that of the members' vote."""


def collect(folder: RunFolder, study: Study) -> dict[str, SplitSummary]:
    """Pool what the finished members measured; write metrics.json, cases.csv, splits.csv and the data's facts.

    Every seed's folds together are one split, on which each case was measured once. What is written is the mean
    over seeds of their results and intervals, and the standard deviation over seeds as ``spread``. A seed counts
    once all of its folds are finished. What ``medtui evaluate`` measured stays.

    Returns:
        Name -> result, that of the best setting first; nothing where no seed is complete.
    """
    finished = [member for member in study.member if member.state == "finished"]
    if not finished:
        return {}
    recipe, found = load_run_recipe(folder.recipe), {}
    for setting in study.settings:
        members = [member for member in study.of(setting) if member in finished]
        if pooled := _pooled(folder, study, members, recipe):
            found[pooled_name(study, setting)] = pooled
    name, best = pooled_name(study), best_setting(study, found)
    if (own := pooled_name(study, best)) in found:
        found = {name: found[own], **found}
    chosen = [member_folder(folder, member) for member in study.of(best) if member in finished]
    tests = [read_metrics(run).get("test", SplitSummary()) for run in chosen]
    if tests and not any(part.empty for part in tests):
        found[TESTED] = combined(tests, f"{tests[0].protocol}; mean of {counted(len(tests), 'member')}")
    content = {key: part.to_json() for key, part in found.items()}
    stay = {key: part for key, part in read_object(folder.metrics).items() if key.split(": ")[0] not in {name, TESTED}}
    content |= stay
    write_text(folder.metrics, json.dumps(content, indent=1) + "\n")
    _write_cases(folder, study, finished, best)
    _write_facts(folder, study, chosen or [member_folder(folder, finished[0])])
    return found


def _pooled(folder: RunFolder, study: Study, members: Sequence[Member], recipe: Recipe) -> SplitSummary | None:
    parts = []
    for seed in dict.fromkeys(member.seed for member in members):
        of_seed = [member for member in members if member.seed == seed]
        if len(of_seed) < max(1, study.folds):
            continue
        rows = [case_row(cells) for member in of_seed for cells in _cells(folder, member)]
        runs = [member_folder(folder, member) for member in of_seed]
        own = [read_metrics(run).get("validation", SplitSummary()) for run in runs]
        part = summarised(rows, recipe, read_manifest(runs[0]).data, own[0].protocol)
        losses = [(loss, one.n) for one in own if (loss := one.value("loss")) is not None]
        more = {name: value for name, value in own[0].values.items() if name == "nsd_tolerance"}
        if len(losses) == len(own):  # cases.csv has none of a case
            more["loss"] = fmean(*zip(*losses, strict=True))
        part = replace(part, values=part.values | more)
        parts.append(part)
    if not parts:
        return None
    words = [f"{study.folds} folds"] if study.folds else []
    words += [f"mean over {len(parts)} seeds"] if len(parts) > 1 else []
    return combined(parts, "; ".join([parts[0].protocol, *words]))


def _cells(folder: RunFolder, member: Member) -> list[dict[str, str]]:
    return [cells for cells in read_cells(member_folder(folder, member).cases) if cells.get("split") == "validation"]


def summarised(rows: Sequence[CaseRow], recipe: Recipe, data: DataFacts, protocol: str) -> SplitSummary:
    """The summary of rows of cases.csv, by the functions that measure a split."""
    classes, bootstrap = data.classes, recipe.evaluate.bootstrap
    if recipe.task == "segmentation":
        regions = [*recipe.regions]
        cases = [segmentation_row(row, classes, regions) for row in rows]
        return segmentation.summarise(
            cases, classes, unit=data.unit, protocol=protocol, bootstrap=bootstrap, regions=regions
        )
    groups = [row.group or None for row in rows]
    targets = np.array([classes.index(row.true) for row in rows])
    shares = np.array([[row.probabilities[name] for name in classes] for row in rows])
    known = groups if any(groups) else None
    return classification.summarise(
        targets, shares, classes, groups=known, protocol=protocol, bootstrap=bootstrap, seed=recipe.seed
    )


def segmentation_row(row: CaseRow, classes: Sequence[str], regions: Sequence[str] = ()) -> segmentation.SegmentationRow:
    """A row of cases.csv as it was measured. A class that the truth has not is made up, has no lesions, or, where it
    is one of several, no Dice."""
    found: dict[str, dict[str, float | bool | None]] = {}
    for name in (*classes, *regions):
        numbers = {key: None if math.isnan(value) else value for key, value in row.per_class.get(name, {}).items()}
        flags = {key: bool(numbers.pop(key, 0)) for key in segmentation.COUNTS}
        absent = flags["false_positive"] or numbers.get("dice") is None or numbers.get("lesions") == 0
        found[name] = {**numbers, **flags, "absent": absent}
    per_region = {name: found.pop(name) for name in regions}
    return segmentation.SegmentationRow(row.id, row.group or None, found, per_region)


def combined(parts: Sequence[SplitSummary], protocol: str) -> SplitSummary:
    """The mean of several results on the same cases, ends of intervals too, and the spread of their values.

    Counts are means as well, those of missed cases rounded up; a confusion matrix is the sum.
    """
    first = parts[0]
    if len(parts) == 1:
        return replace(first, protocol=protocol)
    spread = {name: [v for part in parts if (v := part.value(name)) is not None] for name in first.values}
    both = [name for name in first.ci95 if all(name in part.ci95 for part in parts)]
    missed = None if first.missed is None else math.ceil(fmean(part.missed or 0 for part in parts))
    confusions = [np.array(part.confusion) for part in parts if part.confusion is not None]
    return SplitSummary(
        n=first.n,
        missed=missed,
        protocol=protocol,
        unit=first.unit,
        values={name: _mean(found) for name, found in spread.items()},
        ci95={
            name: (_mean([part.ci95[name][0] for part in parts]), _mean([part.ci95[name][1] for part in parts]))
            for name in both
        },
        ci95_reason=first.ci95_reason,
        per_class=_each(parts, first.per_class),
        per_region=_each(parts, first.per_region),
        confusion=sum(confusions[1:], confusions[0]).tolist() if confusions else None,
        spread={name: stdev(found) for name, found in spread.items() if len(found) == len(parts)},
    )


def _each(parts: Sequence[SplitSummary], labels: Mapping[str, Iterable[str]]) -> dict[str, dict[str, float | None]]:
    """The mean of each number that the classes, or regions, ``labels`` have."""
    return {
        name: {key: _mean([part.value(key, name) for part in parts]) for key in keys} for name, keys in labels.items()
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _write_cases(folder: RunFolder, study: Study, finished: Sequence[Member], best: str) -> None:
    rows: list[dict[str, str]] = []
    for member in finished:
        own = {"split": pooled_name(study, "" if member.setting == best else member.setting), "seed": str(member.seed)}
        own |= {} if member.fold is None else {"fold": str(member.fold)}
        rows += [cells | own for cells in _cells(folder, member)]
    header = list(dict.fromkeys(name for row in rows for name in row))
    known = {pooled_name(study), *(pooled_name(study, setting) for setting in study.settings)}
    put_rows(folder, folder.cases, header, known, rows)


def _write_facts(folder: RunFolder, study: Study, voters: Sequence[RunFolder]) -> None:
    """What those who use the study as a network need: the data's facts, and which cases any of its voters knows."""
    known = msgspec.to_builtins(read_manifest(voters[0]))
    keys = ("medtui", "versions", "hardware", "data", "model", "precision", "data_root")
    update_manifest(folder, **{key: known[key] for key in keys})
    trained = {"train", "validation"} if study.folds else {"train"}
    rows = [row for run in voters for row in read_splits(run) if row.split in {*trained, "validation", "test"}]
    rows = [replace(row, split="train") if row.split in trained else row for row in rows]
    write_splits(folder, {row.id: row for row in sorted(rows, key=lambda row: row.split == "train")}.values())
