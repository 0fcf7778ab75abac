"""Post-processing, chosen on cases that the networks were not trained on, and never on the test split."""

import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

import msgspec

from engine.console import show_progress
from engine.data import check_dataset, open_dataset
from engine.evaluation.evaluator import evaluate_split, open_evaluation
from engine.evaluation.tester import validation_job
from engine.evaluation.trained import as_trained, load_predictors, network_for, open_trained
from engine.metrics.intervals import mean_interval
from engine.readers.numbers import signed
from engine.recipe import Recipe, SegmentationEvaluateTable, applies, load_run_recipe
from engine.runfolder import RunFolder, read_cases, read_cells, read_manifest
from engine.runfolder.cases import put_rows
from engine.runfolder.study import Study, voters
from engine.studies.post_classes import choose_adjustment
from engine.studies.work import show

Change = dict[str, bool | float]  # keys of [evaluate] and their values


def choose_post(folder: RunFolder, study: Study) -> Study:
    """The study with the post-processing that helps out of fold: of masks largest component, mirroring, threshold; of
    classes see `choose_adjustment`.

    One change after the other is measured on every member's own fold. It is taken where the interval of the mean
    gain in Dice, case by case, lies above 0. What was measured stands in ``post.csv``, so that it is not measured
    again after a kill.
    """
    runs = voters(folder, study)
    if not study.folds or not runs:
        return study
    if study.task != "segmentation":
        return choose_adjustment(study, runs)
    recipe, output = load_run_recipe(runs[0].recipe), read_manifest(runs[0]).model.output
    groups = {row.id: row.group or None for run in runs for row in read_cases(run)}
    now = [{row.id: row.values["dice"] for row in read_cases(run) if row.split == "validation"} for run in runs]
    chosen: Change = {}
    words: dict[str, str] = {}
    for change in _changes(recipe, output):
        found = [_measured(folder, run, {**chosen, **change}) for run in runs]
        gains: dict[str, list[float]] = {}
        for before, after in zip(now, found, strict=True):
            for case in before.keys() & after.keys():
                if math.isfinite(gain := after[case] - before[case]):  # a case without any class has no Dice
                    gains.setdefault(case, []).append(gain)
        cases = sorted(gains)
        means = [fmean(gains[case]) for case in cases]
        bounds = mean_interval(means, [groups[case] for case in cases], (-1.0, 1.0)).interval
        taken = bounds is not None and bounds[0] > 0
        spread = f" ({signed(bounds[0], 4)} to {signed(bounds[1], 4)})" if bounds else ""
        said = (
            f"{'taken' if taken else 'not taken'}: Dice {signed(fmean(means), 4)}{spread}" if means else "not measured"
        )
        words |= {_text(change): said}
        show(f"post-processing {_text(change)}: {said}")
        if taken:
            chosen, now = {**chosen, **change}, found
    return msgspec.structs.replace(study, post=chosen, tried=words)


def _changes(recipe: Recipe, output: str) -> Iterator[Change]:
    """What is tried besides what the recipe says; mirroring only along axes that training mirrored."""
    table = recipe.evaluate
    if not isinstance(table, SegmentationEvaluateTable):
        return
    yield {"largest_component": not table.largest_component}
    if recipe.augment.flip and not table.flips:
        yield {"flips": True}
    if applies(recipe, "evaluate", "threshold", {"model.output": output}):
        around = (round(table.threshold + step, 3) for step in (-0.1, 0.1))
        yield from ({"threshold": value} for value in around if 0 < value < 1)


def _text(change: Change) -> str:
    return ", ".join(f"{key} = {str(value).lower()}" for key, value in change.items())


def _measured(folder: RunFolder, run: RunFolder, change: Change) -> dict[str, float]:
    """Dice of every validation case of a member, nan where it has none."""
    path, name = folder.root / "post.csv", f"{run.id}: {_text(change)}"
    known = {row["id"]: float(row["dice"]) for row in read_cells(path) if row.get("split") == name}
    if known:
        return known
    trained = open_trained(run)
    recipe = load_run_recipe(run.recipe, [f"evaluate.{key}={str(value).lower()}" for key, value in change.items()])
    dataset = open_dataset(recipe.data, recipe.task, trained.root)
    dataset = replace(dataset, cases=dataset.split("validation"))
    dataset = check_dataset(as_trained(dataset, trained), recipe.data)
    network = network_for(trained, dataset)
    load_predictors(recipe, network, [run])
    table = recipe.evaluate.model_copy(update={"validation_mode": "same", "surface_validation": False})
    recipe = recipe.model_copy(update={"evaluate": table})
    evaluation = open_evaluation(validation_job(recipe, network, dataset, network.model))
    evaluate_split(evaluation, show_progress(f"{run.name}, {_text(change)}"))
    found = {str(case["id"]): float(case.get("dice", math.nan)) for case in evaluation.cases()}
    rows = ({"id": case, "split": name, "dice": repr(value)} for case, value in found.items())
    put_rows(folder, path, ["id", "split", "dice"], {name}, rows)
    return found
