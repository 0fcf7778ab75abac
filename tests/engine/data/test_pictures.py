"""Pictures keep the depth of their files; masks keep their values; programs in disguise are not opened."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.data import check_dataset, open_dataset
from engine.data.cases import Dataset
from engine.data.pictures import full_range, read_mask_picture, read_picture, to_shades, with_channels
from engine.data.read import read_case, read_image
from engine.errors import DataError, RecipeError
from tests.engine.data import builders as b

DEEP = {
    "16-bit.png": np.arange(16, dtype=np.uint16).reshape(4, 4) * 250,
    "16-bit.tif": np.arange(16, dtype=np.uint16).reshape(4, 4) * 4000,
    "int32.tif": np.arange(-8, 8, dtype=np.int32).reshape(4, 4) * 40_000,
    "float.tif": np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_pictures_come_out_value_for_value(tmp_path: Path, name: str) -> None:
    Image.fromarray(DEEP[name]).save(tmp_path / name)
    found = read_picture(tmp_path / name)
    np.testing.assert_array_equal(found, DEEP[name])
    assert np.unique(to_shades(found, (float(DEEP[name].min()), float(DEEP[name].max())))).size == 16


@pytest.mark.parametrize(
    ("low", "high", "whole", "wanted"),
    [
        (3, 200, True, (0, 255)),
        (0, 4000, True, (0, 4095)),
        (0, 60_000, True, (0, 65_535)),
        (0, 100_000, True, (0, 100_000)),
        (-1000, 3000, True, (-1000, 3000)),
        (0.1, 0.9, False, (0, 1)),
        (0.0, 37.5, False, (0.0, 37.5)),
    ],
)
def test_the_range_is_that_of_the_type_or_of_the_data(
    low: float, high: float, whole: bool, wanted: tuple[float, float]
) -> None:
    assert full_range(low, high, whole=whole) == wanted


def _deep(root: Path, highest: dict[str, int]) -> Dataset:
    """A data set of 12-bit pictures with masks."""
    for name, high in highest.items():
        pixels = np.linspace(0, high, 32 * 32).reshape(32, 32).astype(np.uint16)
        _save(root / "d" / "images" / f"{name}.png", pixels)
        _save(root / "d" / "masks" / f"{name}.png", (pixels > high / 2).astype(np.uint8))
    table = b.table("image_pairs", size=(16, 16), labels="masks", classes=("a",), split="fraction")
    return check_dataset(open_dataset(table, "segmentation", root), table)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_every_picture_of_a_data_set_has_one_scale(tmp_path: Path) -> None:
    dataset = _deep(tmp_path, {"dark": 1000, "middle": 2000, "bright": 4000, "other": 3000})
    assert (dataset.value_range, dataset.channels, dataset.spacing_unit) == ((0.0, 4095.0), 1, "pixel")
    shades = {case.id: read_case(dataset, case).image for case in dataset.cases}
    assert shades["dark"].max() == pytest.approx(1000 / 4095 * 255)
    assert shades["bright"].max() == pytest.approx(4000 / 4095 * 255)
    assert np.unique(shades["bright"]).size == 32 * 32


def test_values_unlike_those_of_training_are_noted(tmp_path: Path) -> None:
    from dataclasses import replace

    table = b.table("image_pairs", size=(16, 16), labels="masks", classes=("a",), split="fraction")
    dataset = _deep(tmp_path, {"a": 4000, "b": 3900, "c": 3950, "d": 3850})
    notes = check_dataset(replace(dataset, value_range=(0.0, 65_535.0)), table).notes
    assert any("0 to 4000" in note and "0 to 65535" in note for note in notes)
    assert check_dataset(dataset, table).notes == dataset.notes


def test_postscript_in_disguise_is_no_picture(tmp_path: Path) -> None:
    b.image_folder(tmp_path / "d")
    (tmp_path / "d" / "cat" / "cat0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    table = b.table("image_folder", split="fraction")
    with pytest.raises(DataError) as caught:
        check_dataset(open_dataset(table, "classification", tmp_path), table)
    assert [problem.where for problem in caught.value.problems] == ["cat/cat0.png"]


def test_masks_as_indices_as_black_and_white_and_as_palette_are_one(tmp_path: Path) -> None:
    wanted = np.zeros((12, 14), np.uint8)
    wanted[3:9, 4:11] = 1
    palette = Image.fromarray(wanted).convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    palette.save(tmp_path / "palette.png")
    Image.fromarray(wanted).save(tmp_path / "index.tif")
    Image.fromarray(wanted.astype(bool)).save(tmp_path / "bits.png")
    Image.fromarray(255 * wanted).save(tmp_path / "black.png")
    Image.fromarray(np.repeat(255 * wanted[..., None], 3, 2)).save(tmp_path / "rgb.bmp")
    Image.fromarray(255 * wanted).save(tmp_path / "lossy.jpg", quality=30)
    for path in sorted(tmp_path.iterdir()):
        found = read_mask_picture(path)
        np.testing.assert_array_equal(found > 0, wanted > 0, err_msg=path.name)
        assert found.max() in {1, 255}


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_a_mask_of_black_and_white_is_known_behind_the_edges_that_jpeg_blurs(tmp_path: Path, quality: int) -> None:
    drawn = Image.new("L", (240, 240))
    for place in range(4):
        ImageDraw.Draw(drawn).ellipse((60 * place, 31 * place, 60 * place + 50, 31 * place + 9 + 20 * place), fill=255)
    soft = drawn.resize((180, 180), Image.Resampling.BILINEAR)  # with greys of its own along the edges
    soft.save(tmp_path / "m.jpg", quality=quality)
    np.testing.assert_array_less(np.mean((read_mask_picture(tmp_path / "m.jpg") > 0) != (np.asarray(soft) > 127)), 0.01)


@pytest.mark.parametrize("name", ["deep.png", "packed.tif", "plain.tif", "alpha.png", "turned.tif"])
def test_colours_of_16_bits_come_out_as_opencv_wrote_them(tmp_path: Path, name: str) -> None:
    wanted = np.random.default_rng(0).integers(0, 4096, (9, 7, 3)).astype(np.uint16)
    written = wanted[..., ::-1]
    if name == "alpha.png":
        written = np.dstack([written, np.full((9, 7), 65_535, np.uint16)])
    plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if name == "plain.tif" else []
    cv2.imwrite(str(tmp_path / name), written, plain)
    if name == "turned.tif":
        raw = (tmp_path / name).read_bytes()
        assert raw[:2] == b"II"
        at = int.from_bytes(raw[4:8], "little")
        tags = [at + 2 + 12 * place for place in range(int.from_bytes(raw[at : at + 2], "little"))]
        fill = next(tag for tag in tags if raw[tag : tag + 2] == b"\x53\x01")  # SampleFormat, of no use here
        entry = struct.pack("<HHIHH", 0x0112, 3, 1, 3, 0)  # turned by 180 degrees
        (tmp_path / name).write_bytes(raw[:fill] + entry + raw[fill + 12 :])
        wanted = wanted[::-1, ::-1]
    np.testing.assert_array_equal(read_picture(tmp_path / name), wanted)
    np.testing.assert_array_equal(with_channels(wanted, 3), np.moveaxis(wanted, -1, 0))
    grey = cv2.cvtColor(wanted.astype(np.float32), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(with_channels(wanted, 1)[0], grey, rtol=1e-5)


ODD_MASKS = {
    "white first.png": "white stands before black",  # what Pillow and pngquant make of black and white
    "alpha.png": "drawn in its transparency",
    "indices.jpg": "values up to 2: JPEG blurs class indices",
    "dark.jpg": "of the greys 0, 20, 255, in place of black and white",
    "two classes.jpg": "of the greys 0, 128, 25[45], in place of black and white",
}


@pytest.mark.parametrize("name", ODD_MASKS)
def test_masks_of_which_the_values_are_not_known_are_refused(tmp_path: Path, name: str) -> None:
    drawn = np.zeros((32, 32), np.uint8)
    drawn[8:24, 8:24] = 1
    if name == "alpha.png":
        Image.fromarray(np.dstack([drawn * 0] * 3 + [255 * drawn])).save(tmp_path / name)
    elif name == "indices.jpg":
        Image.fromarray(2 * drawn).save(tmp_path / name, quality=95)
    elif name == "dark.jpg":
        shades = np.kron(np.array([0, 255], np.uint8)[drawn], np.ones((4, 4), np.uint8))
        shades[:24, :24] = 20
        Image.fromarray(shades).save(tmp_path / name, quality=75)
    elif name == "two classes.jpg":
        drawn[10:20, 10:20] = 2
        Image.fromarray(np.array([0, 128, 255], np.uint8)[drawn]).save(tmp_path / name, quality=90)
    else:
        most_white = Image.fromarray(255 * (1 - drawn)).convert("RGB")
        most_white.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / name)
    with pytest.raises(ValueError, match=ODD_MASKS[name]):
        read_mask_picture(tmp_path / name)


def test_a_mask_in_colours_is_refused(tmp_path: Path) -> None:
    picture = Image.new("RGB", (12, 12))
    ImageDraw.Draw(picture).rectangle((2, 2, 6, 6), fill=(255, 0, 0))
    picture.save(tmp_path / "m.png")
    with pytest.raises(ValueError, match="class indices"):
        read_mask_picture(tmp_path / "m.png")


def _pairs(root: Path, images: str, masks: str, suffix: str = "", parts: tuple[str, ...] = ("",)) -> Path:
    for place, part in enumerate(parts):
        for index in range(4):
            b.picture(root / "d" / images.format(part) / f"{part}{index}.jpg", index + 10 * place)
            mask = np.zeros((16, 20), np.uint8)
            mask[4:9, 3:12] = 255
            _save(root / "d" / masks.format(part) / f"{part}{index}{suffix}.png", mask)
    return root


LAYOUTS = {
    "beside": ("images/{}", "masks/{}", "", {}),
    "suffix": ("images/{}", "masks/{}", "_segmentation", {}),
    "suffix in capitals": ("images/{}", "masks/{}", "_Mask", {}),
    "one folder": ("all", "all", "_mask", {"images": "all", "labels": "all"}),
    "split inside": ("images/{}", "masks/{}", "", {}),
    "split above": ("{}/images", "{}/masks", "", {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pictures_and_masks_are_paired(tmp_path: Path, layout: str) -> None:
    images, masks, suffix, names = LAYOUTS[layout]
    given = layout.startswith("split")
    _pairs(tmp_path, images, masks, suffix, ("train", "val", "test") if given else ("",))
    split = {} if given else {"split": "fraction", "validation_fraction": 0.25}
    table = b.table("image_pairs", size=(8, 8), classes=("a",), **{"labels": "masks", **names, **split})
    dataset = check_dataset(open_dataset(table, "segmentation", tmp_path), table)
    assert len(dataset.cases) == (12 if given else 4)
    if given:
        assert {split: len(dataset.split(split)) for split in ("train", "validation", "test")} == {
            "train": 4, "validation": 4, "test": 4,
        }  # fmt: skip
    for case in dataset.cases:
        sample = read_case(dataset, case)
        assert sample.label is not None
        assert (sample.image.shape, int(sample.label.sum())) == ((3, 16, 20), 5 * 9)
        assert read_image(dataset, case).shape == (16, 20, 3)


def test_the_csv_table_knows_pictures_by_their_files(tmp_path: Path) -> None:
    _pairs(tmp_path, "i", "m")
    rows = [f"i/{n}.jpg,m/{n}.png,p{n // 2}" for n in range(4)]
    b.csv_table(tmp_path / "d", rows, "path,label,patient")
    table = b.table("csv", classes=("a",), group_column="patient", split="fraction", test_fraction=0.5)
    dataset = open_dataset(table, "segmentation", tmp_path)
    assert (dataset.spatial_dims, dataset.channels, dataset.spacing_unit) == (2, 3, "pixel")
    assert {case.group_key for case in dataset.cases} == {"group p0", "group p1"}


def test_a_one_hot_table_has_its_classes_in_columns(tmp_path: Path) -> None:
    _pairs(tmp_path, "i", "m")
    rows = ["i/0.jpg,1.0,0", "i/1.jpg,0,1", "i/2.jpg,0.0,1.0"]
    b.csv_table(tmp_path / "d", rows, "path,nevus,melanoma")
    table = b.table("csv", classes=("melanoma", "nevus"), split="fraction", size=(8, 8))
    dataset = open_dataset(table, "classification", tmp_path)
    found = {case.id: dataset.classes[case.target or 0] for case in dataset.cases}
    assert found == {"0": "nevus", "1": "melanoma", "2": "melanoma"}
    b.csv_table(tmp_path / "d", [*rows, "i/3.jpg,1,1", "i/4.jpg,0,", "i/5.jpg,0.5,0.5"], "path,nevus,melanoma")
    with pytest.raises(DataError) as caught:
        open_dataset(table, "classification", tmp_path)
    assert [problem.where for problem in caught.value.problems] == [f"table.csv:{line}" for line in (5, 6, 7)]
    with pytest.raises(DataError, match='no column "label"'):
        open_dataset(b.table("csv", split="fraction", size=(8, 8)), "classification", tmp_path)
    with pytest.raises(DataError, match='no column "dx"'):  # a name that is given is not passed over
        open_dataset(table.model_copy(update={"label_column": "dx"}), "classification", tmp_path)


def test_two_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    _pairs(tmp_path, "images/{}", "masks/{}", "")
    _save(tmp_path / "d" / "masks" / "2_mask.png", np.zeros((16, 20), np.uint8))
    table = b.table("image_pairs", classes=("lesion",), split="fraction", size=(16, 16))
    with pytest.raises(DataError, match=r"two masks of the image 2: 2\.png and 2_mask\.png"):
        open_dataset(table, "segmentation", tmp_path)


def test_a_picture_of_too_many_pixels_is_said_with_the_way_out(tmp_path: Path) -> None:
    Image.new("1", (15_000, 15_000)).save(tmp_path / "large.png")
    with pytest.raises(OSError, match="178,956,970 pixels: cut it into tiles"):
        read_picture(tmp_path / "large.png")


def test_names_that_fit_nothing_are_one_message(tmp_path: Path) -> None:
    _pairs(tmp_path, "images", "masks", "_of_something")
    table = b.table("image_pairs", size=(8, 8), labels="masks", classes=("a",), split="fraction")
    with pytest.raises(DataError, match=r"no mask in .* has the name of an image"):
        open_dataset(table, "segmentation", tmp_path)


def test_a_size_of_other_axes_is_refused_by_the_data(tmp_path: Path) -> None:
    _pairs(tmp_path, "images", "masks")
    table = b.table("image_pairs", size=(8, 8, 8), labels="masks", classes=("a",), split="fraction")
    with pytest.raises(RecipeError) as caught:
        open_dataset(table, "segmentation", tmp_path)
    assert [problem.key for problem in caught.value.problems] == ["data.size"]
