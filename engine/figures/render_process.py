"""The process that renders surfaces: a fault of the OpenGL driver ends it, and nothing else.

``python -m engine.figures.render_process IN OUT``: IN is an ``.npz`` with truth and prediction (uint8 (X, Y, Z)),
spacing (3,), views (V, 2, 3: direction to the eye, up), frames (turntable, 0 for none), size (pixels) and opengl;
OUT gets images uint8 (V, 4, H, W, 3), turn uint8 (F, H, 3 * W, 3), half (half the width of a picture, in the unit
of the spacing), highest (end of the colour scale), mean and maximum of the distances.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyvista as pv
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from engine.figures import style
from engine.figures.meshes import KINDS, Scene, build
from engine.figures.paint import View, picture

_TURN = ("truth", "prediction", "prediction_distance")
_NONE = "#C9CDD3"  # a surface without a distance: the other mask lacks the class

Camera = tuple[np.ndarray, np.ndarray, np.ndarray]
Render = Callable[[str, Camera], np.ndarray]


def main(source: str, target: str) -> None:
    """Render one case."""
    with np.load(source, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    scene = build(given["truth"], given["prediction"], given["spacing"])
    half, size = 1.04 * scene.radius, int(given["size"])
    render = _opengl(scene, half, size) if bool(given["opengl"]) else _painted(scene, half, size)
    views = [camera(view[0], view[1]) for view in given["views"]]
    images = np.stack([np.stack([render(kind, view) for kind in KINDS]) for view in views])
    if bool(given["opengl"]) and (images == 255).all():
        raise RuntimeError("OpenGL drew nothing")
    turn = _turntable(render, int(given["frames"]))
    distances = scene.distances if scene.distances.size else np.array([np.nan])
    np.savez(
        target,
        images=images,
        turn=turn,
        half=half,
        highest=scene.highest,
        mean=distances.mean(),
        maximum=distances.max(),
    )


def camera(eye: np.ndarray, up: np.ndarray) -> Camera:
    """Unit vectors right, up and to the eye."""
    eye = eye / np.linalg.norm(eye)
    right = np.cross(up, eye)
    right = right / np.linalg.norm(right)
    return right, np.cross(eye, right), eye


def _turntable(render: Render, frames: int) -> np.ndarray:
    pictures = []
    for angle in np.linspace(0, 2 * np.pi, frames, endpoint=False):
        view = camera(np.array([np.sin(angle), np.cos(angle), 0.35]), np.array([0.0, 0.0, 1.0]))
        pictures.append(np.concatenate([render(kind, view) for kind in _TURN], axis=1))
    return np.stack(pictures) if pictures else np.zeros((0, 0, 0, 3), np.uint8)


def shades(base: str, count: int) -> list[tuple[float, float, float]]:
    """``count`` tones of one colour, from itself to a lighter one: a tone a class."""
    colour = np.array(to_rgb(base))
    tones = [colour + (1 - colour) * 0.55 * step / max(count - 1, 1) for step in range(count)]
    return [(float(tone[0]), float(tone[1]), float(tone[2])) for tone in tones]


def _tones(scene: Scene, kind: str) -> list[tuple[float, float, float]]:
    base = style.TRUTH if kind.startswith("truth") else style.PREDICTION
    return shades(base, len(scene.meshes[kind]))


def _opengl(scene: Scene, half: float, size: int) -> Render:
    plotter = pv.Plotter(off_screen=True, window_size=(size, size), lighting="light kit")
    plotter.set_background(style.PAPER)
    plotter.enable_parallel_projection()
    look: dict[str, Any] = {"smooth_shading": True, "ambient": 0.28, "diffuse": 0.75, "specular": 0.12}
    actors: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        for mesh, tone in zip(scene.meshes[kind], _tones(scene, kind), strict=True):
            if mesh is None:
                continue
            colour: dict[str, Any] = {"color": tone}
            if kind.endswith("distance"):
                limits = (0.0, max(scene.highest, 1e-6))
                scale = {"scalars": "distance", "cmap": style.SEQUENTIAL, "clim": limits}
                colour = scale if "distance" in mesh.point_data else {"color": _NONE}
            actors[kind].append(plotter.add_mesh(mesh.copy(), show_scalar_bar=False, **colour, **look))

    def render(kind: str, view: Camera) -> np.ndarray:
        for name, group in actors.items():
            for actor in group:
                actor.visibility = name == kind
        _, up, eye = view
        plotter.camera.focal_point = scene.centre
        plotter.camera.position = scene.centre + 4 * scene.radius * eye
        plotter.camera.up = up
        plotter.camera.parallel_scale = half
        plotter.camera.clipping_range = (0.1 * scene.radius, 10 * scene.radius)
        plotter.render()
        return np.asarray(plotter.screenshot(return_img=True))[..., :3]

    return render


def _painted(scene: Scene, half: float, size: int) -> Render:
    def colours(mesh: Any, kind: str, tone: tuple[float, float, float]) -> np.ndarray:
        if not kind.endswith("distance"):
            return np.tile(tone, (mesh.n_points, 1))
        if "distance" not in mesh.point_data:
            return np.tile(to_rgb(_NONE), (mesh.n_points, 1))
        share = np.clip(np.asarray(mesh.point_data["distance"]) / max(scene.highest, 1e-6), 0, 1)
        return np.asarray(colormaps[style.SEQUENTIAL](share))[:, :3]

    def render(kind: str, view: Camera) -> np.ndarray:
        shown = [pair for pair in zip(scene.meshes[kind], _tones(scene, kind), strict=True) if pair[0] is not None]
        tints = [colours(mesh, kind, tone) for mesh, tone in shown]
        return picture([mesh for mesh, _ in shown], tints, View(*view, scene.centre, half), size)

    return render


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
