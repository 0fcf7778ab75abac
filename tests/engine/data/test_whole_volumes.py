"""Volumes that have a class as a whole: found, turned, brought to their size, drawn."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt
from PIL import Image
from scipy import ndimage

from engine.data import check_dataset, open_dataset
from engine.data.cache import CachedDataset, LoadedVolume
from engine.data.loaders import EvalLoader, build_train_loader
from engine.data.prepare import whole_volume
from engine.data.read import RawCase
from engine.data.volumes import spacing_of
from engine.errors import RecipeError
from engine.recipe import AugmentTable, DataTable, RuntimeTable, parse_recipe
from tests.engine.data import builders as b
from tests.engine.runs import CLASSIFICATION

SIZE = (8, 10, 12)


def table(**keys: object) -> DataTable:
    return DataTable(**{"source": "image_folder", "root": "d", "size": SIZE, "intensity": "none", **keys})


def folders(root: Path) -> Path:
    for number, name in enumerate(("left", "right") * 3):
        place = root / "d" / ("test" if number > 3 else "train") / name
        place.mkdir(parents=True, exist_ok=True)
        b.write_nifti(place / f"c{number}.nii.gz", b.volume(number, (9 + number, 11, 14)), b.affine(1.0, 1.0, 2.0))
    return root


def raw(image: np.ndarray, affine: np.ndarray | None) -> RawCase:
    return RawCase("c", image[None], None, affine, None if affine is None else spacing_of(affine))


def test_folders_of_volumes_are_classes_and_a_table_of_them_too(tmp_path: Path) -> None:
    found = check_dataset(open_dataset(table(), "classification", folders(tmp_path)), table())
    assert (found.spatial_dims, found.channels, found.spacing_unit) == (3, 1, "mm")
    assert {case.id: (case.split, found.classes[case.target or 0]) for case in found.cases} == {
        "c0": ("train", "left"), "c1": ("train", "right"), "c2": ("train", "left"), "c3": ("train", "right"),
        "c4": ("test", "left"), "c5": ("test", "right"),
    }  # fmt: skip
    rows = [f"{path.relative_to(tmp_path / 'd')},{path.parent.name}" for path in (tmp_path / "d").glob("*/*/*.gz")]
    (tmp_path / "d" / "table.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    listed = open_dataset(table(source="csv", split="fraction"), "classification", tmp_path)
    assert (listed.spatial_dims, listed.channels, listed.spacing_unit, len(listed.cases)) == (3, 1, "mm", 6)


def test_where_pictures_lie_beside_volumes_the_size_says_which_are_meant(tmp_path: Path) -> None:
    root = folders(tmp_path)
    for path in [*root.glob("d/*/*/*.nii.gz")]:
        Image.new("RGB", (20, 20)).save(path.with_name(f"{path.name[:2]}_shot.png"))
    assert open_dataset(table(), "classification", root).cases[0].images[0].name.endswith(".nii.gz")
    flat = table(size=(8, 8))
    assert open_dataset(flat, "classification", root).cases[0].images[0].name.endswith(".png")


def test_a_size_of_two_numbers_for_volumes_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not fit its data") as caught:
        open_dataset(table(size=(8, 8)), "classification", folders(tmp_path))
    assert "3 numbers, one an axis" in str(caught.value.problems[0])


def test_stretched_is_the_whole_volume_on_a_grid_of_the_size() -> None:
    ras = b.volume(1, (16, 20, 24))
    grid = np.diag([1.0, 2.0, 3.0, 1.0])
    stored = nibabel.Nifti1Image(ras, grid).as_reoriented(axcodes2ornt("PSL"))
    image, spacing = whole_volume(raw(np.asarray(stored.dataobj), stored.affine), table())
    smooth = ndimage.gaussian_filter(ras, np.sqrt(3) / 2.3548200, mode="nearest", truncate=4.0)
    wanted = ndimage.zoom(smooth, 0.5, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(image[0], wanted, atol=1e-5)
    assert spacing == pytest.approx((2.0, 4.0, 6.0))


def test_cropped_is_the_centre_at_its_spacing_with_zeros_around_a_small_one() -> None:
    ras = b.volume(2, (12, 6, 12))
    image, spacing = whole_volume(raw(ras, np.eye(4)), table(resize="crop"))
    wanted = np.zeros(SIZE, np.float32)
    wanted[:, 2:8, :] = ras[2:10]
    np.testing.assert_array_equal(image[0], wanted)
    assert spacing == (1.0, 1.0, 1.0)
    finer, spacing = whole_volume(raw(ras, np.eye(4)), table(resize="crop", spacing=(0.5, 1.0, 1.0)))
    whole = ndimage.zoom(ras, (2, 1, 1), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(finer[0][:, 2:8], whole[8:16], atol=1e-6)
    assert spacing == pytest.approx((0.5, 1.0, 1.0))
    unplaced, sides = whole_volume(raw(ras, None), table())
    assert unplaced.shape == (1, *SIZE)
    assert sides == pytest.approx((12 / 8, 6 / 10, 1.0))


def test_loaders_give_what_is_seen_and_its_class(tmp_path: Path) -> None:
    data = table(intensity="zscore")
    dataset = check_dataset(open_dataset(data, "classification", folders(tmp_path)), data)
    runtime = RuntimeTable(device="cpu", workers=0)
    loader = build_train_loader(dataset, data, AugmentTable(), runtime, batch_size=4, seed=0)
    (train,) = loader.epoch(1)
    loader.close()
    (seen,) = EvalLoader(dataset, data, "train", batch_size=4)
    order = [train["id"].index(name) for name in seen["id"]]
    assert train["image"].shape == (4, 1, *SIZE)
    torch.testing.assert_close(train["image"][order], seen["image"])
    assert train["label"][order].tolist() == seen["label"].tolist() == [0, 1, 0, 1]
    assert abs(float(seen["image"].mean())) < 0.05


def test_a_mirrored_sample_is_the_mirrored_volume(tmp_path: Path) -> None:
    data = table()
    dataset = check_dataset(open_dataset(data, "classification", folders(tmp_path)), data)
    (seen,) = EvalLoader(dataset, data, "train", batch_size=4)
    plain = dict(zip(seen["id"], seen["image"], strict=True))
    augment = AugmentTable(flip=(0, 1, 2))
    loader = build_train_loader(dataset, data, augment, RuntimeTable(device="cpu", workers=0), batch_size=4, seed=1)
    mirrored = 0
    for epoch in range(1, 5):
        (batch,) = loader.epoch(epoch)
        for name, image in zip(batch["id"], batch["image"], strict=True):
            ways = [
                image.flip(axes) if axes else image
                for axes in ((), (1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3))
            ]
            same = [torch.equal(way, plain[name]) for way in ways]
            assert sum(same) == 1
            mirrored += not same[0]
    loader.close()
    assert mirrored > 4


def test_keys_that_do_nothing_with_volumes_are_refused() -> None:
    text = CLASSIFICATION.replace("[32, 32]", "[32, 32, 32]").replace('"imagenet"', '"zscore"')
    text = text.replace('source = "isic2018"', 'source = "image_folder"')
    assert parse_recipe(text).data.size == (32, 32, 32)
    lines = {
        "[augment]\nrotate90 = true\ncrop_scale = 0.5": ("augment.rotate90", "augment.crop_scale"),
        "[augment]\nsaturation = 0.2": ("augment.saturation",),
    }
    for more, keys in lines.items():
        with pytest.raises(RecipeError) as caught:
            parse_recipe(f"{text}\n{more}\n")
        assert [key for key in keys if key not in "\n".join(map(str, caught.value.problems))] == []
    for more in ("pretrained = true", 'pretrained = true\nnorm = "group"'):
        with pytest.raises(RecipeError, match="ImageNet"):
            parse_recipe(text.replace('name = "resnet18"', f'name = "resnet18"\n{more}'))
    with pytest.raises(RecipeError, match="spacing"):
        parse_recipe(text.replace("\nsize =", "\nspacing = [1.0, 1.0, 1.0]\nsize ="))
    assert parse_recipe(text.replace("\nsize =", '\nresize = "crop"\nspacing = [1.0, 1.0, 1.0]\nsize =')).data.spacing


def test_the_cache_counts_the_mask_that_all_volumes_share_once_at_most(tmp_path: Path) -> None:
    keys = table()
    dataset = check_dataset(open_dataset(keys, "classification", folders(tmp_path)), keys)
    kept = CachedDataset(dataset, dataset.cases, keys, resize=True)
    kept.fill("memory", 1.0, lambda *_: None)
    held = [each for each in kept.kept.values() if isinstance(each, LoadedVolume)]
    assert len(held) == len({id(each.image) for each in held}) == 6
    assert sum(each.nbytes for each in held) == 6 * 4 * 8 * 10 * 12  # float32
