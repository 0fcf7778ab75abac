"""A report as one HTML file: everything embedded, nothing fetched, every text escaped."""

import base64
import contextlib
import io
import re
from collections.abc import Callable
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path

from engine.figures import style
from engine.report.blocks import Alert, Cards, Cell, Code, Document, Facts, Picture, Renderer, Section, Table, Text
from engine.runfolder import read_small

_MEDIA = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".mp4": "video/mp4"}
_LARGEST_SVG = 600_000
_LARGEST_PNG = 250_000
_LARGEST_PICTURE = 64 << 20
_MOST_PIXELS = 60_000_000
_SHORT_TABLE = 16  # rows that are kept together on a printed page
_LONG_CODE = 40  # lines from which code stands in two columns


def render(document: Document, clean: Callable[[str], str]) -> str:
    """The whole page. ``clean`` takes private names out of every text before it is escaped."""
    return _Page(clean).html(document)


class _Page(Renderer):
    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__(clean)
        self.ids: set[str] = set()
        self.links: list[tuple[str, str]] = []

    def text(self, value: str) -> str:
        return escape(self.clean(value))

    def html(self, document: Document) -> str:
        body = "\n".join(self.block(block, 2) for block in document.blocks)
        alerts = "\n".join(self.block(alert, 2) for alert in document.alerts)
        links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in self.links)
        subtitle = f'<p class="subtitle">{self.text(document.subtitle)}</p>' if document.subtitle else ""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="generator" content="medtui">\n'
            f"<title>{self.text(document.title)}</title>\n<style>\n{stylesheet()}</style>\n</head>\n<body>\n"
            f"<header>\n<h1>{self.text(document.title)}</h1>\n{subtitle}\n</header>\n"
            f'<section class="alerts">\n{alerts}\n</section>\n'
            f'<nav aria-label="Contents">{links}</nav>\n<main>\n{body}\n</main>\n'
            "</body>\n</html>\n"
        )

    def paragraph(self, block: Text) -> str:
        kind = ' class="muted"' if block.muted else ""
        return f"<p{kind}>{self.text(block.text)}</p>"

    def alert(self, block: Alert) -> str:
        label = block.level.capitalize()
        return f'<div class="alert {block.level}"><b>{label}</b><span>{self.text(block.text)}</span></div>'

    def facts(self, block: Facts) -> str:
        rows = (f"<dt>{self.text(name)}</dt><dd>{self.text(value)}</dd>" for name, value in block.rows)
        return f"<dl>{''.join(rows)}</dl>"

    def code(self, block: Code) -> str:
        kind = ' class="columns"' if block.text.count("\n") > _LONG_CODE else ""
        return f"<pre{kind}><code>{self.text(block.text)}</code></pre>"

    def section(self, section: Section, level: int) -> str:
        title = self.text(section.title)
        anchor = self.anchor(section.title)
        if level == 2:
            self.links.append((anchor, title))
        body = "\n".join(self.block(block, level + 1) for block in section.blocks)
        kind = ' class="new-page"' if section.new_page else ""
        tag = f"h{min(level, 4)}"
        return f'<section id="{anchor}"{kind}>\n<{tag}>{title}</{tag}>\n{body}\n</section>'

    def cards(self, cards: Cards) -> str:
        one = (
            f'<div class="card"><span>{self.text(card.label)}</span><strong>{self.text(card.value)}</strong>'
            f"<small>{self.text(card.detail)}</small></div>"
            for card in cards.cards
        )
        return f'<div class="cards">{"".join(one)}</div>{self.caption(cards.caption)}'

    def caption(self, text: str) -> str:
        return f'<p class="caption">{self.text(text)}</p>' if text else ""

    def table(self, table: Table) -> str:
        def kind(index: int) -> str:
            return ' class="text"' if index == 0 or index in table.left else ""

        heads = "".join(f'<th scope="col"{kind(i)}>{self.text(name)}</th>' for i, name in enumerate(table.columns))
        rows = []
        for number, row in enumerate(table.rows):
            cells = "".join(f"<td{kind(i)}>{self.cell(cell)}</td>" for i, cell in enumerate(row))
            rule = ' class="rule"' if number in table.rule_before else ""
            rows.append(f"<tr{rule}>{cells}</tr>")
        looks = {"small": table.small, "wrap": table.wrap, "whole": len(table.rows) <= _SHORT_TABLE}
        small = "".join(f" {look}" for look, on in looks.items() if on)
        return (
            f'<div class="table{small}"><table><thead><tr>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table>{self.caption(table.caption)}</div>"
        )

    def cell(self, cell: str | Cell) -> str:
        if isinstance(cell, str):
            return self.text(cell)
        text = f"<strong>{self.text(cell.text)}</strong>" if cell.strong else self.text(cell.text)
        detail = self.text(cell.detail).replace(" to ", "\N{NO-BREAK SPACE}to ")
        return f"{text}<small>{detail}</small>" if detail else text

    def picture(self, picture: Picture) -> str:
        source = embedded(picture.path, picture.vector)
        title, caption = self.text(picture.title), self.text(picture.caption)
        shown = f'<img src="{source}" alt="{title}">'
        if picture.path.suffix == ".mp4":
            shown = f'<video src="{source}" controls loop muted></video>'
        look = f' class="{picture.shape}"' if picture.shape else ""
        return f"<figure{look}>{shown}<figcaption><b>{title}.</b> {caption}</figcaption></figure>"

    def anchor(self, title: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", self.clean(title).lower()).strip("-") or "section"
        anchor, number = base, 1
        while anchor in self.ids:
            number += 1
            anchor = f"{base}-{number}"
        self.ids.add(anchor)
        return anchor


def embedded(path: Path, vector: Path | None = None) -> str:
    """A ``data:`` URL: the SVG where there is a small one, else the image; large photographs as JPEG."""
    content, media = b"", _MEDIA.get(path.suffix, "application/octet-stream")
    if vector is not None:
        with contextlib.suppress(OSError):  # there is none, or it is a large one
            content, media = read_small(vector, _LARGEST_SVG, links=False), _MEDIA[".svg"]
    content = content or read_small(path, _LARGEST_PICTURE, links=False)
    if media == _MEDIA[".png"] and len(content) > _LARGEST_PNG:
        content, media = _jpeg(content)
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def _jpeg(content: bytes) -> tuple[bytes, str]:
    from PIL import Image

    stream = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > _MOST_PIXELS:
                return content, "image/png"
            image.convert("RGB").save(stream, "JPEG", quality=90, subsampling=0, optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return content, "image/png"
    smaller = stream.getvalue()
    return (smaller, "image/jpeg") if len(smaller) < 0.8 * len(content) else (content, "image/png")


@cache
def stylesheet() -> str:
    """``report.css`` with the colours of the figures in it."""
    css = resources.files("engine.report").joinpath("report.css").read_text(encoding="utf-8")
    colours = {"truth": style.TRUTH, "prediction": style.PREDICTION, "accent": style.ACCENT, "warning": style.WARNING}
    values = "".join(f"--{name}:{value};" for name, value in colours.items())
    return f":root{{{values}}}\n{css}"
