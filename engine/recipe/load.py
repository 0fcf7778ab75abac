"""From files and ``--set`` options to a `Recipe`, or to the list of everything that is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from engine.errors import Problem, RecipeError, well_formed
from engine.recipe.dead import dead_keys
from engine.recipe.explain import bad_keys, explain, nearest, path_keys, show
from engine.recipe.lines import key_lines
from engine.recipe.model import FAMILIES, TABLES, Recipe, contradictions, refresh, table_class

MAX_BYTES = 1_000_000
MAX_DEPTH = 8


@dataclass(slots=True)
class Document:
    """A merged recipe that is not checked yet, and where each key of it was written.

    Attributes:
        values: as TOML has them.
        places: ``file:line`` of each key.
        layers: of each key the layer that wrote it last: 1 for the file at the root of ``extends``, then its
            children, then ``--set``.
        layer: the newest.
        file: the recipe's.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)
    layer: int = 0
    file: str = "recipe"

    def place(self, key: str) -> str:
        """``file:line`` of ``key``, else of its table, else the file."""
        while key:
            if key in self.places:
                return self.places[key]
            key = key.rpartition(".")[0]
        return self.file


def load_recipe(path: Path, overrides: Sequence[str] = (), *, outside: bool = False) -> Recipe:
    """Read, merge and check the recipe at ``path``.

    Args:
        path: a TOML file.
        overrides: ``table.key=value`` texts, as given to ``--set``; they win.
        outside: let paths in the recipe be absolute or hold ``..`` (``--allow-outside``).

    Raises:
        RecipeError: with every problem that was found.
    """
    document = _read(path, ())
    document.file = str(path)
    _override(document, overrides)
    of_a_run = path.name == "recipe.toml" and _there(path.parent / "manifest.json")
    return _check(document, outside, stored=of_a_run)  # a run's own recipe runs again, also one of an earlier version


def load_run_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a run folder, which may be one of an earlier version: keys that do nothing are left out.

    Args and errors are those of `load_recipe`; ``overrides`` are checked as they are there.
    """
    document = _read(path, ())
    document.file = str(path)
    _override(document, overrides)
    return _check(document, outside=True, stored=True)


def parse_recipe(text: str, name: str = "recipe.toml", *, outside: bool = False, stored: bool = False) -> Recipe:
    """Check a recipe given as text; it cannot extend another.

    ``outside``: see `load_recipe`. ``stored``: leave out keys that do nothing, as `load_run_recipe` does.
    """
    document = Document(file=name)
    values = _parse(text, name)
    lines = key_lines(text)
    if "extends" in values:
        place = f"{name}:{lines.get('extends', 1)}"
        problem = Problem(place, "has no meaning in a recipe that is not a file", "all keys in one text", "extends")
        raise RecipeError(f"{name} cannot be used:", problems=(problem,))
    _merge(document, values, lines, name)
    return _check(document, outside, stored)


def _read(path: Path, trail: tuple[Path, ...]) -> Document:
    where = str(path)
    if path in trail or len(trail) >= MAX_DEPTH:
        chain = " -> ".join(str(p) for p in (*trail, path))
        raise RecipeError(f"{where}: extends goes round in a circle or is too deep", chain)
    text = _text(path)
    values = _parse(text, where)
    lines = key_lines(text)
    document = Document(file=where)
    parent = values.pop("extends", None)
    if parent is not None:
        place = f"{where}:{lines.get('extends', 1)}"
        document = _read(_parent(path, parent, place), (*trail, path))
    _merge(document, values, lines, where)
    return document


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise RecipeError(f"{path} is a folder, not a recipe", "name a .toml file, such as recipes/quickstart.toml")
        if path.exists() and not path.is_file():
            raise RecipeError(f"{path} is not a plain file", "a recipe is read more than once: save it to a .toml file")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise RecipeError(f"{path} is larger than {MAX_BYTES} bytes: not a recipe")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"no recipe at {path}", _recipes_near(path)) from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that is too long for the file system has none."""
    try:
        return path.exists()
    except OSError:
        return False


def _recipes_near(path: Path) -> str:
    folders = [folder for folder in (path.parent, path.parent / "recipes") if _there(folder)]
    found = [file for folder in folders for file in sorted(folder.glob("*.toml")) if file.name != "pyproject.toml"]
    close = nearest(path.stem, [file.stem for file in found])
    if close:
        return f"did you mean {next(file for file in found if file.stem == close)}?"
    if not found:
        return "name a .toml file, such as recipes/quickstart.toml"
    return f"recipes near it: {', '.join(str(file) for file in found[:20])}"


