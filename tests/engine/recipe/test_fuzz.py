"""Whatever stands in a recipe: a `Recipe` or a `RecipeError`, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import RecipeError
from engine.recipe import Recipe, load_recipe, parse_recipe
from tests.engine.recipe.good import CLASSIFICATION, SEGMENTATION

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
SHIPPED = [SEGMENTATION, CLASSIFICATION, *(path.read_text() for path in sorted(RECIPES.glob("*.toml")))]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["dice", "auto", "../x"]),
)
toml_values = st.recursive(
    st.sampled_from(["1", "-1", "0.5", "nan", "inf", '"x"', "true", "[]", "{}", "1979-05-27", '"\\u0000"', "[[1], [2]]",
                     "0x" + "f" * 4000, "1e999", '"dice"', "[1, 2, 3]", "{ a = { b = 1 } }", "07:32:00"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
    max_leaves=8,
)  # fmt: skip


def fate(text: str) -> None:
    """Check a text; anything but a recipe or a `RecipeError` that can be shown is a fault."""
    try:
        assert isinstance(parse_recipe(text), Recipe)
    except RecipeError as error:
        assert str(error).encode()
        assert error.exit_code == 2


@given(st.text())
@example("\ufeff")
@example("a = " + "[" * 200 + "]" * 200)
@example("a = " + "{b = " * 100 + "1" + "}" * 100)
@example(".".join("a" * 300) + " = 1")
def test_any_text(text):
    fate(text)


@given(st.data())
@settings(max_examples=150)
def test_any_value_for_any_key(data):
    recipe = parse_recipe(SEGMENTATION).model_dump()
    table = data.draw(
        st.sampled_from(["", "new", *(name for name, value in recipe.items() if isinstance(value, dict))])
    )
    keys = list(recipe) if table in {"", "new"} else list(recipe[table])
    key, value = data.draw(st.sampled_from(keys)), data.draw(toml_values)
    line = f"{key} = {value}"
    text = SEGMENTATION.split("\n\n")
    if not table:
        text = [line, *(part for part in text if not part.startswith(f"[{key}]"))]
    else:
        text = [*(part for part in text if not part.startswith(f"[{table}]")), f"[{table}]\n{line}"]
    fate("\n".join(text))


@given(st.integers(0, 2**32))
@settings(max_examples=200)
def test_mutations_of_good_recipes(seed):
    draw = random.Random(seed)
    text = list(draw.choice(SHIPPED))
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(text))
        match draw.randrange(4):
            case 0:
                text[place] = draw.choice("[]{}=\"'#\n.\\0a\x00\x1b\u2028é")
            case 1:
                del text[place : place + draw.randint(1, 20)]
            case 2:
                text[place:place] = text[draw.randrange(len(text)) :][:20]
            case 3:
                text[place:place] = draw.choice(["\n", "[", '"""', "= ", "extends = 'a'\n", "[[train]]\n", "1e400"])
        text = text or ["x"]
    fate("".join(text))


@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:  # no two hundred bytes of chance are a recipe
        load_recipe(path)
    assert str(caught.value).encode()


@given(st.lists(st.text(max_size=30), max_size=3), st.sampled_from(["train.epochs", "data.root", "name", "x", "a.b.c"]))
def test_any_override(tmp_path_factory, texts, key):
    path = tmp_path_factory.getbasetemp() / "good.toml"
    path.write_text(SEGMENTATION)
    try:
        load_recipe(path, [*texts, *(f"{key}={text}" for text in texts)])
    except RecipeError as error:
        assert str(error).encode()
