"""``medtui new``: a recipe from a folder, that the check takes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.commands.check import check
from engine.commands.new import facts_of, new
from engine.data import data_root
from engine.data.phantom import make_phantom
from engine.errors import DataError, UsageError
from engine.planning.layouts import find_layout
from engine.planning.machine import Machine, Pace
from engine.planning.plan import Wish
from engine.planning.segmentation import plan_segmentation
from engine.recipe import load_recipe
from engine.requests import Check, New
from tests.engine.data import builders
from tests.engine.planning.made_up import recipe_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDTUI_DATA", raising=False)
    return tmp_path


def planned(place: Path):
    """The recipe of a data set below ./data, by a machine whose steps take a tenth of a second."""
    root, name = data_root(None), place.name
    layout, facts = facts_of(find_layout(place)[0], root, name)
    plan = plan_segmentation(
        Wish(facts, Machine(2, 2**33), 60), lambda _lines, _watched: Pace(0.1), lambda _spacing: 1.0
    )
    assert layout.source == facts.dataset.source
    return recipe_of(plan, facts)


def one_scan(folder: Path) -> None:
    builders.pairs(folder, cases=1)


def photos(folder: Path) -> None:
    builders.image_folder(folder, each=20)


@pytest.mark.parametrize("make", [one_scan, photos])
def test_a_recipe_is_written_that_passes_the_check(make, here, capsys):
    name = make.__name__
    make(here / "data" / name)
    assert new(New(folder=Path(name), minutes=120)) == 0
    recipe = load_recipe(Path(f"{name}.toml"))
    assert (recipe.train.minutes == 120) != (recipe.train.epochs is not None)  # so few cases may be seen enough before
    assert recipe.data.root == name
    said = capsys.readouterr().out
    assert f"wrote {name}.toml" in said
    assert f"medtui check {name}.toml" in said
    assert "--data" not in said
    text = Path(f"{name}.toml").read_text()
    assert all(len(line) <= 120 for line in text.splitlines())
    assert sum("#" in line for line in text.splitlines()) > 15
    if make is one_scan:
        short = "train.minutes=0.1" if recipe.train.minutes else "train.epochs=1"  # else it measures for longer
        assert check(Check(recipe=Path(f"{name}.toml"), overrides=(short,))) == 0


def test_data_elsewhere_is_told_with_its_root_and_a_file_that_is_there_stays(here, capsys):
    folder = builders.decathlon(here / "my data" / "scans", cases=5)
    Path("scans.toml").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        new(New(folder=folder))
    assert Path("scans.toml").read_text() == "mine"
    assert new(New(folder=folder, force=True)) == 0
    assert load_recipe(Path("scans.toml")).data.root == "scans"
    Path("by_hand").touch()
    assert Path("scans.toml").stat().st_mode == Path("by_hand").stat().st_mode
    assert f"medtui run scans.toml --data '{here}/my data'" in capsys.readouterr().out


def test_a_table_that_has_all_for_training_is_split(here):
    for index in range(10):
        builders.picture(here / "data" / "t" / f"{index}.png", index)
    builders.csv_table(here / "data" / "t", [f"{at}.png,{'ab'[at % 2]},train" for at in range(10)], "path,label,split")
    layout, facts = facts_of(find_layout(here / "data" / "t")[0], here / "data", "t")
    assert "split_column" not in layout.keys | facts.keys
    assert facts.count("test") == 2


@pytest.mark.parametrize(
    ("name", "intensity"), [("left_atrium", "zscore"), ("hippocampus", "zscore"), ("lesions", "imagenet")]
)
def test_a_phantom_is_planned_for_by_what_is_in_its_files(name, intensity, here):
    make_phantom(name, here / "data" / name, seed=0, cases=6)
    recipe = planned(here / "data" / name)
    assert recipe.data.intensity == intensity
    assert len(recipe.data.size) == (2 if name == "lesions" else 3)


def test_mixed_voxels_are_resampled_to_the_medians_and_classes_are_named_by_their_values(here):
    folder = builders.pairs(here / "data" / "mixed", cases=5)
    for index in range(2):
        for name in ("images", "labels"):
            array = builders.volume(index) if name == "images" else builders.mask()
            builders.rewrite(folder / name / f"{index}.nii.gz", array, builders.affine(1, 2, 1))
    builders.rewrite(folder / "labels" / "3.nii.gz", builders.mask(value=2))
    recipe = planned(folder)
    assert recipe.data.spacing == (1.0, 2.0, 3.0)
    assert recipe.data.classes == ("class 1", "class 2")
    assert recipe.loss.name == "dice_ce"
    builders.rewrite(folder / "labels" / "4.nii.gz", builders.mask(value=7))
    with pytest.raises(DataError, match="hold the values 1, 2, 7") as caught:
        planned(folder)
    assert '{"labels": {"class 1": 1, "class 2": 2, "class 7": 7}}' in str(caught.value)


def test_air_at_minus_a_thousand_is_ct(here):
    folder = builders.pairs(here / "data" / "ct", cases=4)
    for index in range(4):
        image = 100 * builders.volume(index)
        image[:2] = -1000
        builders.rewrite(folder / "images" / f"{index}.nii.gz", image)
    recipe = planned(folder)
    assert recipe.data.intensity == "window"
    dataset = facts_of(find_layout(folder)[0], data_root(None), "ct")[1].dataset
    learned = [int(case.id) for case in dataset.cases if case.split != "test"]
    assert len(learned) == 3
    values = np.concatenate([100 * builders.volume(index)[builders.mask() > 0] for index in learned])
    assert recipe.data.window == pytest.approx(np.percentile(values, (0.5, 99.5)), rel=0.01)


def test_a_case_without_a_lesion_stays_and_masks_without_any_are_refused(here):
    folder = builders.decathlon(here / "data" / "some", cases=4)
    builders.rewrite(folder / "labelsTr" / "c1.nii.gz", 0 * builders.mask())
    assert planned(folder).data.unreadable == "skip"
    for index in range(4):
        builders.rewrite(folder / "labelsTr" / f"c{index}.nii.gz", 0 * builders.mask())
    with pytest.raises(DataError, match="no case in data/some has any of the classes"):
        new(New(folder=Path("some")))
    unnamed = builders.pairs(here / "data" / "none")
    for index in range(4):
        builders.rewrite(unnamed / "labels" / f"{index}.nii.gz", 0 * builders.mask())
    with pytest.raises(DataError, match="all masks in data/none are empty"):
        new(New(folder=Path("none")))


def test_what_cannot_be_is_one_message_and_nothing_is_written(here):
    builders.pairs(here / "data" / "p")
    (here / "a.toml").mkdir()
    (here / "data" / "odd").mkdir()
    refused = [
        (New(folder=Path("absent")), "no folder absent, here or in data"),
        (New(folder=Path("odd")), "is in no layout that medtui reads"),
        (New(folder=Path("p"), source="nnunet"), "is not in this layout"),
        (New(folder=Path("p"), source="dicom"), '"dicom" is no layout'),
        (New(folder=Path("p"), output=Path("a.toml")), "a.toml is a folder"),
        (New(folder=Path("p"), output=Path("no/b.toml")), "there is no folder no"),
        (New(folder=Path("p"), output=Path("/dev/null"), force=True), "is a device or a pipe"),
    ]
    for request, message in refused:
        with pytest.raises((DataError, UsageError), match=message) as caught:
            new(request)
        assert caught.value.exit_code == 2
        assert caught.value.hint
    assert sorted(path.name for path in here.iterdir()) == ["a.toml", "data"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do all")
def test_folders_without_rights_are_named(here):
    builders.pairs(here / "data" / "p")
    (here / "mine").mkdir(mode=0o500)
    with pytest.raises(UsageError, match="nothing can be written in"):
        new(New(folder=Path("p"), output=Path("mine/p.toml")))
    (here / "data" / "p" / "train").mkdir(mode=0o000)
    (here / "data" / "p" / "images").rename(here / "data" / "p" / "imgs")
    with pytest.raises(DataError, match="train: Permission denied") as caught:
        new(New(folder=Path("p")))
    assert "not to be read: train" in str(caught.value)
    (here / "data" / "p").chmod(0)
    with pytest.raises(DataError, match="cannot read"):
        new(New(folder=Path("p")))


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
    with pytest.raises(DataError, match="all images are in one folder, cat"):
        new(New(folder=Path("cats")))
