"""Keys that would do nothing are refused, with what would give them a meaning; old runs with them are still read."""

from __future__ import annotations

import pytest

from engine.errors import RecipeError
from engine.recipe import load_recipe, load_run_recipe, parse_recipe, recipe_toml, refuse_dead
from tests.engine.recipe.good import CLASSIFICATION, SEGMENTATION

CE = SEGMENTATION.replace('name = "dice"', 'name = "cross_entropy"')
SKIN = CLASSIFICATION.replace('name = "cross_entropy_focal"', 'name = "cross_entropy"')
PICTURES = """name = "x"
task = "segmentation"
[data]
source = "image_pairs"
root = "d"
size = [32, 32]
[model]
name = "resunet"
[loss]
name = "dice"
[train]
epochs = 2
batch_size = 2
"""
ALONE = SEGMENTATION.replace("batch_size = 2", "batch_size = 1")
HEART = SEGMENTATION.replace('"unet3d"', '"unet3d"\noutput = "softmax"').replace("\nsize", '\nclasses = ["x"]\nsize')
RESUNET = SEGMENTATION.replace("unet3d", "resunet")

# recipe; table; the line that does nothing; words of the message
DEAD = [
    (SKIN, "loss", "gamma = 9.0", ["has no meaning with cross_entropy; focal, cross_entropy_focal have it"]),
    (SKIN, "loss", "gamma = 2.0", ["loss.gamma"]),  # its default, and yet given
    (SKIN, "loss", "weights = [1.0, 1.0]", ["cross_entropy_focal has it"]),
    (CE, "loss", "batch_dice = true", ["dice, dice_ce, dice_bce have it"]),
    (CE, "loss", "smooth = 100.0", ["loss.smooth"]),
    (CE, "loss", "include_background = true", ["dice, dice_ce have it"]),
    (SEGMENTATION, "loss", "label_smoothing = 0.1", ["with dice; "]),
    (SEGMENTATION.replace('"dice"', '"dice_bce"'), "loss", "include_background = false", ["with dice_bce; "]),
    (SKIN, "optimizer", "nesterov = true", ["has no meaning with adam; sgd has it"]),
    (SKIN, "optimizer", "momentum = 0.9", ["optimizer.momentum"]),
    (SKIN, "optimizer", 'name = "sgd"\nbetas = [0.9, 0.99]', ["with sgd; adam, adamw have it"]),
    (SKIN, "optimizer", 'name = "sgd"\nmomentum = 0.0\nnesterov = true', ["momentum above 0"]),
    (SKIN, "schedule", 'name = "cosine"\npower = 2.0', ["with cosine; polynomial has it"]),
    (SKIN, "schedule", "final_share = 0.1", ["with constant; cosine, polynomial, one_cycle have it"]),
    (SKIN, "model", "patch = 1", ["with resnet50; resunet has it"]),
    (SEGMENTATION, "model", "residual_units = 1", ["with unet3d; resunet has it"]),
    (SEGMENTATION, "model", 'norm = "batch"', ["with unet3d; resunet, segresnet, dynunet have it"]),
    (SEGMENTATION, "model", "pretrained = true", ["resnet101, efficientnet_lite0 have it"]),
    (SKIN, "model", "channels = [8, 16]", ["model.channels"]),
    (SKIN, "model", 'output = "auto"', ["model.output"]),
    (SKIN, "data", 'images = "x"', ["with isic2018; nifti_pairs, image_pairs have it"]),
    (SKIN, "data", 'table = "x.csv"', ["with isic2018; csv has it"]),
    (SEGMENTATION, "data", 'path_column = "x"', ["data.path_column"]),
    (SEGMENTATION, "data", "window = [0.0, 1.0]", ['data.intensity = "zscore"', 'data.intensity = "window"']),
    (SEGMENTATION, "data", "foreground_share = 0.5", ['data.crop = "center"', 'data.crop = "foreground"']),
    (SEGMENTATION, "data", "folds = 4", ['data.split = "given"', 'data.split = "kfold"']),
    (SEGMENTATION, "data", "fold = 0", ["data.fold"]),
    (SEGMENTATION, "data", 'split = "kfold"\ntest_fraction = 0.3', ['data.split = "fraction"']),
    (SEGMENTATION, "data", "split_seed = 3", ["something to draw"]),
    (SEGMENTATION, "data", 'resize = "crop"', ['task = "segmentation"', 'task = "classification"']),
    (SEGMENTATION, "data", 'balance = "class"', ["data.balance"]),
    (SEGMENTATION, "data", "spacing = [1.0, 1.0, 1.0]", ["data.spacing", "NIfTI"]),
    (SKIN, "data", "spacing = [1.0, 1.0]", ["data.spacing"]),
    (SKIN, "data", 'crop = "random"', ["data.crop", 'task = "segmentation"']),
    (SKIN, "data", "samples_per_case = 2", ["data.samples_per_case"]),
    (SKIN, "evaluate", "threshold = 0.4", ["evaluate.threshold", "task = segmentation"]),
    (SKIN, "evaluate", 'mode = "center_crop"', ["evaluate.mode"]),
    (SKIN, "evaluate", "overlap = 0.3", ["evaluate.overlap"]),
    (SKIN, "evaluate", "largest_component = true", ["evaluate.largest_component"]),
    (SKIN, "evaluate", "surface_validation = true", ["evaluate.surface_validation"]),
    (SKIN, "evaluate", "save_predictions = true", ["evaluate.save_predictions"]),
    (SEGMENTATION.replace('"unet3d"', '"unet3d"\noutput = "softmax"'), "evaluate", "threshold = 0.4", ["sigmoid"]),
    (SEGMENTATION, "augment", "rotate90 = true", ["augment.rotate90", 'task = "classification"']),
    (SEGMENTATION, "augment", "crop_scale = 0.5", ["augment.crop_scale"]),
    (SEGMENTATION, "augment", "saturation = 0.5", ["augment.saturation"]),
    (SKIN.replace("resnet50", "resnet18"), "model", 'imagenet_weights = "V2"', ['"resnet50" or "resnet101"']),
    (SKIN.replace("= true", "= false"), "model", 'imagenet_weights = "V2"', ["with model.pretrained"]),
    (RESUNET, "model", 'upsample = "nearest"', ["with resunet; unet3d has it"]),
    (RESUNET, "model", 'init = "glorot"', ["with resunet; unet3d has it"]),
    (SKIN, "optimizer", 'name = "sgd"\nepsilon = 1e-7', ["with sgd; adam, adamw have it"]),
    (SKIN, "data", 'balance = "class"\nshuffle = false', ['data.balance = "class"', 'data.balance = "none"']),
    (SEGMENTATION, "augment", "rotate_plane = [0, 1]", ["with augment.rotate_degrees"]),
    (SKIN, "augment", "rotate_degrees = 9.0\nrotate_plane = [0, 1]", ["volumes: 3 numbers in data.size"]),
    (SEGMENTATION, "augment", 'noise = 0.1\ndraw = "batch"', ["augment.rotate_degrees or augment.scale"]),
    (SEGMENTATION, "augment", "affine_probability = 0.5", ["augment.rotate_degrees or augment.scale"]),
    (SEGMENTATION, "augment", "flip = [0]\nintensity_probability = 0.5", ["augment.noise or augment.blur"]),
    (SEGMENTATION, "figures", "cam_examples = 2", ["figures.cam_examples"]),
    (SKIN, "figures", 'turntable = "gif"', ["figures.turntable"]),
    (SKIN, "figures", "previews = false\npreview_cases = 3", ["figures.previews = false"]),
    (SKIN, "augment", "affine_probability = 0.0\nrotate_degrees = 9.0", ["with augment.affine_probability above 0"]),
    (SKIN, "augment", "intensity_probability = 0.0\ngamma = 0.2", ["with augment.intensity_probability above 0"]),
    (SKIN, "augment", "mix_probability = 0.0\ncutmix = 1.0", ["with augment.mix_probability above 0"]),
    (SKIN.replace("batch_size = 32", "batch_size = 1"), "augment", "mixup = 0.2", ["with train.batch_size above 1"]),
    (PICTURES, "figures", 'turntable = "gif"', ["volumes: 3 numbers in data.size"]),
    (SKIN, "data", 'split = "fraction"\nlimit_validation = 3', ["validation_fraction above 0"]),
    (SKIN.replace("\nsize =", '\nsplit = "kfold"\nsize ='), "train", "early_stop = 3", ["train.early_stop"]),
    (ALONE, "loss", "batch_dice = true", ["train.batch_size = 1", "with train.batch_size above 1"]),
    (ALONE, "augment", 'flip = [0]\ndraw = "batch"', ["with train.batch_size above 1"]),
    (SKIN.replace("[224, 224]", "[32, 32]"), "augment", "grow_from = 0.5", ["a data.size that becomes smaller by it"]),
    (SKIN, "augment", "grow_from = 0.99", ["in multiples of 16 from 32 on"]),
    (HEART, "loss", 'class_weights = "balanced"', ["several classes, or loss.include_background"]),
    (SKIN, "data", 'split = "fraction"\ntest_fraction = 0.0\nlimit_test = 3', ["data.test_fraction above 0"]),
    (SKIN.replace("\nsize =", '\nsplit = "fraction"\nsize ='), "figures", "preview_cases = 2", ["validation split"]),
]  # fmt: skip


