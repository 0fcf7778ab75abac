"""An index of figures that anyone may have written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.figures import draw_all
from engine.readers.figure_index import read_index
from engine.report import write_report
from engine.runfolder import RunFolder
from tests import recorded_runs

SECRET = b"\x89PNG\r\n\x1a\n the secret of another patient"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return recorded_runs.classification_run(tmp_path, cases=20)


def test_only_pictures_that_lie_in_figures_are_embedded(folder: RunFolder, tmp_path: Path) -> None:
    folder.figures.mkdir(exist_ok=True)
    (tmp_path / "secret.png").write_bytes(SECRET)
    (folder.root / "beside.png").write_bytes(SECRET)
    (folder.figures / "link.png").symlink_to(tmp_path / "secret.png")
    (folder.figures / "text.txt").write_bytes(SECRET)
    (folder.figures / "folder.png").mkdir()
    os.mkfifo(folder.figures / "pipe.png")
    (folder.figures / "roc.png").write_bytes(b"\x89PNG\r\n\x1a\n a picture")
    bad = ["../secret.png", str(tmp_path / "secret.png"), "beside.png", "figures/../beside.png", "recipe.toml"]
    bad += [f"figures/{name}" for name in ("link.png", "text.txt", "folder.png", "pipe.png", "gone.png", "a\0b.png")]
    entries = [{"path": path, "kind": "roc", "title": path, "ok": True} for path in bad]
    entries.append({"path": "figures/roc.png", "kind": "roc", "title": "ROC", "vector": "../secret.svg", "new": 1})
    (folder.figures / "index.json").write_text(json.dumps(entries))
    (found,) = read_index(folder)
    assert (found.path, found.vector) == ("figures/roc.png", "")
    write_report(folder)
    page = folder.report_html.read_text()
    assert "data:image/png;base64,iVBORw0KGgogYSBwaWN0dXJl" in page
    assert "dGhlIHNlY3JldC" not in page


@pytest.mark.parametrize("part", ["figures", "examples", "predictions", "previews"])
def test_nothing_is_drawn_behind_a_link(folder: RunFolder, tmp_path: Path, part: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "curves.png").write_bytes(SECRET)
    place = folder.root / part
    if place.exists():
        place.rename(tmp_path / "away")
    place.symlink_to(other)
    with pytest.raises(RunError, match="a link"):
        draw_all(folder, only={"curves"})
    assert [path.name for path in other.iterdir()] == ["curves.png"]
    assert (other / "curves.png").read_bytes() == SECRET
