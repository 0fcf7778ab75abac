"""What stands below a slice: how truth and prediction differ, what the looks mean, and the classes. Pure."""

from collections.abc import Sequence

import numpy as np

from engine.errors import counted
from tui.plotting.agreement import ClassOverlap, overlaps
from tui.plotting.cells import Line, cut, fitted, length
from tui.plotting.slice_picture import HATCH, SliceLook
from tui.settings import keyed
from tui.state.images import PreviewImages
from tui.text import figure, one_line


def slice_words(
    images: PreviewImages, at: int, classes: Sequence[str], look: SliceLook, room: tuple[int, int]
) -> list[Line]:
    """The lines below slice ``at``, in ``room`` (width, most lines)."""
    width = room[0]
    if images.verdict:
        return [[(one_line(images.verdict)[:width], "prediction")]]
    if images.truth is None:
        return []
    if images.prediction is None:
        return _shares(images, classes, look, room)
    found = overlaps(images.truth[at], images.prediction[at])
    alarm, usual = _summary(images, at, found)
    lines = [fitted([alarm, *_looks(look, found[0].place if found else 0), usual], width, 2)]
    entries = [_entry(each, classes, look) for each in found if look.only in (None, each.place + 1)]
    return _listed(lines, entries, room)


def _listed(lines: list[Line], entries: list[Line], room: tuple[int, int]) -> list[Line]:
    """``lines`` and what has room below them; how many more there are."""
    width, most = room
    while entries and len(lines) < most:
        line: Line = []
        last = len(lines) == most - 1 and sum(length(entry) + 2 for entry in entries) - 2 > width
        while entries and (not line or length(line) + 2 + length(entries[0]) <= width - 4 * last):
            line += [*([("  ", "ink")] if line else []), *entries.pop(0)]
        if entries and last:
            line.append((f"  +{len(entries)}", "muted"))
        lines.append(line)
    return lines


def _shares(images: PreviewImages, classes: Sequence[str], look: SliceLook, room: tuple[int, int]) -> list[Line]:
    """Of a training crop: how much of what is shown of it is of each class."""
    assert images.truth is not None  # noqa: S101  # as the caller asked
    counts = np.bincount(images.truth.ravel(), minlength=len(classes) + 1)
    entries: list[Line] = []
    for at, name in enumerate(classes):
        letter = look.names[at] if at < len(look.names) else "?"
        share = f"{counts[at + 1] / images.truth.size * 100:.3g} %"
        color = look.series[at % len(look.series)]
        entries.append([(f"{letter} ", f"{color} bold"), (f"{one_line(name)} {share}", "ink")])
    return _listed([cut([("truth after augmentation", "muted")], room[0])], entries, room)


def _summary(images: PreviewImages, at: int, found: list[ClassOverlap]) -> tuple[Line, Line]:
    """In words what a glance may miss: what goes before all else, and what may be left out."""
    assert images.truth is not None and images.prediction is not None  # noqa: S101, PT018  # as the caller asked
    truth, said = images.truth[at], images.prediction[at]
    if not found:
        return [("nothing in truth or prediction", "muted")], []
    if not said.any():
        count = len(images.truth)
        empty = sum(bool(t.any()) and not p.any() for t, p in zip(images.truth, images.prediction, strict=True))
        where = f" in {empty} of {count} slices" if images.prediction.any() else f" in all {count} slices"
        where = where if count > 1 else ""
        return [(f"prediction empty{where}", "error bold")], []
    if not truth.any():
        return [("no truth here: all is added", "warning bold")], []
    wrong = int(np.count_nonzero(truth != said))
    return [], [(f"{counted(wrong, 'pixel')} wrong", "warning")] if wrong else [("no error", "accent")]


def _looks(look: SliceLook, place: int) -> list[Line]:
    """What the looks mean, by the letter of the class at ``place`` or of the one that is shown alone."""
    if look.overlay == "off":
        return [[(keyed("<overlay:o> draws truth and prediction"), "muted")]]
    if look.marks or look.ascii_only:
        place = place if look.only is None else look.only - 1
        letter = look.names[place] if place < len(look.names) else "A"
        pairs = ((letter.lower(), "agreed"), (letter, "missed"), (f"+{letter.lower()}", "added"))
        return [[(key, "ink bold"), (f" {word}", "muted")] for key, word in pairs]
    color = look.series[0] if look.only is None else look.series[(look.only - 1) % len(look.series)]
    dim = "#" + "".join(f"{(int(color[at : at + 2], 16) * 45 + 0x60 * 55) // 100:02x}" for at in (1, 3, 5))
    return [
        [("", "muted"), (swatch, look_of), (f" {word}", "muted")]
        for swatch, look_of, word in (
            ("  ", f"ink on {dim}", "agreed"),
            ("  ", f"ink on {color}", "missed"),
            (HATCH * 2, f"{color} on #303030", "added"),
        )
    ]


def _entry(each: ClassOverlap, classes: Sequence[str], look: SliceLook) -> Line:
    name = classes[each.place] if each.place < len(classes) else f"class {each.place + 1}"
    letter = look.names[each.place] if each.place < len(look.names) else "?"
    note = " (empty)" if not each.prediction else " (not in truth)" if not each.truth else ""
    color = look.series[each.place % len(look.series)]
    return [
        (f"{letter} ", f"{color} bold"),
        (f"{one_line(name)} ", "ink"),
        (figure(each.dice), "ink bold" if not note else "warning bold"),
        (note, "warning"),
    ]
