"""Recipes that cannot be used: one message each, exit code 2, and nothing left behind."""

from __future__ import annotations

import pytest

from tests.engine.recipe.good import CLASSIFICATION, SEGMENTATION, line_of
from tui.cli import main

# what is put into a good recipe in place of what; then what the message must hold: key, found, allowed
SEG, CLS = SEGMENTATION, CLASSIFICATION
SPOILT = {
    "a key with a slip": (SEG, "epochs = 3", "epoch = 3", ["train.epoch", 'did you mean "epochs"?']),
    "a table with a slip": (SEG, "[train]", "[trian]", ["trian", 'did you mean "train"?']),
    "two letters in the wrong order": (CLS, "lr = 1e-3", "rl = 1e-3", ["optimizer.rl", 'did you mean "lr"?']),
    "a key of another table": (SEG, "epochs = 3", "epochs = 3\nlr = 0.1", ["train.lr", "optimizer.lr"]),
    "a text for a number": (SEG, "epochs = 3", 'epochs = "3"', ["train.epochs", 'found "3"', "whole number"]),
    "a fraction for a whole": (SEG, "epochs = 3", "epochs = 3.5", ["train.epochs", "found 3.5", "a whole"]),
    "true for a number": (SEG, "batch_size = 2", "batch_size = true", ["train.batch_size", "found true"]),
    "too small": (SEG, "epochs = 3", "epochs = 0", ["train.epochs", "found 0", "from 1 to 100000"]),
    "too large": (SEG, "batch_size = 2", "batch_size = 9999", ["train.batch_size", "from 1 to 4096"]),
    "negative": (CLS, "lr = 1e-3", "lr = -1.0", ["optimizer.lr", "found -1.0", "above 0 to 100"]),
    "not a number": (CLS, "lr = 1e-3", "lr = nan", ["optimizer.lr", "found nan"]),
    "infinite": (CLS, "lr = 1e-3", "lr = inf", ["optimizer.lr", "found inf"]),
    "an unknown choice": (SEG, '"dice"', '"dise"', ["loss.name", 'found "dise"', 'did you mean "dice"?']),
    "an unknown model": (SEG, '"unet3d"', '"unet"', ["model.name", 'found "unet"', '"segresnet"']),
    "a loss of the other task": (SEG, '"dice"', '"focal"', ["loss.name", '"focal" with task', '"dice_bce"']),
    "a model of the other task": (CLS, '"resnet50"', '"resunet"', ["model.name", '"resnet18"']),
    "data of the other task": (SEG, '"left_atrium"\nroot', '"isic2018"\nroot', ["data.source", "decathlon"]),
    "a flat volume": (SEG, "[112, 112, 80]", "[112, 112]", ["data.size", "found 2 numbers", "3 numbers"]),
    "a size of four": (SEG, "[112, 112, 80]", "[8, 8, 8, 8]", ["data.size", "2 to 3 items"]),
    "a size of texts": (SEG, "[112, 112, 80]", '["a", "b"]', ["data.size", "each a whole number"]),
    "an absolute path": (SEG, 'root = "left_atrium"', 'root = "/etc"', ["data.root", '"/etc"', "--allow-outside"]),
    "a path that climbs": (SEG, 'root = "left_atrium"', 'root = "a/../../b"', ["data.root", "without .."]),
    "a path of home": (SEG, 'root = "left_atrium"', 'root = "~/x"', ["data.root", 'found "~/x"']),
    "a class twice": (CLS, '["MEL", "NV"]', '["NV", "NV"]', ["data.classes", "a name twice"]),
    "an empty name": (SEG, 'name = "atrium"', 'name = ""', ["name", 'found ""', "Letters, digits"]),
    "a name with a slash": (SEG, 'name = "atrium"', 'name = "a/b"', ["name", 'found "a/b"']),
    "a value for a table": (SEG, 'task =', 'augment = 5\ntask =', ["augment", "found 5", "a table [augment]"]),
    "an array of tables": (SEG, "[train]", "[[train]]", ["train", "a table [train]"]),
    "an axis twice": (SEG, "[train]", "[augment]\nflip = [0, 0]\n[train]", ["augment.flip", "each once"]),
    "a window wider than numbers": (
        SEG, "size =", 'intensity = "window"\nwindow = [-1e308, 1e308]\nsize =', ["data.window", "-1000000000 to 1000"]
    ),
    "a monitor not measured": (
        SEG, "epochs = 3", 'epochs = 3\nmonitor = "hd95"', ["train.monitor", "surface_validation"]
    ),
    "a distance of all voxels that is not asked for": (
        SEG, "epochs = 3", 'epochs = 3\nmonitor = "hd95_all_voxels"', ["train.monitor", "all_voxel_distances"]
    ),
    "a monitor with a typing error": (
        SEG, "epochs = 3", 'epochs = 3\nmonitor = "dicee"', ["train.monitor", 'mean "dice"']
    ),
    "a reported number of no metric": (
        SEG, "[train]", "[evaluate]\nreported = {dicee = 0.9}\n[train]", ["evaluate.reported", 'did you mean "dice"?']
    ),
    "a reported percentage": (
        SEG, "[train]", "[evaluate]\nreported = {dice = 81.0}\n[train]",
        ["evaluate.reported", "dice = 81.0", "from 0 to 1"],
    ),
    "a reported number of the other task": (
        SEG, "[train]", "[evaluate]\nreported = {auc = 0.9}\n[train]", ["evaluate.reported", '"jaccard"']
    ),
    "a reported number that is not measured": (
        SEG, "[train]", "[evaluate]\nreported = {hd95_all_voxels = 2}\n[train]",
        ["evaluate.reported", "all_voxel_distances = true"],
    ),
    "a plane of one axis": (
        SEG, "[train]", "[augment]\nrotate_degrees = 9\nrotate_plane = [1, 1]\n[train]",
        ["augment.rotate_plane", "found [1, 1]", "two axes"],
    ),
    "a tolerance below nothing": (
        SEG, "[train]", "[evaluate]\nnsd_tolerance = -1\n[train]", ["evaluate.nsd_tolerance", "above 0"]
    ),
    "a monitor of the other task": (SEG, "epochs = 3", 'epochs = 3\nmonitor = "auc"', ["train.monitor", '"jaccard"']),
    "a fold too many": (SEG, "[model]", 'split = "kfold"\nfold = 5\n[model]', ["data.fold", "5 of 5", "0 to 4"]),
    "an axis too many": (CLS, "[train]", "[augment]\nflip = [2]\n[train]", ["augment.flip", "from 0 to 1"]),
    "a window without its intensity": (SEG, "[model]", "window = [0.0, 1.0]\n[model]", ["data.window", '"zscore"']),
    "weights twice": (CLS, "pretrained = true", 'pretrained = true\nweights = "w.pt"', ["model.weights", "one of"]),
    "a sum of nothing": (SEG, 'name = "dice"', 'name = "dice_ce"\nweights = [0, 0]', ["weights", "weighs nothing"]),
    "a sum of one": (CLS, "[optimizer]", "weights = [1.0, 0]\n[optimizer]", ["loss.weights", "two numbers above 0"]),
    "classes that are the same": (SEG, "[model]", 'classes = ["a", " A"]\n[model]', ["data.classes", "a name twice"]),
    "no classes": (SEG, "[model]", "classes = []\n[model]", ["data.classes", "1 to 1000"]),
    "a foreground of nothing": (
        SEG, "[model]", 'crop = "foreground"\nforeground_share = 0\n[model]', ["data.foreground_share", '"random"']
    ),
    "an address that is none": (
        SEG, "[train]", '[runtime]\nwebhook = "ftp://x"\n[train]', ["runtime.webhook", "An http:// or https:// address"]
    ),
    "an array too short": (CLS, "lr = 1e-3", "lr = 1e-3\nbetas = [0.9]", ["optimizer.betas", "found [0.9]", "2 items"]),
    "a name of another program": (CLS, "lr = 1e-3", "learning_rate = 1e-3", ["did you mean \"optimizer.lr\"?"]),
    "a seed in a table": (SEG, "epochs = 3", "epochs = 3\nseed = 3", ["train.seed", 'mean "seed" on top of']),
    "a date": (SEG, "epochs = 3", "epochs = 2020-01-01", ["train.epochs", "found 2020-01-01"]),
    "a huge number": (SEG, "epochs = 3", f"epochs = 0x{'f' * 5000}", ["train.epochs", "a number of more than"]),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_one_message_with_place_key_found_and_allowed(what, tmp_path, capsys):
    good, old, new, words = SPOILT[what]
    assert good.count(old) >= 1
    text = good.replace(old, new, 1)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)

    code = main(["run", str(recipe), "--runs", str(tmp_path / "runs"), "--plain"])

    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert "Traceback" not in said.err
    for word in [*words, "allowed: "]:
        assert word in said.err
    key = words[0].rpartition(".")[2]
    place = f"{recipe}:{line_of(text, new)}"
    assert place in said.err or any(f"{recipe}:{n}: " in said.err for n in _lines(text, key))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def _lines(text: str, key: str) -> list[int]:
    """The lines on which a key or table stands."""
    return [n for n, line in enumerate(text.split("\n"), 1) if line.startswith((f"{key} ", f"[{key}]", f"[[{key}]]"))]


