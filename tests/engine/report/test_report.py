"""What a report says on top, what it never says, and that it is whole at any time of a run."""

from __future__ import annotations

import getpass
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import events as ev
from engine.figures import draw_all
from engine.readers.run import RunData
from engine.report import html, write_report
from engine.report.alerts import NOT_PUBLISHED, gravest_first
from engine.report.blocks import Alert
from engine.report.page import build
from engine.runfolder import EventWriter, RunFolder, Status, write_label, write_status
from tests import recorded_runs
from tests.engine.report.pages import Page

HOSTILE = "<script>alert('x')</script>\"&|`*_]("


def _manifest(folder: RunFolder, **changes: Any) -> None:
    content = json.loads(folder.manifest.read_text())
    content["data"].update(changes.pop("data", {}))
    folder.manifest.write_text(json.dumps(content | changes))


def _page(folder: RunFolder) -> Page:
    return Page(write_report(folder)[0].read_text())


@pytest.fixture
def fresh(tmp_path: Path) -> RunFolder:
    """A run of which nothing is drawn yet: its report draws the curves."""
    return recorded_runs.segmentation_run(tmp_path, cases=3, epochs=3, settings="[figures]\ndpi = 60")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    settings = "[figures]\ndpi = 60"
    folder = recorded_runs.segmentation_run(tmp_path_factory.mktemp("drawn"), cases=3, epochs=3, settings=settings)
    draw_all(folder, only={"curves"})
    return folder


@pytest.fixture
def small(drawn: RunFolder, tmp_path: Path) -> RunFolder:
    """A run of the test's own with its curves, which a report draws again only where the stream is newer."""
    return RunFolder(shutil.copytree(drawn.root, tmp_path / drawn.id))


def test_name_and_note_that_people_gave_stand_on_top(small: RunFolder) -> None:
    write_label(small, title="for the paper", note="keep " + HOSTILE)
    html, markdown = write_report(small)
    assert "<h1>for the paper</h1>" in html.read_text()
    assert "A person noted: keep &lt;script&gt;" in html.read_text()
    assert markdown.read_text().startswith("# for the paper\n")
    assert Page(html.read_text()).problems == []


def test_a_page_is_whole_and_needs_no_network(small: RunFolder) -> None:
    draw_all(small, only={"curves", "slices", "distributions"})
    page = _page(small)
    assert page.problems == []
    assert page.open == []
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 6
    for attributes in pictures:
        assert str(attributes["src"]).startswith(
            ("data:image/png;base64,", "data:image/svg+xml;base64,", "data:image/jpeg")
        )
        assert attributes["alt"]
    assert not [tag for tag, _ in page.tags if tag in {"script", "link", "iframe"}]
    text = small.report_html.read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "url(" not in text
    anchors = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    ids = {f"#{attributes['id']}" for _, attributes in page.tags if attributes.get("id")}
    assert anchors <= ids


def test_it_says_what_was_trained(small: RunFolder) -> None:
    text = _page(small).text
    for part in ("A recorded run for tests.", "resunet", "adam, lr 0.001", "3 of 3", "12 min 34 s", "torch 2.15.0",
                 "A processor", "Dice", "ASD [voxel]", "batch_size = 2"):  # fmt: skip
        assert part in text, part
    assert f"medtui run runs/{small.id}/recipe.toml --data DATA" in text
    assert "2026-09-21" in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data": {"phantom": True}}, "The data are a phantom"),
        ({"data": {"published_split": False}}, "not the published one"),
        ({"early_stopped": True, "epochs_planned": 9}, "stopped early after 3 of 9 epochs"),
        ({"stopped": True}, "stopped by a person"),
        ({"data": {"notes": ["2 cases were left out"]}}, "2 cases were left out"),
        ({"epochs_planned": 9}, "Training ended after 3 of 9 epochs"),
    ],
)
def test_warnings_stand_on_top(small: RunFolder, change: dict[str, Any], told: str) -> None:
    _manifest(small, data={"phantom": False})
    _manifest(small, **change)
    text = _page(small).text
    assert told in text
    assert text.index(told) < text.index("What was trained")


def test_the_split_of_numbers_that_are_not_there_is_no_warning(small: RunFolder) -> None:
    _manifest(small, data={"published_split": False})
    assert NOT_PUBLISHED in _page(small).text
    small.metrics.unlink()
    assert NOT_PUBLISHED not in _page(small).text


def test_the_gravest_stands_first_and_each_once() -> None:
    found = [Alert("answer", "a"), Alert("note", "n"), Alert("warning", "w"), Alert("error", "e"), Alert("note", "n")]
    assert [alert.level for alert in gravest_first(found)] == ["error", "warning", "note", "answer"]


def test_nothing_is_warned_of_where_nothing_is_wrong(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=12, epochs=3)
    _manifest(folder, data={"phantom": False, "published_split": True})
    assert not [
        attributes for _, attributes in _page(folder).tags if "alert" in str(attributes.get("class", "")).split()
    ]


def test_missed_cases_and_absent_classes_are_told(tmp_path: Path) -> None:
    missed = recorded_runs.segmentation_run(tmp_path, cases=12, epochs=2, missed=(0, 1))
    assert "2 of 12 cases were missed altogether" in _page(missed).text
    absent = recorded_runs.classification_run(tmp_path, cases=60, epochs=2, absent=("DF", "VASC"))
    assert "Classes without a case among the test cases: DF, VASC." in _page(absent).text


