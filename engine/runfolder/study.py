"""``study.toml``: which runs a study is made of, and how far each of them is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import RunError
from engine.measures import better_up
from engine.runfolder.careful import UNREADABLE, Count, read_text
from engine.runfolder.manifest import read_manifest
from engine.runfolder.paths import RunFolder
from engine.runfolder.summary import SplitSummary, read_metrics


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a study.

    Attributes:
        name: of the run.
        seed: of the training.
        fold: which one is held out for validation; None where there are no folds.
        trial: the number of the search's trial that it belongs to.
        grid: key of the recipe -> its value, as TOML; what the study varies besides fold and seed.
        run: id of the run folder, once there is one.
        state: waiting, or that of the run, or pruned.
    """

    name: str
    seed: Count = 0
    fold: Count | None = None
    trial: Count | None = None
    grid: dict[str, str] = {}
    run: str = ""
    state: str = "waiting"

    @property
    def setting(self) -> str:
        """What of the grid it is, for people; "" where nothing is varied."""
        words = ", ".join(f"{key}={value}" for key, value in self.grid.items())
        return words if self.trial is None else f"trial {self.trial}: {words}"


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in ``study.toml``; the recipe is in ``recipe.toml`` beside it.

    Attributes:
        recipe: the recipe's file as it was named, for people.
        task: of the recipe.
        monitor: the validation metric by which settings are compared.
        folds: of the cross-validation; 0: every member validates on the recipe's own validation split.
        seeds: of the members.
        grid: key of the recipe -> values, as TOML.
        search: key of the recipe -> range or choices, as typed.
        trials: of the search.
        jobs: members at a time.
        slurm: options of sbatch for each of them.
        on: where they run: local, slurm.
        data: root of the data sets.
        outside: whether paths in the recipe may leave it.
        post: post-processing that was chosen out of fold, by key of [evaluate].
        tried: each change of it that was tried -> what it gave.
        member: the runs.
    """

    recipe: str = ""
    task: str = ""
    monitor: str = ""
    folds: Count = 0
    seeds: list[Count] = []
    grid: dict[str, list[str]] = {}
    search: dict[str, str] = {}
    trials: Count = 0
    jobs: Count = 1
    on: str = "local"
    slurm: list[str] = []
    data: str = "data"
    outside: bool = False
    post: dict[str, bool | float] = {}
    tried: dict[str, str] = {}
    member: list[Member] = []

    @property
    def up(self) -> bool:
        return better_up(self.monitor)

    @property
    def settings(self) -> list[str]:
        """The settings that are compared, in the order of the members; [""] where there is one."""
        return list(dict.fromkeys(member.setting for member in self.member))

    def of(self, setting: str) -> list[Member]:
        return [member for member in self.member if member.setting == setting]


def study_file(folder: RunFolder) -> Path:
    """Where the study's own table is."""
    return folder.root / "study.toml"


def read_study(folder: RunFolder) -> Study:
    """The study in a folder.

    Raises:
        RunError: it is damaged.
    """
    try:
        content: dict[str, Any] = tomllib.loads(read_text(study_file(folder)))
        study = msgspec.convert(content, Study)
        runs = [member.run for member in study.member if member.run]
        if len({*runs}) < len(runs):  # each is read whole: twenty thousand rows must not cost what they say
            raise msgspec.ValidationError("two members name one run")
        runs += [member.run for member in study.member if member.state == "finished"]
        if odd := [run for run in runs if run in {"", ".."} or Path(run).name != run]:
            raise msgspec.ValidationError(f"the run of a member is a folder beside the study, not {odd[0][:80]!r}")
        return study
    except (*UNREADABLE, tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise RunError(f"{folder.id}: study.toml cannot be read: {error}", "bring it back, or begin anew") from None


def member_folder(folder: RunFolder, member: Member) -> RunFolder:
    """The run folder of a member: beside that of the study."""
    return RunFolder(folder.root.parent / member.run)


def study_of(folder: RunFolder) -> RunFolder | None:
    """The study that a run is a member of; None where it is of none, or that is gone."""
    name = Path(read_manifest(folder).study.id).name
    study = RunFolder(folder.root.parent / name)
    return study if name and study_file(study).is_file() else None


def pooled_name(study: Study, setting: str = "") -> str:
    """The name of the pooled result of a setting, "" for the best one."""
    return ("out_of_fold" if study.folds else "validation") + (f": {setting}" if setting else "")


def best_setting(study: Study, metrics: Mapping[str, SplitSummary]) -> str:
    """The setting whose pooled result is best by the monitored metric; the first where none is known."""
    found = {one: metrics.get(pooled_name(study, one), SplitSummary()).value(study.monitor) for one in study.settings}
    known = {one: value for one, value in found.items() if value is not None}
    return (max if study.up else min)(known, key=lambda one: known[one]) if known else next(iter(found), "")


def voters(folder: RunFolder, study: Study) -> list[RunFolder]:
    """The run folders of the finished members of the best setting, in the order of the study."""
    setting = best_setting(study, read_metrics(folder))
    return [member_folder(folder, member) for member in study.of(setting) if member.state == "finished"]
