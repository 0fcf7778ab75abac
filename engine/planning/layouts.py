"""Which of the known layouts a folder is in: each source of the registry is asked to read it."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.data.cases import Case, DatasetIndex
from engine.data.sources import open_source
from engine.data.sources.dataset_json import FILE
from engine.data.sources.walk import files_below, hidden
from engine.data.unread import unread
from engine.errors import DataError, UsageError, counted, some
from engine.planning.guesses import MASK_WORDS, guesses
from engine.planning.tables import listing
from engine.recipe.base import Values
from engine.recipe.model import refresh
from engine.recipe.sources import DataTable

PLACEHOLDER = "foreground"
"""The class of masks that nothing names: which values they hold, only they can tell."""
_MOST_FILES = 20_000
_DEEPEST = 8  # folders in folders


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder as one of the sources reads it."""

    task: str  # "segmentation" or "classification"
    keys: Values  # of [data]: the source, and what differs from its defaults
    index: DatasetIndex
    whole: int  # cases of which all files are there
    named: bool  # whether the classes have names; else they are `PLACEHOLDER`

    @property
    def source(self) -> str:
        return str(self.keys["source"])

    def table(self, root: str, **keys: Any) -> DataTable:
        """[data] with the least that it must have, and ``keys``."""
        size = (8,) * self.index.spatial_dims
        return DataTable(**{**self.keys, "root": root, "size": size, **keys})


def find_layout(folder: Path, source: str | None = None) -> tuple[Layout, tuple[str, ...]]:
    """The layout of ``folder``, and the names of the others that it could be read in.

    Args:
        folder: is there.
        source: the only one to look for; None: all.

    Raises:
        DataError: it is in none of the known ones, or ``source`` is another.
        UsageError: it is in several, of which none is the better guess; or there is no ``source`` of that name.
    """
    refresh()
    known = DataTable.members
    if source is not None and source not in known:
        raise UsageError(f'"{source}" is no layout', f"one of: {', '.join(known)}")
    found: list[Layout] = []
    reasons: dict[str, str] = {}
    for name in known if source is None else [source]:
        own, reasons[name] = _readings(name, folder)
        found += own
    if source is None:
        refused = (_one_folder, partial(_of_cases, folder), partial(_of_masks, folder))
        found = [each for each in found if not any(refuse(each, reasons) for refuse in refused)]
    if not found:
        raise _none(folder, reasons)
    if source is None and all(_by_folders(each, folder) for each in found):
        _refuse_unread_table(folder, reasons["csv"])
    names = tuple(dict.fromkeys(each.source for each in found))
    best = [each for each in found if not _by_folders(each, folder)] or found
    most = max(each.whole for each in best)
    best = [each for each in best if each.whole == most]
    if len({frozenset((case.images, case.label, case.target) for case in each.index.cases) for each in best}) > 1:
        lines = [f"  --source {each.source}: {_words(each)}" for each in best]
        raise UsageError(f"{folder} can be read in several ways", "\n".join(["say which is meant:", *lines]))
    return best[0], tuple(name for name in names if name != best[0].source)


def _readings(name: str, folder: Path) -> tuple[list[Layout], str]:
    """The best reading of ``folder`` by the source ``name`` for each of its tasks, and why there is none."""
    member = DataTable.members[name]
    found: list[Layout] = []
    reason = "no table (.csv, .tsv, .txt) in which a column holds paths of files that are there, and one their truth"
    if "mask" in member.model_fields:
        reason = "no two folders of volumes that are called alike in each, one of them as masks are (seg, mask, label)"
    for task in sorted(member.tasks, reverse=True):
        tried: list[Layout] = []
        missed: list[str] = []
        try:
            tried_keys = [*guesses(member.model_fields.keys(), folder, task)]
            if "path_column" in member.model_fields and not tried_keys:
                reason = listing(folder)[0] or reason
        except (OSError, DataError) as error:
            reason, tried_keys = _reason(error, folder), []
        for keys in tried_keys:
            for named in (True, False)[: 1 + (task == "segmentation" and "classes" not in keys)]:
                classes = {} if named else {"classes": (PLACEHOLDER,)}
                try:
                    tried.append(_read({"source": name, **keys, **classes}, folder, task, named=named))
                    break
                except (DataError, ValidationError, OSError) as error:
                    why = _reason(error, folder)  # without names of classes it says what else is missing
            else:
                missed.append(why)
        whole = [each for each in tried if each.whole]
        case = next((each.index.cases[0] for each in tried if each.index.cases and not whole), None)
        if away := next((path.name for path in case.files if not path.exists()), "") if case else "":
            reason = f"no case with all its files: {away} is not there"
        elif missed:  # at first the default folders were looked for, which may not be there
            reason = missed[min(1, len(missed) - 1)]
        elif tried and not whole:
            reason = "no cases in it"
        found += sorted(whole, key=lambda each: -each.whole)[:1]
    return found, reason


