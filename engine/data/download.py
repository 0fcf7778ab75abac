"""Download of a data set that may be had without a form: checked against its sum, there whole or not at all."""

import os
import shutil
from pathlib import Path

from engine.console import show_progress
from engine.data.archives import unpack
from engine.data.catalog import KnownDataset
from engine.data.web import DownloadError, fetch_file
from engine.errors import RunError, UsageError

LARGEST = 100 * 10**9  # bytes of an archive: more than any data set that is known


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
        archive = part / "archive"
        shown = show_progress(f"downloading {data.name}: MB")
        fetch_file(  # the publisher gives no other sum than MD5
            data.url, archive, sum_of=data.md5, limit=LARGEST, algorithm="md5",
            show=lambda done, total: shown(done // 1_000_000, total // 1_000_000),
        )  # fmt: skip
        unpack(archive, part / "unpacked")
        _found(data, part / "unpacked").rename(place)
    except DownloadError as error:
        how = (
            f"without a network: get {data.url} on another machine, check its MD5 sum {data.md5}, "
            f"and unpack it in {root}, so that {root / data.folder / data.marker} is there"
        )
        raise RunError(f"cannot download {data.url}: {error}", how) from None
    except OSError as error:
        raise RunError(
            f"cannot download {data.name} to {root}: {error.strerror or error}",
            "make room or choose a folder that you may write to with --data DIR",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place


def _found(data: KnownDataset, folder: Path) -> Path:
    """The unpacked folder that holds the data set: named as it is, or the archive's only one, or all of it."""
    only = [entry for entry in folder.iterdir() if entry.is_dir()]
    for candidate in (folder / data.folder, *(only if len(only) == 1 else []), folder):
        if (candidate / data.marker).exists():
            return candidate
    raise RunError(f"the archive of {data.name} holds no {data.marker}", data.how)
