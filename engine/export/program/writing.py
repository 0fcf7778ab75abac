"""Masks and tables, each of which is there as a whole or not at all."""

import csv
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engine.export.program.faults import UnusableError

Array = np.ndarray[Any, Any]

MADE_BY = "predicted by medtui"
COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside ``path``, which takes its place when all of it is written."""
    beside = path.with_name(f".writing.{path.name}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        why = f"cannot write {path}: {error.strerror or error}; other results are whole: name another folder with -o"
        raise UnusableError(why) from error
    finally:
        beside.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """A folder that can be written to: to be told before hours of work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        why = f"cannot write into {path}: {error.strerror or error}; name another folder with -o"
        raise UnusableError(why) from error


def write_mask(path: Path, mask: Array, values: Sequence[int], *, header: Any = None, affine: Array | None) -> None:
    """Class indices (*S) as a file of the kind that ``path`` names, in the geometry of the input.

    Args:
        path: a PNG, or NIfTI.
        mask: 0 for the background, i + 1 for ``values[i]``.
        values: the label values of training.
        header: of the input where that is NIfTI.
        affine: (4, 4) of the input, from voxels to mm; None of a picture.
    """
    data = np.array([0, *values], np.uint16 if max(values, default=1) > 255 else np.uint8)[mask]
    with whole(path) as beside:
        if path.suffix == ".png":
            _write_png(beside, data, values)
        else:
            _write_nifti(beside, data, header, affine)


def _write_png(path: Path, data: Array, values: Sequence[int]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    note, picture = PngInfo(), Image.fromarray(data)
    note.add_text("Description", MADE_BY)
    if data.dtype == np.uint8:
        palette = np.zeros((256, 3), np.uint8)
        palette[list(values)] = [COLOURS[index % len(COLOURS)] for index in range(len(values))]
        picture.putpalette(palette.ravel().tolist())
    picture.save(path, format="PNG", pnginfo=note)


def _write_nifti(path: Path, data: Array, header: Any, affine: Array | None) -> None:
    import nibabel

    if header is not None:
        image = nibabel.Nifti1Image(data, None, header.copy())
    else:
        image = nibabel.Nifti1Image(data, affine)
        image.set_sform(affine, 1)  # 1: scanner coordinates
        image.set_qform(affine, 1)
        image.header.set_xyzt_units("mm")
    image.set_data_dtype(data.dtype)
    image.header.set_slope_inter(1, 0)
    image.header["descrip"] = MADE_BY
    nibabel.save(image, path)


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """A CSV file; a name that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    for row in rows:
        odd = any("\r" in cell for cell in row)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL).writerow(
            [_escaped(cell) for cell in row]
        )
    with whole(path) as beside:  # names that are no Unicode are spelt out
        beside.write_text(text.getvalue(), encoding="utf-8", errors="backslashreplace", newline="")


def _escaped(cell: str) -> str:
    """``cell`` as text for a spreadsheet."""
    try:
        float(cell)
    except ValueError:
        return f"'{cell}" if re.match(r"'*[=+\-@\t\r]", cell) else cell
    return cell
