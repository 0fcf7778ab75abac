"""What the columns of a table beside the images are: paths, classes or masks, patients, splits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from engine.data.dicom_folders import is_series
from engine.data.sources.index import inside, missing
from engine.data.sources.rows import plain, table_rows
from engine.data.sources.walk import files_below, split_named, stem
from engine.data.traits import GROUPS, SPLIT_COLUMNS
from engine.errors import DataError
from engine.recipe.base import Values

_ENDINGS = {".csv", ".tsv", ".txt"}
_CLASSES = ("label", "class", "target", "diagnosis", "dx", "category", "finding", "grade", "y")
_LOOKED_AT = 200  # rows by which columns are told
_MOST_TABLES, _MOST_ROWS = 20, 1_000_000


def table_keys(folder: Path, task: str) -> Iterator[Values]:
    """Keys of [data] for each table in ``folder`` of which a column holds paths of files that are there.

    Args:
        task: "segmentation": another column holds such paths too; "classification": another one holds classes, or a
            column a class holds 0 and 1.
    """
    for name, header, columns in _tables(folder):
        keys = _keys(folder, columns, task) if len(columns) == len(header) else None
        if keys is not None:
            yield {"table": name, **keys} if name != "table.csv" else keys


def listing(folder: Path) -> tuple[str, str]:
    """Of the first table in ``folder`` that names its files: what keeps it from being read, and what it calls a class.

    Each is "" where there is none.
    """
    tables = list(_tables(folder))
    files = files_below(folder) if tables else []
    known = {name: path for path in files for name in _short(path.relative_to(folder))}
    for name, header, columns in tables:
        paths = [column for column, cells in columns.items() if _are_files(folder, cells)]
        bare = [column for column, cells in columns.items() if _are(cells, known.__contains__)]
        if not paths and not bare:
            continue
        label = _named([column for column in header if column not in paths], _CLASSES) or ""
        if len(columns) < len(header):
            return f"{name}: a column is there twice, or has no name", label
        if not paths:
            cell = next(cell for cell in columns[bare[0]] if cell in known)
            path = known[cell].relative_to(folder).as_posix()
            return f"{name}: {bare[0]} does not hold paths below the folder: {path} instead of {cell}", label
        if not label:
            return f'{name}: which column holds the classes? Call it "label"', ""
        return "", label
    return "", ""


def _short(path: Path) -> tuple[str, ...]:
    """What people call a file beside its path: without its folders, without its ending, without both."""
    return path.name, stem(path), path.with_name(stem(path)).as_posix()


def _tables(folder: Path) -> Iterator[tuple[str, list[str], dict[str, list[str]]]]:
    """Name, header and columns of each table in ``folder`` that has rows."""
    names = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _ENDINGS and path.is_file()]
    for path in names[:_MOST_TABLES]:
        with suppress(DataError):
            lines = list(islice(table_rows(path, folder, ("path", "label")), _MOST_ROWS))
            header, rows = (lines[0][1] if lines else []), [cells for _, cells in lines[1:]]
            if rows:
                columns = {name: [row[at] if at < len(row) else "" for row in rows] for at, name in enumerate(header)}
                yield path.name, header, columns


def _keys(folder: Path, columns: Mapping[str, Sequence[str]], task: str) -> Values | None:
    paths = [name for name, cells in columns.items() if _are_files(folder, cells)]
    if not paths:
        return None
    image, masks = paths[0], paths[1:]
    keys: Values = {} if plain(image) == "path" else {"path_column": image}
    if (task == "segmentation") != bool(masks):
        return None
    rest = [name for name in columns if name not in paths]
    label = masks[0] if masks else _named(rest, _CLASSES)
    if label is not None:
        keys |= {} if plain(label) == "label" else {"label_column": label}
    elif hot := [name for name in rest if {*columns[name]} <= {"0", "1", "0.0", "1.0"}]:
        if any(sum(columns[name][at][0] == "1" for name in hot) != 1 for at in range(len(columns[image]))):
            return None
        keys["classes"] = tuple(hot)
    else:
        return None
    if group := _named(rest, GROUPS):
        keys["group_column"] = group
    split = _named(rest, SPLIT_COLUMNS)
    if split is not None and all(split_named(cell) for cell in columns[split]):
        keys["split_column"] = split
    return keys


def _are_files(folder: Path, cells: Sequence[str]) -> bool:
    return _are(cells, lambda cell: (path := inside(folder, cell)) is not None and _is_image(path))


def _is_image(path: Path) -> bool:
    return path.is_file() or is_series(path)


def _are(cells: Sequence[str], known: Callable[[str], bool]) -> bool:
    looked = [cell for cell in cells[:_LOOKED_AT] if cell and not missing(cell)]
    return 2 * sum(map(known, looked)) > len(looked)


def _named(header: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The column that is called as one of ``wanted``, the first of these first."""
    known = {plain(name): name for name in reversed(header)}
    return next((known[plain(name)] for name in wanted if plain(name) in known), None)