def with_line(text: str, table: str, line: str) -> str:
    if f"[{table}]\n" in text:
        at = text.index(f"[{table}]\n") + len(f"[{table}]\n")
        first = line.partition(" ")[0]
        body = text[at:]
        end = body.find("\n[")
        own = "\n".join(row for row in body[: end if end >= 0 else None].split("\n") if row.partition(" ")[0] != first)
        return text[:at] + line + "\n" + own + (body[end:] if end >= 0 else "")
    return f"{text}\n[{table}]\n{line}\n"


@pytest.mark.parametrize(("text", "table", "line", "words"), DEAD, ids=lambda value: str(value)[:40])
def test_a_key_that_does_nothing_is_refused_with_its_line_and_a_way_out(text, table, line, words):
    spoilt = with_line(text, table, line)
    with pytest.raises(RecipeError) as caught:
        parse_recipe(spoilt)
    assert len(caught.value.problems) == 1
    said = str(caught.value)
    for word in words:
        assert word in said
    key = line.split("\n")[-1].partition(" ")[0]
    where = [n for n, row in enumerate(spoilt.split("\n"), 1) if row.startswith(key)]
    assert any(f"recipe.toml:{n}: " in said for n in where)


def test_each_is_fine_where_it_does_something():
    parse_recipe(with_line(RESUNET, "model", 'patch = 1\nresidual_units = 1\nnorm = "batch"'))
    parse_recipe(with_line(SEGMENTATION, "data", 'crop = "foreground"\nforeground_share = 0.3'))
    parse_recipe(with_line(SEGMENTATION, "augment", "scale = 0.1\naffine_probability = 0.3"))
    parse_recipe(with_line(SKIN, "optimizer", 'name = "sgd"\nmomentum = 0.8\nnesterov = true'))
    parse_recipe(with_line(SEGMENTATION, "model", "pretrained = false"))  # scripts set it over every recipe


