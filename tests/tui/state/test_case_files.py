"""Cases of a run: their table, their order, their examples."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from engine.evaluation.previews import ExampleWriter
from engine.events import RunStarted, Validation
from engine.readers.fold import fold
from engine.readers.run_view import EMPTY
from engine.runfolder import RunFolder, read_cases
from tui.state.case_files import (
    case_history,
    chosen_cases,
    example_of,
    main_metric,
    measured_cases,
    read_example,
)
from tui.state.images import PreviewImages

SEGMENTATION = """\
id,group,split,dice,hd95,missed,dice:left,dice:right
a,,test,0.9,3.5,0,0.91,0.89
b,p1,test,,,1,,0.5
c,,validation,0.2,nan,0,0.2,0.2
"""
CLASSIFICATION = """\
id,group,split,true,predicted,loss,prob:nevus,prob:melanoma
x,,test,nevus,melanoma,1.5,0.2,0.8
y,,test,nevus,nevus,0.1,0.9,0.1
"""


def test_segmentation_rows(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(SEGMENTATION)
    rows = read_cases(RunFolder(tmp_path))
    assert [row.id for row in rows] == ["a", "b", "c"]
    assert rows[0].values == {"dice": 0.9, "hd95": 3.5, "missed": 0.0}
    assert rows[0].per_class == {"left": {"dice": 0.91}, "right": {"dice": 0.89}}
    assert rows[1].group == "p1"
    assert math.isnan(rows[1].values["dice"])
    assert main_metric(rows) == "dice"
    assert [row.id for row in chosen_cases(rows)] == ["c", "a", "b"]
    assert [row.id for row in chosen_cases(rows, order="best")] == ["a", "c", "b"]
    assert [row.id for row in chosen_cases(rows, "p1 TEST", order="id")] == ["b"]


def test_classification_rows(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(CLASSIFICATION)
    rows = read_cases(RunFolder(tmp_path))
    assert (rows[0].true, rows[0].predicted) == ("nevus", "melanoma")
    assert rows[0].probabilities == {"nevus": 0.2, "melanoma": 0.8}
    assert main_metric(rows) == "loss"
    assert [row.id for row in chosen_cases(rows)] == ["x", "y"]  # the largest loss first


def test_damaged_tables_are_no_reason_to_fail(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert read_cases(folder) == ()
    for text in (b"", b"\x00\xff\n", b"id,dice\na,x\nb\nc,1,2,3\n", b'id,dice\n"a\n', b"\xef\xbb\xbfid\n"):
        folder.cases.write_bytes(text)
        for row in read_cases(folder):
            assert row.id


def test_live_cases_and_their_course() -> None:
    started = RunStarted(name="a", task="classification", classes=["nevus", "melanoma"])
    events = [
        Validation(epoch=e, iteration=e, cases=[{"id": "x", "loss": 3.0 / e, "true": 0, "predicted": "melanoma"}])
        for e in (1, 2, 3)
    ]
    view = fold(EMPTY, [started, *events])
    (row,) = measured_cases(view)
    assert (row.true, row.predicted) == ("nevus", "melanoma")
    assert row.values == {"loss": 1.0}
    assert case_history(view, "x", "loss") == [(1, 3.0), (2, 1.5), (3, 1.0)]
    assert case_history(view, "y", "loss") == []


def test_an_example_of_a_volume(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.examples.mkdir()
    image = np.zeros((1, 10, 12, 4), np.float32)
    image[0, :, :, 2] = 5.0
    truth = np.zeros((10, 12, 4), np.uint8)
    truth[2:4, 3:6, 1] = 1
    ExampleWriter(folder, "test", 1).write("a/b", {"image": image, "truth": truth, "prediction": truth})
    path = example_of(folder, "test", "a/b")
    assert path is not None
    assert example_of(folder, "test", "a") is None
    assert example_of(folder, "validation", "a/b") is None
    read = read_example(folder, path, ["left"])
    assert isinstance(read, PreviewImages)
    assert read.image.shape == (4, 10, 12)
    assert read.truth is not None
    assert np.array_equal(read.truth[1], truth[:, :, 1])
    assert read.image[2].min() == 255
    assert read.image[0].max() == 0


def test_an_example_of_a_photo(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.examples.mkdir()
    np.savez(
        folder.examples / "test_x.npz", image=np.full((600, 300, 3), 7, np.uint8), true=np.array(0),
        predicted=np.array(1), probabilities=np.array([0.25, 0.75]),
    )  # fmt: skip
    read = read_example(folder, "examples/test_x.npz", ["nevus", "melanoma"])
    assert isinstance(read, PreviewImages)
    assert read.verdict == "true nevus, predicted melanoma (0.75)"
    assert max(read.image.shape[1:3]) <= 256
    assert read.heat is None


def test_an_example_of_a_photo_with_its_map(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.examples.mkdir()
    heat = np.arange(600 * 300).reshape(600, 300).astype(np.uint8)
    photo = {"image": np.full((600, 300, 3), 7, np.uint8), "true": np.array(0), "predicted": np.array(0)}
    np.savez(folder.examples / "test_x.npz", heat=heat, **photo)
    np.savez(folder.examples / "test_y.npz", heat=heat[:-1], **photo)
    read = read_example(folder, "examples/test_x.npz", ["nevus"])
    assert isinstance(read, PreviewImages)
    assert read.heat is not None
    assert np.array_equal(read.heat[0], heat[::3, ::3])
    assert read.heat.shape == read.image.shape[:3]
    assert "another shape" in str(read_example(folder, "examples/test_y.npz", ["nevus"]))


def test_examples_that_cannot_be_shown(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.examples.mkdir(parents=True)
    (folder.examples / "test_a.npz").write_bytes(b"PK nothing")
    np.savez(folder.examples / "test_b.npz", image=np.zeros(3), truth=np.zeros(3), prediction=np.zeros(3))
    np.savez(tmp_path / "secret.npz", image=np.zeros(3))
    said = [read_example(folder, path, []) for path in ("examples/test_a.npz", "examples/test_b.npz", "examples/c.npz")]
    assert said == [
        "the example cannot be read",
        "the example has another layout than this version knows",
        "the example is no longer there",
    ]
    assert read_example(folder, "../secret.npz", []) == "the example lies outside of the run folder"
    folder.examples.rename(tmp_path / "elsewhere")
    folder.examples.symlink_to(tmp_path / "elsewhere")
    assert example_of(folder, "test", "b") is None


def test_an_example_of_a_volume_with_its_map(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.examples.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 9), np.uint8)
    volume = {"image": image, "true": np.array(0), "predicted": np.array(1)}
    np.savez(folder.examples / "test_x.npz", heat=255 - image, **volume)
    np.savez(folder.examples / "test_y.npz", heat=image[..., 0], **volume)
    read = read_example(folder, "examples/test_x.npz", ["a", "b"])
    assert isinstance(read, PreviewImages)
    assert read.heat is not None
    assert np.array_equal(read.image[4], image[:, :, 4])
    assert np.array_equal(read.heat[4], 255 - image[:, :, 4])
    assert "another shape" in str(read_example(folder, "examples/test_y.npz", ["a", "b"]))