def test_a_loss_that_was_not_finite_is_told(fresh: RunFolder) -> None:
    writer = EventWriter(fresh.events)
    writer.write(ev.Iteration(iteration=16, epoch=4, loss=float("nan")))
    writer.write(ev.Log(level="warning", message="the gradient exploded"))
    writer.close()
    text = _page(fresh).text
    assert "not finite in 1 of 16 iterations" in text
    assert "the gradient exploded" in text


@pytest.mark.parametrize("state", ["running", "paused", "stopped", "failed", "lost", "starting"])
def test_a_run_is_reported_in_any_state(fresh: RunFolder, state: str) -> None:
    for path in (fresh.metrics, fresh.cases, fresh.manifest):
        path.unlink()
    pid = 0 if state == "lost" else __import__("os").getpid()
    status = Status(state=state, pid=pid, host=__import__("socket").gethostname(), name="seg", task="segmentation")  # type: ignore[arg-type]
    write_status(fresh, status)
    page = _page(fresh)
    assert page.problems == []
    expected = {"stopped": "stopped by a person", "failed": "The run failed", "lost": "without a word"}
    assert expected.get(state, f"not over ({state}") in page.text
    assert "Curves by epoch" in page.text  # drawn for the report, since nothing had drawn them


def test_a_folder_with_nothing_in_it_still_gives_a_page(tmp_path: Path) -> None:
    page = _page(RunFolder(tmp_path))
    assert page.problems == []
    assert "What was trained" in page.text


def test_damaged_files_read_as_missing(fresh: RunFolder) -> None:
    for path in (fresh.metrics, fresh.manifest, fresh.status, fresh.recipe):
        path.write_bytes(b"\xff\x00{")
    fresh.cases.write_bytes(b"id,split\n\xff,test\n")
    page = _page(fresh)
    assert page.problems == []


def test_curves_of_a_run_that_went_on_are_drawn_again(fresh: RunFolder) -> None:
    draw_all(fresh, only={"curves"})
    curves = fresh.figures / "curves.png"
    import os

    os.utime(curves, (0, 0))
    write_report(fresh)
    assert curves.stat().st_mtime > 1000


def test_hostile_texts_are_only_texts(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=3, epochs=2, classes=(HOSTILE, "b"))
    recipe = folder.recipe.read_text().replace("A recorded run for tests.", HOSTILE.replace('"', '\\"'))
    folder.recipe.write_text(recipe)
    _manifest(folder, data={"notes": [HOSTILE], "name": HOSTILE}, git_commit=HOSTILE, command=["medtui", HOSTILE])
    writer = EventWriter(folder.events)
    writer.write(ev.Log(level="error", message=HOSTILE))
    writer.close()
    draw_all(folder, only={"curves", "distributions"})
    page = _page(folder)
    assert page.problems == []
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert page.text.count("<script>alert('x')</script>") >= 5
    markdown = folder.report_md.read_text()
    outside_code = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    assert "<script>" not in outside_code
    assert "\\<script\\>" in outside_code


def test_a_fence_cannot_be_broken_by_its_content(small: RunFolder) -> None:
    _manifest(small, command=["medtui", "````\n# heading"])
    write_report(small)
    assert "`````sh" in small.report_md.read_text()


def test_no_path_user_or_host_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "janedoe")
    folder = recorded_runs.segmentation_run(tmp_path / "some where", cases=3, epochs=2)
    home = str(Path.home())
    _manifest(
        folder,
        data={
            "root": "/mnt/clinic 7/hearts",
            "notes": [f"{folder.root}/x.nii is damaged", "/mnt/clinic 7/hearts/a.nii"],
        },
        command=[
            "/opt/py/bin/medtui",
            "run",
            f"{home}/recipes/a.toml",
            "--data=/mnt/clinic 7",
            r"C:\Users\jane\x.toml",
        ],
        git_commit="0123",
    )
    status = msgspec.structs.replace(
        msgspec.json.decode(folder.status.read_bytes(), type=Status), host="gpu-node17.clinic.example"
    )
    folder.status.write_bytes(msgspec.json.encode(status))
    writer = EventWriter(folder.events)
    writer.write(ev.Log(level="warning", message="janedoe on gpu-node17: cannot read ~/private/a.csv"))
    writer.close()
    for path in write_report(folder):
        text = re.sub(r"base64,[A-Za-z0-9+/=]*", "", path.read_text())
        for secret in (
            str(tmp_path),
            "some where",
            "/mnt",
            "clinic.example",
            home,
            "/opt",
            "Users",
            "janedoe",
            "gpu-node17",
            "~/",
        ):
            assert secret not in text, secret
        assert "a.toml" in text
        assert "x.nii is damaged" in text
    shown = html.render(build(RunData(folder)), str)
    assert "/mnt/clinic 7/hearts/a.nii" in shown


def test_numbers_in_place_of_case_names(tmp_path: Path) -> None:
    settings = "[figures]\ncase_names = false\ndpi = 60"
    folder = recorded_runs.segmentation_run(tmp_path, cases=4, epochs=2, settings=settings)
    draw_all(folder, only={"slices", "distributions"})
    for path in write_report(folder):
        assert "case00" not in path.read_text()
        assert "case 01" in path.read_text()


def test_figures_that_failed_are_told_together(tmp_path: Path) -> None:
    folder = recorded_runs.classification_run(tmp_path, cases=40, epochs=2, settings="[figures]\ndpi = 60")
    draw_all(folder)
    text = _page(folder).text
    assert "Figures that are missing" in text
    assert text.count("there is no checkpoint") == 1


def test_a_report_imports_no_torch(fresh: RunFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.report import write_report; "
        f"from engine.runfolder import RunFolder; write_report(RunFolder(Path({str(fresh.root)!r}))); "
        "print([name for name in ('torch', 'monai', 'pyvista') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
