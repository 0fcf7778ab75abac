"""The report that compares runs: one table, paired tests, and what they mean."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.errors import RunError, counted
from engine.figures.comparison import draw_comparison
from engine.readers.figure_index import FigureResult
from engine.readers.together import Runs, open_runs
from engine.report.alerts import NOT_PUBLISHED, PHANTOM
from engine.report.blocks import Alert, Block, Code, Document, Picture, Section
from engine.report.compare_tables import differences, metrics_table, per_class, seeds, settings
from engine.report.page import private, write_pages
from engine.report.paired import compare
from engine.report.shared import barrier, earlier, other_unions
from engine.report.verdict import verdicts
from engine.runfolder import RunFolder


def write_comparison(folders: Sequence[RunFolder], out: Path) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.md`` of a comparison into the folder ``out``, figures beside them.

    Args:
        folders: two or more runs of one task.
        out: made where it is missing.

    Returns:
        The two paths.

    Raises:
        UsageError: the runs cannot be compared.
        RunError: the folder cannot be written.
    """
    together = open_runs(folders)
    try:
        out.mkdir(parents=True, exist_ok=True)
        document = build(together, draw_comparison(folders, out / "figures"), out)
        return write_pages(document, _private(together), out / "report.html", out / "report.md")
    except OSError as error:
        hint = "choose a folder that you may write to with -o DIR"
        raise RunError(f"cannot write the comparison to {out}: {error.strerror or error}", hint) from error


def build(together: Runs, figures: list[FigureResult], out: Path) -> Document:
    """The comparison before it is rendered."""
    comparisons = compare(together)
    blocks: list[Block] = [
        Section("The runs", [metrics_table(together), *seeds(together)]),
        *per_class(together),
        differences(together, comparisons),
        *_figures(figures, out),
        settings(together),
        _again(together),
    ]
    alerts = [*verdicts(together, comparisons), *_alerts(together)]
    names = " · ".join(together.labels)
    return Document("Comparison", f"{together.task} · {together.split} split · {names}", alerts, blocks)


def _figures(figures: list[FigureResult], out: Path) -> Iterator[Section]:
    blocks: list[Block] = []
    for figure in figures:
        if figure.ok:
            vector = out / figure.vector if figure.vector else None
            blocks.append(Picture(out / figure.path, figure.path, figure.title, figure.caption, vector, "tall"))
        else:
            blocks.append(Alert("note", f"{figure.title}: {figure.message}"))
    if blocks:
        yield Section("Figures", blocks)


def _alerts(together: Runs) -> Iterator[Alert]:
    runs, split = together.runs, together.split
    protocols = {run.metrics[split].protocol for run in runs}
    if len(protocols) > 1 and not barrier(together):
        yield Alert("note", f"The runs were predicted in different ways: {'; '.join(sorted(protocols))}.")
    if len({run.unit for run in runs}) > 1 and together.task == "segmentation":
        yield Alert("warning", "The runs measure distances in different units.")
    if len({tuple(run.classes) for run in runs}) > 1:
        yield Alert("warning", "The runs have different classes.")
    for name in other_unions(together):
        of = "; ".join(
            f"{label}: {', '.join(sorted(run.unions[name]))}"
            for run, label in zip(runs, together.labels, strict=True)
            if name in run.unions
        )
        yield Alert("warning", f'The region "{name}" is not of the same classes in all runs ({of}): not compared.')
    if split != "test":
        yield Alert("warning", f"These are numbers of the {split} split: a run may have been chosen by them.")
    if any(run.data.phantom for run in runs):
        yield Alert("warning", PHANTOM)
    if any(run.data.published_split is False for run in runs):
        yield Alert("warning", NOT_PUBLISHED)
    for run, label in zip(runs, together.labels, strict=True):
        if run.status.state != "finished":
            yield Alert("note", f"{label}: {run.status.state}, {counted(run.view.epochs_completed, 'epoch')}.")
    yield from _paired(together)


def _paired(together: Runs) -> Iterator[Alert]:
    """What is shared, and by what it was found out."""
    runs, split = together.runs, together.split
    # without a table of contents it is a fingerprint of another kind, of names and sizes
    prints = {run.data.fingerprint for run in runs if run.data.fingerprint and run.splits}
    counts = [len(run.cases(split)) for run in runs]
    common = len(together.common)
    if any(count != common for count in counts):
        use = (
            f"all tables and tests use the {common} that all share" if common else "the numbers of each are of its own"
        )
        of = ", ".join(map(str, counts))
        yield Alert("warning", f"The runs did not measure the same cases: {use}, of {of}.")
    elif len(prints) > 1:
        yield Alert("note", "The runs were trained on different data or splits; their test cases are the same.")
    if together.unlike:
        have = "case has" if len(together.unlike) == 1 else "cases have"
        text = f"{len(together.unlike)} {have} the same id in all runs but other images or truths: not paired."
        yield Alert("warning", text)
    if not together.by_content:
        yield Alert("note", "Cases are paired by their ids: a run of an earlier version does not say what they hold.")
    if older := earlier(together):
        names = ", ".join(run.folder.id for run in older)
        text = f"Measured by an earlier version of medtui: {names}. Means and intervals here are computed again."
        yield Alert("note", text)
    if common < 10 and common:
        yield Alert("note", f"Only {counted(common, 'case')} shared: small differences cannot be found with so few.")


def _again(together: Runs) -> Section:
    ids = " ".join(run.folder.id for run in together.runs)
    return Section("Make it again", [Code(f"medtui report {ids}", "sh")])


def _private(together: Runs) -> Callable[[str], str]:
    cleaners = [private(run) for run in together.runs]

    def clean(text: str) -> str:
        for cleaner in cleaners:
            text = cleaner(text)
        return text

    return clean
