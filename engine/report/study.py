"""The report of a study: what its members give together, setting by setting and run by run."""

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from engine.errors import counted
from engine.figures import draw_all
from engine.measures import find, in_tables, title
from engine.metrics.intervals import mean_interval
from engine.readers.figure_index import read_index
from engine.readers.numbers import digits, interval, signed
from engine.readers.run import CaseTable, RunData
from engine.report import pictures
from engine.report.alerts import NOT_PUBLISHED, PHANTOM, gravest_first, noted, seen_before
from engine.report.blocks import Alert, Block, Card, Cards, Cell, Code, Document, Facts, Section, Table, Text
from engine.report.checklists import appendix
from engine.report.methods import methods
from engine.report.page import private, write_pages
from engine.report.results import of_cases, split_results
from engine.report.setup import setup
from engine.report.shared import error_over_cases
from engine.report.spread import subgroups
from engine.report.statement import BLANK, data_section, looks, use_section
from engine.runfolder import RunFolder, SplitSummary, read_manifest, read_metrics, read_status, read_text
from engine.runfolder.study import Member, Study, best_setting, member_folder, pooled_name, result_words, voters


def write_study_report(folder: RunFolder, study: Study) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.md`` of a study from what `engine.studies.results.collect` wrote, after its
    figures, which are quickly drawn.

    Raises:
        RunError: the files cannot be written.
    """
    run = RunData(folder)
    if pooled_name(study) in run.metrics:
        draw_all(folder)
    return write_pages(build(run, study), private(run), folder.report_html, folder.report_md)


def build(run: RunData, study: Study) -> Document:
    """The report before it is rendered."""
    metrics, figures = run.metrics, read_index(run.folder)
    name = pooled_name(study)
    blocks: list[Block] = []
    if name in metrics:
        part = metrics[name]
        cards = [Card(title(one, part.unit), digits(part.value(one)), _detail(part, one)) for one in _ranked(part)]
        blocks.append(Cards(cards, of_cases(part, name, run.classes)))
    best = RunData(chosen[0]).recipe if len(study.settings) > 1 and (chosen := voters(run.folder, study)) else None
    blocks += [setup(run, best), data_section(run), Section("How it was chosen", [Facts(_chosen(run, study))])]
    blocks += [_settings(study, name, metrics)] if len(study.settings) > 1 else []
    order = dict.fromkeys([name, "test_members", "test", *(one for one in metrics if one.split(": ")[0] != name)])
    measured = [one for one in order if one in metrics and not metrics[one].empty]
    blocks += [split_results(run, one) for one in measured]
    blocks += [part for part in (_spread(run, measured), subgroups(run)) if part]
    blocks += pictures.sections(run, figures)
    blocks += [missing] if (missing := pictures.failed(figures)) else []
    blocks += [_members(run, study), methods(run), use_section(), _again(run, study)]
    blocks.append(appendix(blocks, study.task))
    alerts = gravest_first([*_alerts(run, study, name), *_paired(run, study), *noted(run)])
    left = _left(study)
    # not its own state: that is "running" where the report is written as the last thing that it does
    done = f"{len(study.member) - len(left)} of {counted(len(study.member), 'member')} " if left else ""
    return Document(run.name, f"{study.task} · study {run.folder.id} · {done}finished", alerts, blocks)


def _left(study: Study) -> list[Member]:
    return [member for member in study.member if member.state not in {"finished", "pruned"}]


def _ranked(part: SplitSummary) -> list[str]:
    """The metrics of a result that are read first."""
    return [one for one in part.values if find(one).rank]


def _spread(run: RunData, measured: Sequence[str]) -> Section | None:
    """How far chance goes: of the cases that were drawn, beside that of the training; None with one seed or member."""
    rows = []
    for where in measured:
        part = run.metrics[where]
        for one in (name for name in _ranked(part) if name in part.spread):
            chance = [digits(value, 4) for value in (error_over_cases(part, one), part.spread[one])]
            rows.append([f"{title(one, part.unit)}, {result_words(where)}", digits(part.value(one)), *chance])
    if not rows:
        return None
    caption = (
        "Over cases: standard error, by the 95 % interval. Over trainings: standard deviation of one, over seeds; of "
        "the test split over members, which differ in their fold as well."
    )
    heads = ["Spread", "mean", "over cases", "over trainings"]
    return Section("Spread over seeds and cases", [Table(heads, rows, caption)])


def _alerts(run: RunData, study: Study, name: str) -> Iterator[Alert]:
    if run.data.phantom:
        yield Alert("warning", PHANTOM)
    if run.data.published_split is False and {"test", "test_members"} & run.metrics.keys():
        yield Alert("warning", NOT_PUBLISHED)
    folders = [member_folder(run.folder, member) for member in study.member if member.run]
    yield from seen_before(*(read_manifest(folder).started_from for folder in folders))
    if len(study.seeds) < 2:
        yield Alert("note", "One seed: what another training would change is not known; intervals are of the cases.")
    if left := _left(study):
        unfinished = f"{len(left)} of {counted(len(study.member), 'member')} not finished"
        yield Alert("warning", f"{unfinished}: {'; '.join(_unfinished(run.folder, member) for member in left)}")
    if _known(run, study) > 1:
        text = (
            f"The best of {len(study.settings)} settings was chosen by its {name} result, which is so a little too good"
        )
        yield Alert("note", f"{text}: the test split, measured once, tells.")


def _unfinished(folder: RunFolder, member: Member) -> str:
    why = read_status(member_folder(folder, member)).message if member.run else ""
    return f"{member.name} {member.state}" + (f" ({why})" if why else "")


def _known(run: RunData, study: Study) -> int:
    """How many settings have a result."""
    return sum(not run.metrics.get(pooled_name(study, one), SplitSummary()).empty for one in study.settings)


def _paired(run: RunData, study: Study) -> Iterator[Alert]:
    """Whether the members' vote is better than its mean member, case by case of the test split."""
    known = run.cases("test")
    metric = "dice" if study.task == "segmentation" else "accuracy"
    own = dict(zip(known.ids, _scores(known), strict=True))
    others: dict[str, list[float]] = {case: [] for case in own}
    for folder in voters(run.folder, study):
        table = RunData(folder).cases("test")
        for case, score in zip(table.ids, _scores(table), strict=True):
            if case in others:
                others[case].append(score)
    gains = [own[case] - fmean(scores) if (scores := others[case]) else math.nan for case in own]
    if not (measured := [gain for gain in gains if not math.isnan(gain)]):
        return
    bounds = interval(mean_interval(gains, known.groups).interval)
    cases = counted(len(measured), "case")
    words = f" (95 %: {bounds}, paired over {cases})" if bounds else f" over {cases}"
    gain = fmean(measured)
    post = "; the vote is post-processed as was chosen out of fold" if study.post else ""
    text = f"On the test split, {title(metric)} of the members' vote minus that of its mean member"
    yield Alert("answer", f"{text}: {signed(gain)}{words}{post}.")