def test_all_of_them_come_at_once_beside_other_problems():
    text = with_line(with_line(SKIN, "loss", "gamma = 1.0\nsmooth = 1.0"), "optimizer", 'lr = "x"\nnesterov = true')
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text)
    assert {problem.key for problem in caught.value.problems} == {
        "loss.gamma", "loss.smooth", "optimizer.nesterov", "optimizer.lr",
    }  # fmt: skip


def test_weights_for_rare_classes_are_applied_once():
    text = with_line(with_line(SKIN, "data", 'balance = "class"'), "loss", 'class_weights = "balanced"')
    with pytest.raises(RecipeError, match="corrected for twice") as caught:
        parse_recipe(text)
    assert caught.value.problems[0].key == "loss.class_weights"
    assert 'data.balance = "none"' in str(caught.value)


def test_what_a_child_takes_the_meaning_from_is_left_out(tmp_path):
    focal = with_line(CLASSIFICATION, "loss", "gamma = 1.5\nweights = [1.0, 2.0]")
    (tmp_path / "base.toml").write_text(focal)
    child = tmp_path / "child.toml"
    child.write_text('extends = "base.toml"\n[loss]\nname = "cross_entropy"\n')
    assert load_recipe(child).loss.name == "cross_entropy"
    assert load_recipe(tmp_path / "base.toml", ["loss.name=cross_entropy"]).loss.name == "cross_entropy"
    assert load_recipe(child, ["loss.name=focal"]).loss.model_dump()["gamma"] == 1.5

    child.write_text('extends = "base.toml"\n[loss]\nname = "cross_entropy"\ngamma = 3.0\n')
    with pytest.raises(RecipeError, match=r"child\.toml:4: loss\.gamma: has no meaning with cross_entropy"):
        load_recipe(child)
    with pytest.raises(RecipeError, match=r"--set loss\.smooth=1\.0: loss\.smooth: has no meaning"):
        load_recipe(tmp_path / "base.toml", ["loss.smooth=1.0"])


