"""All that figures and report know of a run: its folder, read once and never written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from engine import runfolder
from engine.errors import RecipeError, counted
from engine.readers.arrays import ArraysError
from engine.readers.examples import Example, ExampleHead, example_files, example_heads, read_example
from engine.readers.fold import read_view
from engine.readers.run_view import RunView
from engine.recipe import FiguresTable, Recipe, load_run_recipe
from engine.recipe.earlier import of_newer
from engine.toml import parse


class CaseTable:
    """``cases.csv`` of one split: a row a case."""

    def __init__(self, rows: Sequence[runfolder.CaseRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> list[str]:
        return [row.id for row in self.rows]

    @property
    def groups(self) -> list[str | None] | None:
        """The group of each case, or None where no groups are known."""
        groups = [row.group or None for row in self.rows]
        return groups if any(groups) else None

    @property
    def columns(self) -> list[str]:
        return self.rows[0].columns if self.rows else []

    def numbers(self, column: str) -> np.ndarray:
        """The cells of ``column`` as float64 (n,); NaN for an empty cell."""
        return np.array([row.number(column) for row in self.rows], dtype=np.float64)

    def means(self, column: str) -> np.ndarray:
        """As `numbers`, of a case that several seeds of a study measured their mean: a value for each of `cases`."""
        of = np.unique(self.ids, return_inverse=True)[1]
        return np.bincount(of, self.numbers(column)) / np.bincount(of)

    @property
    def cases(self) -> list[str]:
        """Each id once, in order."""
        return sorted({*self.ids})


class RunData:
    """A run folder as figures and report read it; each file is read when it is first asked for.

    Args:
        folder: the run; live, dead or finished. Files that are missing or damaged read as empty.
    """

    def __init__(self, folder: runfolder.RunFolder) -> None:
        self.folder = folder

    @cached_property
    def recipe_text(self) -> str:
        try:
            return runfolder.read_text(self.folder.recipe)
        except OSError:
            return ""

    @cached_property
    def recipe(self) -> Recipe | None:
        """The recipe, or None where this version cannot read it."""
        try:
            return load_run_recipe(self.folder.recipe)
        except RecipeError:
            return None

    @property
    def of_newer(self) -> bool:
        """Whether a newer version wrote the recipe."""
        try:
            return of_newer(parse(self.recipe_text, self.folder.recipe.name))
        except RecipeError:
            return False

    @cached_property
    def options(self) -> FiguresTable:
        return self.recipe.figures if self.recipe else FiguresTable()

    @cached_property
    def manifest(self) -> runfolder.Manifest:
        return runfolder.read_manifest(self.folder)

    @cached_property
    def metrics(self) -> dict[str, runfolder.SplitSummary]:
        return runfolder.read_metrics(self.folder)

    @cached_property
    def view(self) -> RunView:
        return read_view(self.folder.events)

    @cached_property
    def status(self) -> runfolder.Status:
        """What the run says of itself; one that has only its report left to write counts as finished."""
        status = runfolder.read_status(self.folder)
        if status.state == "running" and self.manifest.measured:
            return msgspec.structs.replace(status, state="finished")
        return status

    @cached_property
    def _rows(self) -> tuple[runfolder.CaseRow, ...]:
        return runfolder.read_cases(self.folder)

    def cases(self, split: str | None = None) -> CaseTable:
        """The rows of ``split`` (default: `split`)."""
        split = split or self.split
        return CaseTable([row for row in self._rows if row.split == split])

    def contents(self, split: str) -> dict[str, tuple[str, str]]:
        """Id -> hashes of image and truth, of the cases of ``split`` that splits.csv knows."""
        return {row.id: row.content for row in self.splits if row.split == split}

    @cached_property
    def splits(self) -> tuple[runfolder.SplitRow, ...]:
        return runfolder.read_splits(self.folder)

    @property
    def seed(self) -> int | None:
        """The seed of the run, by its manifest, else by its recipe."""
        return self.manifest.seed if self.manifest.seed is not None else self.recipe.seed if self.recipe else None

    @property
    def data(self) -> runfolder.DataFacts:
        return self.manifest.data

    @cached_property
    def task(self) -> str:
        started = self.view.started
        return (self.recipe.task if self.recipe else "") or (started.task if started else "") or self.status.task

    @cached_property
    def name(self) -> str:
        return self.label.title or (self.recipe.name if self.recipe else self.status.name or self.folder.id)

    @cached_property
    def label(self) -> runfolder.Label:
        """What people call the run, and their note on it."""
        return runfolder.read_label(self.folder)

    @cached_property
    def classes(self) -> list[str]:
        """Class names in order; of a segmentation, of the foreground classes."""
        started = self.view.started
        return self.data.classes or (started.classes if started else []) or list(self.result.per_class)

    @cached_property
    def regions(self) -> list[str]:
        """Names of the unions of classes that were measured."""
        return list(self.result.per_region)

    @cached_property
    def unions(self) -> dict[str, frozenset[str]]:
        """Region -> the classes of which it is the union, as the recipe has them."""
        known = self.recipe.regions if self.recipe else {}
        return {name: frozenset(own) for name, own in known.items() if name in self.regions}

    @cached_property
    def unit(self) -> str:
        """Unit of the surface distances: ``mm``, ``voxel`` or ``pixel``."""
        started = self.view.started
        return self.result.unit or self.data.unit or (started.unit if started else "voxel")

    @property
    def pictures(self) -> bool:
        return self.data.spatial_dims == 2 or (self.recipe is not None and len(self.recipe.data.size) == 2)

    @cached_property
    def split(self) -> str:
        """The split that is reported first: test, else validation, else what there is."""
        known = list(dict.fromkeys([*self.metrics, *(row.split for row in self._rows)]))
        for name in ("test", "validation", *known):
            if name in known:
                return name
        return "test"

    def measured(self, ids: Sequence[str]) -> str:
        """How many rows of `split` there are, for captions: several of a case where a study has several seeds."""
        each = len(ids) // max(1, len({*ids}))
        where = "out of fold" if self.split == "out_of_fold" else f"of the {self.split} split"
        if each < 2:
            return f"{counted(len(ids), 'case')} {where}"
        return f"{counted(len(ids), 'prediction')} {where} ({each} of each case)"

    def over_seeds(self, what: str, ids: Sequence[str]) -> str:
        """For captions: what is pooled in a figure, and is the mean over the seeds of a study in tables and here."""
        return f" {what}: mean over the seeds." if len({*ids}) < len(ids) else ""

    @cached_property
    def result(self) -> runfolder.SplitSummary:
        """What metrics.json has of `split`; empty where it has nothing."""
        return self.metrics.get(self.split, runfolder.SplitSummary())

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {case: index for index, case in enumerate(sorted({row.id for row in self._rows}), 1)}

    def case_name(self, case: str) -> str:
        """The id, or ``case 07`` where the recipe asks for numbers in place of names."""
        if self.options.case_names:
            return case
        number = self._numbers.get(case)
        return f"case {number:02d}" if number is not None else "case"

    def examples(self, split: str | None = None) -> Iterator[Example]:
        """The examples of ``split``, in the order of their file names; damaged files are left out."""
        for path in example_files(self.folder, split or self.split):
            try:
                yield self.example(path)
            except FigureError:
                continue

    def example(self, path: Path) -> Example:
        """One file of ``examples/``.

        Raises:
            FigureError: it is damaged.
        """
        try:
            return read_example(path)
        except ArraysError as error:
            raise FigureError(f"{path.name} {error}") from error

    def example_heads(self) -> list[ExampleHead]:
        """The examples of `split`, without their large arrays."""
        return example_heads(self.folder, self.split)

    @property
    def finished(self) -> bool:
        return self.status.state == "finished"

    @property
    def live(self) -> bool:
        return self.status.state not in runfolder.ENDED


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a figure says of itself: the caption, and a remark where something is missing."""

    caption: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One figure that can be drawn: ``draw(path)`` writes ``path`` (PNG) or raises `FigureError`."""

    stem: str
    kind: str
    title: str
    draw: Callable[[Path], Drawn]


class FigureError(Exception):
    """A figure cannot be drawn, and why: one line for log and report."""
