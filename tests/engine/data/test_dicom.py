"""Pictures as DICOM are what the same pictures are as PNG or TIFF; what holds no one picture is said, in one line."""

from __future__ import annotations

import base64
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pack_bits

from engine.data import check_dataset, open_dataset
from engine.data.cases import Dataset
from engine.data.dicom import read_dicom
from engine.data.dicom_pixels import decoded_frames
from engine.data.lossless_jpeg import unpack
from engine.data.pictures import picture_channels, picture_size, read_mask_picture, read_picture, to_shades
from engine.data.read import read_case
from engine.errors import DataError
from tests.engine.data import builders as b
from tests.engine.data.dicoms import PATIENT, again, dicom, table

SHAPE = (34, 21)


def _random(high: int, kind: type = np.uint16, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    values = np.random.default_rng(high).integers(0, high + 1, shape)
    values.flat[0], values.flat[-1] = 0, high
    return values.astype(kind)


GREY8, GREY12, GREY16 = _random(255, np.uint8), _random(4095), _random(65_535)
COLOUR = _random(255, np.uint8, (*SHAPE, 3))
SIGNED = (GREY12.astype(np.int16) - 1024).astype(np.int16)

SAME = {  # what is written, how, and the picture that it is
    "8 bits": (GREY8, {}, GREY8),
    "an odd number of bytes": (GREY8[:33], {}, GREY8[:33]),
    "8 of 16 bits": (GREY8.astype(np.uint16), {"bits": 8}, GREY8),
    "12 bits": (GREY12, {"bits": 12}, GREY12),
    "16 bits": (GREY16, {}, GREY16),
    "signed": (SIGNED, {}, SIGNED.astype(np.int32)),
    "white is 0": (GREY8, {"PhotometricInterpretation": "MONOCHROME1"}, 255 - GREY8),
    "white is 0, 12 bits": (GREY12, {"bits": 12, "PhotometricInterpretation": "MONOCHROME1"}, 4095 - GREY12),
    "rescaled": (GREY12, {"bits": 12, "RescaleSlope": 1, "RescaleIntercept": -1024}, SIGNED.astype(np.int32)),
    "halved": (GREY12, {"bits": 12, "RescaleSlope": "0.5", "RescaleIntercept": 0}, GREY12.astype(np.float32) / 2),
    "colours": (COLOUR, {}, COLOUR),
    "colours by planes": (COLOUR, {"PlanarConfiguration": 1}, COLOUR),
    "deep colours": (COLOUR.astype(np.uint16) * 257, {}, COLOUR.astype(np.uint16) * 257),
    **{f"8 bits, {way}": (GREY8, {"packed": way}, GREY8) for way in ("rle", "lossless", "jls", "j2k")},
    **{f"12 bits, {way}": (GREY12, {"bits": 12, "packed": way}, GREY12) for way in ("rle", "lossless", "jls")},
    **{f"16 bits, {way}": (GREY16, {"packed": way}, GREY16) for way in ("rle", "lossless", "jls", "j2k")},
    **{f"colours, {way}": (COLOUR, {"packed": way}, COLOUR) for way in ("rle", "lossless", "jls", "j2k")},
}


@pytest.mark.parametrize("name", SAME)
def test_values_are_those_that_were_written(tmp_path: Path, name: str) -> None:
    pixels, how, wanted = SAME[name]
    path = dicom(tmp_path / "a.dcm", pixels, **how)
    found = read_picture(path)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
    assert (picture_size(path), picture_channels(path)) == (wanted.shape[:2], 1 if wanted.ndim == 2 else 3)


def test_a_jpeg_in_dicom_is_the_jpeg(tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(COLOUR[:4, :4]).resize((64, 48), Image.Resampling.BICUBIC))
    for pixels in (smooth, smooth[..., 0]):
        Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, subsampling=1)
        found = read_picture(dicom(tmp_path / "a.dcm", pixels, packed="jpeg")).astype(int)
        assert np.abs(found - read_picture(tmp_path / "a.jpg")).max() <= 2  # YBR by another rounding


