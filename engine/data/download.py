"""Download of a data set that may be had without a form: checked against its sum, unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from engine.data.catalog import DataSet
from engine.errors import RunError, UsageError

_BLOCK = 1 << 20
_TIMEOUT_S = 60.0


def download(data: DataSet, root: Path) -> Path:
    """Fetch ``data`` into ``root / data.folder`` and return that folder; nothing is done where it is there.

    Raises:
        UsageError: the data set has no archive that may be downloaded as it is.
        RunError: the network, the disk, the sum or the archive is at fault. Nothing is left behind.
    """
    place = root / data.folder
    if (place / data.marker).exists():
        return place
    if not data.url or not data.md5:
        raise UsageError(f"{data.name} cannot be downloaded by medtui", data.how)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"{place} holds something else", "delete it, or choose another data root with --data")
    part = root / f".{data.folder}.part-{os.getpid()}"
    try:
        part.mkdir(parents=True)
        _unpack(_archive(data, part), part / "unpacked")
        inner = part / "unpacked" / data.folder
        if not (inner / data.marker).exists():
            raise RunError(f"the archive of {data.name} holds no {data.folder}/{data.marker}", data.how)
        inner.rename(place)
    except urllib.error.URLError as error:
        raise RunError(f"cannot download {data.url}: {error.reason}", f"without a network: {data.how}") from None
    except OSError as error:
        raise RunError(f"cannot download {data.name} to {root}: {error.strerror or error}", data.how) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place


def _archive(data: DataSet, folder: Path) -> Path:
    """The archive of ``data``, once its sum is found right."""
    if not data.url.startswith(("https://", "http://")):
        raise UsageError(f"{data.url} is no address on the web")
    path = folder / "archive"
    digest = hashlib.md5(usedforsecurity=False)  # the publisher gives no other sum
    with urllib.request.urlopen(data.url, timeout=_TIMEOUT_S) as answer, path.open("wb") as file:  # noqa: S310
        while block := answer.read(_BLOCK):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != data.md5:
        raise RunError(
            f"what came from {data.url} has the MD5 sum {digest.hexdigest()}, not {data.md5}",
            "try again; if it stays so, the archive was changed: do not use it",
        )
    return path


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file; members that would leave ``folder``, links out of it and devices are refused."""
    try:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise RunError(f"the archive cannot be unpacked: {error}") from None
