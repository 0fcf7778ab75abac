"""The members of a study: their names, their table, and the settings that each of them varies."""

import itertools
import re
from collections.abc import Sequence

import msgspec

from engine.errors import UsageError
from engine.recipe import toml_value
from engine.runfolder import RunFolder, write_text
from engine.runfolder.study import Member, Study, study_file

_VALUES = re.compile(r"""(?:\[[^\]]*\]|"[^"]*"|'[^']*'|[^,\[])+""")
"""The values in ``1e-3,1e-4`` or ``[96,96],[128,128]``."""
_OWN = dict.fromkeys(("data.validation_folds", "data.validation_fold"), "--folds K")
_OWN |= {"seed": "--seeds N", "name": "--name NAME"}
"""Keys of the recipe that a study sets itself, and by which option."""


def members(
    name: str, folds: int, seeds: Sequence[int], grid: dict[str, str], *, part: str, trial: int | None = None
) -> list[Member]:
    """The members of one setting: every seed of it in every fold. ``part``: what their names have of the setting."""
    found = []
    for seed, fold in itertools.product(seeds, range(folds) if folds else (None,)):
        ending = part + ("" if fold is None else f"-f{fold}") + f"-s{seed}"
        found.append(Member(name=name[: 64 - len(ending)] + ending, seed=seed, fold=fold, trial=trial, grid=grid))
    return found


def save(folder: RunFolder, study: Study) -> None:
    """Replace ``study.toml``."""
    values = msgspec.to_builtins(study)
    rows = values.pop("member")
    lines = [f"{key} = {toml_value(value)}" for key, value in values.items()]
    for row in rows:
        lines += ["", "[[member]]", *(f"{key} = {toml_value(row[key])}" for key in row if row[key] is not None)]
    write_text(study_file(folder), "\n".join(lines) + "\n")


def settings(grid: dict[str, str]) -> list[str]:
    """Texts for ``--set`` of a point of the grid."""
    return [f"{key}={value}" for key, value in grid.items()]


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Key -> values of texts ``KEY=...``. Raises: UsageError: one is not of that form, or its key cannot be varied."""
    found: dict[str, str] = {}
    for text in texts:
        key, _, values = (part.strip() for part in text.partition("="))
        if not key or not values:
            raise UsageError(f'{option}: found "{text}"', f"such as {option} optimizer.lr=1e-3,1e-4")
        if key in _OWN:
            raise UsageError(f"{option}: {key} is what a study sets itself", f"vary it with {_OWN[key]}")
        if key == "train.monitor":
            raise UsageError(f"{option}: members are compared by {key}", f"one for all of them: --set {key}=NAME")
        if key in found:
            raise UsageError(f"{option}: {key} is given twice", "name all of its values in one")
        found[key] = values
    return found


def choices(key: str, values: str) -> tuple[str, ...]:
    """The values of ``A,B``; commas in brackets and quotes are a value's own. Raises `UsageError`."""
    found = tuple(value.strip() for value in _VALUES.findall(values))
    if len(set(found)) != len(found) or not all(found):
        raise UsageError(f'{key}: found "{values}"', "values that differ, with commas between them")
    return found
