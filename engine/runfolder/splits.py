"""``splits.csv``: which cases were in which split, and what they held."""

from collections.abc import Iterable

import msgspec

from engine.runfolder.cases import put_rows, read_cells, unescaped
from engine.runfolder.paths import RunFolder


class SplitRow(msgspec.Struct, frozen=True):
    """One case: its id, its group ("" where unknown), its split, the hashes of image and truth, and its traits.

    Each trait (site, sex, age, ...) has a column ``trait:<name>``.
    ``split`` is train, validation or test, or the name under which ``medtui evaluate`` measured it.
    """

    id: str
    group: str = ""
    split: str = ""
    image: str = ""
    truth: str = ""
    traits: dict[str, str] = {}

    @property
    def content(self) -> tuple[str, str]:
        return self.image, self.truth


def write_splits(folder: RunFolder, rows: Iterable[SplitRow]) -> None:
    """Put ``rows`` into splits.csv, in place of those that their splits had."""
    rows = list(rows)
    cells = [
        {name: str(getattr(row, name)) for name in _COLUMNS} | {_TRAIT + name: row.traits[name] for name in row.traits}
        for row in rows
    ]
    header = [*_COLUMNS, *sorted({_TRAIT + name for row in rows for name in row.traits})]
    put_rows(folder, folder.splits, header, {row.split for row in rows}, cells)


def read_splits(folder: RunFolder) -> tuple[SplitRow, ...]:
    """The rows; none where there is no table that can be read (runs of earlier versions)."""
    return tuple(
        SplitRow(
            **{name: cells.get(name, "") for name in _COLUMNS},
            traits={
                name.removeprefix(_TRAIT): unescaped(cell)
                for name, cell in cells.items()
                if name.startswith(_TRAIT) and cell
            },
        )
        for cells in read_cells(folder.splits)
        if cells.get("id")
    )


_COLUMNS = ("id", "group", "split", "image", "truth")
_TRAIT = "trait:"
