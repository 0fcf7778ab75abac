"""What is known of a data set once every case was read, and what in it asks for a decision."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
import numpy as np

from engine.data.cases import SPLITS, CaseFacts, Dataset
from engine.data.familiar import is_stretched
from engine.data.known import only_known
from engine.data.prepare import on_grid
from engine.data.read import read_case
from engine.data.resampling import resample_label
from engine.data.traits import other_columns
from engine.errors import some
from engine.metrics.overlap import dice
from engine.recipe import DataTable

_FEW_TRAINED, _FEW_TESTED = 5, 10
_FAR = 6.0
"""Robust z-score from which a case counts as far from the others: a normal value is there once in 500 million."""
_ROUND_TRIPS = 5
_FEWEST = 3  # cases that may be a group of their own

Range = tuple[float, float, float]  # least, median, greatest


class Advice(msgspec.Struct, frozen=True):
    """What may go wrong, and what to do about it."""

    what: str
    remedy: str


class Survey(msgspec.Struct, frozen=True):
    """What ``medtui check --json`` prints."""

    name: str  # of the data set
    cases: dict[str, int]  # of every split
    classes: dict[str, dict[str, int]]  # split -> class -> cases that have it
    grouped: int  # cases of which the group (patient, lesion) is known
    groups: int  # how many groups those are
    channels: int  # of an image
    sizes: list[Range]  # along each axis of the image, in voxels or pixels
    spacings: list[Range]  # along each axis in mm; none where the files have none
    orientations: dict[str, int]  # where the axes run to, such as "RAS" -> cases
    values: Range  # least value of all, median of the means of the cases, greatest of all, as the files have them
    # class -> mean Dice of the truth with itself, to the network's voxels and back; where resampled
    round_trip: dict[str, float]
    known: Range | None  # share of the voxels of a case whose truth is known; None where that of all is
    notes: list[str]  # what was noted while reading, such as images that are there twice
    advice: list[Advice]  # what may go wrong


def survey(dataset: Dataset, table: DataTable) -> Survey:
    """Look at a data set that `check_dataset` gave; a few masks are read again where ``data.spacing`` is set."""
    facts = [case.facts for case in dataset.cases if case.facts is not None]
    known = [case.group for case in dataset.cases if case.group is not None]
    spacings = [each.spacing for each in facts if each.spacing is not None]
    counts = {split: len(dataset.split(split)) for split in SPLITS}
    classes = {split: _present(dataset, split) for split in SPLITS if counts[split]}
    trip = round_trip(dataset, table)
    orientations = Counter(each.orientation for each in facts if each.orientation)
    return Survey(
        name=dataset.name,
        cases=counts,
        classes=classes,
        grouped=len(known),
        groups=len(set(known)),
        channels=dataset.channels,
        sizes=_ranges([each.shape[1:] for each in facts]),
        spacings=_ranges(spacings),
        orientations=dict(orientations.most_common()),
        values=(
            min(each.low for each in facts),
            float(np.median([each.mean for each in facts])),
            max(each.high for each in facts),
        ),
        round_trip=trip,
        known=None if dataset.ignore is None else _ranges([(each.known,) for each in facts])[0],
        notes=list(dataset.notes),
        advice=[
            *([] if known else _ungrouped(dataset, table)),
            *_unused_split(dataset, table),
            *_inverted(dataset),
            *_rare(classes, dense=dataset.dense),
            *_padded(dataset, table, _ranges([each.shape[1:] for each in facts])),
            *_geometry(_ranges(spacings), orientations, table, stretched=is_stretched(dataset, table)),
            *_coarse(trip, dataset.ignore),
            *_two_groups(facts),
            *_far(dataset, facts),
        ],
    )


def _present(dataset: Dataset, split: str) -> dict[str, int]:
    counts = Counter(index for case in dataset.split(split) if case.facts for index in case.facts.present)
    return {name: counts[index] for index, name in enumerate(dataset.classes)}


def _ranges(rows: Sequence[tuple[float, ...]]) -> list[Range]:
    columns = zip(*rows, strict=True) if rows else ()
    return [(float(min(column)), float(np.median(column)), float(max(column))) for column in columns]


def _ungrouped(dataset: Dataset, table: DataTable) -> Iterator[Advice]:
    """A table beside the images knows the patients, and the draw of a split does not."""
    drawn = table.split != "given" or table.validation_fraction or table.validation_folds
    for name, column in islice(other_columns(dataset.root), 1 if drawn else 0):
        unknown = f'{name} has a column "{column}" that the split does not know'
        what = f"{unknown}: cases of one {column} may be in two splits"
        yield Advice(what, f'data.group_column = "{column}", with data.source = "csv"')


def _unused_split(dataset: Dataset, table: DataTable) -> Iterator[Advice]:
    """A table beside the images has a split, and another one is drawn."""
    for name, column in islice(other_columns(dataset.root, splits=True), 1 if table.split != "given" else 0):
        what = f'{name} has a column "{column}", which is not used: data.split = "{table.split}" draws another split'
        yield Advice(what, f'data.split = "given" and data.split_column = "{column}", with data.source = "csv", use it')


def _inverted(dataset: Dataset) -> Iterator[Advice]:
    """Masks of the one class that look like the background of one."""
    found = [case.id for case in dataset.cases if case.facts is not None and case.facts.outside]
    if found and len(dataset.classes) == 1:
        what = f"{len(found)} of {len(dataset.cases)} masks fill the corners and most of the image: {some(found, 5)}"
        yield Advice(what, "look whether they are inverted, with 0 where the class is")


def _rare(classes: dict[str, dict[str, int]], *, dense: bool) -> Iterator[Advice]:
    absent = [name for name in next(iter(classes.values())) if not any(found[name] for found in classes.values())]
    if absent:
        remedy = "leave them out of data.classes"
        if dense:
            values = "the values 1, 2, ... of the masks in their order"
            remedy = f"names in data.classes stand for {values}: are these right?"
        yield Advice(f"no case has the class: {', '.join(absent)}", remedy)
    for split, least in (("train", _FEW_TRAINED), ("test", _FEW_TESTED)):
        counts = classes.get(split, {})
        few = [f"{name} {count}" for name, count in counts.items() if count < least and name not in absent]
        if few:
            what = f"classes with fewer than {least} {split} cases: {', '.join(few)}"
            remedy = 'data.crop = "foreground" shows them' if dense else 'data.balance = "class" shows them'
            remedy += " more often; of so few cases little can be learned"
            if split == "test":
                remedy = 'their numbers will say little: data.split = "kfold" tests every case once'
            yield Advice(what, remedy)


def _padded(dataset: Dataset, table: DataTable, sizes: Sequence[Range]) -> Iterator[Advice]:
    """A crop that is far larger than every image; what a network's multiples ask for is not counted."""
    pairs = list(zip(table.size, sizes, strict=False))
    if dataset.dense and table.spacing is None and any(side > 1.5 * most for side, (_, _, most) in pairs):
        what = f"data.size = {list(table.size)} is larger than every image ({' x '.join(f'{s[2]:g}' for s in sizes)})"
        yield Advice(what, "the rest is padding, which takes time and memory: a smaller data.size shows the same")


