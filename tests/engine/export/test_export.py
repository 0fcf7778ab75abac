"""Exported folders give what ``medtui predict`` gives, in a process that can import neither torch nor medtui."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt
from PIL import Image

from engine.__main__ import main
from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.commands.export import export
from engine.commands.predict import predict
from engine.data.phantom_volumes import hippocampus
from engine.errors import RunError, UsageError
from engine.requests import Export, Predict, encode
from engine.runfolder import RunFolder, read_manifest, update_manifest
from tests.engine.runs import CLASSIFICATION, NAMES, PICTURES, SEGMENTATION, run
from tests.engine.studies.test_vote import study_of

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)

VOLUMES = SEGMENTATION.replace('"left_atrium"', '"decathlon"', 1).replace('"left_atrium"', '"hippocampus"')
VOLUMES = VOLUMES.replace("validation_fraction", 'spacing = [1.5, 1.2, 1.0]\nsplit = "fraction"\nvalidation_fraction')
VOLUMES = VOLUMES.replace('"dice_bce"', '"dice_ce"').replace("overlap = 0.0", "overlap = 0.4\nflips = true")
ALONE = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "monai", "ignite", "engine", "tui"}:
            raise ImportError(f"{name} is not to be imported")
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def exported(folder: RunFolder, output: Path) -> Path:
    assert main(["export", encode(Export(run=folder.root, output=output))]) == 0
    return output


def alone(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """``predict.py`` of an exported folder."""
    typed = [sys.executable, "-P", "-c", ALONE, folder / "predict.py", *words, "--threads", "1"]
    return subprocess.run(list(map(str, typed)), capture_output=True, text=True, cwd=folder.parent, timeout=120)


def both(run_folder: RunFolder, folder: Path, inputs: Sequence[Path], place: Path) -> tuple[Path, Path]:
    """Where ``medtui predict`` and the exported folder put their results."""
    ours, theirs = place / "ours", place / "theirs"
    assert predict(Predict(run=run_folder.root, inputs=tuple(inputs), output=ours)) == 0
    done = alone(folder, *inputs, "-o", theirs)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())
    return ours, theirs


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    place = tmp_path_factory.mktemp("volumes")
    NAMES.setdefault("hippocampus", VOLUMES)
    code, folder = run(place, VOLUMES, "train.epochs=1", "evaluate.test=false", cases=6)
    assert code == 0
    return folder, exported(folder, place / "export")


def scan(path: Path, codes: str, sides: Sequence[float], cut: int = 100) -> Path:
    """A hippocampus stored with axes ``codes`` and voxels of ``sides`` mm, of at most ``cut`` voxels an axis."""
    image = hippocampus(np.random.default_rng(len(codes) + cut))[0][:cut, :cut, :cut]
    grid = np.diag([*sides, 1.0])
    grid[:3, 3] = (-5, 4, 7)
    grid[:3, :3] = grid[:3, :3] @ [[1, 0.05, 0], [-0.05, 1, 0], [0, 0, 1]]  # a little oblique
    file = nibabel.Nifti1Image(image, grid).as_reoriented(axcodes2ornt(codes))
    file.header.set_xyzt_units("mm")
    path.parent.mkdir(exist_ok=True)
    nibabel.save(file, path)
    return path


def test_masks_are_those_of_medtui_predict_voxel_for_voxel(volumes, tmp_path):
    inputs = [
        scan(tmp_path / "in" / "plain.nii.gz", "RAS", (1.0, 1.0, 1.0)),
        scan(tmp_path / "in" / "turned.nii.gz", "PSL", (0.9, 1.6, 2.0)),
        scan(tmp_path / "in" / "small.nii", "LPI", (1.5, 1.2, 1.0), cut=11),
    ]
    ours, theirs = both(*volumes, inputs, tmp_path)
    found = set()
    for path in ours.iterdir():
        wanted, got = nibabel.load(path), nibabel.load(theirs / path.name)
        mask = np.asarray(got.dataobj)
        assert np.array_equal(np.asarray(wanted.dataobj), mask)
        assert wanted.header.binaryblock == got.header.binaryblock
        found |= set(np.unique(mask).tolist())
    assert found == {0, 1, 2}


def test_the_largest_component_is_kept_where_the_run_keeps_it(volumes, tmp_path):
    changed = RunFolder(shutil.copytree(volumes[0].root, tmp_path / "runs" / volumes[0].id))
    text = changed.recipe.read_text().replace("largest_component = false", "largest_component = true\nconnectivity = 6")
    changed.recipe.write_text(text)
    folder = Path(shutil.copytree(volumes[1], tmp_path / "export"))
    facts = json.loads((folder / "model.json").read_text())
    facts["output"] |= {"largest_component": True, "connectivity": 6}
    (folder / "model.json").write_text(json.dumps(facts))
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1))
    ours, theirs = both(changed, folder, [source], tmp_path)
    masks = [np.asarray(nibabel.load(place / "x.nii.gz").dataobj) for place in (ours, theirs)]
    assert np.array_equal(*masks)
    done = alone(volumes[1], source, "-o", tmp_path / "all")
    assert done.returncode == 0
    assert np.count_nonzero(np.asarray(nibabel.load(tmp_path / "all" / "x.nii.gz").dataobj)) > np.count_nonzero(
        masks[1]
    )


def test_a_file_that_cannot_be_read_costs_no_other_and_results_are_not_replaced(volumes, tmp_path):
    scan(tmp_path / "in" / "good.nii.gz", "RAS", (1, 1, 1), cut=20)
    packed = (tmp_path / "in" / "good.nii.gz").read_bytes()
    (tmp_path / "in" / "cut.nii.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "in" / "bad.nii.gz").write_text("no scan")
    done = alone(volumes[1], tmp_path / "in", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "left out: case bad: bad.nii.gz is no NIfTI file" in done.stderr
    assert "left out: case cut: " in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.nii.gz"]
    again = alone(volumes[1], tmp_path / "in" / "good.nii.gz", "-o", tmp_path / "out")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    onto = alone(volumes[1], tmp_path / "in" / "good.nii.gz", "-o", tmp_path / "in", "--overwrite")
    assert onto.returncode == 2
    assert "is an input" in onto.stderr
    assert (tmp_path / "in" / "good.nii.gz").read_bytes() == packed


def test_the_folder_says_what_the_network_is(volumes):
    run_folder, folder = volumes
    names = {"model.onnx", "model.json", "predict.py", "requirements.txt", "README.md"}
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
    assert "not resampled" not in text
    assert "| Dice |" in text
    assert (folder / "requirements.txt").read_text().split() == [
        "numpy>=1.26", "onnxruntime>=1.20", "scipy>=1.11", "nibabel>=5.2"
    ]  # fmt: skip


def test_an_image_unlike_those_of_training_is_told(volumes, tmp_path):
    path = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(image.get_fdata(dtype=np.float32) * 1000, image.affine), path)
    assert "case x: values from" in alone(volumes[1], path, "-o", tmp_path / "out").stderr


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


def test_a_network_that_was_changed_is_not_used(volumes, tmp_path):
    folder = Path(shutil.copytree(volumes[1], tmp_path / "export"))
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    done = alone(folder, scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20), "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "not the file that was exported" in done.stderr
    (folder / "model.json").write_text("{")
    assert "model.json is damaged" in alone(folder, tmp_path / "in", "-o", tmp_path / "out").stderr
    assert not (tmp_path / "out").exists()


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


def other(folder: RunFolder, name: str) -> RunFolder:
    """The same run once more, with other weights."""
    copy = RunFolder(shutil.copytree(folder.root, folder.root.parent / name))
    generator = torch.Generator().manual_seed(1)
    for path in (copy.best, copy.last):
        if path.exists():
            content = load_checkpoint(path)
            layers = [weights for weights in content["model"].values() if weights.is_floating_point()]
            for weights in layers:
                weights.add_(0.05 * torch.randn(weights.shape, generator=generator).abs())
            save_checkpoint(path, content)
    update_manifest(copy, name=name)
    return copy


def shares(place: Path) -> tuple[list[list[str]], np.ndarray]:
    header, *rows = csv.reader((place / "predictions.csv").open(encoding="utf-8"))
    return [header, *(row[:2] for row in rows)], np.array([list(map(float, row[2:])) for row in rows])


def test_members_of_a_study_vote_in_one_table(tmp_path):
    _, first = run(tmp_path, CLASSIFICATION, "evaluate.flips=true", 'data.resize="crop"', cases=40)
    runs = [first, other(first, "29991231-000000-tiny-classes")]
    study = study_of(runs, task="classification")
    folder = exported(study, tmp_path / "export")
    assert {path.name for path in folder.glob("*.onnx")} == {"model_0.onnx", "model_1.onnx"}
    assert "scipy" not in (folder / "requirements.txt").read_text()
    images = sorted((tmp_path / "data").rglob("*.jpg"))[:6]
    with Image.open(images[0]) as picture:
        grey = tmp_path / "grey.png"
        picture.convert("L").save(grey)
    ours, theirs = both(study, folder, [*images, grey], tmp_path)
    (wanted, known), (got, found) = shares(ours), shares(theirs)
    assert got == wanted
    assert np.abs(found - known).max() < 1e-4
    predict(Predict(run=first.root, inputs=tuple(images), output=tmp_path / "one"))
    assert np.abs(shares(tmp_path / "one")[1] - found[:-1][: len(images)]).max() > 1e-3


def test_masks_of_pictures_are_those_of_medtui_predict(tmp_path):
    changes = ("train.epochs=1", "data.spacing=[1.5,1.25]", "figures.enabled=false", "evaluate.test=false")
    _, finished = run(tmp_path, PICTURES, *changes, "evaluate.threshold=0.45", cases=6)
    folder = exported(finished, tmp_path / "export")
    images = sorted((tmp_path / "data").rglob("*.jpg"))[:2]
    pixels = np.random.default_rng(0).integers(0, 4000, (40, 90)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    colours = np.random.default_rng(1).integers(0, 65536, (60, 70, 3)).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "colours.png"), colours)
    with Image.open(images[0]) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        picture.save(tmp_path / "turned.jpg", exif=exif)
    odd = [tmp_path / name for name in ("deep.png", "colours.png", "turned.jpg")]
    ours, theirs = both(finished, folder, [*images, *odd], tmp_path)
    found = 0
    for path in ours.iterdir():
        with Image.open(path) as wanted, Image.open(theirs / path.name) as got:
            assert np.array_equal(np.asarray(wanted), np.asarray(got))
            assert wanted.getpalette() == got.getpalette()
            found += int(np.asarray(got).sum())
    assert found > 0
