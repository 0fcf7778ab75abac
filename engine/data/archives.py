"""Tar and zip archives, unpacked without leaving their folder and within bounds."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from engine.errors import RunError, printable

MAX_MEMBERS = 1_000_000
MAX_RATIO = 200  # bytes unpacked for each byte of the archive; images and volumes stay far below it
SMALL = 100_000_000  # up to so many bytes may come out of any archive
_CHANGED = "the archive was changed or is not what it claims to be: do not use it"


def unpack(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` into the new folder ``folder``: plain files and folders, nothing else.

    Every member is looked at before the first is written. Refused are absolute names, ``..``,
    backslashes, drive letters, control characters, links, devices, a name twice, and more members or
    bytes than a data set of that size can hold.

    Raises:
        RunError: the archive is refused, damaged or of another kind.
        OSError: the disk is full or gone.
    """
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        else:
            _untar(archive, folder)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, LZMAError, ValueError) as error:
        raise RunError(f"the archive cannot be unpacked: {printable(str(error), keep='')}", _CHANGED) from None


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as file:
        members = []
        for member in file:
            members.append(member)
            if len(members) > MAX_MEMBERS:
                raise _refused(f"it holds more than {MAX_MEMBERS} members")
            if not (member.isreg() or member.isdir()):
                raise _refused(f'"{_shown(member.name)}" is a link or a device')
        _check(archive, folder, ((member.name, member.size, member.isdir()) for member in members))
        file.extractall(folder, members, filter="data")


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        if len(members) > MAX_MEMBERS:
            raise _refused(f"it holds more than {MAX_MEMBERS} members")
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise _refused(f'"{_shown(member.filename)}" is a link or a device')
            if member.flag_bits & 1:
                raise _refused(f'"{_shown(member.filename)}" needs a password')
        _check(archive, folder, ((member.orig_filename, member.file_size, member.is_dir()) for member in members))
        for member in members:  # a member never gives more bytes than it declares: zipfile stops there
            target = folder / member.filename
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with file.open(member) as source, target.open("xb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
            except (NotImplementedError, RuntimeError) as error:  # a compression that zipfile does not know
                raise _refused(f'"{_shown(member.filename)}": {error}') from None


def _check(archive: Path, folder: Path, members: Iterable[tuple[str, int, bool]]) -> None:
    """Refuse an archive by the names and sizes of its members: (name, bytes, is a folder)."""
    total = 0
    seen: set[PurePosixPath] = set()
    for name, size, is_folder in members:
        path = PurePosixPath(name)
        odd = "\\" in name or name[1:2] == ":" or name != printable(name, keep="")
        if odd or path.is_absolute() or ".." in path.parts or (not path.parts and not is_folder):
            raise _refused(f'"{_shown(name)}" would leave the folder')
        if not is_folder and path in seen:
            raise _refused(f'"{_shown(name)}" is in it twice')
        seen.add(path)
        total += size
    allowed = max(SMALL, MAX_RATIO * archive.stat().st_size)
    if total > allowed:
        raise _refused(f"it would unpack to {total / 1e9:.1f} GB, more than {MAX_RATIO} times its size")
    free = shutil.disk_usage(folder).free
    if total > free:
        found = f"the archive unpacks to {total / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        raise RunError(found, "make room, then try again")


def _refused(what: str) -> RunError:
    return RunError(f"the archive is refused: {what}", _CHANGED)


def _shown(name: str) -> str:
    return printable(name[:200], keep="")