def _geometry(
    spacings: Sequence[Range], orientations: Counter[str], table: DataTable, *, stretched: bool
) -> Iterator[Advice]:
    mixed = [(low, high) for low, _, high in spacings if high > 1.1 * low]
    if mixed and table.spacing is None:
        text = ", ".join(" to ".join(dict.fromkeys(f"{side:.3g}" for side in sides)) for sides in spacings)
        wanted = ", ".join(f"{middle:.3g}" for _, middle, _ in spacings)
        remedy = f"data.spacing = [{wanted}], the medians"
        if stretched:
            remedy = f'where size tells the class: data.resize = "crop" with {remedy}; else the whole of each is right'
        yield Advice(f"voxels of different sizes, in mm: {text}", remedy)
    if len(orientations) > 1:
        found = ", ".join(f"{name} {count}" for name, count in orientations.most_common())
        turned = "volumes are turned to RAS by their headers"
        remedy = f"{turned}: look whether those are right, or left and right are mixed up"
        yield Advice(f"axes that run in different directions: {found}", remedy)


def _coarse(trip: dict[str, float], ignore: int | None) -> Iterator[Advice]:
    lost = [f"{name} {value:.3f}" for name, value in trip.items() if value < 0.95]
    if lost:
        what = f"data.spacing loses some of the truth (Dice of masks to it and back): {', '.join(lost)}"
        # what is lost among voxels that are not known is learned from other ones: no bound of the score
        bound = "no network can score higher than that: " if ignore is None else ""
        yield Advice(what, f"{bound}a finer data.spacing loses less")


