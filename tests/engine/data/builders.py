"""Writers of small data sets, whole or spoiled, in every layout."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.data.phantom_volumes import write_nifti
from engine.recipe import DataTable

SHAPE = (12, 14, 10)


def volume(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def mask(shape: tuple[int, ...] = SHAPE, value: int = 1) -> npt.NDArray[np.uint8]:
    label = np.zeros(shape, np.uint8)
    label[3:7, 4:9, 2:6] = value
    return label


def affine(*sides: float) -> npt.NDArray[np.float64]:
    return np.diag([*(sides or (1.0, 1.0, 1.0)), 1.0])


def decathlon(folder: Path, cases: int = 5) -> Path:
    """``cases`` volumes c0, c1, ... with one class, and their dataset.json."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    rows = []
    for index in range(cases):
        write_nifti(folder / "imagesTr" / f"c{index}.nii.gz", volume(index), affine())
        write_nifti(folder / "labelsTr" / f"c{index}.nii.gz", mask(), affine())
        rows.append({"image": f"./imagesTr/c{index}.nii.gz", "label": f"./labelsTr/c{index}.nii.gz"})
    write_json(folder, {"name": "Small", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "organ"}}, rows)
    return folder


def write_json(folder: Path, values: dict[str, object], rows: list[dict[str, str]]) -> None:
    (folder / "dataset.json").write_text(json.dumps({**values, "training": rows, "test": []}), encoding="utf-8")


def nnunet(folder: Path, *, channels: int = 2, test: bool = True) -> Path:
    for part, count in (("Tr", 4), ("Ts", 2 if test else 0)):
        for name in (f"images{part}", f"labels{part}"):
            if count:
                (folder / name).mkdir(parents=True)
        for index in range(count):
            for channel in range(channels):
                path = folder / f"images{part}" / f"{part}{index}_{channel:04d}.nii.gz"
                write_nifti(path, volume(10 * index + channel + 500 * (part == "Ts")), affine(1, 1, 2))
            write_nifti(folder / f"labels{part}" / f"{part}{index}.nii.gz", mask(), affine(1, 1, 2))
    value = {
        "channel_names": {str(channel): "MRI" for channel in range(channels)},
        "labels": {"background": 0, "organ": 1},
        "file_ending": ".nii.gz",
        "numTraining": 4,
    }
    (folder / "dataset.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def pairs(folder: Path, parts: tuple[str, ...] = ("",), cases: int = 4) -> Path:
    for place, part in enumerate(parts):
        for name in ("images", "labels"):
            (folder / name / part).mkdir(parents=True, exist_ok=True)
        for index in range(cases):
            stem = f"{part}{index}.nii.gz"
            write_nifti(folder / "images" / part / stem, volume(index + 100 * place), affine(1, 2, 3))
            write_nifti(folder / "labels" / part / stem, mask(), affine(1, 2, 3))
    return folder


def case_folders(
    folder: Path, channels: tuple[str, ...], mask_name: str, cases: int = 4, *, named: bool = True
) -> Path:
    """``cases`` folders, of which the files begin with the name of theirs if ``named``."""
    for index in range(cases):
        place = folder / f"BraTS20_{index:03d}"
        place.mkdir(parents=True)
        before = f"{place.name}_" if named else ""
        for channel, name in enumerate(channels):
            write_nifti(place / f"{before}{name}.nii.gz", volume(10 * index + channel), affine(1, 2, 3))
        write_nifti(place / f"{before}{mask_name}.nii.gz", mask(), affine(1, 2, 3))
    return folder


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (20, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def image_folder(folder: Path, parts: tuple[str, ...] = ("",), each: int = 4) -> Path:
    for place, part in enumerate(parts):
        for label in ("cat", "dog"):
            for index in range(each):
                seed = index + 100 * place + 1000 * (label == "dog")
                picture(folder / part / label / f"{label}{part}{index}.png", seed)
    return folder


def csv_table(folder: Path, rows: list[str], header: str = "path,label") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def rewrite(path: Path, array: npt.NDArray[np.generic], grid: npt.NDArray[np.float64] | None = None) -> None:
    """Replace a NIfTI file's array, and its affine where ``grid`` is given."""
    write_nifti(path, array, nibabel.load(path).affine if grid is None else grid)


def table(source: str, **changes: object) -> DataTable:
    size = (16, 16) if source in {"isic2018", "image_folder", "csv"} and "size" not in changes else (8, 8, 8)
    return DataTable(**{"source": source, "root": "d", "size": size, **changes})
