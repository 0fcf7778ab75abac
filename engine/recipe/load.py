"""From files and ``--set`` options to a `Recipe`, or to the list of everything that is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import Problem, ProblemsError, RecipeError, counted
from engine.recipe.base import Values
from engine.recipe.dead import dead_keys
from engine.recipe.document import Document, leaves, merge, override, read, there
from engine.recipe.earlier import FORMAT, as_then, format_of, refuse_newer
from engine.recipe.explain import bad_keys, explain, path_keys, show
from engine.recipe.lines import key_lines
from engine.recipe.model import FAMILIES, TABLES, Recipe, contradictions, refresh, table_class
from engine.toml import parse


def load_recipe(path: Path, overrides: Sequence[str] = (), *, outside: bool = False) -> Recipe:
    """Read, merge and check the recipe at ``path``.

    Args:
        path: a TOML file.
        overrides: ``table.key=value`` texts, as given to ``--set``; they win.
        outside: let paths in the recipe be absolute or hold ``..`` (``--allow-outside``).

    Raises:
        RecipeError: with every problem that was found.
    """
    document = read(path)
    document.file = str(path)
    override(document, overrides)
    of_a_run = path.name == "recipe.toml" and there(path.parent / "manifest.json")
    return _check(document, outside, stored=of_a_run)  # a run's own recipe runs again, also one of an earlier version


def load_run_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a run folder, which may be one of an earlier version: keys that do nothing are left out, and what
    it lacks is as it was then (`engine.recipe.earlier`).

    Args and errors are those of `load_recipe`; ``overrides`` are checked as they are there.
    """
    document = read(path)
    document.file = str(path)
    override(document, overrides)
    return _check(document, outside=True, stored=True)


@contextmanager
def placed(path: Path, overrides: Sequence[str]) -> Iterator[None]:
    """Say the line of what only the data or the network finds wrong with the recipe at ``path``.

    Args are those of `load_recipe`, which has read it.
    """
    try:
        yield
    except ProblemsError as error:
        if any(problem.where == "recipe" for problem in error.problems):
            document = read(path)
            override(document, overrides)
            error.problems = tuple(
                replace(found, where=document.place(found.key)) if found.where == "recipe" else found
                for found in error.problems
            )
        raise


def parse_recipe(text: str, name: str = "recipe.toml", *, outside: bool = False, stored: bool = False) -> Recipe:
    """Check a recipe given as text; it cannot extend another.

    ``outside``: see `load_recipe`. ``stored``: it is that of a run, and read as `load_run_recipe` does.
    """
    document = Document(file=name)
    values = parse(text, name)
    lines = key_lines(text)
    if "extends" in values:
        place = f"{name}:{lines.get('extends', 1)}"
        problem = Problem(place, "has no meaning in a recipe that is not a file", "all keys in one text", "extends")
        raise RecipeError(f"{name} cannot be used:", problems=(problem,))
    merge(document, values, lines, name)
    override(document, ())
    return _check(document, outside, stored)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _check(document: Document, outside: bool, stored: bool = False) -> Recipe:
    refresh()
    _as_then(document, stored)
    values = _frozen(document.values)
    problems = [*_one_length(document, values), *_leave_out_dead(document, values, stored)]
    bad: set[tuple[str, str]] = set()
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        problems += explain(error, document.place)
        bad = bad_keys(error)
        recipe = Recipe.model_validate(_mended(values, bad))
    for keys, found, legal in contradictions(recipe):
        if not any(_is_bad(key, bad) for key in keys):
            problems.append(Problem(document.place(keys[0]), f"found {found}", legal, keys[0]))
    if not outside:
        problems += _paths(document, values)
    if problems:
        message = f"{document.file} cannot be used: {counted(len(problems), 'problem')}"
        raise RecipeError(message, "every key: medtui schema", tuple(problems))
    return recipe