def _scores(table: CaseTable) -> list[float]:
    """Dice of each case, or whether its class was right."""
    if table.rows and table.rows[0].true:
        return [float(row.true == row.predicted) for row in table.rows]
    return [row.values.get("dice", math.nan) for row in table.rows]


def _detail(part: SplitSummary, metric: str) -> str:
    bounds = interval(part.interval(metric))
    words = [f"95 %: {bounds}"] if bounds else []
    words += [f"SD over seeds {digits(part.spread[metric])}"] if metric in part.spread else []
    return "; ".join(words)


def _chosen(run: RunData, study: Study) -> list[tuple[str, str]]:
    count, known = len(study.settings), _known(run, study)
    best = f"the best of {count} by {title(study.monitor)}: {best_setting(study, run.metrics)}"
    best += f"; {count - known} of them without a result" if known < count else ""
    folds = f"{study.folds}; cases by split are those of the first member" if study.folds else ""
    folds = folds or "none: the recipe's own validation split"
    return [
        ("Folds", folds),
        ("Seeds", ", ".join(map(str, study.seeds))),
        *((key, ", ".join(values)) for key, values in study.grid.items()),
        *((key, values) for key, values in study.search.items()),
        ("Settings", best if count > 1 else f"one; what else was tried: {BLANK}"),
        ("Weights", f"of each member as its recipe says; metric of validation {title(study.monitor)}"),
        ("Number of cases", f"all that there were, no calculation; why that is enough: {BLANK}"),
        ("Test split", "; ".join(part for part in (_test(run), looks(run)) if part)),
        *((f"Post-processing: {key}", words) for key, words in study.tried.items()),
    ]


