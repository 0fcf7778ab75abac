"""``medtui sweep``: a study from its plan to its report, or from where it was cut off."""

import contextlib

import msgspec

from engine import runfolder
from engine.errors import MedtuiError, RunError, UsageError, counted, printable
from engine.measures import spoken
from engine.requests import Sweep
from engine.runfolder.study import Member, Study, best_setting, member_folder, pooled_name, read_study, result_words

_SHOWN = 12  # results that are printed at the end; the report has all


def sweep(request: Sweep) -> int:
    """Run every member of a study, pool what they measured, and report it.

    Returns:
        0; 1 where a member failed or was lost; 3 where somebody stopped it.

    Raises:
        UsageError: there is no such study, another process is at work on it, or there is nothing to vary.
        RecipeError, DataError: the recipe or the data cannot be used.
    """
    from engine.commands.train import shake_hands
    from engine.studies.plan import make, plan

    if request.resume:
        folder = runfolder.find_run(request.runs, str(request.recipe), studies=True)
        if not folder.is_study:
            raise UsageError(f"{folder.id} is no study", f"go on with it: medtui resume {folder.address}")
        same = {key: getattr(request, key) for key in ("recipe", "data", "runs", "jobs", "handshake")}
        if request != Sweep(**same, resume=True):
            raise UsageError("a study goes on as it was begun", "begin another one: medtui sweep RECIPE ...")
        study = read_study(folder)
        study = msgspec.structs.replace(study, data=str(request.data.resolve())) if request.data else study
        if runfolder.is_locked(folder):
            raise UsageError(f"a sweep is at work on {folder.id}", "how far its members are: medtui runs")
    else:
        study, recipe = plan(request)
        folder = make(request, study, recipe)
    lock = runfolder.take_lock(folder)
    status = runfolder.own_status(folder.name, study.task, study.size)  # whoever looks from now on finds it alive
    runfolder.write_status(folder, msgspec.structs.replace(status, state="running"))
    shake_hands(request)(folder)
    try:
        return _work(folder, study, request.jobs or study.jobs)
    finally:
        runfolder.release_lock(lock)


def _work(folder: runfolder.RunFolder, study: Study, jobs: int) -> int:
    from engine.report.study import write_study_report
    from engine.studies.members import save
    from engine.studies.post import choose_post
    from engine.studies.results import collect
    from engine.studies.search import Search
    from engine.studies.work import OVER, Crew, show

    go_on = f"go on with: medtui resume {folder.address}"
    try:
        with Crew(folder, study, jobs, Search(folder, study) if study.search else None) as crew:
            study = crew.work()
            stopped = crew.stopped
        left = [member for member in study.member if member.state not in OVER]
        if found := collect(folder, study):
            for name, part in list(found.items())[:_SHOWN]:
                show(_result(name, part, study.monitor))
            best = best_setting(study, runfolder.read_metrics(folder))
            study = msgspec.structs.replace(study, post={}, tried={})  # another setting may be the best one now
            if all(member.state in OVER for member in study.of(best)):
                study = choose_post(folder, study)
            save(folder, study)
            for path in write_study_report(folder, study):
                show(str(path))
    except BaseException as error:
        state: runfolder.State = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        with contextlib.suppress(MedtuiError, OSError):  # the disk itself may be what failed
            _end(folder, study, state, str(error), go_on)
        if isinstance(error, OSError):
            raise RunError(f"{folder.root}: {error.strerror or error}", go_on) from error
        raise
    if not left:
        _end(folder, study, "finished")
        return 0
    stopped |= all(member.state == "stopped" for member in left)  # by hand, one by one
    words = f"{len(left)} of {counted(len(study.member), 'member')} not finished"
    words += "".join(
        f"; {member.name} failed: {_reason(folder, member)}" for member in left if member.state == "failed"
    )
    show(f"{words}\n{go_on}")
    _end(folder, study, "stopped" if stopped else "failed", words, go_on)
    return 3 if stopped else 1


def _reason(folder: runfolder.RunFolder, member: Member) -> str:
    """Why a member failed, in one line."""
    from engine.studies.process import log_of

    said = runfolder.read_status(member_folder(folder, member)).message if member.run else ""
    if not said and (log := log_of(folder, member)).exists():
        said = log.read_text("utf-8", "replace")
    return next((line for line in printable(said).splitlines() if line.strip()), "it did not say why")


def _result(name: str, part: runfolder.SplitSummary, metric: str) -> str:
    value, bounds = part.value(metric), part.interval(metric)
    words = f" (95 % CI {bounds[0]:.4g} to {bounds[1]:.4g})" if bounds else ""
    named = f"{result_words(name)}: {{}}{spoken(metric)}".format
    return f"{named('')} {value:.4g}{words}" if value is not None else named("no ")


def _end(folder: runfolder.RunFolder, study: Study, state: runfolder.State, message: str = "", hint: str = "") -> None:
    from engine.studies.results import TESTED

    metrics = runfolder.read_metrics(folder)
    pooled, tested = (metrics.get(name, runfolder.SplitSummary()) for name in (pooled_name(study), TESTED))
    tested = metrics.get("test", tested)  # what evaluate measured of the members' vote
    result = {"metric": study.monitor, "best": pooled.value(study.monitor), "test": tested.value(study.monitor)}
    last = msgspec.structs.replace(runfolder.stored_status(folder), state=state, message=message, hint=hint, **result)
    runfolder.write_status(folder, last, durable=True)