def _as_then(document: Document, stored: bool) -> None:
    """Give a recipe of an earlier format, as that of a run may be, what it meant then. Raises as `refuse_newer`."""
    said = document.values.get("format")
    kept = {key for key, layer in document.layers.items() if layer < document.layer}  # not from --set
    written = said if type(said) is int else format_of(kept) if stored else FORMAT
    refuse_newer(written, document.file, document.place("format"))
    as_then(document.values, written, kept)
    if type(said) is int and said > 0:
        document.values["format"] = FORMAT


def _leave_out_dead(document: Document, values: Values, stored: bool) -> list[Problem]:
    """Take the keys that do nothing out of ``values``; a problem for each that is not to be left out in silence.

    A key that is inherited, and that a child or ``--set`` took the meaning from, is left out: who changes the loss
    need not know the settings of the old one. A key beside what its own file says, or an earlier one, is refused.
    ``stored``: only those that ``--set`` gives are refused.
    """
    problems = []
    for table, name, deciders, found, legal in list(dead_keys(values)):
        key = f"{table}.{name}"
        layer = document.layers.get(key, 0)
        newest = max((document.layers.get(decider, 0) for decider in deciders), default=0)
        value = values[table].pop(name)
        harmless = table in FAMILIES and FAMILIES[table].harmless.get(name) is value
        if newest <= layer and not harmless and not (stored and layer < document.layer):
            problems.append(Problem(document.place(key), found, legal, key))
    return problems


def _one_length(document: Document, values: Values) -> list[Problem]:
    """Keep the newer one of train.epochs and train.minutes; a problem where one file has both, or nobody one."""
    train = values.get("train")
    if not isinstance(train, dict):
        return []
    given = sorted((document.layers.get(f"train.{name}", 0), name) for name in ("epochs", "minutes") if name in train)
    if len(given) == 1:
        return []
    if given and given[0][0] < given[1][0]:
        del train[given[0][1]]
        return []
    found = "found epochs and minutes" if given else "neither epochs nor minutes is there"
    return [Problem(document.place("train.epochs"), found, "one of the two", "train.epochs")]


_LEGAL: Values = {
    "name": "x",
    "task": "segmentation",
    "data": {"source": "left_atrium", "root": "x", "size": (16, 16, 16)},
    "model": {"name": "unet3d"},
    "loss": {"name": "dice"},
    "train": {"epochs": 1, "batch_size": 1},
}


def _mended(values: Mapping[str, Any], bad: set[tuple[str, str]]) -> Values:
    """``values`` with something legal in place of every bad key, so that the rest can be checked too."""
    mended: Values = {}
    for name in {*values, *_LEGAL}:
        given, legal = values.get(name), _LEGAL.get(name)
        if ("", name) in bad or (name in FAMILIES and (name, FAMILIES[name].key) in bad):
            given = None  # without its name nothing in the table can be judged
        if isinstance(given, dict):
            legal = legal if isinstance(legal, dict) else {}
            mended[name] = {**legal, **{key: item for key, item in given.items() if (name, key) not in bad}}
        elif given is not None or legal is not None:
            mended[name] = given if given is not None else legal
    return mended


def _is_bad(key: str, bad: set[tuple[str, str]]) -> bool:
    table, _, name = key.rpartition(".")
    unnamed = table in FAMILIES and (table, FAMILIES[table].key) in bad
    return unnamed or (table, name) in bad or ("", table) in bad


def _paths(document: Document, values: Mapping[str, Any]) -> list[Problem]:
    """Paths that would leave their root. Links inside it are followed: data is linked everywhere."""
    problems = []
    allowed = "a path below the data root, without .. (or pass --allow-outside on the command line)"
    for table, kind in TABLES.items():
        given = values.get(table)
        given = given if isinstance(given, dict) else {}
        for name in path_keys(table_class(table, values) or kind):
            value = given.get(name)
            if isinstance(value, str) and leaves(value):
                key = f"{table}.{name}"
                more = "; for the weights of a run: --from RUN" if key == "model.weights" else ""
                problems.append(Problem(document.place(key), f"found {show(value)}", allowed + more, key))
    return problems
