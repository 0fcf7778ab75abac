"""Download of a data set that may be had without a form: checked against its sum, there whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

from engine.data.archives import unpack
from engine.data.catalog import KnownDataset
from engine.errors import RunError, UsageError
from engine.progress import show_progress

SCHEMES = ("https", "file")
_BLOCK = 1 << 20
_TIMEOUT_S = 60.0


def download(data: KnownDataset, root: Path) -> Path:
    """Fetch ``data`` into ``root / data.folder`` and return that folder; nothing is done where it is there.

    The archive goes to a temporary folder beside it, is checked against its sum, and unpacked there;
    then the folder gets its name by one rename.

    Raises:
        UsageError: the data set has no archive that may be downloaded as it is, or something else
            stands in its place.
        RunError: the network, the disk, the sum or the archive is at fault. Nothing is left behind.
    """
    place = root / data.folder
    if (place / data.marker).exists():
        return place
    if not data.url or not data.md5:
        raise UsageError(f"{data.name} cannot be downloaded by medtui", data.how)
    if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"{place} holds something else", "move it away, or choose another data root with --data")
    part = root / f".{data.folder}.part-{os.getpid()}"
    try:
        part.mkdir(parents=True, mode=0o700)
        archive = _archive(data, part)
        unpack(archive, part / "unpacked")
        _found(data, part / "unpacked").rename(place)
    except urllib.error.URLError as error:
        raise _by_hand(data, root, f"cannot download {data.url}: {error.reason}") from None
    except http.client.HTTPException as error:
        raise _by_hand(data, root, f"cannot download {data.url}: {type(error).__name__} {error}") from None
    except TimeoutError:
        raise _by_hand(data, root, f"cannot download {data.url}: no answer for {_TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise RunError(
            f"cannot download {data.name} to {root}: {error.strerror or error}",
            "make room or choose a folder that you may write to with --data DIR",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place


def _by_hand(data: KnownDataset, root: Path, message: str) -> RunError:
    how = (
        f"without a network: get {data.url} on another machine, check its MD5 sum {data.md5}, "
        f"and unpack it in {root}, so that {root / data.folder / data.marker} is there"
    )
    return RunError(message, how)


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only: a checked sum does not make a plain connection private."""

    def redirect_request(  # noqa: PLR0917  urllib calls it so
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _refuse_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refuse_scheme(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme not in SCHEMES:
        raise urllib.error.URLError(f"{url} is neither https nor a file")


def _archive(data: KnownDataset, folder: Path) -> Path:
    """The archive of ``data``, once its sum is found right. Progress, in MB, goes to stderr."""
    _refuse_scheme(data.url)
    path = folder / "archive"
    digest = hashlib.md5(usedforsecurity=False)  # the publisher gives no other sum
    show, done = show_progress(f"downloading {data.name}: MB"), 0
    opener = urllib.request.build_opener(_SafeRedirects)
    with opener.open(data.url, timeout=_TIMEOUT_S) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_BLOCK):
            digest.update(block)
            file.write(block)
            done += len(block)
            show(done // 1_000_000, max(done, total) // 1_000_000)
    if done < total:
        raise RunError(f"the connection broke after {done} of {total} bytes of {data.url}", "try again")
    if digest.hexdigest() != data.md5:
        raise RunError(
            f"what came from {data.url} has the MD5 sum {digest.hexdigest()}, not {data.md5}",
            "try again; if it stays so, the archive was changed: do not use it",
        )
    return path


def _found(data: KnownDataset, folder: Path) -> Path:
    """The unpacked folder that holds the data set: named as it is, or the archive's only one, or all of it."""
    only = [entry for entry in folder.iterdir() if entry.is_dir()]
    for candidate in (folder / data.folder, *(only if len(only) == 1 else []), folder):
        if (candidate / data.marker).exists():
            return candidate
    raise RunError(f"the archive of {data.name} holds no {data.marker}", data.how)