BROKEN = {
    "no TOML": ("name = atrium", [":1: not valid TOML"]),
    "a key twice": ('name = "a"\nname = "b"', [":2: not valid TOML"]),
    "an open string": ('name = "a', [":1: not valid TOML"]),
    "nested without end": ("a = " + "[" * 5000, [":1: not valid TOML: nested too deeply"]),
    "empty": ("", ["name: is missing", "train: is missing", "a table [train]"]),
    "of another program": ('[package]\nname = "x"', ["package: there is no such key", "task: is missing"]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_recipe_is_told(what, tmp_path, capsys):
    text, words = BROKEN[what]
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)

    assert main(["check", str(recipe)]) == 2

    said = capsys.readouterr().err
    assert "Traceback" not in said
    for word in [str(recipe), *words]:
        assert word in said


def test_files_that_are_none(tmp_path, capsys):
    (tmp_path / "seg_dice.toml").write_text(SEGMENTATION)
    (tmp_path / "latin.toml").write_bytes('name = "größe"'.encode("latin-1"))
    (tmp_path / "large.toml").write_bytes(b"#" * 1_000_001)
    cases = {
        "seg_dize.toml": "did you mean",
        "latin.toml": "not UTF-8",
        "large.toml": "larger than",
        ".": "is a folder",
        "a" * 5000: "cannot read",
        "nul\0": "cannot read",
    }
    for name, words in cases.items():
        assert main(["run", f"{tmp_path}/{name}", "--plain"]) == 2, name
        said = capsys.readouterr().err
        assert words in said
        assert "Traceback" not in said
        assert "\0" not in said


def test_a_pipe_is_refused_and_not_waited_for(tmp_path, capsys):
    import os

    os.mkfifo(tmp_path / "pipe.toml")
    assert main(["run", str(tmp_path / "pipe.toml"), "--plain"]) == 2
    assert "not a plain file" in capsys.readouterr().err


def test_escapes_in_a_recipe_never_reach_the_terminal(tmp_path, capsys):
    recipe = tmp_path / "mine.toml"
    text = SEGMENTATION.replace('"dice"', '"\\u001b]0;owned\\u0007"').replace("epochs", '"\\u001b[2J" = 1\nepochs')
    recipe.write_text(text)
    assert main(["run", str(recipe), "--plain"]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\\x1b" in said


def test_all_problems_come_at_once(tmp_path, capsys):
    text = (
        SEGMENTATION.replace('"dice"', '"focal"')  # contradicts the task
        .replace("epochs = 3", 'epochs = "3"')  # wrong type
        .replace("[112, 112, 80]", "[112, 112]")  # contradicts the task
        .replace("[model]", "[model]\nchanels = [1]")  # unknown
        .replace('root = "left_atrium"', 'root = "/x"')  # outside
    )
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    assert main(["run", str(recipe), "--plain"]) == 2
    said = capsys.readouterr().err
    assert "5 problems" in said
    for key in ("loss.name", "train.epochs", "data.size", "model.chanels", "data.root"):
        assert f"{key}: " in said


def test_no_false_alarm_beside_a_true_one(tmp_path, capsys):
    text = SEGMENTATION.replace('task = "segmentation"', 'task = "segmentatoin"')
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    assert main(["run", str(recipe), "--plain"]) == 2
    said = capsys.readouterr().err
    assert "1 problem" in said
    assert 'did you mean "segmentation"?' in said
