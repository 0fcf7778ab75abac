"""What a source hands over: the cases it found, and what the data set says of them."""

import codecs
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import singledispatch
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from engine.data.cases import Case, DatasetIndex
from engine.data.dicom_folders import is_slice
from engine.data.endings import DETACHED
from engine.data.pictures import PICTURES
from engine.data.signs import kind_of
from engine.data.sources.walk import files_below, hidden, stem
from engine.errors import DataError, Problem, counted, some
from engine.recipe.names import folded
from engine.recipe.sources import DataTable
from engine.runfolder import read_small

_TEXTS = frozenset((".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".html", ".pdf", ".db", ".ini", ".xlsx", ".list"))
_MISSING = frozenset(
    ("nan", "na", "n/a", "none", "null", "nil", "<na>", "#n/a", "#nv", "#n/v", "-nan", "-", "--", "?", "missing")
)
"""What tables have in cells without a value: most as pandas reads them, in lower case."""
LONGEST_NAME = 200  # characters in the name of a class
_ELSEWHERE = re.compile(r"[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]+://")
MAX_LIST_BYTES = 64_000_000  # lists and tables larger than this are not read
MOST_PROBLEMS = 1000  # of one table; more are not looked for


@singledispatch
def read_index(table: DataTable, folder: Path, task: str) -> DatasetIndex:
    """The index of the data set in ``folder``: each source registers its own with ``@read_index.register``.

    Args:
        table: the source's member of ``[data]``; its type decides.
        task: "segmentation" or "classification".

    Raises:
        DataError: the folder is not in that layout.
    """
    raise NotImplementedError(f"{type(table).__name__} has no code that is registered")


def read_text(path: Path, folder: Path, *, ansi: str = "") -> str:
    """The text of a list or table of the data set in ``folder``: UTF-8, UTF-16, or else ``ansi`` where that is given.

    Raises:
        DataError: it is not there, too large, or no text.
    """
    try:
        raw = read_small(path, MAX_LIST_BYTES)
        if raw and (kind := kind_of(raw[:512])):
            raise DataError(f"{path} is no text, but {kind}")
        if encoding := _wide(raw):
            return raw.decode(encoding)
        with suppress(UnicodeDecodeError):
            return raw.decode("utf-8-sig")
        return raw.decode(ansi if ansi and b"\0" not in raw else "utf-8-sig")
    except FileNotFoundError:
        raise absent(path, folder, "data.source says which layout is expected there") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def _wide(raw: bytes) -> str:
    """The encoding of text with more than a byte a character, by its mark or by the zeros beside its first sign."""
    if raw[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    zeros = [byte == 0 for byte in raw[:4]]
    return "utf-16-le" if zeros == [False, True] * 2 else "utf-16-be" if zeros == [True, False] * 2 else ""


def inside(folder: Path, text: str) -> Path | None:
    """``text`` as a path below ``folder``; None if it is empty, absolute (on Windows too), on the web, or climbs out.

    Links below the folder are followed: data sets are linked together everywhere.
    """
    pure = PurePosixPath(text.replace("\\", "/"))
    unfit = not text or text.startswith("~") or "\0" in text or pure.is_absolute() or ".." in pure.parts
    unfit = unfit or bool(_ELSEWHERE.match(text))
    return None if unfit or not pure.parts else folder / pure


def outside(where: str, text: str) -> Problem:
    """The problem of a path that `inside` refuses."""
    return Problem(where, f'found "{text}"', "a path below the folder of the data set")


def absent(path: Path, folder: Path, hint: str) -> DataError:
    """The error for a folder, or a table or list, that is not below ``folder``; it names what is beside its place."""
    kind = path.suffix.lower()
    with suppress(OSError):
        found = [each for each in sorted(path.parent.iterdir()) if not hidden(each.name)]
        found = [each for each in found if (each.suffix.lower() == kind if kind else each.is_dir())]
        if found:
            hint += f"; there {'is' if len(found) == 1 else 'are'} {some([each.name for each in found], 8)}"
    what = "" if kind else "folder "
    where = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return DataError(f"{folder} has no {what}{where}", hint)


def listed(folder: Path, name: str, endings: Collection[str]) -> list[Path]:
    """The files in ``folder / name`` with one of ``endings`` (lower case), by name, hidden ones left out.

    Raises:
        DataError: there is no such folder.
    """
    place = folder / name
    try:
        files = [path for path in place.iterdir() if not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        raise absent(place, folder, "data.source says which layout is expected there") from None
    return sorted(path for path in files if path.name.lower().endswith(tuple(endings)))


def pictures_below(place: Path) -> list[Path]:
    """Every picture in ``place`` and its folders, see `is_picture_file`."""
    return [path for path in files_below(place) if is_picture_file(path)]


def is_picture_file(path: Path) -> bool:
    """Whether ``path`` is a picture by its ending, or where it has none by how it begins: so DICOM is often saved."""
    return path.name.lower().endswith(PICTURES) or is_slice(path)


def left_over(
    folder: Path, places: Collection[Path], cases: Sequence[Case], series: Collection[Path] = ()
) -> tuple[str, ...]:
    """A note that counts and names the files in ``places`` that are of no case, texts and tables apart, and what lies
    in the folders ``series`` of which files stand for several."""
    used = {*series, *(path for case in cases for path in case.files)}
    heads = {path.with_suffix("") for path in used if path.suffix.lower() in DETACHED}  # their values lie beside them
    rest = [path for place in places for path in files_below(place) if used.isdisjoint((path, path.parent))]
    rest = [path for path in rest if path.suffix and path.suffix.lower() not in _TEXTS]
    rest = [path for path in rest if {path.with_suffix(""), path.with_suffix("").with_suffix("")}.isdisjoint(heads)]
    named = ", ".join(path.relative_to(folder).as_posix() for path in rest[:3])
    return (f"files that are not used: {len(rest)} ({named}{', ...' if len(rest) > 3 else ''})",) if rest else ()


def foreground(table: DataTable, said: dict[int, str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Classes and mask values: those of the recipe, else those that the data set says.

    Names of the recipe that the data set has too (whatever their case) keep its values, in the recipe's order; other
    names stand for their own place among the recipe's, from 1.

    Raises:
        DataError: that gives two classes one value, or the background one.
    """
    if table.classes is None:
        values = tuple(sorted(said))
        return tuple(said[value] for value in values), values
    if "background" in map(folded, table.classes):
        allowed = "the classes of the foreground; where the data set names none, the first of them is the mask value 1"
        problem = Problem("recipe", f"found {', '.join(table.classes)}", allowed, "data.classes")
        raise DataError("data.classes names the background:", problems=(problem,))
    known = {folded(name): value for value, name in said.items()}
    values = tuple(known.get(folded(name), place) for place, name in enumerate(table.classes, 1))
    if len({*values}) < len(values):
        found = ", ".join(f"{name} = {value}" for name, value in zip(table.classes, values, strict=True))
        allowed = f"names of the data set ({', '.join(said.values())}), or new ones for all its values"
        raise DataError("data.classes gives two classes one mask value:", problems=(Problem("recipe", found, allowed),))
    return table.classes, values


def missing(text: str) -> bool:
    """Whether a cell of a table holds no value: a word for it, or an error of a spreadsheet such as ``#REF!``."""
    name = folded(text)
    return name in _MISSING or (name[:1] == "#" and name[-1] in "!?")


def spelled(name: str) -> str:
    """`folded`, without leading zeros and ".0" at the end: what becomes of "007" that was taken for a number."""
    return re.sub(r"(?<![\d.])0+(?=\d)", "", re.sub(r"\.0+$", "", folded(name)))


def class_of(name: str, classes: Sequence[str]) -> int | None:
    """Index of ``name`` among ``classes``: the same, else the only one that is the same but for case and spaces."""
    if name in classes:
        return classes.index(name)
    same = [index for index, other in enumerate(classes) if folded(other) == folded(name)]
    return same[0] if len(same) == 1 else None


def refuse(folder: Path, problems: Sequence[Problem]) -> None:
    """Raise the one DataError for all ``problems``, if there are any."""
    if problems:
        raise DataError(f"{folder} cannot be used: {counted(len(problems), 'problem')}", problems=tuple(problems))


def identities(
    paths: Sequence[Path], folder: Path, endings: Collection[str], names: Mapping[Path, str] = MappingProxyType({})
) -> list[str]:
    """A name for each file: its stem where that is unique among them, else its path below ``folder``.

    Slashes of a path become ``__``, so that a name can be part of a file name.

    Args:
        names: of those that are called otherwise than their files: by that of their folder, with more behind it.
    """
    stems = [names.get(path) or stem(path, endings) for path in paths]
    counts = Counter(stems)
    # a name that is of the folder already stands below what is above that
    above = [path.parent.parent if path in names and path.parent != folder else path.parent for path in paths]
    longer = [place.relative_to(folder).as_posix().replace("/", "__") for place in above]
    parts = zip(stems, longer, paths, strict=True)
    return [name if counts[name] == 1 else f"{place}__{names.get(path) or path.name}" for name, place, path in parts]
