"""Pictures, volumes and lists of data sets."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
from PIL import Image

from engine.data import open_dataset
from engine.models import build_model
from engine.recipe import DataTable, parse_recipe
from tests.engine.recipe.good import SEGMENTATION
from tests.faults.strangers.made import (
    Act,
    atrium,
    case,
    h5_case,
    photos,
    secret,
    volumes,
)


def _png(folder: Path, wide: int, high: int, colour: int, row: bytes) -> Act:
    """A PNG of few bytes that says and holds ``wide`` x ``high`` pixels."""
    act = photos(folder)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", wide, high, 8, colour, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (folder / "photos" / "a" / "0.png").write_bytes(content)
    return act


@case
def picture_of_178_million_pixels(folder: Path) -> Act:
    return _png(folder, 13_300, 13_300, 6, bytes(1000))


@case
def picture_of_four_billion_pixels(folder: Path) -> Act:
    return _png(folder, 65_000, 65_000, 0, bytes(1000))


@case
def picture_that_is_postscript(folder: Path) -> Act:
    act = photos(folder)
    touched = f"({folder}/touched) (w) file closefile"
    (folder / "photos" / "a" / "0.png").write_text(
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{touched}\nshowpage\n"
    )
    return act


@case
def picture_of_a_format_not_in_the_list(folder: Path) -> Act:
    act = photos(folder)
    Image.new("L", (9, 9)).save(folder / "photos" / "a" / "0.png", format="PCX")
    return act


@case
def picture_tiff_that_points_at_itself(folder: Path) -> Act:
    act = photos(folder)
    tags = [(256, 4, 1, 1 << 16), (257, 4, 1, 1 << 15), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1 << 30, 8)]
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    (folder / "photos" / "a" / "0.png").write_bytes(b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", 8))
    return act


def _nifti(folder: Path, shape: tuple[int, ...], begin: float = 352.0, kind: type = np.int16, size: int = 4000) -> Act:
    act = volumes(folder)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(kind)
    header["dim"][: len(shape) + 1] = (len(shape), *shape)
    header["magic"], header["vox_offset"] = b"n+1", begin
    packed = zlib.compressobj(1, wbits=31)
    content = packed.compress(header.binaryblock + b"\1\0\0\0" + struct.pack("<ii", 2**31 - 16, 4))
    (folder / "odd" / "images" / "0.nii.gz").write_bytes(content + packed.compress(bytes(size)) + packed.flush())
    return act


@case
def volume_that_claims_two_billion_voxels(folder: Path) -> Act:
    return _nifti(folder, (1290, 1290, 1290))


@case
def volume_of_negative_size(folder: Path) -> Act:
    return _nifti(folder, (-9, -8, 7))


@case
def volume_behind_two_gigabytes(folder: Path) -> Act:
    return _nifti(folder, (9, 8, 7), begin=2e9)


@case
def volume_that_begins_nowhere(folder: Path) -> Act:
    return _nifti(folder, (9, 8, 7), begin=float("nan"))


@case
def volume_bomb_of_half_a_gigabyte(folder: Path) -> Act:
    return _nifti(folder, (700, 700, 700), kind=np.uint8, size=343_000_000)


@case
def volume_that_is_a_mesh(folder: Path) -> Act:
    act = volumes(folder)
    (folder / "odd" / "images" / "0.nii.gz").write_text(
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><GIFTI/>'
    )
    return act


def _h5_written(folder: Path, write: Callable[[h5py.File], object]) -> Act:
    act = atrium(folder)
    path = folder / "atrium" / "0" / "mri_norm2.h5"
    h5_case(path)
    with h5py.File(path, "r+") as file:
        write(file)
    return act


@case
def h5_link_to_another_file(folder: Path) -> Act:
    other = str(secret(folder))
    return _h5_written(folder, lambda file: file.__setitem__("image", h5py.ExternalLink(other, "/image")))


@case
def h5_link_in_a_circle(folder: Path) -> Act:
    return _h5_written(folder, lambda file: file.__setitem__("image", h5py.SoftLink("/image")))


@case
def h5_values_in_another_file(folder: Path) -> Act:
    other = [(str(secret(folder)), 0, 9 * 8 * 7 * 4)]
    return _h5_written(folder, lambda file: file.create_dataset("image", (9, 8, 7), np.float32, external=other))


@case
def h5_virtual_over_another_file(folder: Path) -> Act:
    layout = h5py.VirtualLayout((9, 8, 7), np.float32)
    layout[:] = h5py.VirtualSource(str(secret(folder)), "image", (9, 8, 7))
    return _h5_written(folder, lambda file: file.create_virtual_dataset("image", layout))


@case
def h5_of_gigabytes_never_written(folder: Path) -> Act:
    return _h5_written(
        folder, lambda file: file.create_dataset("image", (1200, 1200, 1200), np.float64, chunks=(64, 64, 64))
    )


@case
def h5_of_values_of_a_gigabyte_each(folder: Path) -> Act:
    return _h5_written(folder, lambda file: file.create_dataset("image", (9, 8, 7), np.dtype("V1000000"), chunks=True))


@case
def h5_of_texts_and_of_nothing(folder: Path) -> Act:
    return _h5_written(folder, lambda file: file.create_dataset("image", data=h5py.Empty("f")))


def _decathlon(folder: Path, text: str) -> Act:
    (folder / "d" / "imagesTr").mkdir(parents=True)
    (folder / "d" / "dataset.json").write_text(text)
    table = DataTable(source="decathlon", root="d", size=(8, 8, 8))
    return lambda: open_dataset(table, "segmentation", folder)


@case
def dataset_json_of_many_lists(folder: Path) -> Act:
    return _decathlon(folder, "[" + "[]," * 20_000_000 + "[]]")


@case
def dataset_json_nested(folder: Path) -> Act:
    return _decathlon(folder, '{"training":' * 100_000)


@case
def dataset_json_of_paths_elsewhere(folder: Path) -> Act:
    rows = [{"image": "../../secret.nii.gz", "label": "/etc/passwd"}, {"image": 3}, [], {"image": "\0", "label": "~/x"}]
    return _decathlon(folder, json.dumps({"labels": {"1": "a"}, "modality": {"0": "x"}, "training": rows}))


@case
def dataset_csv_of_millions_of_bad_rows(folder: Path) -> Act:
    (folder / "t").mkdir()
    (folder / "t" / "table.csv").write_text("path,label\n" + "../a,\n" * 8_000_000)
    table = DataTable(source="csv", root="t", size=(8, 8))
    return lambda: open_dataset(table, "classification", folder)


@case
def list_of_one_id_a_million_times(folder: Path) -> Act:
    act = atrium(folder)
    (folder / "atrium" / "train.list").write_text("0\n" * 1_000_000)
    return act


@case
def dataset_csv_of_100000_classes(folder: Path) -> Act:
    (folder / "t").mkdir()
    (folder / "t" / "table.csv").write_text("path,label\n" + "".join(f"{n}.png,c{n}\n" for n in range(100_000)))
    table = DataTable(source="csv", root="t", size=(8, 8), split="fraction")
    return lambda: open_dataset(table, "classification", folder)


@case
def folder_that_links_to_the_root(folder: Path) -> Act:
    act = photos(folder)
    (folder / "photos" / "c").symlink_to("/")
    return act


@case
def recipe_of_a_network_of_gigabytes(folder: Path) -> Act:
    text = SEGMENTATION.replace('name = "unet3d"', f'name = "resunet"\nchannels = {[4096] * 6}')
    table = parse_recipe(text).model
    parts = {"task": "segmentation", "channels": 1, "classes": 1, "spatial_dims": 3, "size": (256, 256, 256)}
    return lambda: build_model(table, root=folder, **parts)  # type: ignore[arg-type]
