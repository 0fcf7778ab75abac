"""Files that are either wholly there or not at all, whatever is killed in between."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable; file systems that cannot are left alone."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # network and FUSE mounts refuse fsync on folders; the rename stands all the same
        return
    finally:
        os.close(handle)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the system name ``path``, and not the file beside it that is to take its place, or nothing."""
    try:
        yield
    except OSError as error:
        if error.filename is None or os.path.abspath(os.path.dirname(os.fsdecode(error.filename))) == os.path.abspath(
            path.parent
        ):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def atomic_open(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Write ``path`` through a temporary file beside it: on any error the old file stays.

    Args:
        path: the file to replace; its folder must exist.
        durable: fsync file and folder. Off for what is rewritten every second (status).
    """
    with _named(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            if os.path.exists(name):
                os.unlink(name)
            raise
    if durable:
        sync_folder(path.parent)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``content`` atomically."""
    with atomic_open(path, durable=durable) as stream:
        stream.write(content)


def write_text(path: Path, content: str) -> None:
    """Replace ``path`` by ``content`` (UTF-8) atomically."""
    write_bytes(path, content.encode())


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary path with the suffix of ``path``, then rename it to ``path``.

    For libraries that choose the format by the name of the file (NIfTI, PNG).
    """
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    with _named(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing.", suffix=suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)
