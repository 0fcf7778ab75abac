"""``medtui new``: a look at the data and the machine, and a recipe that says why."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.console import show_progress, tell
from engine.data import Dataset, data_root, open_dataset
from engine.data.sources.dataset_json import ignored_by
from engine.data.sources.dataset_json import said as said_in
from engine.errors import DataError, UsageError, counted, printable, raised_as, some
from engine.hardware import unwatched
from engine.planning.facts import Facts, cases_words, gather, learned, rounded, words_of_sizes
from engine.planning.layouts import Layout, find_layout, place_of
from engine.planning.mask_values import classes_of_masks, ignored_in
from engine.planning.plan import FEW, VALIDATION_FRACTION, Line, Lines, Plan, Wish
from engine.planning.text import named, recipe_text
from engine.recipe import parse_recipe, refuse_dead
from engine.requests import New
from engine.runfolder import write_text

if TYPE_CHECKING:
    from engine.planning.machine import Machine, Pace


def new(request: New) -> int:
    """Write the recipe, and print what was seen, what was decided, and what to do next.

    Raises:
        UsageError: the file is there already, or the folder can be read in several ways.
        DataError: the folder is in no known layout, or its data cannot be used.
    """
    root, place = place_of(request.folder, data_root(request.data))
    folder = root / place
    name = named(request.output.stem if request.output else folder.resolve().name)
    target = request.output or Path(f"{name}.toml")
    _refuse_taken(target, force=request.force)
    tell(f"looking at {folder}")
    layout, others = find_layout(folder, request.source)
    layout, facts = facts_of(layout, root, place)
    machine = _machine()
    plan = _plan(Wish(facts, machine, request.minutes), root, place)
    ways = shlex.join(["--data", str(root)]) if _elsewhere(root) else ""
    commands = [" ".join(["medtui", verb, shlex.quote(str(target)), ways]).strip() for verb in ("check", "run")]
    saw = _saw(facts, layout, others)
    text = recipe_text(_head(plan, facts, machine, saw, commands), _lines(plan, name, place, layout, facts))
    refuse_dead(parse_recipe(text, str(target)), facts.dataset.facts)
    _refuse_taken(target, force=request.force)
    with raised_as(UsageError, f"cannot write {target}", "name another file with -o"):
        write_text(target, text)
        target.chmod(0o666 & ~_umask())  # no file of a run, which are for their owner alone
    for line in (*saw, *plan.said, f"wrote {target}; next:", *(f"  {command}" for command in commands)):
        print(printable(line), flush=True)
    return 0


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _refuse_taken(target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "name a file with -o")
    if target.exists() and not target.is_file():
        raise UsageError(f"{target} is a device or a pipe", "name a file with -o")
    if os.path.lexists(target) and not force:
        raise UsageError(f"{target} is there already", "name another file with -o, or write over it with --force")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "make it first, or name another file with -o")
    if not os.access(target.absolute().parent, os.W_OK, effective_ids=True):
        raise UsageError(f"nothing can be written in {target.absolute().parent}", "name another file with -o")


def facts_of(layout: Layout, root: Path, place: str) -> tuple[Layout, Facts]:
    """What is known of the data, with classes for masks that nothing names."""
    if layout.task == "segmentation":
        layout = _with_values(layout, root / place)
    splits = {case.split for case in layout.index.cases}
    given = "train" in splits and len(splits - {""}) > 1
    if not given:  # a column that says of all that they are for training
        layout = replace(layout, keys={key: value for key, value in layout.keys.items() if key != "split_column"})
    rest = len({case.group_key for case in layout.index.cases if not given or case.split == "train"})
    keys: dict[str, Any] = {"split": "given" if given else "fraction"}
    if not given and rest < 2:
        keys["test_fraction"] = 0.0
    if rest >= FEW and not (given and "validation" in splits):
        keys["validation_fraction"] = VALIDATION_FRACTION
    table = layout.table(place, **keys)
    dataset = open_dataset(table, layout.task, root)
    facts = gather(dataset, table, layout, show_progress)
    if not any(facts.present.values()) and facts.whole:
        raise DataError(f"no case in {root / place} has any of the classes", "a mask is 0 for the background only")
    return layout, facts


def _with_values(layout: Layout, folder: Path) -> Layout:
    """``layout`` with what the values of its masks mean, as far as nothing says it."""
    index, keys = layout.index, dict[str, Any]()
    if not layout.named:
        called = layout.keys.get("channels", ())
        keys["classes"], ignore = classes_of_masks(index.cases, index.spatial_dims, folder, show_progress, called)
    else:
        said = ignored_by(said_in(folder).get("labels"))
        ignore = None if said else ignored_in(index, show_progress)
    return replace(layout, keys={**layout.keys, **keys, **({"ignore": ignore} if ignore else {})})


def _machine() -> Machine:
    if "torch" not in sys.modules:
        tell("loading PyTorch")
    with unwatched():
        from engine.planning.machine import this_machine

        return this_machine()


def _plan(wish: Wish, root: Path, place: str) -> Plan:
    from engine.planning.machine import measure

    dataset = wish.facts.dataset
    known: list[str] = []

    def pace(lines: Lines, watched: bool) -> Pace | None:
        tell(f"timing {'a validation' if watched else 'steps'} of {_sizes(lines)}")
        recipe = parse_recipe(recipe_text([], _whole(lines, "trial", place, dataset)), "plan")
        found = measure(recipe, dataset, root, known[0] if known else "", watched=watched)
        known[:] = known or ([found.precision] if found else [])
        return found

    if dataset.dense:
        from engine.planning.segmentation import plan_segmentation

        return plan_segmentation(wish, pace, partial(_trip, wish.facts, place))
    from engine.planning.classification import plan_classification
    from engine.planning.machine import ready_weights

    return plan_classification(wish, pace, ready_weights())


def _trip(facts: Facts, place: str, spacing: tuple[float, ...]) -> float:
    """The Dice of masks with themselves after resampling to ``spacing`` and back, of the class that loses most."""
    from engine.data.survey import round_trip
    from engine.recipe import DataTable

    size = (8,) * len(spacing)
    table = DataTable(**{**facts.keys, "root": place, "size": size, "spacing": spacing})
    tell(f"resampling a few masks to {' x '.join(f'{side:g}' for side in spacing)}")
    return min(round_trip(learned(facts.dataset), table).values(), default=1.0)


def _whole(lines: Lines, name: str, place: str, dataset: Dataset) -> list[Line]:
    top = [Line("name", name), Line("task", dataset.task), Line("seed", 0)]
    return [*top, *(Line(line.key, place) if line.key == "data.root" else line for line in lines)]


def _lines(plan: Plan, name: str, place: str, layout: Layout, facts: Facts) -> list[Line]:
    top, *rest = _whole(plan.lines, name, place, facts.dataset)
    classes, data = some(facts.dataset.classes, 7), facts.dataset.name
    text = f"{layout.task.capitalize()} of {classes}{f' in {data}' if data != classes else ''}."
    return [top, *rest[:2], Line("description", text[:2000]), *rest[2:]]


def _head(plan: Plan, facts: Facts, machine: Machine, saw: list[str], commands: list[str]) -> list[str]:
    data = facts.dataset
    what = f"{data.task.capitalize()} of {some(data.classes, 7)} in {cases_words(facts)}"
    return [
        f"{what}, in {_minutes(plan.minutes)} of training.",
        "",
        f"Written by medtui new for this machine: {machine}.",
        *saw,
        "",
        *(f"  {command}" for command in commands),
        "",
        "Every key: docs/recipes.md. What was found to be better or worse: docs/benchmarks.md.",
    ]


def _minutes(minutes: float) -> str:
    return counted(int(minutes), "minute") if minutes == int(minutes) else f"about {rounded(minutes, 2):g} minutes"


def _saw(facts: Facts, layout: Layout, others: tuple[str, ...]) -> list[str]:
    data = facts.dataset
    also = f" (it can be read as {', '.join(others)} too: --source)" if others else ""
    channels = f", {counted(data.channels, 'channel')}" if data.channels > 1 else ""
    unit = "voxels" if data.spatial_dims == 3 else "pixels"
    rows = [
        f"{cases_words(facts)}, laid out as {layout.source}{also}; {unit}: {words_of_sizes(facts)}{channels}",
    ]
    if not facts.whole:
        rows.append(f"headers of all were read, and {counted(facts.read, 'case')} whole: medtui check reads every one")
    if data.ignore:
        rows.append(f"voxels of mask value {data.ignore} are not known: they count in no loss and no metric")
    absent = [name for name, count in facts.present.items() if not count]
    if absent:
        where = "of the cases that were read whole " if data.dense and not facts.whole else ""
        rows.append(f"no case {where}has the class {some(absent)}")
    return rows


def _sizes(lines: Lines) -> str:
    known = {line.key: line.value for line in lines}
    size = "x".join(map(str, known["data.size"]))
    channels = known.get("model.channels")
    return f"{known['model.name']} on {size}" + (f", from {channels[0]} features" if channels else "")


def _elsewhere(root: Path) -> bool:
    """Whether the data root has to be said with --data."""
    return root.resolve() != data_root(None).resolve()
