"""``examples/``: the arrays of the cases that figures and the screen of a case show."""

from dataclasses import dataclass
from pathlib import Path

from engine.readers.arrays import Array, ArraysError, load_arrays
from engine.runfolder import RunFolder, example_file

_HEAD = ("id", "split", "role")


@dataclass(frozen=True, slots=True)
class ExampleHead:
    """Which case a file of ``examples/`` holds."""

    path: Path
    id: str
    split: str
    role: str  # best, median, worst; right, wrong


@dataclass(frozen=True, slots=True)
class Example(ExampleHead):
    """The arrays of one case that figures show, with the head that says which it is."""

    arrays: dict[str, Array]


def example_files(folder: RunFolder, split: str = "*") -> list[Path]:
    """The files of ``examples/``, or those of ``split``, sorted; none where ``examples`` is a link."""
    if folder.examples.is_symlink() or not folder.examples.is_dir():
        return []
    return sorted(folder.examples.glob("*.npz" if split == "*" else example_file(split, "*")))


def read_example(path: Path) -> Example:
    """One file of ``examples/``.

    Raises:
        ArraysError: it is damaged.
    """
    arrays = load_arrays(path)
    head = _head(path, arrays)
    return Example(head.path, head.id, head.split, head.role, arrays)


def example_heads(folder: RunFolder, split: str = "*") -> list[ExampleHead]:
    """The heads of all examples, without reading their large arrays; damaged files are left out."""
    heads = []
    for path in example_files(folder, split):
        try:
            heads.append(_head(path, load_arrays(path, _HEAD, most=1 << 20)))
        except ArraysError:
            continue
    return heads


def _head(path: Path, arrays: dict[str, Array]) -> ExampleHead:
    split, _, case = path.stem.partition("_")
    return ExampleHead(path, str(arrays.get("id", case)), str(arrays.get("split", split)), str(arrays.get("role", "")))