def round_trip(dataset: Dataset, table: DataTable) -> dict[str, float]:
    """Class -> mean Dice between masks and the same after the network's voxels, of a few cases that have it, where the
    truth is known."""
    scores: dict[str, list[float]] = {}
    if not dataset.dense or table.spacing is None:
        return {}
    labelled = [case for case in dataset.cases if case.label is not None]
    for case in labelled[:: max(1, len(labelled) // _ROUND_TRIPS)][:_ROUND_TRIPS]:
        sample = read_case(dataset, case)
        bare = {"size": (1,) * len(table.size), "intensity": "none"}  # nothing padded
        there = on_grid(sample, table.model_copy(update=bare)).label_net
        own = on_grid(sample, table.model_copy(update={**bare, "spacing": None})).label_net
        if there is None or own is None:
            continue
        own, back = only_known(own, resample_label(there, own.shape), dataset.ignored)
        for index in sample.present:
            value = dice(back == index + 1, own == index + 1)
            scores.setdefault(dataset.classes[index], []).append(value)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _two_groups(facts: Sequence[CaseFacts]) -> Iterator[Advice]:
    """Means in two groups far from each other: between them is more than four times what either extends over."""
    means = np.sort([each.mean for each in facts])
    gaps = np.diff(means)[_FEWEST - 1 : 1 - _FEWEST]
    if not gaps.size:
        return
    cut = int(gaps.argmax()) + _FEWEST
    low, high = means[:cut], means[cut:]
    if gaps.max() > 4 * max(np.ptp(low), np.ptp(high)) and gaps.max() > 1e-6 * np.abs(means).max():
        what = f"mean values in two groups: {low.size} cases about {np.median(low):.4g}, {high.size} about "
        yield Advice(
            f"{what}{np.median(high):.4g}", "look at them: another unit, scanner or contrast in one of the two?"
        )


def _far(dataset: Dataset, facts: Sequence[CaseFacts]) -> Iterator[Advice]:
    """Cases whose size, spacing or mean value lies far from the median, by the median absolute deviation."""
    ids = [case.id for case in dataset.cases if case.facts is not None]
    spaced = all(each.spacing for each in facts)
    measured = {
        "size": np.log([[float(side) for side in each.shape[1:]] for each in facts]),
        "spacing": np.log([each.spacing or () for each in facts]) if spaced else np.zeros((len(facts), 0)),
        "mean value": np.array([[each.mean] for each in facts]),
    }
    for name, values in measured.items():
        away = np.abs(values - np.median(values, axis=0))
        floor = 0.02 if name != "mean value" else 1e-6 * max(1.0, float(np.abs(values).max()))
        scores = (0.6745 * away / np.maximum(np.median(away, axis=0), floor)).max(axis=1, initial=0)
        far = [f"{ids[index]} (z {scores[index]:.0f})" for index in np.argsort(-scores) if scores[index] > _FAR]
        if far:
            remedy = "look at them: another unit, protocol or body part? take out what does not belong"
            yield Advice(f"{name} far from that of the others: {some(far, 5)}", remedy)