def test_what_a_run_of_an_earlier_version_left_is_read(tmp_path):
    """Every key stood in its recipe.toml, also those that did nothing."""
    text = with_line(SKIN, "loss", "gamma = 2.0\nbatch_dice = false\nsmooth = 1e-05\nweights = [1.0, 1.0]")
    text = with_line(text, "data", 'images = "images"\ncrop = "center"\nfolds = 5\nforeground_share = 0.5')
    text = with_line(text, "evaluate", "threshold = 0.5\noverlap = 0.5")
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="10 problems"):
        load_recipe(path)
    found = load_run_recipe(path)
    (tmp_path / "manifest.json").write_text("{}")
    assert load_recipe(path) == found  # as a file to run again, beside a manifest
    assert found.loss.model_fields_set == {"name"}
    assert load_run_recipe(path, ["train.epochs=9"]).train.epochs == 9
    with pytest.raises(RecipeError, match=r"--set loss\.gamma=1\.0"):
        load_run_recipe(path, ["loss.gamma=1.0"])
    assert parse_recipe(recipe_toml(found)) == found


def test_what_only_the_data_shows_is_refused_then():
    softmax = {"model.output": "softmax"}
    recipe = parse_recipe(with_line(SEGMENTATION, "evaluate", "threshold = 0.4"))
    refuse_dead(recipe, {"model.output": "sigmoid"})
    with pytest.raises(RecipeError, match=r"evaluate\.threshold: has no meaning with model\.output = softmax"):
        refuse_dead(recipe, softmax)
    plain = parse_recipe(SEGMENTATION)
    assert "threshold" in recipe_toml(plain)
    written = recipe_toml(plain, softmax)
    assert "threshold" not in written
    refuse_dead(parse_recipe(written), softmax)


NIFTI = SEGMENTATION.replace('"left_atrium"', '"nifti_pairs"')
DATA = {"data.channels": 3, "data.spacing_unit": "mm", "data.validated": True, "data.tested": True}


@pytest.mark.parametrize(
    ("text", "table", "line", "fact"),
    [
        (PICTURES, "augment", "saturation = 0.2", {"data.channels": 1}),
        (NIFTI, "data", "spacing = [1.0, 1.0, 1.0]", {"data.spacing_unit": "voxel"}),
        (SEGMENTATION, "train", "early_stop = 3", {"data.validated": False}),
        (SEGMENTATION, "data", "limit_test = 3", {"data.tested": False}),
        (SEGMENTATION, "data", "validation_fraction = 0.2", {"data.own_validation": True}),
    ],
)
def test_a_key_that_does_nothing_with_this_data_is_refused_then(text, table, line, fact):
    recipe = parse_recipe(with_line(text, table, line))
    refuse_dead(recipe, DATA)
    key = line.partition(" ")[0]
    with pytest.raises(RecipeError, match=rf"{table}\.{key}: has no meaning with this data\n +allowed: with "):
        refuse_dead(recipe, {**DATA, **fact})
    assert key in recipe_toml(recipe, DATA)
    assert key not in recipe_toml(recipe, {**DATA, **fact})
    refuse_dead(parse_recipe(recipe_toml(parse_recipe(text))), {**DATA, **fact})  # defaults, as a run folder has them


def test_an_unknown_name_and_unknown_keys_beside_it():
    with pytest.raises(RecipeError) as caught:
        parse_recipe(with_line(SKIN, "loss", 'name = "cross_entropi"\ngama = 2.0'))
    said = str(caught.value)
    assert 'loss.name: found "cross_entropi"; did you mean "cross_entropy"?' in said
    assert "loss.gama: there is no such key" in said
    for bad in ("name = 5", "name = []", "name = {}", "gamma = 1.0"):
        with pytest.raises(RecipeError, match=r"loss\.name: (found|is missing)"):
            parse_recipe(SKIN.replace('[loss]\nname = "cross_entropy"', f"[loss]\n{bad}"))
