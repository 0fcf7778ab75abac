"""A report as Markdown: its text and tables, with links to the figures beside it."""

import re
from collections.abc import Callable, Sequence

from engine.report.blocks import Alert, Cards, Cell, Code, Document, Facts, Picture, Renderer, Section, Table, Text

_SPECIAL = re.compile(r"([\\`*\[\]<>|~])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LINE_START = re.compile(r"^(\s*)([#+>-]|\d+[.)])(?=\s)", re.MULTILINE)


def render(document: Document, clean: Callable[[str], str]) -> str:
    """The whole text. ``clean`` takes private names out of every text before it is escaped."""
    page = _Page(clean)
    parts = [f"# {page.text(document.title)}"]
    if document.subtitle:
        parts.append(page.text(document.subtitle))
    parts += [page.block(alert, 2) for alert in document.alerts]
    parts += [page.block(block, 2) for block in document.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """``text`` that means itself in Markdown, on one line."""
    one_line = " ".join(text.split())
    return _LINE_START.sub(r"\1\\\2", _SPECIAL.sub(lambda match: "\\" + match.group(), one_line))


class _Page(Renderer):
    def text(self, value: str) -> str:
        return escaped(self.clean(value))

    def section(self, block: Section, level: int) -> str:
        parts = [f"{'#' * level} {self.text(block.title)}"]
        parts += [self.block(part, level + 1) for part in block.blocks]
        return "\n\n".join(part for part in parts if part)

    def paragraph(self, block: Text) -> str:
        return self.text(block.text)

    def alert(self, block: Alert) -> str:
        return f"> **{block.level.capitalize()}:** {self.text(block.text)}"

    def facts(self, block: Facts) -> str:
        return "\n".join(f"- **{self.text(name)}:** {self.text(value)}" for name, value in block.rows)

    def cards(self, block: Cards) -> str:
        cells = [Cell(card.value, card.detail) for card in block.cards]
        return self.captioned(self.rows([card.label for card in block.cards], [cells], frozenset()), block.caption)

    def table(self, block: Table) -> str:
        return self.captioned(self.rows(block.columns, block.rows, block.left | {0}), block.caption)

    def captioned(self, table: str, caption: str) -> str:
        return f"{table}\n\n{self.text(caption)}" if caption else table

    def picture(self, block: Picture) -> str:
        title = self.text(block.title)
        place = re.sub(r"[^\w./-]", "_", block.place)
        return f"![{title}]({place})\n\n**{title}.** {self.text(block.caption)}"

    def rows(self, columns: Sequence[str], rows: Sequence[Sequence[str | Cell]], left: frozenset[int]) -> str:
        lines = ["| " + " | ".join(self.text(name) or " " for name in columns) + " |"]
        lines.append("|" + "|".join(":--" if i in left else "--:" for i in range(len(columns))) + "|")
        lines += ["| " + " | ".join(self.cell(cell) for cell in row) + " |" for row in rows]
        return "\n".join(lines)

    def cell(self, cell: str | Cell) -> str:
        if isinstance(cell, str):
            return self.text(cell)
        text = self.text(cell.text)
        text = f"**{text}**" if cell.strong and text else text
        return f"{text} ({self.text(cell.detail)})" if cell.detail else text

    def code(self, block: Code) -> str:
        text = self.clean(block.text).rstrip("\n")
        longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        return f"{fence}{block.language}\n{text}\n{fence}"