def _parent(path: Path, parent: object, place: str) -> Path:
    if not isinstance(parent, str) or not parent:
        problem = Problem(place, f"found {show(parent)}", "the file name of another recipe", "extends")
        raise RecipeError(f"{path} cannot be used:", problems=(problem,))
    target = path.parent / parent
    if _leaves(parent):
        problem = Problem(place, f"found {show(parent)}", "a recipe in the same folder or below it", "extends")
    elif not _there(target):
        problem = Problem(place, f"found {show(parent)}: there is no such file", _recipes_near(target), "extends")
    else:
        return target
    raise RecipeError(f"{path} cannot be used:", problems=(problem,))


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (RecursionError, ValueError) as error:  # TOMLDecodeError is a ValueError
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        message, line = _toml_error(said, text)
        raise RecipeError(
            f"{where}:{line}: not valid TOML: {message}",
            "a line reads: key = value, with strings in quotes; tables begin with a line such as [train]",
        ) from None


def _toml_error(said: str, text: str) -> tuple[str, int]:
    """What tomllib said, without the place, and the line that it meant."""
    message, _, place = said.rpartition(" (at ")
    found = re.match(r"line (\d+)", place)
    if found:
        return message, int(found[1])
    return message or said, text.rstrip("\n").count("\n") + 1


def _merge(document: Document, values: Mapping[str, Any], lines: Mapping[str, int], where: str) -> None:
    for name, value in values.items():
        present = document.values.get(name)
        if isinstance(value, dict) and isinstance(present, dict):
            present.update(value)
        else:
            document.values[name] = dict(value) if isinstance(value, dict) else value
    document.layer += 1
    document.places.update({key: f"{where}:{line}" for key, line in lines.items()})
    document.layers.update(dict.fromkeys(lines, document.layer))


def _override(document: Document, overrides: Sequence[str]) -> None:
    problems = []
    document.layer += 1
    for text in overrides:
        key, separator, value = text.partition("=")
        table, _, name = key.strip().rpartition(".")
        place = f"--set {well_formed(text)}"
        target: Any = document.values.setdefault(table, {}) if table else document.values
        if not separator or not name or "." in table:
            problems.append(Problem(place, "not of the form table.key=value", "such as --set train.epochs=10"))
        elif name == "extends" and not table:
            problems.append(Problem(place, "extends is for files", "name the other recipe itself"))
        elif not isinstance(target, dict):
            problems.append(Problem(place, f'"{table}" is not a table', "such as --set train.epochs=10"))
        else:
            target[name] = _value(well_formed(value.strip()))
            key = f"{table}.{name}" if table else name
            document.places[key] = place
            document.layers[key] = document.layer
            document.places.setdefault(table, place)
    if problems:
        raise RecipeError("the command line cannot be used:", problems=tuple(problems))


def _value(text: str) -> Any:
    """A TOML value; what is none is taken as a string, so that quotes need no quoting in a shell."""
    try:
        values = tomllib.loads(f"value = {text}")
    except (RecursionError, ValueError):
        return text
    return values["value"] if len(values) == 1 else text


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _check(document: Document, outside: bool, stored: bool = False) -> Recipe:
    refresh()
    values = _frozen(document.values)
    problems = _leave_out_dead(document, values, stored)
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
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise RecipeError(f"{document.file} cannot be used: {count}", "every key: medtui schema", tuple(problems))
    return recipe


def _leave_out_dead(document: Document, values: dict[str, Any], stored: bool) -> list[Problem]:
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


_LEGAL: dict[str, Any] = {
    "name": "x",
    "task": "segmentation",
    "data": {"source": "left_atrium", "root": "x", "size": (16, 16, 16)},
    "model": {"name": "unet3d"},
    "loss": {"name": "dice"},
    "train": {"epochs": 1, "batch_size": 1},
}


def _mended(values: Mapping[str, Any], bad: set[tuple[str, str]]) -> dict[str, Any]:
    """``values`` with something legal in place of every bad key, so that the rest can be checked too."""
    mended: dict[str, Any] = {}
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
        for name in path_keys(table_class(table, given) or kind):
            value = given.get(name)
            if isinstance(value, str) and _leaves(value):
                key = f"{table}.{name}"
                problems.append(Problem(document.place(key), f"found {show(value)}", allowed, key))
    return problems


def _leaves(path: str) -> bool:
    """Whether ``path`` is absolute, climbs up, or means something of its own to a shell or another system."""
    pure = PurePosixPath(path.replace("\\", "/"))
    return pure.is_absolute() or ".." in pure.parts or path.startswith("~") or "\0" in path or path[1:2] == ":"