def _read(keys: Values, folder: Path, task: str, *, named: bool) -> Layout:
    dims = (3, 2)
    for place, axes in enumerate(dims):
        table = DataTable(**{**keys, "root": folder.name or "data", "size": (8,) * axes})
        index = open_source(table, folder, task)
        if index.spatial_dims == axes or place:
            break
    own = "images" in keys  # a picture beside no mask would be its own
    whole = sum(
        all(path.exists() for path in case.files) and not (own and case.label in case.images) for case in index.cases
    )
    return Layout(task, keys, index, whole, named)


def _by_folders(layout: Layout, folder: Path) -> bool:
    """Whether all that says the truth are names of folders: any folders of pictures can be read so."""

    def said(case: Case) -> bool:
        name = "" if case.target is None else layout.index.classes[case.target]
        return name in case.images[0].relative_to(folder).parts[:-1]

    return layout.task == "classification" and len(layout.keys) == 1 and all(map(said, layout.index.cases))


def _one_folder(layout: Layout, reasons: dict[str, str]) -> bool:
    """Whether all cases are of one class, which only the name of their folder says; then that is the reason."""
    one = layout.source == "image_folder" and len({case.target for case in layout.index.cases}) == 1
    if one:
        names = ", ".join(layout.index.classes)
        reasons[layout.source] = f"all images are in one folder, {names}: a classification needs two classes"
    return one


def _of_cases(folder: Path, layout: Layout, reasons: dict[str, str]) -> bool:
    """Whether volumes are called alike in each folder, as the channels of cases are; then that is the reason.

    Of few folders with many volumes the names may be alike too, where they, or those of patients, are numbers.
    """
    if layout.source != "image_folder" or layout.index.spatial_dims == 2:
        return False
    names: dict[str, set[str]] = {}
    for case in layout.index.cases:
        kind, parts = layout.index.classes[case.target or 0], case.images[0].relative_to(folder).parts
        names.setdefault(kind, set()).add("/".join(parts[parts.index(kind) + 1 :]))
    first, *others = names.values()
    forms = {re.sub(r"\d+", "", name) for name in first}
    numbered = len(first) > len(names) and 2 * len(forms) <= len(first)
    alike = all(own == first for own in others) and not numbered
    if alike:
        reasons[layout.source] = (
            f"files are called alike in each folder ({min(first)}): those are cases, and no classes"
        )
    return alike


def _of_masks(folder: Path, layout: Layout, reasons: dict[str, str]) -> bool:
    """Whether names say that some of the images in folders of classes are masks, of volumes all; then that is the
    reason."""
    if layout.source != "image_folder":
        return False
    names = [case.images[0].relative_to(folder).as_posix() for case in layout.index.cases]
    masks = [name for name in names if MASK_WORDS.search(name)]
    if not masks or (len(masks) == len(names) and layout.index.spatial_dims == 2):
        return False
    reasons[layout.source] = (
        f"{counted(len(masks), 'image')} of {len(names)} are masks by their names ({min(masks)}); "
        "where they are a class: --source image_folder"
    )
    return True


def _refuse_unread_table(folder: Path, reason: str) -> None:
    """Refuse to take names of folders for classes where a table says others, and cannot be read."""
    _, column = listing(folder)
    if column:
        way = "mend the table, or say --source image_folder: then names of folders are the classes"
        raise UsageError(
            f'a table in {folder} has the classes of the pictures, as "{column}", and is not read: {reason}', way
        )


