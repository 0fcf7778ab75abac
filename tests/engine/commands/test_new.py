"""``medtui new``: a recipe from a folder, that the check takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.commands.check import check
from engine.commands.new import new
from engine.data.phantom import make_phantom
from engine.errors import DataError, UsageError
from engine.recipe import load_recipe
from engine.requests import Check, New
from tests.engine.data import builders


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDTUI_DATA", raising=False)
    return tmp_path


def made(folder: Path, **options: object):
    assert new(New(folder=folder, minutes=1, **options)) == 0
    return load_recipe(Path(f"{folder.name}.toml"))


@pytest.mark.parametrize("name", ["hippocampus", "lesions", "isic2018", "left_atrium"])
def test_a_recipe_of_every_phantom_passes_the_check(name, here, capsys):
    make_phantom(name, here / "data" / name, seed=0, cases=30 if name == "isic2018" else 8)
    recipe = made(Path(name))
    assert recipe.train.minutes == 1
    assert recipe.data.root == name
    said = capsys.readouterr().out
    assert f"wrote {name}.toml" in said
    assert f"medtui check {name}.toml" in said
    assert "--data" not in said
    assert check(Check(recipe=Path(f"{name}.toml"))) == 0
    text = Path(f"{name}.toml").read_text()
    assert all(len(line) <= 120 for line in text.splitlines())
    assert sum("#" in line for line in text.splitlines()) > 15


def test_data_elsewhere_is_told_with_its_root(here, capsys):
    builders.decathlon(here / "my data" / "scans", cases=5)
    recipe = made(here / "my data" / "scans")
    assert recipe.data.root == "scans"
    assert f"medtui run scans.toml --data '{here}/my data'" in capsys.readouterr().out


def test_mixed_voxels_are_resampled_to_the_medians_and_classes_are_named_by_their_values(here):
    folder = builders.pairs(here / "data" / "mixed", cases=5)
    for index in range(2):
        for name in ("images", "labels"):
            array = builders.volume(index) if name == "images" else builders.mask()
            builders.rewrite(folder / name / f"{index}.nii.gz", array, builders.affine(1, 2, 1))
    builders.rewrite(folder / "labels" / "3.nii.gz", builders.mask(value=2))
    recipe = made(Path("mixed"))
    assert recipe.data.spacing == (1.0, 2.0, 3.0)
    assert recipe.data.classes == ("class 1", "class 2")
    assert recipe.loss.name == "dice_ce"
    builders.rewrite(folder / "labels" / "4.nii.gz", builders.mask(value=7))
    with pytest.raises(DataError, match="hold the values 1, 2, 7") as caught:
        new(New(folder=Path("mixed"), force=True))
    assert '{"labels": {"class 1": 1, "class 2": 2, "class 7": 7}}' in str(caught.value)


def test_air_at_minus_a_thousand_is_ct(here):
    folder = builders.pairs(here / "data" / "ct", cases=4)
    for index in range(4):
        image = 100 * builders.volume(index)
        image[:2] = -1000
        builders.rewrite(folder / "images" / f"{index}.nii.gz", image)
    recipe = made(Path("ct"))
    assert recipe.data.intensity == "window"
    values = np.concatenate([100 * builders.volume(index)[builders.mask() > 0] for index in range(4)])
    assert recipe.data.window == pytest.approx(np.percentile(values, (0.5, 99.5)), rel=0.01)


def test_one_case_is_trained_on_and_nothing_is_tested(here):
    builders.pairs(here / "data" / "one", cases=1)
    recipe = made(Path("one"))
    assert recipe.data.test_fraction == 0.0
    assert recipe.data.validation_fraction == 0.0
    assert check(Check(recipe=Path("one.toml"))) == 0


def test_a_file_that_is_there_stays(here):
    builders.pairs(here / "data" / "p")
    Path("p.toml").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        new(New(folder=Path("p")))
    assert Path("p.toml").read_text() == "mine"
    assert new(New(folder=Path("p"), minutes=1, force=True)) == 0


def test_damaged_data_is_told_as_the_check_tells_it_and_nothing_is_written(here):
    folder = builders.pairs(here / "data" / "bad")
    (folder / "images" / "1.nii.gz").write_bytes(b"no volume")
    builders.rewrite(folder / "labels" / "2.nii.gz", builders.mask((3, 3, 3)))
    with pytest.raises(DataError, match="2 cases of 4") as caught:
        new(New(folder=Path("bad")))
    assert "images/1.nii.gz" in str(caught.value)
    assert "labels/2.nii.gz" in str(caught.value)
    assert not list(here.glob("*.toml"))


def test_one_class_is_no_classification(here):
    for index in range(3):
        builders.picture(here / "data" / "cats" / "cat" / f"{index}.png", index)
    with pytest.raises(DataError, match="all cases are of one class: cat"):
        new(New(folder=Path("cats")))
