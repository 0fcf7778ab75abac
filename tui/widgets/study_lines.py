"""A study in a few lines: how far it is, what it reached, what to do next, and its members."""

from collections.abc import Mapping

from engine.errors import counted
from engine.measures import spoken
from engine.readers.run_view import EMPTY
from engine.runfolder import ENDED, RunFolder, SplitSummary
from engine.runfolder.mirror import command_for
from engine.runfolder.study import Study, best_setting, member_folder, pooled_name, result_words
from tui.plotting.cells import Line, fit, fitted, flowed, length
from tui.plotting.chart import chart_rows
from tui.plotting.charts import end_of, steps_of
from tui.plotting.comparison import ComparedRun, compared_charts
from tui.settings import keyed
from tui.state.run_facts import RunFacts, headline
from tui.state.runs_index import RunRow
from tui.state.study_facts import MemberFacts, StudyFacts
from tui.text import figure, one_line, shorten, sparkline
from tui.theme import mark
from tui.widgets.head import STATE_COLORS, STATE_MARKS

_BARS = 60
_COMPARED = 8  # members whose curves can be told apart


def result_lines(results: Mapping[str, SplitSummary], width: int) -> list[Line]:
    """A line for each split that was measured, the test first."""
    lines: list[Line] = []
    for split, values in sorted(results.items(), key=lambda item: item[0] != "test"):
        first, *rest = [[(f"{n} ", "muted"), (t, "ink")] for n, t in headline(values)] or [[("–", "muted")]]
        name = shorten(one_line(result_words(split)), width - 2 - sum(len(text) for text, _ in first))
        parts: list[Line] = [[(name, "muted")], first, *rest]
        lines.append(fitted(parts, width, 2))
    return lines


def study_lines(run: RunRow, facts: RunFacts, width: int, height: int) -> list[Line]:
    """A study in ``height`` lines of ``width`` cells; of more members than there is room for, the first."""
    if facts.study is None:
        return result_lines(facts.results, width)
    study, results = facts.study.study, facts.results
    pooled = {pooled_name(study, one) for one in ("", *study.settings)}
    lines = [_made_of(facts.study, width), *_reached(facts.study, results, width)]
    lines += result_lines({split: part for split, part in results.items() if split not in pooled}, width)
    if not (run.live or run.status.hint) and (words := _next(run.folder, facts.study, results)):
        command, does = words
        then = list(flowed([[("next", "muted")], [(one_line(command), "ink")], [(does, "muted")]], width))
        lines += then if len(lines) + len(then) <= height else []  # half a command is none
    best, members = best_setting(study, results), _ordered(facts.study)
    curves = _curves(run.folder, members[:_COMPARED], study.monitor, width, height - len(lines) - len(members) - 1)
    return [*lines, *_members(facts.study, members, best, width, height - len(lines), marks=bool(curves)), *curves]


def _ordered(facts: StudyFacts) -> list[MemberFacts]:
    """Members as the study has them; where each is a setting of its own, the best first."""
    members, sign = list(facts.members), -1 if facts.study.up else 1
    if 1 < len(facts.study.settings) == len(members):
        members.sort(key=lambda one: (one.best is None, sign * (one.best or 0.0)))
    return members


def _curves(folder: RunFolder, members: list[MemberFacts], monitor: str, width: int, height: int) -> list[Line]:
    """Charts of some members over each other, that of the monitored metric first."""
    sides = [ComparedRun(member_folder(folder, one.member), "", one.view) for one in members]
    charts = compared_charts(sides, "epoch") if any(len(one.view.steps) for one in members) else []
    charts.sort(key=lambda chart: chart.name != monitor)
    end = max((end_of(side.view, "epoch") for side in sides), default=0.0)
    return chart_rows(charts, steps_of(EMPTY, "epoch"), end, width, height)


def _made_of(study: StudyFacts, width: int) -> Line:
    table = study.study
    sizes = ((table.folds, "fold"), (len(table.seeds), "seed"), (len(table.settings), "setting"))
    words = " × ".join(counted(n, name) for n, name in sizes if n > 1)
    line: list[Line] = [[(words or counted(len(table.member), "member"), "ink bold")]]
    for state, n in sorted(study.states.items()):
        line.append(
            [("" if len(line) > 1 else "members ", "muted"), (f"{n} {state}", STATE_COLORS.get(state, "muted"))]
        )
    return fitted(line, width)


