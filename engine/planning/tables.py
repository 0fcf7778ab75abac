"""What the columns of a table beside the images are: paths, classes or masks, patients, splits."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from engine.data.sources.index import inside, missing, split_named
from engine.data.sources.rows import plain, table_rows
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
    names = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _ENDINGS and path.is_file()]
    for path in names[:_MOST_TABLES]:
        with suppress(DataError):
            lines = list(islice(table_rows(path, folder, ("path", "label")), _MOST_ROWS))
            header, rows = lines[0][1], [cells for _, cells in lines[1:]]
            keys = _keys(folder, header, rows, task) if rows else None
            if keys is not None:
                yield {"table": path.name, **keys} if path.name != "table.csv" else keys


def _keys(folder: Path, header: Sequence[str], rows: Sequence[Sequence[str]], task: str) -> Values | None:
    columns = {name: [row[at] if at < len(row) else "" for row in rows] for at, name in enumerate(header)}
    paths = [name for name, cells in columns.items() if _are_files(folder, cells)]
    if not paths or len(columns) < len(header):
        return None
    image, masks = paths[0], paths[1:]
    keys: Values = {} if plain(image) == "path" else {"path_column": image}
    if (task == "segmentation") != bool(masks):
        return None
    rest = [name for name in header if name not in paths]
    label = masks[0] if masks else _named(rest, _CLASSES)
    if label is not None:
        keys |= {} if plain(label) == "label" else {"label_column": label}
    elif hot := [name for name in rest if {*columns[name]} <= {"0", "1", "0.0", "1.0"}]:
        if any(sum(columns[name][at][0] == "1" for name in hot) != 1 for at in range(len(rows))):
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
    looked = [inside(folder, cell) for cell in cells[:_LOOKED_AT] if cell and not missing(cell)]
    return 2 * sum(path is not None and path.is_file() for path in looked) > len(looked)


def _named(header: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The column that is called as one of ``wanted``, the first of these first."""
    known = {plain(name): name for name in reversed(header)}
    return next((known[plain(name)] for name in wanted if plain(name) in known), None)
