"""What a file is that is not what its name says: by its first bytes, in words with the way out."""

import zlib
from typing import BinaryIO

_TABLE = "save the sheet as CSV"
_SIGNS = (
    (0, b"version https://git-lfs", "a pointer of Git LFS: git lfs pull brings the file"),
    (0, b"/annex/objects", "a pointer of git-annex: git annex get brings the file"),
    (128, b"DICM", "DICOM: call it .dcm; a volume is the folder of a series"),
    (0, b"NRRD", "NRRD: call it .nrrd"),
    (0, b"ObjectType", "MetaImage: call it .mha"),
    (0, b"PK\x03\x04", f"a ZIP archive or a workbook: unpack it, or {_TABLE}"),
    (0, b"\xd0\xcf\x11\xe0", f"a workbook of an old Excel: {_TABLE}"),
    (0, b"\x1f\x8b", "packed by gzip: unpack it"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (344, b"n+1\0", "a NIfTI volume"),
    (4, b"n+2\0", "a NIfTI volume"),
    (0, b"<!DOCTYPE", "a web page: its download failed"),
    (0, b"<!doctype", "a web page: its download failed"),
    (0, b"<html", "a web page: its download failed"),
)


def kind_of(head: bytes) -> str:
    """What a file that begins with ``head`` (512 bytes) is, in words; "" where that is not known."""
    if not head:
        return "an empty file"
    return next((words for at, sign, words in _SIGNS if head[at:].startswith(sign)), "")


def kind_in(stream: BinaryIO, *, packed: bool = False) -> str:
    """`kind_of` a file from its beginning, with ``: it is`` before it; ``packed``: of what gzip packed in it."""
    stream.seek(0)
    head = stream.read(512)
    if packed and head[:2] == b"\x1f\x8b":
        head = zlib.decompressobj(31).decompress(head, 512)
    kind = kind_of(head)
    return f": it is {kind}" if kind else ""
