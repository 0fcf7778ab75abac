"""``medtui report``: the report of a run, or the comparison of several, from their folders alone."""

from engine.errors import UsageError, printable
from engine.report import write_comparison, write_report
from engine.report.study import write_study_report
from engine.requests import Report
from engine.runfolder import RunFolder, refuse_links
from engine.runfolder.study import read_study
from engine.studies.results import collect


def report(request: Report) -> int:
    """Write the report of one run, or the comparison of several, and print where it is.

    Raises:
        UsageError: no run is named, or the output is no folder.
        RunError: the run folder may not be written to.
    """
    folders = [RunFolder(run) for run in request.runs]
    if any(folder.is_study for folder in folders):
        return _study(folders, request)
    if not folders:
        raise UsageError("no run to report", "name one or more run folders")
    if request.output is not None and request.output.exists() and not request.output.is_dir():
        raise UsageError(f"{request.output} is not a folder", "name another with -o DIR")
    if len(folders) == 1 and request.output is None:
        refuse_links(folders[0])
        paths = write_report(folders[0])
    else:
        paths = write_comparison(folders, request.output or folders[-1].root.parent / "comparison")
    for path in paths:
        print(printable(str(path)))
    return 0


def _study(folders: list[RunFolder], request: Report) -> int:
    if len(folders) > 1 or request.output is not None:
        raise UsageError("the report of a study stands in its own folder", "name one study, and no other run")
    study = read_study(folders[0])
    collect(folders[0], study)
    for path in write_study_report(folders[0], study):
        print(printable(str(path)))
    return 0