def _words(layout: Layout) -> str:
    rest = ", ".join(f"{key} = {value}" for key, value in layout.keys.items() if key not in {"source", "classes"})
    cases, what = counted(len(layout.index.cases), "case"), f"{layout.task} of {', '.join(layout.index.classes[:5])}"
    return f"{cases}, {what}" + (f" ({rest})" if rest else "")


def _reason(error: Exception, folder: Path) -> str:
    if isinstance(error, DataError):
        text = f"{error.message} {error.problems[0]}" if error.problems else error.message
    elif isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        return "its keys cannot be guessed"
    text = text.replace("\n", ";").replace(f"{folder}/", "").replace(str(folder), "the folder")
    return re.sub(r" +", " ", text)


def _none(folder: Path, reasons: dict[str, str]) -> DataError:
    lines = [f"{folder} is in no layout that medtui reads" if len(reasons) > 1 else f"{folder} is not in this layout"]
    closed = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and not _open(path)]
    lines += [f"there: {seen(folder)}", *([f"not to be read: {some(closed)}"] if closed else [])]
    lines.append("layouts, and what each misses:")
    for name, reason in reasons.items():
        wants = (DataTable.members[name].__doc__ or "").strip().splitlines()[0]
        lines += [f"  {name:14}{wants}", f"  {'':14}{reason}"]
    files = islice((path for path in folder.rglob("*") if path.is_file()), _MOST_FILES)
    kinds = {problem.where: problem for problem in (*unread(files, 3),) if problem.allowed[:7] == "convert"}
    inner = _inner(folder)
    lines += [f"perhaps what lies in it is meant: {inner}"] if inner != folder else []
    hint = "docs/data.md draws the folders of each; a table.csv there, with the columns path and label, reads any other"
    return DataError("\n".join(lines), hint, tuple(kinds.values()))


def _inner(folder: Path) -> Path:
    """The first folder down from ``folder`` that holds more than one folder: archives are often unpacked so."""
    for _ in range(_DEEPEST):
        inside = [path for path in folder.iterdir() if not hidden(path.name)]
        if len(inside) != 1 or not inside[0].is_dir() or not _open(inside[0]):
            break
        folder = inside[0]
    return folder


def _open(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK, effective_ids=True)


def seen(folder: Path) -> str:
    """What lies in ``folder``: its folders, and how many files of each ending are below it."""
    folders = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and not hidden(path.name)]
    files = files_below(folder)[:_MOST_FILES]
    endings = Counter("".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]) for path in files)
    kinds = [f"{count} {name.lower() or 'without an ending'}" for name, count in endings.most_common(5)]
    if not files and not folders:
        return "nothing"
    inside = f"the folders {some(folders, 6)}" if len(folders) > 1 else f"the folder {folders[0]}" if folders else ""
    counts = f"{counted(len(files), 'file')} ({', '.join(kinds)})" if files else "no file"
    table = f"; {FILE}" if (folder / FILE).is_file() else ""
    return "; ".join(filter(None, (inside, counts))) + table


def place_of(typed: Path, root: Path) -> tuple[Path, str]:
    """The data root and the data set's folder below it that ``typed`` means: a folder, or a name below ``root``.

    Raises:
        DataError: it is neither, or cannot be read.
    """
    folder = typed if typed.exists() else root / typed
    if not folder.exists():
        raise DataError(f"no folder {typed}, here or in {root}", "name the folder of the data set, or say --data DIR")
    if not folder.is_dir():
        beside = folder.absolute().parent
        raise DataError(f"{folder} is not a folder", f"name the folder that holds the data set, such as {beside}")
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}", "ask its owner for the right to read it") from None
    whole, above = folder.resolve(), root.resolve()
    if whole.is_relative_to(above) and whole != above:
        return root, whole.relative_to(above).as_posix()
    full = folder.resolve() if ".." in folder.parts else folder.absolute()  # a link keeps the name that was typed
    if full == full.parent:
        raise DataError(f"{folder} is the root of the file system", "name the folder of one data set")
    return full.parent, full.name
