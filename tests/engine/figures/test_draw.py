"""Every figure of a run is drawn by itself, without a display, from its folder alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import events
from engine.errors import UsageError
from engine.figures import draw_all, style
from engine.figures.draw import KINDS, draw_job
from engine.figures.gradcam_volume import Crops, Patch
from engine.figures.slices import chosen
from engine.readers.figure_index import FigureResult, read_index
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.runfolder import RunFolder
from tests import recorded_runs
from tests.engine.figures.pictures import has_colour, looks_drawn

SMALL = "[figures]\ndpi = 60"
PLAIN = {"curves", "slices", "distributions"}


@pytest.fixture(scope="module")
def drawn(hippocampus: RunFolder) -> tuple[list[FigureResult], list[events.Event]]:
    emitted: list[events.Event] = []
    return draw_all(hippocampus, only=PLAIN, emit=emitted.append), emitted


Drawings = tuple[list[FigureResult], list[events.Event]]


def test_a_segmentation_gets_curves_slices_and_distributions(hippocampus: RunFolder, drawn: Drawings) -> None:
    results, emitted = drawn
    assert [result.message for result in results if not result.ok] == []
    stems = {Path(result.path).stem for result in results}
    assert {"curves", "curves_iterations", "distributions"} < stems
    assert sum(stem.startswith("slices_case") for stem in stems) == 3
    for result in results:
        assert looks_drawn(hippocampus.root / result.path), result.path
        assert result.caption.endswith(".")
    assert [event.path for event in emitted] == [result.path for result in results]
    assert has_colour(hippocampus.root / results[0].path, style.ACCENT)


def test_lines_are_vectors_too_and_photographs_are_not(hippocampus: RunFolder, drawn: Drawings) -> None:
    results = {Path(result.path).stem: result for result in drawn[0]}
    assert (hippocampus.root / results["curves"].vector).read_text().startswith("<?xml")
    assert not any(result.vector for stem, result in results.items() if stem.startswith("slices"))


def test_the_same_run_gives_the_same_bytes(hippocampus: RunFolder) -> None:
    path = hippocampus.figures / "curves.svg"
    draw_all(hippocampus, only={"curves"})
    first = path.read_bytes()
    draw_all(hippocampus, only={"curves"})
    assert path.read_bytes() == first


def test_an_empty_prediction_is_told_and_costs_nothing(atrium: RunFolder) -> None:
    results = draw_all(atrium, only={"slices"})
    worst = next(result for result in results if "worst" in result.title)
    assert worst.ok
    assert worst.message == "case03: the prediction is empty"
    assert has_colour(atrium.root / worst.path, style.TRUTH)


def test_a_figure_that_fails_costs_no_other(tmp_path: Path) -> None:
    def draw(path: Path) -> Drawn:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half a figure")
        raise ZeroDivisionError("division by zero\nsecond line")

    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "broken.png").write_bytes(b"of an earlier drawing")
    result = draw_job(Job("broken", "curves", "Broken", draw), tmp_path / "figures", tmp_path)
    assert not result.ok
    assert result.message == "ZeroDivisionError: division by zero"


def test_an_interrupted_drawing_keeps_what_was_drawn(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=3, epochs=3, settings=SMALL)
    draw_all(folder, only={"curves", "slices"})
    before = {result.path for result in read_index(folder)}

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_all(folder, only={"curves", "slices"}, emit=interrupt)
    assert {result.path for result in read_index(folder)} == before
    for path in folder.figures.iterdir():
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        draw_all(folder, only={"curves", "slices"}, emit=interrupt)
    assert [result.kind for result in read_index(folder)] == ["curves"]


def test_curves_without_a_validation_say_whether_one_is_awaited(tmp_path: Path) -> None:
    captions = {}
    for state in ("running", "finished"):
        folder = recorded_runs.segmentation_run(tmp_path / state, cases=3, epochs=1, state=state, settings=SMALL)
        kept = [line for line in folder.events.read_text().splitlines() if '"kind":"validation"' not in line]
        folder.events.write_text("\n".join(kept) + "\n")
        captions[state] = draw_all(folder, only={"curves"})[0].caption
    assert "there has been no validation yet" in captions["running"]
    assert "there was no validation" in captions["finished"]


def test_damaged_examples_cost_no_other_figure(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=3, epochs=3)
    for path in folder.examples.iterdir():
        path.write_bytes(path.read_bytes()[:200])
    results = draw_all(folder, only={"curves", "slices", "surface"})
    assert {result.kind: result.ok for result in results} == {"curves": True, "slices": False, "surface": False}
    assert all(result.message for result in results if not result.ok)


def test_a_run_that_has_only_begun_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=3, epochs=2, state="running")
    for path in (folder.metrics, folder.cases, folder.manifest):
        path.unlink()
    for path in folder.examples.iterdir():
        path.unlink()
    by_kind = {result.kind: result for result in draw_all(folder)}
    assert by_kind["curves"].ok
    for kind in ("slices", "surface", "distributions", "gradcam"):
        assert not by_kind[kind].ok
        assert "yet" in by_kind[kind].message


def test_an_empty_folder_draws_nothing_and_says_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    results = draw_all(folder)
    assert results
    assert not any(result.ok for result in results)
    assert read_index(folder) == results


def test_only_draws_what_it_names_and_keeps_the_rest(hippocampus: RunFolder, drawn: Drawings) -> None:
    assert drawn[0]
    before = {result.path for result in read_index(hippocampus)}
    draw_all(hippocampus, only={"curves"})
    assert {result.path for result in read_index(hippocampus)} == before
    with pytest.raises(UsageError, match="pictures"):
        draw_all(hippocampus, only={"pictures"})
    assert set(PLAIN) < set(KINDS)


def test_figures_of_cases_that_are_no_longer_shown_go(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=3, epochs=3, settings=SMALL)
    draw_all(folder, only={"slices"})
    gone = min(folder.examples.iterdir())
    gone.unlink()
    draw_all(folder, only={"slices"})
    case = gone.stem.removeprefix("test_")
    assert not (folder.figures / f"slices_{case}.png").exists()
    assert len(list(folder.figures.glob("slices_*.png"))) == 2


def test_an_index_from_elsewhere_cannot_remove_files_outside(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=3, epochs=3)
    precious = folder.root / "precious.png"
    precious.write_bytes(b"x")
    entry = {"path": "figures/../precious.png", "kind": "curves", "title": "", "ok": True}
    (folder.figures / "index.json").write_text(json.dumps([entry]))
    draw_all(folder, only={"curves"})
    assert precious.exists()


def test_numbers_stand_in_place_of_names_where_the_recipe_wants_that(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(
        tmp_path, cases=4, epochs=3, settings="[figures]\ncase_names = false\ndpi = 60"
    )
    results = draw_all(folder, only={"slices", "distributions"})
    assert all(result.ok for result in results)
    told = json.dumps([[result.path, result.title, result.caption, result.message] for result in results])
    assert "case00" not in told
    assert "case 01" in told or "case 02" in told or "case 03" in told or "case 04" in told


def test_names_that_are_formulas_or_paths_are_only_names(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(
        tmp_path, cases=3, epochs=3, classes=("$\\frac{1}{$ <b>", "../../x"), settings=SMALL
    )
    results = draw_all(folder, only=PLAIN)
    assert all(result.ok for result in results), [result.message for result in results]
    assert all((folder.root / result.path).parent == folder.figures for result in results)


def test_many_cases_are_spread_over_sheets(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=62, epochs=2, shape=(14, 12, 10), settings=SMALL)
    results = draw_all(folder, only={"distributions"})
    assert [Path(result.path).stem for result in results] == ["distributions", "distributions_2"]
    assert all(result.ok for result in results)
    assert "61 to 62 of 62" in results[1].caption


def test_importing_figures_imports_neither_torch_nor_matplotlib() -> None:
    heavy = "('torch', 'matplotlib', 'sklearn', 'pyvista')"
    code = f"import sys, engine.figures; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_map_says_over_what_it_is_explained_where_the_class_was_not_predicted(hippocampus: RunFolder) -> None:
    run = RunData(hippocampus)
    patch = Patch(run, chosen(run)[0].path)
    nothing, second = np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 2, np.uint8)
    patch.__dict__["crops"] = Crops(nothing, truth=second, prediction=nothing, shown=nothing)  # as if it were read
    assert [patch.explained(label)[0] for label in (1, 2)] == [
        "all voxels, as none is anterior",
        "the voxels that are truly posterior",
    ]


def test_a_figure_error_is_one_plain_line(atrium: RunFolder) -> None:
    run = RunData(atrium)
    with pytest.raises(FigureError, match="cannot be read"):
        run.example(atrium.recipe)


def test_letters_that_no_font_has_are_known_before_they_are_boxes() -> None:
    assert style.families()[0] == "DejaVu Sans"
    assert style.missing_letters("Größe Łódź αβγ печень") == ""
    has_chinese = any(name.split()[0] in {"Noto", "WenQuanYi", "Source"} for name in style.families()[1:])
    assert style.missing_letters("肝") == ("" if has_chinese else "肝")
