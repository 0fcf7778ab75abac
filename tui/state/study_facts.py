"""What is worth knowing of a study before it is opened: its members and where each of them is. No Textual."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from engine.errors import RunError
from engine.readers.run_view import EMPTY, RunView
from engine.runfolder import ENDED, RunFolder, Status, read_status, size_of
from engine.runfolder.mirror import is_mirror
from engine.runfolder.study import Member, Study, member_folder, read_study
from tui.state.feed import view_of

_READ = 40  # members whose streams are read: more have no room on a screen
_MOST_BYTES = 2 << 20  # of a longer stream samples are read
_GROWTH = 15  # a stream is read again once it is some 2^15 bytes longer


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """One member of a study."""

    member: Member
    status: Status | None = None  # None: its run has not begun
    view: RunView = EMPTY  # of its stream

    @property
    def state(self) -> str:
        """That of its run, else what the study says of it: waiting, pruned."""
        return str(self.status.state) if self.status and self.member.state != "pruned" else self.member.state

    @property
    def history(self) -> list[float]:
        """The monitored metric, a value a validation."""
        track = self.view.validation.get(self.view.monitor)
        return [] if track is None else [float(value) for value in track["value"]]

    @property
    def best(self) -> float | None:
        return self.status.best if self.status else None


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """A summary of one study."""

    study: Study
    members: tuple[MemberFacts, ...]

    @property
    def states(self) -> Counter[str]:
        """How many members are in each state."""
        return Counter(one.state for one in self.members)

    @property
    def left(self) -> int:
        """How many members are neither finished nor given up."""
        return sum(one.state not in {"finished", "pruned"} for one in self.members)

    def reached(self, setting: str) -> list[float]:
        """The best validation of each member of a setting that is finished; while none is, of each."""
        found = [one for one in self.members if one.member.setting == setting and one.best is not None]
        ended = [one for one in found if one.state == "finished"]
        return [one.best for one in ended or found if one.best is not None]


def read_study_facts(folder: RunFolder) -> StudyFacts | None:
    """The members of a study; None where its table cannot be read."""
    try:
        study = read_study(folder)
    except RunError:
        return None
    found = []
    for at, member in enumerate(study.member):
        run = member_folder(folder, member)
        status = read_status(run) if member.run else None
        reads = status is not None and at < _READ and not is_mirror(folder)
        over = status is not None and status.state in ENDED
        grown = size_of(run.events) >> _GROWTH if reads else 0
        found.append(MemberFacts(member, status, _view(run, grown, over) if reads else EMPTY))
    return StudyFacts(study, tuple(found))


@lru_cache(maxsize=64)
def _view(run: RunFolder, _grown: int, _over: bool) -> RunView:
    """A stream that has hardly grown, or has ended, is not read again."""
    return view_of(run, _MOST_BYTES)
