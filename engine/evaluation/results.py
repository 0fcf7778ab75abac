"""Writes what was measured: ``cases.csv`` and predicted masks."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.data import Dataset
from engine.data.cases import Case
from engine.data.endings import NIFTI
from engine.data.pictures import open_picture, read_mask_picture
from engine.data.read import Masks, to_indices
from engine.data.volumes import open_nifti
from engine.runfolder import RunFolder, write_with
from engine.runfolder.cases import put_rows

Table = tuple[list[str], list[list[str]]]  # header and cells


def write_cases(folder: RunFolder, split: str, table: Table) -> None:
    """Put a split's rows into cases.csv, in place of those that it had."""
    header, body = table
    put_rows(folder, folder.cases, header, {split}, (dict(zip(header, row, strict=True)) for row in body))


MADE_BY = "predicted by medtui"
_COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""Of classes in a mask, to be told apart with any kind of colour vision (Okabe and Ito 2008)."""


def mask_path(folder: Path, name: str, dataset: Dataset) -> Path:
    """The mask file of a case: NIfTI for volumes, PNG for images."""
    return folder / (f"{name}.nii.gz" if dataset.spatial_dims == 3 else f"{name}.png")


def write_mask(path: Path, mask: Masks, *, case: Case, dataset: Dataset, affine: NDArray[np.float64] | None) -> None:
    """Write class indices (*S) as a file with the data set's own label values, of the kind that ``path`` names.

    The header's geometry (sform, qform, their codes, units) is that of the input where that is a
    NIfTI file, else its affine, so that viewers lay the mask over it; the type is uint8, or uint16 where a label
    value needs it. A PNG has S = (H, W), the size of the upright input: indices that are the label values,
    with a palette that gives each a colour; in 16 bits grey values.
    """
    kind = np.uint16 if max(dataset.label_values, default=1) > 255 else np.uint8
    values = np.array([0, *dataset.label_values], dtype=kind)
    data = values[mask]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        note = PngInfo()
        note.add_text("Description", MADE_BY)
        picture = Image.fromarray(data)
        if data.dtype == np.uint8:
            picture.putpalette(_palette(dataset.label_values))
        write_with(path, lambda temporary: picture.save(temporary, format="PNG", pnginfo=note))
        return
    source = case.images[0]
    if source.name.lower().endswith(NIFTI):
        header = open_nifti(source).header.copy()
        image = nibabel.Nifti1Image(data, None, header)
    else:
        image = nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine)
        if affine is not None:
            image.set_sform(affine, 1)
            image.set_qform(affine, 1)
            image.header.set_xyzt_units("mm")
    image.set_data_dtype(data.dtype)
    image.header.set_slope_inter(1, 0)
    image.header["descrip"] = MADE_BY
    write_with(path, lambda temporary: nibabel.save(image, temporary))


def _palette(label_values: Sequence[int]) -> list[int]:
    """Red, green and blue of 256 indices: black, and a colour for each label value."""
    colours = np.zeros((256, 3), np.uint8)
    for index, value in enumerate(label_values):
        colours[value] = _COLOURS[index % len(_COLOURS)]
    return [int(part) for part in colours.ravel()]


def is_predicted(path: Path) -> bool:
    """Whether the mask file at ``path`` is one that `write_mask` wrote, so that a newer may take its place."""
    try:
        if path.suffix == ".png":
            with open_picture(path) as image:
                return image.info.get("Description") == MADE_BY
        return bool(open_nifti(path).header["descrip"].tobytes().rstrip(b"\0") == MADE_BY.encode())
    except (OSError, ValueError, KeyError, SyntaxError, ImageFileError):
        return False


def read_mask(path: Path, dataset: Dataset) -> Masks:
    """What `write_mask` wrote, as class indices (*S)."""
    data = read_mask_picture(path) if path.suffix == ".png" else np.asarray(open_nifti(path).dataobj)
    return to_indices(data, dataset.label_values, np.unique(data).tolist())
