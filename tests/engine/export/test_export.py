"""``medtui export`` writes a folder as a whole, or not at all."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest

from engine.commands.export import export
from engine.errors import RunError, UsageError
from engine.requests import Export, encode
from engine.runfolder import RunFolder, read_manifest
from tests.engine.export.exports import ended, full_disk

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)


def test_the_folder_says_what_the_network_is(volumes):
    run_folder, folder = volumes
    names = {"model.onnx", "model.json", "predict.py", "program", "requirements.txt", "README.md"}
    assert {path.name for path in folder.iterdir()} == names
    facts = json.loads((folder / "model.json").read_text())
    assert facts["classes"] == ["Anterior", "Posterior"]
    assert facts["label_values"] == [1, 2]
    assert facts["image"]["spacing"] == [1.5, 1.2, 1.0]
    assert facts["image"]["orientation"] == "RAS"
    assert facts["output"]["mirror_axes"] == [0, 1]
    assert facts["ranges"].keys() == read_manifest(run_folder).data.ranges.keys()
    assert facts["networks"][0]["difference_from_torch"] < 1e-4
    text = (folder / "README.md").read_text()
    assert "no medical device" in text
    assert "Resampled to 1.5 x 1.2 x 1" in text
    assert "MetaImage (`.mha`, `.mhd`), or a DICOM series, of 1 channel" in text
    assert "not resampled" not in text
    assert "| Dice |" in text
    assert (folder / "requirements.txt").read_text().split() == [
        "numpy>=1.26", "onnxruntime>=1.20", "scipy>=1.11", "nibabel>=5.2", "pydicom>=3.0"
    ]  # fmt: skip


def test_a_folder_that_is_there_is_kept_unless_it_is_an_export_and_force_says_so(volumes, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("years of work")
    for force, words in ((False, "not empty"), (True, "something else than an export")):
        with pytest.raises(UsageError, match=words):
            export(Export(run=volumes[0].root, output=tmp_path / "own", force=force))
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["thesis.txt"]
    again = Path(shutil.copytree(volumes[1], tmp_path / "again"))
    (again / "predict.py").write_text("changed")
    assert export(Export(run=volumes[0].root, output=again, force=True)) == 0
    assert (again / "predict.py").read_bytes() == (volumes[1] / "predict.py").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "own"]


def test_an_export_in_which_other_things_lie_is_not_replaced(volumes, tmp_path):
    again = Path(shutil.copytree(volumes[1], tmp_path / "again"))
    for place in (again, again / "program"):
        (place / "__pycache__").mkdir(exist_ok=True)
    assert export(Export(run=volumes[0].root, output=again, force=True)) == 0
    (again / "program" / "notes.txt").write_text("what was changed")
    with pytest.raises(UsageError, match=r"also holds program/notes.txt: it is not replaced"):
        export(Export(run=volumes[0].root, output=again, force=True))
    (again / "program" / "notes.txt").unlink()
    (again / "masks").mkdir()
    (again / "masks" / "a.nii.gz").write_text("hours of work")
    with pytest.raises(UsageError, match="also holds masks: it is not replaced"):
        export(Export(run=volumes[0].root, output=again, force=True))
    assert (again / "masks" / "a.nii.gz").exists()


def test_a_disk_that_takes_no_more_is_told_and_leaves_what_was_there(volumes, tmp_path):
    again = Path(shutil.copytree(volumes[1], tmp_path / "again"))
    before = files_in(again)
    (tmp_path / "file").write_text("")
    with full_disk(8192):
        for output, force in ((tmp_path / "out", False), (again, True)):
            with pytest.raises(UsageError, match=f"cannot write {output}: File too large\nname another folder"):
                export(Export(run=volumes[0].root, output=output, force=force))
    with pytest.raises(UsageError, match="cannot write"):
        export(Export(run=volumes[0].root, output=tmp_path / "file" / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "file"]
    assert files_in(again) == before


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("number", "word", "code"), [(signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)]
)
def test_an_export_that_is_told_to_end_leaves_nothing(volumes, tmp_path, number, word, code):
    command = [
        sys.executable,
        "-P",
        "-m",
        "engine",
        "export",
        encode(Export(run=volumes[0].root, output=tmp_path / "out")),
    ]
    done = ended(command, tmp_path, number, once=lambda: any(tmp_path.glob(".out.*/new")))
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == f"{word}: nothing half written is left at {tmp_path / 'out'}"
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_exported_leaves_nothing(volumes, tmp_path):
    copy = RunFolder(shutil.copytree(volumes[0].root, tmp_path / "runs" / volumes[0].id))
    for path in (copy.best, copy.last):
        path.write_bytes(b"damaged")
    with pytest.raises(RunError):
        export(Export(run=copy.root, output=tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_without_the_libraries_the_command_that_installs_them_is_told(volumes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"needs onnxscript\npip install \"medtui\[export\]\""):
        export(Export(run=volumes[0].root, output=tmp_path / "out"))
    assert not [*tmp_path.iterdir()]
