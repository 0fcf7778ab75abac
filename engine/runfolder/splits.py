"""``splits.csv``: which cases were in which split, and what they held."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.runfolder.cases import put_rows, read_cells
from engine.runfolder.paths import RunFolder


class SplitRow(msgspec.Struct, frozen=True):
    """One case: its id, its group ("" where unknown), its split, and the hashes of image and truth.

    ``split`` is train, validation or test, or the name under which ``medtui evaluate`` measured it.
    """

    id: str
    group: str = ""
    split: str = ""
    image: str = ""
    truth: str = ""

    @property
    def content(self) -> tuple[str, str]:
        return self.image, self.truth


def write_splits(folder: RunFolder, rows: Iterable[SplitRow]) -> None:
    """Put ``rows`` into splits.csv, in place of those that their splits had."""
    cells = [msgspec.structs.asdict(row) for row in rows]
    put_rows(folder, folder.splits, SplitRow.__struct_fields__, {row["split"] for row in cells}, cells)


def read_splits(folder: RunFolder) -> tuple[SplitRow, ...]:
    """The rows; none where there is no table that can be read (runs of earlier versions)."""
    names = SplitRow.__struct_fields__
    return tuple(SplitRow(*(row.get(name, "") for name in names)) for row in read_cells(folder.splits) if row.get("id"))
