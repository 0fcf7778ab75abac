"""Files are whole or not at all, whatever happens in between."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.runfolder import write_bytes, write_text, write_with

ROOT = Path(__file__).resolve().parents[3]


def test_a_file_is_replaced_and_is_private(tmp_path):
    path = tmp_path / "a"
    write_text(path, "one")
    write_text(path, "zwei äöü")
    assert path.read_text(encoding="utf-8") == "zwei äöü"
    assert path.stat().st_mode & 0o077 == 0
    assert os.listdir(tmp_path) == ["a"]


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_bytes(path, b"old")

    def fail(temporary: Path) -> None:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"half")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write_with(path, fail)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.nii.gz"]


def test_a_disk_that_fails_at_fsync_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def fail(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_is_gone_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "gone" / "a", b"x")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "a").symlink_to(tmp_path / "precious")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink()


WRITE = """
import sys, zlib
from pathlib import Path
from engine.runfolder import write_bytes
n = 0
while True:
    n += 1
    body = (str(n) * 200_000).encode()
    write_bytes(Path(sys.argv[1]), str(zlib.crc32(body)).encode() + b"\\n" + body, durable=False)
    if n == 1:
        print("going", flush=True)
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    import zlib

    path = tmp_path / "a"
    draw = random.Random(1)
    for _ in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(draw.random() * 0.05)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        checksum, _, body = path.read_bytes().partition(b"\n")
        assert int(checksum) == zlib.crc32(body)


@pytest.mark.parametrize("write", [lambda path: write_bytes(path, b"x"), lambda path: write_with(path, Path.touch)])
def test_an_error_names_the_file_and_not_the_one_beside_it(tmp_path, write, monkeypatch):
    place = tmp_path / "report.html"
    place.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write(place)
    assert (caught.value.filename, caught.value.filename2) == (str(place), None)
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "gone" / "report.html")
    assert caught.value.filename == str(tmp_path / "gone" / "report.html")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        write(Path("gone") / "report.html")
    assert caught.value.filename == "gone/report.html"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
