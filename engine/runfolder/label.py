"""``label.json``: what people call a run and say of it. A file of its own: neither id nor trainer know of it."""

import msgspec

from engine.errors import RunError, UsageError, printable, raised_as
from engine.runfolder.atomic import write_bytes
from engine.runfolder.careful import lenient, read_object
from engine.runfolder.lock import updating
from engine.runfolder.mirror import change, is_mirror
from engine.runfolder.paths import RunFolder

MOST = {"title": 80, "note": 400}  # characters


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Words of people, each one line; "" where there are none."""

    title: str = ""  # stands where the name of the recipe would
    note: str = ""  # a remark


def read_label(folder: RunFolder) -> Label:
    """The label; an empty one where there is none that can be read."""
    return lenient(read_object(folder.label), Label)


def shown_name(folder: RunFolder, recipe: str) -> str:
    """What a run is called: by its title, else by its ``recipe``, else by its id."""
    return read_label(folder).title or recipe or folder.name


def write_label(folder: RunFolder, **words: str) -> Label:
    """Set the ``title`` or the ``note`` of a run or a study; "" takes it away.

    Raises:
        UsageError: it is too long.
        RunError: the folder cannot be written, or the other machine that the run is on has not answered.
    """
    lines = {what: " ".join(printable(text, keep="\n\t").split()) for what, text in words.items()}
    for what, line in lines.items():
        if len(line) > MOST[what]:
            raise UsageError(f"a {what} has at most {MOST[what]} characters: found {len(line)}")
    if is_mirror(folder):
        change(folder, lines)
        return msgspec.structs.replace(read_label(folder), **lines)
    with updating(folder):
        label = msgspec.structs.replace(read_label(folder), **lines)
        with raised_as(RunError, f"cannot write {folder.label}"):
            write_bytes(folder.label, msgspec.json.encode(label) + b"\n")
    return label
