"""Reads a report back as its reader does: texts, tables, pictures."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A parsed page; `problems` lists tags that do not close as they should."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problems: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
        elif tag == "small" and "td" in self.open:
            self.tables[-1][-1][-1] += " | "

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def table(self, *heads: str) -> dict[str, dict[str, str]]:
        """The first table with these heads: first cell -> head -> cell (value before the small print)."""
        for table in self.tables:
            if set(heads) <= set(table[0]):
                return {row[0]: dict(zip(table[0], row, strict=True)) for row in table[1:]}
        raise AssertionError(f"no table with {heads}")


def value(cell: str) -> float:
    """The number of a cell, without its interval."""
    return float(cell.split("|", maxsplit=1)[0].replace("−", "-"))


def bounds(cell: str) -> tuple[float, float]:
    """The interval of a cell."""
    low, _, high = " ".join(cell.rsplit("|", maxsplit=1)[-1].replace("−", "-").split()).partition(" to ")
    return float(low), float(high)
