"""``medtui figures``: draw the figures of a run again, from its folder alone."""

from collections.abc import Callable

from engine.errors import MedtuiError, printable
from engine.events import Event, Figure, Log, Phase
from engine.figures import draw_all
from engine.report import write_report
from engine.requests import Figures
from engine.runfolder import RunFolder, update_manifest


def draw_and_report(folder: RunFolder, emit: Callable[[Event], object]) -> None:
    """All figures of a run, then its report. One that fails is logged and costs no other."""
    update_manifest(folder, measured=True)
    emit(Phase(phase="figures"))
    draw_all(folder, emit=emit)
    emit(Phase(phase="report"))
    try:
        write_report(folder)
    except (MedtuiError, OSError) as error:
        emit(Log(level="error", message=f"no report: {error}"))


def figures(request: Figures) -> int:
    """Draw the figures of a run and print a line for each as soon as it is there.

    Returns:
        0, or 1 when a figure could not be drawn.
    """

    def tell(event: Event) -> None:
        if isinstance(event, Figure):
            line = f"{'ok    ' if event.ok else 'failed'}  {event.path}  {event.message}"
            print(printable(line.rstrip()), flush=True)

    folder = RunFolder(request.run)
    results = draw_all(folder, only=request.only or None, emit=tell)
    print(printable(f"report with them: medtui report {folder.id}"))
    return 0 if all(result.ok for result in results) else 1
