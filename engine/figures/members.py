"""The members of a study side by side: the metric of validation while each of them trained."""

from pathlib import Path

import numpy as np

from engine.errors import counted
from engine.figures import style
from engine.measures import title
from engine.readers.numbers import digits
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.runfolder.study import Member, Study, best_setting, member_folder, read_study

_NAMED = 20  # more members are drawn alike and named nowhere
_POINTS = 40  # values of a curve that are marked one by one


def plan(run: RunData) -> list[Job]:
    """The one sheet of curves."""
    return [Job("members", "members", "Members", lambda path: draw(run, path))]


def draw(run: RunData, path: Path) -> Drawn:
    """A curve a member of the best setting, from its stream."""
    study = read_study(run.folder)
    setting = best_setting(study, run.metrics)
    members = [member for member in study.of(setting) if member.run]
    curves = [(member, *_curve(run, study, member)) for member in members]
    curves = [curve for curve in curves if np.isfinite(curve[2]).any()]
    if not curves:
        raise FigureError("no member has validated yet")
    figure = style.new_figure(style.WIDTH, 3.2)
    axes = figure.subplots()
    few = len(curves) <= _NAMED
    for index, (member, epochs, values) in enumerate(curves):
        alike: style.Look = {"color": style.ACCENT, "alpha": 0.4, "linewidth": 0.9}
        look = {**style.line_style(index), "label": _label(study, member, values)} if few else alike
        marker = "o" if len(values) <= _POINTS else ""
        axes.plot(epochs, values, marker=marker, markersize=2.8, **look)
    style.grid(axes)
    axes.set_xlabel("epoch")
    axes.set_title(title(study.monitor, run.unit))
    axes.locator_params(axis="x", integer=True)
    if few:
        figure.legend(loc="outside right upper", title="best", alignment="left")
    style.save(figure, path, run.options.dpi)
    of = f", setting {setting}" if setting else ""
    return Drawn(f"{title(study.monitor)} of validation by epoch, {counted(len(curves), 'member')}{of}.")


def _curve(run: RunData, study: Study, member: Member) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values, both (n,); the values are NaN where one was not finite."""
    track = RunData(member_folder(run.folder, member)).view.validation.get(study.monitor)
    if track is None:
        return np.empty(0), np.empty(0)
    values = track["value"].astype(float)
    return track["epoch"].astype(float), np.where(np.isfinite(values), values, np.nan)


def _label(study: Study, member: Member, values: np.ndarray) -> str:
    words = [] if member.fold is None else [f"fold {member.fold}"]
    words += [f"seed {member.seed}"] if len(study.seeds) > 1 or not words else []
    return f"{', '.join(words)}  {digits(float((np.nanmax if study.up else np.nanmin)(values)))}"