def _reached(facts: StudyFacts, results: Mapping[str, SplitSummary], width: int) -> list[Line]:
    """The pooled result of the best setting beside the spread of its members, then the other settings."""
    study = facts.study
    best, metric = best_setting(study, results), study.monitor
    found = results.get(pooled_name(study))
    lines: list[Line] = []
    if found is not None and (value := found.value(metric)) is not None:
        parts: list[Line] = [[(f"{result_words(pooled_name(study))} {spoken(one_line(metric))} ", "muted")]]
        parts[0].append((figure(value), "ink bold"))
        low, high = found.interval(metric) or (None, None)
        parts += [[(f"({figure(low)} to {figure(high)})", "ink")]] if low is not None and high is not None else []
        spread = found.spread.get(metric)
        parts += [[("SD over seeds ", "muted"), (figure(spread), "ink")]] if spread is not None else []
        parts += [[(f"{spoken(name)} ", "muted"), (str(n), "ink")] for name, n in found.counts.items() if n is not None]
        lines += list(flowed(parts, width, most=2))
    if reached := facts.reached(best):
        each: Line = [("members at their best ", "muted"), (f"{figure(min(reached))} to {figure(max(reached))}", "ink")]
        mean: Line = [("mean ", "muted"), (figure(sum(reached) / len(reached)), "ink")]
        lines.append(fitted([each, mean] if len(reached) > 1 else [], width))
    values = [(one, results.get(pooled_name(study, one), SplitSummary()).value(metric)) for one in study.settings]
    values = sorted((one for one in values if one[1] is not None), key=lambda one: one[1] or 0.0, reverse=study.up)
    for setting, value in values[:3] if 1 < len(study.settings) < len(study.member) else []:
        star = "★ " if setting == best else "  "
        name = shorten(one_line(setting), width - 10)
        lines.append([(star, "accent"), (f"{name}  ", "muted"), (figure(value), "ink")])
    return [line for line in lines if line]


def _next(folder: RunFolder, facts: StudyFacts, results: Mapping[str, SplitSummary]) -> tuple[str, str] | None:
    """The command that a person would type now, and what it does; None while members are at work."""
    if any(one.status and one.state not in ENDED for one in facts.members):
        return None
    if facts.left:
        return command_for(folder, "resume"), f"goes on with the {facts.left} that are left"
    if "test" not in results:
        return command_for(folder, "evaluate"), "measures the test split, where the members vote"
    return command_for(folder, "predict") + " IMAGES... -o DIR", "predicts, where the members vote"


def _members(
    facts: StudyFacts, members: list[MemberFacts], best: str, width: int, height: int, *, marks: bool
) -> list[Line]:
    """A line for each, under a heading, where there is room; ``marks``: those of their curves."""
    room, compared = height - 1, len(facts.study.settings) > 1
    if room < 1 or not members:
        return []
    stars = ["★ " if one.member.setting == best else "  " for one in members]
    names = [star * compared + _named(one, facts.study) for one, star in zip(members, stars, strict=True)]
    wide = min(max(map(len, names)), max(8, width - 40))
    left = len(names) - room
    shown = room if left > 0 else len(names)
    words = keyed(
        f"{counted(len(names), 'member')}; <open:Enter> shows " + (f"all, {shown} here" if left > 0 else "them")
    )
    lines: list[Line] = [[(words, "muted")]]
    for at, (one, name) in enumerate(zip(members[:shown], names, strict=False)):
        state = one.state
        line: Line = [(f"{mark(at) if at < _COMPARED else ' '} ", str(at))] if marks else []
        line.append((fit(shorten(name, wide), wide) + "  ", "ink"))
        line.append((fit(f"{STATE_MARKS.get(state, '·')} {state}", 11), STATE_COLORS.get(state, "muted")))
        status = one.status
        done = f"{status.epoch}/{status.epochs}" if status and status.epochs else "–"
        line += [(fit(done, 8, right=True), "ink"), (fit(figure(one.best), 7, right=True) + "  ", "ink bold")]
        room = min(_BARS, width - length(line))
        said = one_line(status.message) if status and state in {"failed", "lost", "stopped"} else ""
        bars = sparkline(one.history, room, facts.study.monitor)
        line.append((fit(said, width - length(line)).rstrip(), "muted") if said else (bars, "accent"))
        lines.append(line)
    return lines


def _named(one: MemberFacts, study: Study) -> str:
    member = one.member
    words = [f"fold {member.fold}"] if member.fold is not None else []
    words += [f"seed {member.seed}"] if len(study.seeds) > 1 or not (words or member.setting) else []
    words += [member.setting] if member.setting else []
    return one_line("  ".join(words))
