"""Starts the process that renders surfaces, and says in one line why it could not."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.figures.volume import Volume
from engine.hardware import python_path
from engine.readers.run import FigureError

TIMEOUT_S = 180.0
VIEWS = (
    (("front", "along y"), (0.25, 1.0, 0.25), (0.0, 0.0, 1.0)),
    (("left", "along x"), (-1.0, 0.25, 0.25), (0.0, 0.0, 1.0)),
    (("above", "along z"), (0.0, -0.2, 1.0), (0.0, 1.0, 0.0)),
)
"""Names where the volume has an orientation, and where not; direction to the eye; up."""
_LARGEST_PAINTED = 400
_NO_OPENGL = (
    "drawn without OpenGL (neither libEGL nor OSMesa works here), so shading is coarse; libegl1 or libosmesa6 mends it"
)


@dataclass(frozen=True)
class Rendering:
    """Pictures of the surfaces of a case; see `engine.figures.render_process` for their content."""

    images: np.ndarray
    turn: np.ndarray
    half: float
    highest: float
    mean: float
    maximum: float
    views: tuple[str, ...]
    message: str


class Renderer:
    """Renders cases one after another, each in a process of its own.

    OpenGL comes from libEGL or OSMesa; where none of them works, or one crashes, the surfaces are painted without
    it, in the later cases at once.
    """

    def __init__(self) -> None:
        self._ways = [True, False]

    def render(self, volume: Volume, *, size: int, frames: int = 0) -> Rendering:
        """Render truth and prediction of ``volume``.

        Args:
            size: pixels of one picture.

        Raises:
            FigureError: both masks are empty, or neither way led to a picture.
        """
        if not volume.found.any():
            raise FigureError("truth and prediction are empty: there is no surface")
        given = {
            "truth": volume.truth,
            "prediction": volume.prediction,
            "spacing": np.asarray(volume.spacing),
            "views": np.array([[eye, up] for _, eye, up in VIEWS]),
            "frames": np.array(frames),
        }
        reasons = []
        for opengl in tuple(self._ways):
            pixels = size if opengl else min(size, _LARGEST_PAINTED)
            found = _run({**given, "size": np.array(pixels), "opengl": np.array(opengl)})
            if isinstance(found, str):
                reasons.append(found)
                continue
            self._ways = [True, False] if opengl else [False]
            numbers = {name: float(found[name]) for name in ("half", "highest", "mean", "maximum")}
            names = tuple(known[0 if volume.oriented else 1] for known, _, _ in VIEWS)
            message = "" if opengl else _NO_OPENGL
            return Rendering(found["images"], found["turn"], **numbers, views=names, message=message)
        raise FigureError(f"surfaces cannot be rendered: {'; without OpenGL: '.join(reasons)}")


def _run(given: dict[str, np.ndarray]) -> dict[str, np.ndarray] | str:
    """The arrays that the process gave, or why it gave none. What VTK prints of displays stays off the terminal."""
    with tempfile.TemporaryDirectory(prefix="medtui-render-") as place:
        source, target = Path(place) / "in.npz", Path(place) / "out.npz"
        np.savez(source, **given)  # type: ignore[arg-type]
        reason = _call(source, target)
        if reason:
            return reason
        with np.load(target, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def _call(source: Path, target: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    environment["PYTHONPATH"] = python_path()
    command = [sys.executable, "-P", "-m", "engine.figures.render_process", str(source), str(target)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the renderer gave no picture within {TIMEOUT_S:.0f} s"
    except OSError as error:
        return f"the renderer cannot be started: {error.strerror or error}"
    if done.returncode == 0 and target.exists():
        return ""
    if done.returncode < 0:
        return f"the renderer crashed ({signal.Signals(-done.returncode).name})"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"the renderer ended with code {done.returncode}"
