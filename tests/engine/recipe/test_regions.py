"""Regions of [evaluate]: what is refused, in what words, and where."""

from __future__ import annotations

import pytest

from engine.errors import RecipeError
from engine.recipe import load_recipe, parse_recipe, placed, recipe_toml, region_indices
from tests.engine.runs import SEGMENTATION

CLASSES = ("necrosis", "oedema", "enhancing")


def recipe(regions, *more, **changes):
    text = "\n".join([SEGMENTATION, "[evaluate.regions]", *regions, *more])
    for old, new in changes.items():
        text = text.replace(f"\n[{old}]", f"\n[{old}]\n{new}")
    return parse_recipe(text)


def test_a_region_is_known_by_the_indices_of_its_classes():
    read = recipe(['"whole tumour" = ["oedema", "enhancing", "necrosis"]', 'core = ["necrosis", "enhancing"]'])
    assert region_indices(read.evaluate, CLASSES) == {"whole tumour": (2, 3, 1), "core": (1, 3)}
    assert parse_recipe(recipe_toml(read)) == read
    alone = recipe(['"enhancing tumour" = ["enhancing"]'])  # a third of BraTS's mean
    assert region_indices(alone.evaluate, CLASSES) == {"enhancing tumour": (3,)}
    assert region_indices(parse_recipe(SEGMENTATION).evaluate, CLASSES) == {}


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("whole = []", '"whole" of no class\n    allowed: one class or more'),
        ('whole = ["oedema", "oedema"]', "one class or more, each once"),
        ('whole = ["a", "b"]\n"Whole " = ["a", "c"]', "every region once"),
        ('whole = "oedema"', "regions: found"),
        ("whole = [1, 2]", "regions: found"),
    ],
)
def test_what_is_no_union_is_refused(region, words):
    with pytest.raises(RecipeError) as caught:
        recipe([region])
    assert "evaluate.regions: " in str(caught.value)
    assert words in str(caught.value).replace("\n  ", "\n")


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ('whole = ["oedma", "necrosis"]', '"whole": there is no class "oedma"; did you mean "oedema"?'),
        ('whole = ["x", "necrosis"]', 'no class "x"\n    allowed: the classes: "necrosis", "oedema", "enhancing"'),
        ('Oedema = ["oedema", "necrosis"]', '"Oedema" is a class already'),
    ],
)
def test_what_the_data_has_not_is_refused_with_its_line(region, words, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f"{SEGMENTATION}\n[evaluate.regions]\n{region}\n")
    read = load_recipe(path)
    with pytest.raises(RecipeError) as caught, placed(path, []):
        region_indices(read.evaluate, CLASSES)
    line = 1 + path.read_text().split("\n").index("[evaluate.regions]")
    assert f"{path}:{line}: evaluate.regions: " in str(caught.value)
    assert words in str(caught.value).replace("\n  ", "\n")


def test_the_mean_over_regions_is_monitored_where_there_are_any():
    assert recipe(['whole = ["a", "b"]'], train='monitor = "dice_regions"').monitor == "dice_regions"
    with pytest.raises(RecipeError, match=r'"dice_regions" with evaluate.regions = {}') as caught:
        parse_recipe(SEGMENTATION.replace("[train]", '[train]\nmonitor = "dice_regions"'))
    assert "regions with classes of each, or another metric" in str(caught.value)


def test_a_classification_has_none():
    text = SEGMENTATION.replace('"segmentation"', '"classification"') + '\n[evaluate.regions]\nwhole = ["a", "b"]'
    with pytest.raises(RecipeError, match=r"evaluate\.regions: has no meaning with classification"):
        parse_recipe(text)
