"""Formats that nobody reads: one line each."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from engine.data.pictures import read_picture
from engine.data.unread import unread
from engine.data.volumes import read_volume


def test_each_format_is_one_line_with_the_way_out(tmp_path):
    odd = tmp_path / "IM0001"
    odd.write_bytes(b"\0" * 128 + b"DICM")
    called = tmp_path / "1.2.840.7"  # by its identifier
    called.write_bytes(odd.read_bytes())
    plain = tmp_path / "README"
    plain.write_text("words")
    paths = [
        *(Path(f"{n}.dcm") for n in range(412)),
        Path("a.MGZ"),
        Path("b.nii.gz"),
        Path("b.nrrd"),
        odd,
        called,
        plain,
    ]
    (line,) = [str(problem) for problem in unread(paths, 3)]  # a slice of DICOM stands for its series
    assert line.startswith("a.MGZ: volumes of this kind are not read")


SIGNS = {
    "empty": (b"", "an empty file"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
    "dicom": (bytes(128) + b"DICM" + bytes(300), "DICOM: call it .dcm"),
    "page": (b"<!DOCTYPE html><p>404", "a web page"),
    "twice": (gzip.compress(gzip.compress(bytes(400))), "packed by gzip"),
}


@pytest.mark.parametrize("name", SIGNS)
def test_a_file_under_the_name_of_another_format_is_said_to_be_what_it_is(tmp_path, name):
    content, said = SIGNS[name]
    for read, ending in ((read_volume, ".nii.gz"), (read_picture, ".png")):
        path = tmp_path / f"a{ending}"
        path.write_bytes(content)
        with pytest.raises((OSError, ValueError), match=f"it is no .*: it is {said}"):
            read(path)


def test_pictures_and_volumes_are_foreign_to_each_other():
    assert [problem.what for problem in unread([Path("a.png"), Path("b.png")], 3)] == [
        "pictures, where volumes are wanted"
    ]
    assert [problem.what for problem in unread([Path("a.nii.gz")], 2)] == ["volumes, where pictures are wanted"]
    assert unread([Path("a.png")], 2) == ()
