"""``study.toml``: which runs a study is made of, and how far each of them is."""

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
    """One run of a study."""

    name: str  # of the run
    seed: Count = 0  # of the training
    fold: Count | None = None  # which one is held out for validation; None where there are no folds
    trial: Count | None = None  # the number of the search's trial that it belongs to
    grid: dict[str, str] = {}  # key of the recipe -> its value, as TOML; what the study varies besides fold and seed
    run: str = ""  # id of the run folder, once there is one
    state: str = "waiting"  # waiting, or that of the run, or pruned

    @property
    def setting(self) -> str:
        """What of the grid it is, for people; "" where nothing is varied."""
        words = ", ".join(f"{key}={value}" for key, value in self.grid.items())
        return words if self.trial is None else f"trial {self.trial}: {words}"


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in ``study.toml``; the recipe is in ``recipe.toml`` beside it."""

    recipe: str = ""  # the recipe's file as it was named, for people
    task: str = ""  # of the recipe
    monitor: str = ""  # the validation metric by which settings are compared
    folds: Count = 0  # of the cross-validation; 0: every member validates on the recipe's own validation split
    seeds: list[Count] = []  # of the members
    grid: dict[str, list[str]] = {}  # key of the recipe -> values, as TOML
    search: dict[str, str] = {}  # key of the recipe -> range or choices, as typed
    trials: Count = 0  # of the search
    jobs: Count = 1  # members at a time
    on: str = "local"  # where they run: local, slurm
    slurm: list[str] = []  # options of sbatch for each of them
    data: str = "data"  # root of the data sets
    outside: bool = False  # whether paths in the recipe may leave it
    post: dict[str, bool | float] = {}  # post-processing that was chosen out of fold, by key of [evaluate]
    tried: dict[str, str] = {}  # each change of it that was tried -> what it gave
    member: list[Member] = []  # the runs

    @property
    def up(self) -> bool:
        return better_up(self.monitor)

    @property
    def settings(self) -> list[str]:
        """The settings that are compared, in the order of the members; [""] where there is one."""
        return list(dict.fromkeys(member.setting for member in self.member))

    @property
    def size(self) -> int:
        """How many members there will be; those of a search come as it goes."""
        return max(len(self.member), self.trials * max(1, self.folds) * len(self.seeds))

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


def result_words(name: str) -> str:
    """The name of a result in metrics.json as people read it: ``out_of_fold: lr=1`` -> ``out of fold: lr=1``."""
    kind, colon, setting = name.partition(": ")
    return {"out_of_fold": "out of fold", "test_members": "test, mean of members"}.get(kind, kind) + colon + setting


def best_setting(study: Study, metrics: Mapping[str, SplitSummary]) -> str:
    """The setting whose pooled result is best by the monitored metric; the first where none is known."""
    found = {one: metrics.get(pooled_name(study, one), SplitSummary()).value(study.monitor) for one in study.settings}
    known = {one: value for one, value in found.items() if value is not None}
    return (max if study.up else min)(known, key=lambda one: known[one]) if known else next(iter(found), "")


def voters(folder: RunFolder, study: Study) -> list[RunFolder]:
    """The run folders of the finished members of the best setting, in the order of the study."""
    setting = best_setting(study, read_metrics(folder))
    return [member_folder(folder, member) for member in study.of(setting) if member.state == "finished"]