def _test(run: RunData) -> str:
    if run.recipe and not run.recipe.evaluate.test:
        return "not looked at by the members, as settings are compared; medtui evaluate measures it once"
    return "measured by every member at its end; nothing is chosen by it"


def _again(run: RunData, study: Study) -> Section:
    """The command that trains all members again, and the recipe of all."""
    words = ["medtui", "sweep", f"runs/{run.folder.id}/recipe.toml"]
    words += ["--folds", str(study.folds)] if study.folds else []
    words += ["--seeds", str(len(study.seeds))] if len(study.seeds) > 1 else []
    for key, values in study.grid.items():
        words += ["--grid", f"{key}={','.join(values)}"]
    words += ["--trials", str(study.trials)] if study.trials else []
    for key, span in study.search.items():
        words += ["--search", f"{key}={span}"]
    recipe = Section("Recipe", [Code(read_text(run.folder.recipe), "toml")])
    return Section("Make it again", [Code(shlex.join([*words, "--data", "DATA"]), "sh"), recipe], new_page=True)


def _settings(study: Study, name: str, metrics: dict[str, SplitSummary]) -> Section:
    """Every setting with its pooled result, the best first."""
    shown = [one for one in in_tables(study.task) if any(one in part.values for part in metrics.values())]
    names = list(dict.fromkeys([study.monitor, *shown]))[:5]
    parts = [(one, metrics.get(f"{name}: {one}", SplitSummary())) for one in study.settings]
    worst = float("-inf") if study.up else float("inf")
    parts.sort(key=lambda pair: worst if (v := pair[1].value(study.monitor)) is None else v, reverse=study.up)
    rows: list[list[str | Cell]] = []
    for one, part in parts[:50]:
        rows.append([one, *(Cell(digits(part.value(m)), _detail(part, m)) for m in names)])
    caption = f"By {title(study.monitor)}, the best first" + (f"; 50 of {len(parts)}." if len(parts) > 50 else ".")
    return Section("Settings", [Table(["Setting", *(title(one) for one in names)], rows, caption)])


def _members(run: RunData, study: Study) -> Section:
    one = len(study.settings) == 1
    rows = [_row(run.folder, member) for member in study.member]
    heads = ["Run", "Setting", "Fold", "Seed", "State", "Epoch", f"Best {title(study.monitor)}", "Test"]
    if one:
        heads, rows = [*heads[:1], *heads[2:]], [[*row[:1], *row[2:]] for row in rows]
    text = Text("Each is a run folder of its own beside the study, with its own report.")
    return Section("Members", [text, Table(heads, rows, left=frozenset({3} if one else {1, 4}), small=True)])


def _row(folder: RunFolder, member: Member) -> list[str | Cell]:
    status = read_status(member_folder(folder, member)) if member.run else None
    found = read_metrics(member_folder(folder, member)) if member.run else {}
    test = found["test"].value(status.metric) if status and "test" in found else None
    fold = "" if member.fold is None else str(member.fold)
    done = f"{status.epoch}/{status.epochs}" if status else ""
    best = digits(status.best) if status else ""
    return [member.run or member.name, member.setting, fold, str(member.seed), member.state, done, best, digits(test)]
