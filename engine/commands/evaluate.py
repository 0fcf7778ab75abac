"""``medtui evaluate``: a run's checkpoint on any split, or on the same kind of data from elsewhere."""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from engine import runfolder
from engine.console import show_progress
from engine.data import Dataset, check_dataset, open_dataset
from engine.data.dataset import open_elsewhere
from engine.data.familiar import unfamiliar
from engine.data.identity import changed, seen_in_training, split_rows
from engine.device import ELSEWHERE, memory_errors
from engine.errors import DataError, RunError, UsageError, printable
from engine.evaluation.start import trained_before
from engine.evaluation.tester import Tester
from engine.evaluation.trained import Trained, as_trained, network_for, open_trained
from engine.events import Event, Log
from engine.measures import is_distance
from engine.report import write_report
from engine.report.study import write_study_report
from engine.requests import Evaluate
from engine.runfolder.study import read_study

SPLITS = ("train", "validation", "test")


@memory_errors(ELSEWHERE)
def evaluate(request: Evaluate) -> int:
    """Measure, write into metrics.json and cases.csv under a name of its own, print the result.

    Raises:
        UsageError: the split or the name cannot be measured so.
        DataError, RunError: the data or the run cannot be used.
    """
    folder, split = runfolder.RunFolder(request.run), request.split
    _refuse_split(folder, split, request.data)
    trained = open_trained(folder, checkpoint=request.checkpoint, device=request.device)
    opened, label = _labelled(request, trained)
    dataset = as_trained(opened, trained)
    dataset = check_dataset(dataset, trained.recipe.data, progress=show_progress("checking the data"), measured=True)
    rows = split_rows(dataset.cases, label)
    _refuse_changed(trained, rows, label)
    before = {image for voter in trained.voters for image in trained_before(voter)}
    dataset = seen_in_training(dataset, runfolder.read_splits(folder), label, before)
    network = network_for(trained, dataset)
    news: list[Event] = []
    for note in (
        *dataset.notes,
        *unfamiliar(dataset, trained.manifest.data.ranges, trained.recipe.data),
    ):
        if request.data or note not in opened.notes:  # a case that was left out is not left out in silence
            news.append(Log(level="warning", message=f"{label}: {note}"))
            print(printable(note), file=sys.stderr)
    shown = show_progress("measuring")

    def progress(_phase: str, done: int, total: int) -> None:
        shown(done, total)

    tester = Tester(folder, trained.recipe, network, news.append, progress, voters=trained.voters)
    summary = tester.measure(dataset, "chosen", label, keep=True)
    if label not in SPLITS:
        runfolder.write_splits(folder, rows)
    if label == "test" and runfolder.read_status(folder).state in runfolder.ENDED:  # the others write their own
        status = runfolder.stored_status(folder)
        runfolder.write_status(folder, msgspec.structs.replace(status, test=summary.value(trained.recipe.monitor)))
    if folder.is_study:
        write_study_report(folder, read_study(folder))
    else:
        _append(folder, [*news, Log(message=f"evaluated: {label}")])
        if (folder.root / "report.html").exists() and runfolder.read_status(folder).state in runfolder.ENDED:
            write_report(folder)
    _print(label, summary)
    print(printable(f"stands in {folder.metrics}, and in the report where there is one"))
    return 0


def _refuse_split(folder: runfolder.RunFolder, split: str | None, data: Path | None) -> None:
    """Raises: UsageError: the members of a study learned from it."""
    runfolder.refuse_links(folder)
    if folder.is_study and data is None and split not in {None, "test"}:
        raise UsageError(
            f"members of {folder.id} were trained on cases of the split {split}",
            "what each of them gives on cases that it was not trained on stands in metrics.json and the report",
        )


def _labelled(request: Evaluate, trained: Trained) -> tuple[Dataset, str]:
    """The cases to be measured, as one split called ``chosen``, and the name that their results get."""
    split, data = request.split, request.data
    dataset, own_name = _elsewhere(trained, data, split) if data else _own(trained, split or "test")
    label = request.name or own_name
    if label in SPLITS and (data is not None or label != own_name):
        raise UsageError(f'"{label}" is the name of a split of the run\'s own data', "choose another with --name NAME")
    if dataset.classes != trained.classes:
        raise DataError(
            f"the classes differ: the run has {', '.join(trained.classes)}; the data {', '.join(dataset.classes)}",
            "evaluate on data of the same kind, with the same classes in the same order",
        )
    return dataset, label


def _refuse_changed(trained: Trained, rows: Sequence[runfolder.SplitRow], label: str) -> None:
    """Raises: DataError: cases under a split's own name are not those that the run had in it."""
    known = [row for row in runfolder.read_splits(trained.folder) if row.split == label and label in SPLITS]
    if known and (what := changed(known, rows)):
        raise DataError(
            f"the {label} cases in {trained.root / trained.recipe.data.root} are not those of the run: {what}",
            "bring the old data back, or measure these under another name: --data DIR --name NAME",
        )


def _own(trained: Trained, split: str) -> tuple[Dataset, str]:
    dataset = open_dataset(trained.recipe.data, trained.recipe.task, trained.root)
    return _choose(dataset, split), split


def _elsewhere(trained: Trained, data: Path, split: str | None) -> tuple[Dataset, str]:
    dataset = open_elsewhere(trained.recipe.data, trained.recipe.task, data, classes=trained.classes)
    label = runfolder.file_name(data.resolve().name)
    chosen = _choose(dataset, split or "all")
    return chosen, label if split in {None, "all"} else f"{label}-{split}"


def _choose(dataset: Dataset, split: str) -> Dataset:
    """Only the cases of ``split``, as one split called ``chosen``."""
    cases = tuple(replace(case, split="chosen") for case in dataset.cases if split in {"all", case.split})
    labelled = tuple(case for case in cases if case.label is not None or case.target is not None)
    if not labelled:
        present = ", ".join(sorted({case.split for case in dataset.cases} - {""})) or "none"
        raise DataError(f'the data has no labelled cases in "{split}"', f"splits with cases: {present}")
    return replace(dataset, cases=labelled)


def _append(folder: runfolder.RunFolder, news: Sequence[Event]) -> None:
    """Into the stream of a run that has ended; a live trainer's stream belongs to the trainer."""
    with contextlib.suppress(RunError):  # who took the lock since then is a trainer
        if runfolder.read_status(folder).state in runfolder.ENDED:
            lock = runfolder.take_lock(folder)
            try:
                writer = runfolder.EventWriter(folder.events)
                for event in news:
                    writer.write(event)
                writer.close()
            finally:
                runfolder.release_lock(lock)


def _print(name: str, summary: runfolder.SplitSummary) -> None:
    print(printable(f"{name}: n {summary.n}, {summary.protocol}"))
    wide = max(map(len, summary.values), default=0)
    for key, value in summary.values.items():
        if value is not None:
            interval = summary.interval(key)
            figure = f"{value:.4g} {summary.unit if is_distance(key) else ''}"
            words = f"95 % CI {interval[0]:.4g} to {interval[1]:.4g}" if interval else ""
            print(f"  {key:{wide}}  {figure:14}{words}".rstrip())
    sys.stdout.flush()
