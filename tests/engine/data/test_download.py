"""Archives from outside: what is whole and honest arrives, everything else leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from engine.data import archives
from engine.data.archives import unpack
from engine.data.catalog import DATASETS, KnownDataset, find_dataset
from engine.data.download import download
from engine.errors import RunError, UsageError

GOOD = {"Set/dataset.json": b"{}", "Set/imagesTr/a.nii.gz": b"\x1f\x8b" * 400}


def tar(path: Path, files: dict[str, bytes], *odd: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in odd:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def zipped(path: Path, files: dict[str, bytes], *odd: zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for member in odd:
            archive.writestr(member, "/etc/passwd")
    return path


def data_set(archive: Path, **changes: str) -> KnownDataset:
    known = replace(
        find_dataset("hippocampus"),
        folder="Set",
        url=archive.as_uri(),
        md5=hashlib.md5(archive.read_bytes()).hexdigest(),
    )
    return replace(known, **changes)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("make", "mode"), [(tar, "w"), (tar, "w:gz"), (tar, "w:xz"), (zipped, None)], ids=["tar", "gz", "xz", "zip"]
)
def test_a_good_archive_arrives_whole(tmp_path, capsys, make, mode):
    archive = make(tmp_path / "archive", GOOD, **({"mode": mode} if mode else {}))
    place = download(data_set(archive), tmp_path / "data")
    assert place == tmp_path / "data" / "Set"
    assert {name: (place.parent / name).read_bytes() for name in GOOD} == GOOD
    assert everything(tmp_path / "data") == ["Set", "Set/dataset.json", "Set/imagesTr", "Set/imagesTr/a.nii.gz"]
    assert "downloading hippocampus" in capsys.readouterr().err


def test_what_is_there_is_not_fetched_again(tmp_path):
    (tmp_path / "Set").mkdir()
    (tmp_path / "Set" / "dataset.json").touch()
    gone = replace(find_dataset("hippocampus"), folder="Set", url="file:///no/such/file", md5="0" * 32)
    assert download(gone, tmp_path) == tmp_path / "Set"


def test_a_folder_in_the_way_is_left_alone(tmp_path):
    archive = tar(tmp_path / "archive", GOOD)
    (tmp_path / "data" / "Set").mkdir(parents=True)
    (tmp_path / "data" / "Set" / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds something else"):
        download(data_set(archive), tmp_path / "data")
    assert everything(tmp_path / "data") == ["Set", "Set/notes.txt"]


def test_an_archive_with_another_top_folder_is_taken(tmp_path):
    other = tar(tmp_path / "other", {name.replace("Set/", "v1.0/"): content for name, content in GOOD.items()})
    bare = tar(tmp_path / "bare", {name.replace("Set/", ""): content for name, content in GOOD.items()})
    for number, archive in enumerate((other, bare)):
        assert (download(data_set(archive), tmp_path / str(number)) / "dataset.json").exists()
        assert everything(tmp_path / str(number))[0] == "Set"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"md5": "0" * 32}, "MD5 sum"),
        ({"marker": "absent.json"}, "holds no absent.json"),
        ({"url": "file:///no/such/archive.tar"}, "cannot download"),
        ({"url": "http://localhost:1/archive.tar"}, "neither https nor a file"),
        ({"url": "ftp://localhost/archive.tar"}, "neither https nor a file"),
        ({"url": "https://localhost:1/archive.tar"}, "cannot download"),
    ],
)
def test_a_failure_leaves_nothing_behind_and_says_what_to_do(tmp_path, changes, message):
    archive = tar(tmp_path / "archive", GOOD)
    with pytest.raises(RunError, match=message) as caught:
        download(data_set(archive, **changes), tmp_path / "data")
    assert caught.value.hint
    assert everything(tmp_path / "data") == []


def test_without_a_network_the_way_by_hand_is_told(tmp_path):
    known = replace(find_dataset("hippocampus"), url="https://localhost:1/Task04_Hippocampus.tar")
    with pytest.raises(RunError) as caught:
        download(known, tmp_path)
    for piece in (known.url, known.md5, str(tmp_path / "Task04_Hippocampus" / "dataset.json")):
        assert piece in caught.value.hint


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_the_catalog_names_https_and_a_sum_or_says_how(name):
    known = DATASETS[name]
    assert known.url.startswith("https://") == bool(known.md5) == bool(known.url)
    assert known.how


class _Moved(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        else:
            self.send_response(302)
            self.send_header("Location", "ftp://localhost/archive.tar")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("localhost", 0), _Moved) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://localhost:{httpd.server_port}"
        httpd.shutdown()


def test_a_redirect_to_another_scheme_is_refused_and_a_torn_transfer_told(tmp_path, server, monkeypatch):
    archive = tar(tmp_path / "archive", GOOD)
    monkeypatch.setattr("engine.data.web.SCHEMES", ("https", "http"))  # a server with a certificate is no small test
    with pytest.raises(RunError, match="neither https nor a file"):
        download(data_set(archive, url=f"{server}/moved"), tmp_path / "data")
    with pytest.raises(RunError, match="broke after 10 of 1000"):
        download(data_set(archive, url=f"{server}/short"), tmp_path / "data")
    assert everything(tmp_path / "data") == []


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def _zip_link(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


NAMES = ["../out", "Set/../../out", "/out", "Set/..", "C:/out", "..\\out", "Set/a\x1b[2Jb", "a\nb", "\u202egnp.exe"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [tar, zipped])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, make, name):
    archive = make(tmp_path / "archive", {**GOOD, name: b"evil"})
    with pytest.raises(RunError, match="refused"):
        unpack(archive, tmp_path / "in" / "folder")
    assert everything(tmp_path / "in") == ["folder"]


@pytest.mark.parametrize(
    "member",
    [
        _link("Set/link", "/etc/passwd"),
        _link("Set/link", "../../out"),
        _link("Set/link", "dataset.json"),
        _link("Set/hard", "Set/dataset.json", tarfile.LNKTYPE),
        _link("Set/device", "", tarfile.CHRTYPE),
        _link("Set/pipe", "", tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_are_refused(tmp_path, member):
    with pytest.raises(RunError, match="link or a device"):
        unpack(tar(tmp_path / "archive", GOOD, member), tmp_path / "folder")
    assert everything(tmp_path / "folder") == []


def test_a_zip_with_a_link_or_a_name_twice_is_refused(tmp_path):
    with pytest.raises(RunError, match="link or a device"):
        unpack(zipped(tmp_path / "one", GOOD, _zip_link("Set/link")), tmp_path / "a")
    with pytest.warns(UserWarning, match="Duplicate name"), pytest.raises(RunError, match="twice"):
        unpack(zipped(tmp_path / "two", GOOD, zipfile.ZipInfo("Set/dataset.json")), tmp_path / "b")
    assert everything(tmp_path / "a") == everything(tmp_path / "b") == []


def test_bombs_are_refused_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 1000)
    with pytest.raises(RunError, match="times its size"):
        unpack(zipped(tmp_path / "zip", {"zeros": bytes(10_000_000)}), tmp_path / "a")
    huge = tarfile.TarInfo("sparse")
    huge.size = 10**15
    content = huge.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    (tmp_path / "tar").write_bytes(gzip.compress(content))
    with pytest.raises(RunError):
        unpack(tmp_path / "tar", tmp_path / "b")
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    with pytest.raises(RunError, match="more than 3 members"):
        unpack(zipped(tmp_path / "many", {str(i): b"" for i in range(5)}), tmp_path / "c")
    assert [everything(tmp_path / name) for name in "abc"] == [[], [], []]


@pytest.mark.parametrize("make", [tar, zipped])
def test_damaged_archives_are_told(tmp_path, make):
    whole = make(tmp_path / "whole", GOOD).read_bytes()
    for number in range(0, len(whole), max(1, len(whole) // 60)):
        broken = bytearray(whole[: len(whole) - number // 2])
        broken[number % len(broken)] ^= 0xFF
        path = tmp_path / f"broken{number}"
        path.write_bytes(broken)
        try:
            unpack(path, tmp_path / f"folder{number}")
        except RunError as error:
            assert error.hint
    assert not (tmp_path / "out").exists()
