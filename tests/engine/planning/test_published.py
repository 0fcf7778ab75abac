"""Challenges that medtui new knows by their files: it names their classes and regions, and only where it is sure."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from engine.commands.new import facts_of
from engine.errors import DataError
from engine.planning.layouts import find_layout
from engine.planning.plan import data_lines
from engine.planning.segmentation import _region_lines
from engine.planning.text import recipe_text
from tests.tumours import tumours

NEW = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}


def named_as(folder: Path, case: str, channels: dict[str, str]) -> Path:
    """The cases of `tumours`, called otherwise."""
    for place in sorted(folder.iterdir()):
        new = place.rename(place.with_name(case + place.name[-3:]))
        for path in sorted(new.iterdir()):
            kind = path.name.removeprefix(place.name + "_").removesuffix(".nii.gz")
            path.rename(new / f"{new.name}-{channels.get(kind, kind)}.nii.gz")
    return folder


def lines(folder: Path):
    _, facts = facts_of(find_layout(folder)[0], folder.parent, folder.name)
    return {line.key: line for line in (*data_lines(facts), *_region_lines(facts))}


def test_brats_from_2023_on_is_named_and_scored(tmp_path):
    found = lines(named_as(tumours(tmp_path / "d"), "BraTS-GLI-00001-", NEW))
    assert found["data.classes"].value == ["non-enhancing core", "oedema", "enhancing"]
    assert "as BraTS of adults" in found["data.classes"].why
    assert found["evaluate.regions"].value == {
        "whole tumour": ["non-enhancing core", "oedema", "enhancing"],
        "tumour core": ["non-enhancing core", "enhancing"],
        "enhancing tumour": ["enhancing"],
    }
    written = tomllib.loads(recipe_text([], [found["evaluate.regions"]]))
    assert written["evaluate"]["regions"] == found["evaluate.regions"].value


def test_earlier_brats_is_told_what_its_values_are(tmp_path):
    folder = named_as(tumours(tmp_path / "d", values=(1, 2, 4)), "BraTS20_Training_", {})
    with pytest.raises(DataError, match="hold the values 1, 2, 4") as caught:
        lines(folder)
    assert "as BraTS (2017 to 2021) numbers them" in caught.value.hint
    labels = caught.value.hint.partition("numbers them: ")[2]
    assert json.loads(labels) == {"labels": {"non-enhancing core": 1, "oedema": 2, "enhancing": 4}}
    (folder / "dataset.json").write_text(labels.replace("oedema", "edema"))
    assert lines(folder)["evaluate.regions"].value == {
        "whole tumour": ["non-enhancing core", "edema", "enhancing"],
        "tumour core": ["non-enhancing core", "enhancing"],
        "enhancing tumour": ["enhancing"],
    }


@pytest.mark.parametrize(
    ("case", "channels"),
    [
        ("BraTS20_Training_", {}),  # 1, 2, 3: somebody has numbered them anew, nobody knows how
        ("BraTS-PED-00001-", NEW),  # of children: other classes
        ("patient_", NEW),
        ("BraTS-GLI-00001-", {**NEW, "t2": "dwi"}),
    ],
)
def test_what_is_not_sure_gets_no_names_and_no_regions(case, channels, tmp_path):
    found = lines(named_as(tumours(tmp_path / "d"), case, channels))
    assert found["data.classes"].value == ["class 1", "class 2", "class 3"]
    assert "put in names of your own" in found["data.classes"].why
    assert "evaluate.regions" not in found


def test_regions_that_the_data_set_names_are_written(tmp_path):
    folder = tumours(tmp_path / "d")
    labels = {"whole": [1, 2, 3], "core": [1, 3], "enhancing": 3}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    names = ["rest of core", "rest of whole", "enhancing"]
    assert lines(folder)["evaluate.regions"].value == {"whole": names, "core": [names[0], names[2]]}