_HEAD = "/9j/wwALDAAEAAUBAREA/8QAG"
RULES = {  # by which libjpeg-turbo foresaw values, and what it wrote
    2: "gABAAMAAwAAAAAAAAAAAAAACwYJCgQHDP/aAAgBAQACAADz/wDy5DN+zbE7gb79LusvZzunQVSDTxVfXNY7apcX/9k=",
    3: "gABAAIDAQAAAAAAAAAAAAAACwYKBAkMB//aAAgBAQADAADn/wDLkM39N2J7jLCFpS4xc5QgSkUoWsVfa0c4e86ED//Z",
    4: "gABAAEFAAAAAAAAAAAAAAAABwYECQoLDP/aAAgBAQAEAADn/wCrkM3Tbibc3Nzdmctzc3N21fbm5ubv/9k=",
    5: "wABAAICAwAAAAAAAAAAAAAACAYHBAkKCwz/2gAIAQEABQAA8/8A5chm9m7E70v9FJXmcqtbMFmdq+4na+Ngf//Z",
    6: "wABAAICAwAAAAAAAAAAAAAACgYJBAcICwz/2gAIAQEABgAA8/8A5chm+zbE+fFl9s1zrOUFpCTyrDtX2PNVcY8P/9k=",
    7: "wAAAgIDAQAAAAAAAAAAAAAACQoGCwQHCAz/2gAIAQEABwAA8/8A5chm+zSJ9+k/MCcNzlkdolstw21feRfTsFbFf//Z",
}


@pytest.mark.parametrize("rule", RULES)
def test_jpeg_without_losses_is_unpacked_by_each_rule(rule: int) -> None:
    wanted = np.arange(20).reshape(4, 5) ** 2 * 11 % 4096
    np.testing.assert_array_equal(unpack(base64.b64decode(_HEAD + RULES[rule]))[..., 0], wanted)


def test_a_palette_is_resolved(tmp_path: Path) -> None:
    indices = _random(3, np.uint8)
    colours = np.array([[0, 0, 0], [255, 0, 10], [7, 255, 0], [9, 8, 255]])
    tags = {}
    for place, name in enumerate(("Red", "Green", "Blue")):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = (colours[:, place] * 257).astype("<u2").tobytes()
    path = dicom(tmp_path / "a.dcm", indices, PhotometricInterpretation="PALETTE COLOR", **tags)
    np.testing.assert_array_equal(read_picture(path), colours[indices].astype(np.uint8))
    assert picture_channels(path) == 3


