"""What is worth knowing of one run before it is opened: results, history, recipe. Read from its folder. No Textual."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine import measures
from engine.measures import is_count, ordered, spoken
from engine.readers.run_view import EMPTY, RunView, best
from engine.runfolder import RunFolder, SplitSummary, read_metrics, size_of
from engine.runfolder.mirror import STREAM, fetch
from tui.state.feed import QUICK_BYTES, view_of
from tui.state.study_facts import StudyFacts, read_study_facts
from tui.text import figure


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A summary of one run."""

    view: RunView = EMPTY
    results: Mapping[str, SplitSummary] = field(default_factory=dict)  # of metrics.json, by split
    study: StudyFacts | None = None
    whole: bool = True  # all of the stream was read, not samples of it

    @property
    def history(self) -> list[float]:
        """The monitored metric, a value a validation."""
        track = self.view.validation.get(self.view.monitor)
        return [] if track is None else [float(value) for value in track["value"]]

    @property
    def best(self) -> tuple[float, int] | None:
        """(value, epoch) of the best validation; None where samples cannot know it."""
        track = self.view.validation.get(self.view.monitor)
        return None if track is None or not self.whole else best(track, up=self.view.monitor_up)


def read_facts(folder: RunFolder) -> RunFacts:
    """The facts of a run; what is not there or cannot be read is left out."""
    fetch(folder, folder.metrics.name if folder.is_study else STREAM)
    if folder.is_study:
        return RunFacts(results=read_metrics(folder), study=read_study_facts(folder))
    whole = size_of(folder.events) <= QUICK_BYTES
    return RunFacts(view_of(folder, QUICK_BYTES), read_metrics(folder), whole=whole)


def headline(part: SplitSummary) -> list[tuple[str, str]]:
    """Name and text of the metrics of a split that are read first, then its loss and its counts."""
    values = {**part.values, **part.counts}
    first = measures.headline(values)
    return [
        (spoken(name, part.unit), str(int(value)) if is_count(name) else figure(float(value)))
        for name in ordered(values)
        if name in first or name == "loss" or (is_count(name) and name != "macro_over")
        if (value := values[name]) is not None
    ]
