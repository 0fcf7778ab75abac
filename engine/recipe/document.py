"""Recipes as they are written: files, ``extends`` and ``--set`` merged, with the place of every key."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import Problem, RecipeError, well_formed
from engine.recipe.base import Values
from engine.recipe.explain import nearest, show
from engine.recipe.lines import key_lines
from engine.toml import parse

MAX_BYTES = 1_000_000
MAX_DEPTH = 8


@dataclass(slots=True)
class Document:
    """A merged recipe that is not checked yet, and where each key of it was written."""

    values: Values = field(default_factory=dict)  # as TOML has them
    places: dict[str, str] = field(default_factory=dict)  # ``file:line`` of each key
    # of each key the layer that wrote it last: 1 for the file at the root of ``extends``, then its children, then
    # ``--set``
    layers: dict[str, int] = field(default_factory=dict)
    layer: int = 0  # the newest
    file: str = "recipe"  # the recipe's

    def place(self, key: str) -> str:
        """``file:line`` of ``key``, else of its table, else the file."""
        while key:
            if key in self.places:
                return self.places[key]
            key = key.rpartition(".")[0]
        return self.file


def read(path: Path, trail: tuple[Path, ...] = ()) -> Document:
    """The file at ``path`` over those that it extends; ``trail`` are the files that extend it.

    Raises:
        RecipeError: a file is not there, no TOML, or extends itself.
    """
    where = str(path)
    if path in trail or len(trail) >= MAX_DEPTH:
        chain = " -> ".join(str(p) for p in (*trail, path))
        raise RecipeError(f"{where}: extends goes round in a circle or is too deep", chain)
    text = _text(path)
    values = parse(text, where)
    lines = key_lines(text)
    document = Document(file=where)
    parent = values.pop("extends", None)
    if parent is not None:
        place = f"{where}:{lines.get('extends', 1)}"
        document = read(_parent(path, parent, place), (*trail, path))
    merge(document, values, lines, where)
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


def resolved_below(path: Path, folder: Path) -> bool:
    """Whether ``path`` lies in ``folder`` or below it, links followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a null byte, a name too long, links in a circle
        return False


def there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that is too long for the file system has none."""
    try:
        return path.exists()
    except OSError:
        return False


def _recipes_near(path: Path) -> str:
    folders = [folder for folder in (path.parent, path.parent / "recipes") if there(folder)]
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
    if leaves(parent) or not resolved_below(target, path.parent):
        problem = Problem(place, f"found {show(parent)}", "a recipe in the same folder or below it", "extends")
    elif not there(target):
        problem = Problem(place, f"found {show(parent)}: there is no such file", _recipes_near(target), "extends")
    else:
        return target
    raise RecipeError(f"{path} cannot be used:", problems=(problem,))


def merge(document: Document, values: Mapping[str, Any], lines: Mapping[str, int], where: str) -> None:
    """Lay the values of one file over those of the files that it extends."""
    for name, value in values.items():
        present = document.values.get(name)
        if isinstance(value, dict) and isinstance(present, dict):
            present.update(value)
        else:
            document.values[name] = dict(value) if isinstance(value, dict) else value
    document.layer += 1
    document.places.update({key: f"{where}:{line}" for key, line in lines.items()})
    document.layers.update(dict.fromkeys(lines, document.layer))


def override(document: Document, overrides: Sequence[str]) -> None:
    """Lay ``--set`` texts over all files.

    Raises:
        RecipeError: with every text that is not of the form ``table.key=value``.
    """
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


def leaves(path: str) -> bool:
    """Whether ``path`` is absolute, climbs up, or means something of its own to a shell or another system."""
    pure = PurePosixPath(path.replace("\\", "/"))
    return pure.is_absolute() or ".." in pure.parts or path.startswith("~") or "\0" in path or path[1:2] == ":"