WINDOWS = {
    "a line": {"WindowCenter": 1000, "WindowWidth": 800},
    "the first of several": {"WindowCenter": [1000, 40], "WindowWidth": [800, 400]},
    "an exact line": {"WindowCenter": 1000, "WindowWidth": 801.5, "VOILUTFunction": "LINEAR_EXACT"},
    "a sigmoid": {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"},
    "of rescaled values": {"WindowCenter": -100, "WindowWidth": 900, "RescaleSlope": "0.5", "RescaleIntercept": -600},
    "a table": {"VOILUTSequence": [table(np.arange(4095, -1, -1) // 2 * 2, 0, 12)]},
    "a table of rescaled values": {
        "ModalityLUTSequence": [table(np.arange(4096) // 3, 0, 16)],
        "VOILUTSequence": [table(np.sqrt(np.arange(1366)) / np.sqrt(1365) * 4095, 0, 12)],
    },
}


@pytest.mark.parametrize("kind", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("name", WINDOWS)
def test_black_and_white_are_those_of_pydicoms_window(tmp_path: Path, name: str, kind: str) -> None:
    path = dicom(tmp_path / "d" / "x" / "a.dcm", GREY12, bits=12, PhotometricInterpretation=kind, **WINDOWS[name])
    shades = _shades(tmp_path)
    held = pydicom.dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(held.pixel_array, held), held, prefer_lut=True).astype(float)
    ends = (-600.0, -600 + 4095 / 2) if "RescaleSlope" in WINDOWS[name] else (0.0, 4095.0)  # as pydicom has them
    wanted = (shown - ends[0]) / (ends[1] - ends[0]) * 255
    np.testing.assert_allclose(shades, 255 - wanted if kind == "MONOCHROME1" else wanted, atol=0.05)


def _shades(root: Path) -> np.ndarray:
    """The grey picture of d/x/a.dcm as a network of the data set in ``root`` gets it, before its intensities."""
    dataset = open_dataset(b.table("image_folder", split="fraction", classes=("x", "y")), "classification", root)
    return read_case(dataset, next(case for case in dataset.cases if case.id == "a")).image[0]


@pytest.fixture(autouse=True)
def _second_class(tmp_path: Path) -> None:
    b.picture(tmp_path / "d" / "y" / "other.png")


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 9000, "WindowWidth": 10},  # of no value there
        {"WindowCenter": 500, "WindowWidth": 0},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": 500, "WindowWidth": 100, "VOILUTFunction": "CURVE"},
    ],
)
def test_a_window_that_shows_nothing_gives_way_to_the_bits_that_are_stored(tmp_path: Path, window: dict) -> None:
    dicom(tmp_path / "d" / "x" / "a.dcm", GREY12 // 2, bits=12, **window)
    if window.get("VOILUTFunction"):
        assert read_dicom(tmp_path / "d" / "x" / "a.dcm")[1] == (450.0, 550.0)
        return
    np.testing.assert_allclose(_shades(tmp_path), (GREY12 // 2) / 4095 * 255, rtol=1e-6)


def _data(root: Path, dicoms: bool) -> Dataset:
    """Pictures of 12 bits with masks; as DICOM, packed in several ways, or as PNG."""
    for place in range(6):
        pixels = _random(4095 - 10 * place, shape=(32, 40))
        mask = np.zeros((32, 40), np.uint8)
        mask[4:9, 3 : 12 + place] = 255
        name = root / "d" / "images" / f"p{place}"
        if dicoms:
            dicom(name.with_suffix(".dcm"), pixels, bits=12, packed=("", "rle", "lossless", "jls")[place % 4])
        else:
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(name.with_suffix(".png"))
        (root / "d" / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "d" / "masks" / f"p{place}.png")
    keys = {"labels": "masks", "classes": ("a",), "split": "fraction", "size": (16, 16)}
    dataset_table = b.table("image_pairs", **keys)
    return check_dataset(open_dataset(dataset_table, "segmentation", root), dataset_table)


def test_a_data_set_in_dicom_has_the_content_and_the_samples_of_the_one_in_png(tmp_path: Path) -> None:
    ours, theirs = _data(tmp_path / "dicom", dicoms=True), _data(tmp_path / "png", dicoms=False)
    assert theirs.value_range == (0.0, 4095.0)
    assert ours.channels == theirs.channels == 1
    for one, other in zip(ours.cases, theirs.cases, strict=True):
        assert one.facts is not None
        assert other.facts is not None
        assert (one.id, one.split, one.facts.image, one.facts.truth) == (
            *(other.id, other.split, other.facts.image, other.facts.truth),
        )
        raw, wanted = read_case(ours, one), read_case(theirs, other)
        assert raw.image.dtype == wanted.image.dtype == np.float32
        np.testing.assert_array_equal(raw.image, wanted.image)
        np.testing.assert_array_equal(raw.label, wanted.label)
    both = replace(theirs, cases=(*theirs.cases, *(replace(case, id=f"copy {case.id}") for case in ours.cases)))
    assert check_dataset(both, b.table("image_pairs", size=(16, 16), classes=("a",))).notes[-1].startswith("6 images")


def test_a_table_may_name_files_without_an_ending(tmp_path: Path) -> None:
    names = ("IM0001", "1.2.840.113654.2", "x.dicom", "y.DCM")
    for place, name in enumerate(names):
        dicom(tmp_path / "d" / "scans" / name, np.roll(GREY8, place))
    b.csv_table(tmp_path / "d", [f"scans/{name},{'ab'[place % 2]}" for place, name in enumerate(names)])
    keys = b.table("csv", split="fraction")
    dataset = check_dataset(open_dataset(keys, "classification", tmp_path), keys)
    assert (dataset.spatial_dims, dataset.channels, len(dataset.cases)) == (2, 3, 4)
    assert dataset.notes == open_dataset(keys, "classification", tmp_path).notes


def test_masks_in_dicom_have_their_values(tmp_path: Path) -> None:
    mask = _random(3, np.uint8)
    path = dicom(tmp_path / "m.dcm", mask, WindowCenter=1, WindowWidth=2)
    np.testing.assert_array_equal(read_mask_picture(path), mask)
    for pixels, tags, said in (
        (mask, {"PhotometricInterpretation": "MONOCHROME1"}, "in which 0 is white"),
        (COLOUR, {}, "a mask in colours"),
        (mask, {"packed": "jpeg"}, "JPEG blurs class indices"),
    ):
        with pytest.raises((OSError, ValueError), match=said):
            read_mask_picture(dicom(tmp_path / "odd.dcm", pixels, **tags))


REFUSED = {
    "frames": ({"NumberOfFrames": 30}, "it holds 30 frames"),
    "huge": ({"Rows": 60_000, "Columns": 60_000}, "more than 178,956,970 pixels"),
    "more than it can hold": (
        {"Rows": 12_000, "Columns": 12_000, "BitsStored": 16},
        "its header asks for 12000 x 12000 pixels",
    ),
    "cut off": ({"Rows": 40}, "it is cut off: 714 of 840 bytes of pixels"),
    "no rows": ({"Rows": None}, "its header says no Rows"),
    "no pixels": ({"PixelData": None}, "it holds no picture: it is Digital X-Ray Image Storage"),
    "bits": ({"BitsStored": 0}, "0 bits a value"),
    "kind": ({"PhotometricInterpretation": "CMYK"}, "its colours are of a rare kind"),
    "samples": ({"SamplesPerPixel": 3}, "3 values a pixel in MONOCHROME2"),
    "planes": ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "Rows": 11}, "Planar Configuration"),
    "signs": ({"PixelRepresentation": 7}, "Pixel Representation"),
    "slope": ({"RescaleSlope": 0}, "rescaled by 0 and 0"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    tags, said = REFUSED[name]
    path = again(dicom(tmp_path / "d" / "x" / "a.dcm", GREY8), **tags)
    dataset = open_dataset(b.table("image_folder", split="fraction"), "classification", tmp_path)
    with pytest.raises(DataError) as caught:
        read_case(dataset, next(case for case in dataset.cases if case.images[0] == path))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
    assert not any(secret in str(caught.value) for secret in PATIENT.values())


def test_packed_pixels_of_another_size_or_kind_are_refused(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", GREY8, packed="j2k")
    again(path, Rows=16)
    with pytest.raises(OSError, match="21 x 16 pixels, and there are 21 x 34"):
        read_picture(path)
    held = pydicom.dcmread(dicom(path, GREY8, packed="j2k"))
    held.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless
    held.save_as(path)
    with pytest.raises(OSError, match="packed as High-Throughput JPEG 2000"):
        read_picture(path)
    held.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    held.PixelData = GREY8.tobytes()
    held.save_as(path)
    with pytest.raises(OSError, match="deflated"):
        read_picture(path)
    path.write_bytes(path.read_bytes()[132:])
    with pytest.raises(OSError, match="without its first 132 bytes"):
        read_picture(path)


READ_ALL = """
import sys
from pathlib import Path
from engine.data.pictures import picture_size, read_mask_picture, read_picture
from engine.data.read import UNREADABLE, why
for path in sorted(Path(sys.argv[1]).glob("f*.dcm")):
    for read in (read_picture, read_mask_picture, picture_size):
        try:
            read(path)
        except UNREADABLE as error:
            assert why(error), path
print("done")
"""


def test_changed_bytes_are_read_or_told_and_pydicom_says_nothing(tmp_path: Path) -> None:
    """In a process of its own, since the decoders are no Python."""
    random = np.random.default_rng(0)
    sources = [dicom(tmp_path / f"s{place}.dcm", pixels, **how) for place, (pixels, how, _) in enumerate(SAME.values())]
    for place in range(300):
        raw = bytearray(sources[place % len(sources)].read_bytes())
        for at in random.integers(128, len(raw), random.integers(1, 6)):
            raw[at] = random.integers(0, 256)
        raw = raw[: random.integers(200, len(raw))] if place % 5 == 0 else raw
        (tmp_path / f"f{place}.dcm").write_bytes(raw)
    done = subprocess.run([sys.executable, "-c", READ_ALL, tmp_path], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "pydicom" not in done.stderr
    assert "Warning" not in done.stderr


def _one_bit(path: Path, frames: np.ndarray, **tags: object) -> Path:
    """``frames`` (N, H, W) of 0 and 1, a bit a value."""
    dicom(path, frames[0])
    count = {"NumberOfFrames": len(frames)} if len(frames) > 1 else {}
    raw = pack_bits(frames, pad=True)
    return again(path, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=raw, **count, **tags)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_one_bit_a_value_is_black_and_white_as_in_png(kind: str, tmp_path: Path) -> None:
    values = _random(1, np.uint8)
    path = _one_bit(tmp_path / "a.dcm", values[None], PhotometricInterpretation=kind)
    shown = 255 * (values if kind[-1] == "2" else 1 - values)
    Image.fromarray(shown).convert("1").save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png"), shown)
    found, ends = read_dicom(path)
    assert np.array_equal(to_shades(found, ends), shown)
    if kind[-1] == "2":
        Image.fromarray(values * 255).convert("1").save(tmp_path / "m.png")
        assert np.array_equal(read_mask_picture(path), values)
        assert np.array_equal(read_mask_picture(tmp_path / "m.png"), values)


def test_frames_of_one_bit_begin_within_bytes(tmp_path: Path) -> None:
    values = _random(1, np.uint8, (5, 7, 9))  # 63 bits each
    path = _one_bit(tmp_path / "a.dcm", values)
    found = np.stack([*decoded_frames(path)])
    assert np.array_equal(found, values)
    assert np.array_equal(found, pydicom.dcmread(path).pixel_array)
    again(path, PixelData=bytes(38))
    with pytest.raises(OSError, match="it is cut off: 38 of 40 bytes of pixels"):
        list(decoded_frames(path))
