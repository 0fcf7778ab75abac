"""A search by Optuna over the settings of a recipe: each trial is a member, or one a fold and seed."""

import re
from statistics import fmean
from typing import Any

from engine.errors import UsageError
from engine.events import Validation
from engine.recipe import load_run_recipe
from engine.runfolder import EventReader, RunFolder, read_status
from engine.runfolder.study import Member, Study, member_folder
from engine.studies.members import choices, members

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(:log)?")
_WHOLE = re.compile(r"[+-]?\d+")


def distribution(key: str, words: str) -> Any:
    """What ``LOW:HIGH``, ``LOW:HIGH:log`` or ``A,B`` means: whole numbers where both ends are.

    Raises:
        UsageError: it is none of these, or Optuna is not installed.
    """
    optuna = _optuna()
    if found := _RANGE.fullmatch(words):
        low, high, log = found[1], found[2], found[3] is not None
        if float(low) >= float(high) or (log and float(low) <= 0):
            raise UsageError(f"--search {key}: found {words}", "LOW below HIGH, and with log above 0")
        if _WHOLE.fullmatch(low) and _WHOLE.fullmatch(high):
            return optuna.distributions.IntDistribution(int(low), int(high), log=log)
        return optuna.distributions.FloatDistribution(float(low), float(high), log=log)
    if _RANGE.match(words):
        raise UsageError(f"--search {key}: found {words}", "LOW:HIGH, LOW:HIGH:log, or choices: A,B")
    return optuna.distributions.CategoricalDistribution(choices(key, words))


def ends(key: str, words: str) -> tuple[str, ...]:
    """The values that have to be legal for all to be: the ends of a range, or every choice. Raises `UsageError`."""
    distribution(key, words)
    found = _RANGE.fullmatch(words)
    return (found[1], found[2]) if found else choices(key, words)


class Search:
    """Optuna's proposals as members of a study, and what came of them; its journal is in the study's folder.

    A trial whose first member falls behind the median of the others' first members is pruned.
    """

    def __init__(self, folder: RunFolder, study: Study) -> None:
        """Open the journal, or begin one."""
        optuna = _optuna()
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._recipe = load_run_recipe(folder.recipe)
        self._folder, self._states, self._sampler = folder, optuna.trial.TrialState, optuna.samplers.TPESampler
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder.root / "optuna.journal")))
        self._search = optuna.create_study(
            study_name=folder.id,
            storage=storage,
            direction="maximize" if study.up else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
            load_if_exists=True,
        )
        self._space = {key: distribution(key, words) for key, words in study.search.items()}
        self._readers: dict[str, EventReader] = {}
        self._given_up = {member.trial for member in study.member if member.state == "pruned"}
        self.ended(study)

    def more(self, study: Study) -> list[Member]:
        """The members of the next trial, or of one that was proposed and never began."""
        known = {member.trial for member in study.member}
        trials = self._search.get_trials(deepcopy=False)
        number = next((trial.number for trial in trials if trial.number not in known), None)
        if number is None and len(trials) >= study.trials:
            return []
        if number is None:  # a sampler's state is not kept: each proposal has a seed of its own, also after a kill
            self._search.sampler = self._sampler(seed=self._recipe.seed + len(trials))
            number = self._search.ask(self._space).number
        params = self._search.get_trials(deepcopy=False)[number].params
        grid = {
            key: value if isinstance(value, str) else _text(value, self._space[key]) for key, value in params.items()
        }
        name, part = self._recipe.name, f"-t{number:03d}"
        return members(name, study.folds, study.seeds, grid, part=part, trial=number)

    def hopeless(self, member: Member, study: Study) -> bool:
        """Whether the trial of a member has been given up; looks at the validations of its first member."""
        number = member.trial
        if number is None or number in self._given_up:
            return number is not None
        first = next(other for other in study.member if other.trial == number)
        if member.name != first.name or not member.run:
            return False
        reader = self._readers.setdefault(member.name, EventReader(member_folder(self._folder, member).events))
        before = self._search.get_trials(deepcopy=False)[number]
        if before.state.is_finished():
            return False
        trial = _optuna().trial.Trial(self._search, before._trial_id)
        for event in reader.read():
            value = event.metrics.get(study.monitor) if isinstance(event, Validation) else None
            if isinstance(event, Validation) and isinstance(value, float):
                if event.epoch not in before.intermediate_values:  # by a sweep that was killed
                    trial.report(value, event.epoch)
                if trial.should_prune():
                    self._given_up.add(number)
                    return True
        return False

    def ended(self, study: Study) -> None:
        """Tell Optuna of the trials that have come to their end since; a failed one may yet be tried again."""
        for trial in self._search.get_trials(deepcopy=False, states=[self._states.RUNNING]):
            own = [member for member in study.member if member.trial == trial.number]
            states = {member.state for member in own}
            if not own or not states <= {"finished", "pruned"}:
                continue
            values = [read_status(member_folder(self._folder, member)).best for member in own]
            known = [value for value in values if value is not None]
            if states == {"finished"} and len(known) == len(own):
                self._search.tell(trial.number, fmean(known))
            else:
                self._search.tell(trial.number, state=self._states.PRUNED if "pruned" in states else self._states.FAIL)


def _text(value: float, space: Any) -> str:
    """Four digits say all about a setting, and do not fill every line that names it; all where four leave the range."""
    text = f"{value:.4g}"
    return text if isinstance(value, float) and space.low <= float(text) <= space.high else repr(value)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UsageError("a search needs Optuna", "install it: pip install 'medtui[sweep]'") from None
    return optuna
