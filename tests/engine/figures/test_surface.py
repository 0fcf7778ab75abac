"""Surfaces and their distances, with OpenGL and without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.figures import meshes, render
from engine.figures.draw import draw_all
from engine.figures.paint import View, picture
from engine.figures.render_process import camera, shades
from engine.figures.turntable import write_gif, write_mp4
from engine.figures.volume import Volume
from engine.readers.run import FigureError
from engine.runfolder import RunFolder
from tests import recorded_runs
from tests.engine.figures.pictures import looks_drawn, pixels

NO_OPENGL = {"__EGL_VENDOR_LIBRARY_DIRS": "/nonexistent", "VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"}


def _boxes(shift: int) -> tuple[np.ndarray, np.ndarray]:
    truth, prediction = np.zeros((30, 30, 30), np.uint8), np.zeros((30, 30, 30), np.uint8)
    truth[6:20, 8:22, 8:22] = 1
    prediction[6 + shift : 20 + shift, 8:22, 8:22] = 1
    return truth, prediction


def _volume(truth: np.ndarray, prediction: np.ndarray) -> Volume:
    return Volume(truth.astype(np.float32), truth, prediction, (1.0, 1.0, 1.0), "voxel", False)


def test_the_distance_of_a_shifted_box_is_its_shift_in_the_unit_of_the_spacing() -> None:
    scene = meshes.build(*_boxes(3), np.array([2.0, 1.0, 1.0]))
    face = scene.meshes["prediction"][0]
    top = face.points[:, 0] > face.points[:, 0].max() - 0.01
    middle = top & (np.abs(face.points[:, 1:] - 14.5).max(axis=1) < 3)
    assert np.asarray(face.point_data["distance"])[middle] == pytest.approx(6.0, abs=0.2)
    assert scene.distances.max() == pytest.approx(6.0, abs=0.3)


def test_distances_are_vtks_exact_ones_near_by_and_hardly_larger_far_away() -> None:
    import pyvista as pv

    grid = np.stack(np.mgrid[0:40, 0:40, 0:40])
    ball = (((grid - 12) ** 2).sum(0) < 81).astype(np.uint8)
    noise = ball | (np.random.default_rng(0).random(ball.shape) > 0.999)
    spacing = np.array([0.6, 1.0, 1.5])
    truth, other = meshes.surface(ball == 1, spacing), meshes.surface(noise == 1, spacing)
    exact = np.abs(pv.PolyData(other.points).compute_implicit_distance(truth)["implicit_distance"])
    found = meshes.distance(other.points, truth, near=6.0)
    near = exact < 5.5
    assert near.any()
    assert (~near).any()
    np.testing.assert_allclose(found[near], exact[near], atol=1e-5)
    assert (found[~near] >= exact[~near] - 1e-4).all()
    assert (found[~near] - exact[~near]).max() < 1.5**2 / (2 * 5.5)


def test_equal_masks_have_no_distance() -> None:
    truth, _ = _boxes(0)
    scene = meshes.build(truth, truth, np.ones(3))
    assert scene.distances.max() < 1e-3


def test_a_single_voxel_has_a_surface() -> None:
    mask = np.zeros((5, 5, 5), np.uint8)
    mask[2, 2, 2] = 1
    assert meshes.surface(mask, np.ones(3)).n_points > 0
    assert meshes.surface(np.zeros((5, 5, 5), np.uint8), np.ones(3)) is None


def test_every_class_has_its_own_surface_and_tone() -> None:
    truth, prediction = _boxes(2)
    prediction[prediction > 0] = 2
    scene = meshes.build(truth, prediction, np.ones(3))
    assert [mesh is None for mesh in scene.meshes["truth"]] == [False, True]
    assert [mesh is None for mesh in scene.meshes["prediction"]] == [True, False]
    assert scene.distances.size == 0
    assert len(set(shades("#0072B2", 3))) == 3


def test_painted_pictures_hide_what_lies_behind() -> None:
    near, far = _boxes(12)
    parts = [meshes.surface(mask, np.ones(3)) for mask in (near, far)]
    colours = [np.tile(tone, (part.n_points, 1)) for tone, part in zip([(1.0, 0, 0), (0, 0, 1.0)], parts, strict=True)]
    for eye, seen in (((-1.0, 0.0, 0.0), 0), ((1.0, 0.0, 0.0), 2)):
        right, up, towards = camera(np.array(eye), np.array([0.0, 0.0, 1.0]))
        painted = picture(parts, colours, View(right, up, towards, np.array([15.0, 14.5, 14.5]), 15.0), 120)
        middle = painted[50:70, 50:70].reshape(-1, 3)
        assert (middle.argmax(axis=1) == seen).all()
        assert (painted[0, 0] == 255).all()


def test_without_opengl_surfaces_are_painted_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NO_OPENGL.items():
        monkeypatch.setenv(name, value)
    settings = '[figures]\ndpi = 72\n[evaluate]\nmode = "center_crop"'
    folder = recorded_runs.segmentation_run(tmp_path, cases=1, epochs=2, classes=("a", "b"), settings=settings)
    (result,) = draw_all(folder, only={"surface"})
    assert result.ok
    assert "without OpenGL" in result.message
    assert "Only the centre crop was predicted" in result.caption  # the truth outside of it is drawn too
    assert looks_drawn(folder.root / result.path)


def test_with_whatever_this_machine_has_surfaces_come_out(atrium: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    results = draw_all(atrium, only={"surface"})
    assert all(result.ok for result in results), [result.message for result in results]
    worst = next(result for result in results if "worst" in result.title)
    assert "case03: the prediction is empty" in worst.message
    assert all(looks_drawn(atrium.root / result.path) for result in results)
    assert not any("centre crop" in result.caption for result in results)


def test_two_empty_masks_are_one_plain_line() -> None:
    empty = np.zeros((5, 5, 5), np.uint8)
    with pytest.raises(FigureError, match="there is no surface"):
        render.Renderer().render(_volume(empty, empty), size=64)


def test_a_renderer_that_hangs_is_ended_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "TIMEOUT_S", 0.05)
    with pytest.raises(FigureError, match="no picture within"):
        render.Renderer().render(_volume(*_boxes(2)), size=64)


def test_turntables_turn(tmp_path: Path) -> None:
    frames = np.zeros((4, 40, 61, 3), np.uint8)
    for index in range(4):
        frames[index, :, 12 * index : 12 * index + 12] = (230, 159, 0)
    write_gif(frames, tmp_path / "turn.gif")
    write_mp4(frames, tmp_path / "turn.mp4")
    from PIL import Image

    with Image.open(tmp_path / "turn.gif") as image:
        assert image.n_frames == 4
        assert image.info["loop"] == 0
    assert (tmp_path / "turn.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_turntable_is_drawn_where_the_recipe_asks_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.figures.surface.FRAMES", 3)
    folder = recorded_runs.segmentation_run(
        tmp_path, cases=1, epochs=2, settings='[figures]\nturntable = "gif"\ndpi = 60'
    )
    results = {Path(result.path).name: result for result in draw_all(folder, only={"surface"})}
    assert set(results) == {"surface_case00.png", "surface_case00_turn.gif"}
    assert all(result.ok for result in results.values())
    assert pixels(folder.figures / "surface_case00_turn.gif").shape[1] > 300
