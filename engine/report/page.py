"""The report of one run, put together from its parts."""

from collections.abc import Callable
from pathlib import Path

from engine.readers.run import RunData
from engine.report import html, markdown, pictures
from engine.report.alerts import alerts, noted
from engine.report.blocks import Block, Document
from engine.report.checklists import appendix
from engine.report.methods import methods
from engine.report.private import scrubber
from engine.report.results import case_section, headline, results
from engine.report.setup import again, setup
from engine.report.spread import subgroups
from engine.report.statement import chosen_section, data_section, use_section
from engine.runfolder import RunFolder, write_text


def write_report(folder: RunFolder) -> tuple[Path, Path]:
    """Write ``report.html`` (one file, everything embedded) and ``report.md`` (its text and tables); the two paths.

    A live, stopped or failed run is reported with what there is.

    Raises:
        RunError: the files cannot be written.
    """
    run = RunData(folder)
    return write_pages(build(run), private(run), folder.report_html, folder.report_md)


def write_pages(document: Document, clean: Callable[[str], str], page: Path, text: Path) -> tuple[Path, Path]:
    """Write a report as HTML to ``page`` and as Markdown to ``text``, without what ``clean`` takes out; the two."""
    write_text(page, html.render(document, clean))
    write_text(text, markdown.render(document, clean))
    return page, text


def build(run: RunData) -> Document:
    """The report of ``run`` before it is rendered."""
    figures = pictures.load(run)
    blocks: list[Block] = [first] if (first := headline(run)) else []
    blocks += [setup(run), data_section(run), chosen_section(run)]
    blocks += pictures.sections(run, figures, {"curves"})
    blocks += [*results(run), *([parts] if (parts := subgroups(run)) else [])]
    blocks += [section for section in pictures.sections(run, figures) if section.title != "Curves"]
    blocks += [part for part in (pictures.failed(figures), pictures.not_drawn(run, figures), case_section(run)) if part]
    blocks += [methods(run), use_section(), again(run)]
    blocks.append(appendix(blocks, run.task))
    return Document(run.name, _subtitle(run), [*alerts(run), *noted(run)], blocks)


def private(run: RunData) -> Callable[[str], str]:
    """Takes paths, hosts and users that this run knows out of a text."""
    places = [str(run.folder.root), str(run.folder.root.parent), run.data.root]
    return scrubber([place for place in places if place], [run.status.host])


def _subtitle(run: RunData) -> str:
    parts = [run.task, run.data.name, f"run {run.folder.id}", run.status.state]
    return " · ".join(part for part in parts if part)
