"""Every metric once: what it is called, which way is better, where it is shown. Nothing is computed here.

Whoever shows, sorts, marks or monitors a metric asks this table, so that no two places can disagree. A metric is
added by an entry here, or by :func:`register` in a package that extends medtui (:mod:`engine.plugins`), and by its
computation (:func:`engine.metrics.pair.computes`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, TypeAlias

from engine.errors import UsageError
from engine.plugins import load_plugins

Task: TypeAlias = Literal["segmentation", "classification"]
Key: TypeAlias = Literal["", "surface_validation", "all_voxel_distances", "regions"]
Kind: TypeAlias = Literal["share", "distance", "count", "number"]
Value: TypeAlias = float | str | None
"""As the stream has it: None, or the name of what is not finite, in place of a number."""
_TWINS = ("weighted", "micro", "calibrated", "regions")


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric. Its place in the table is its place in every list."""

    name: str  # the key in metrics.json, cases.csv and the stream
    title: str  # as papers write it
    short: str = ""  # at most 6 letters, for narrow columns; empty: the start of the name
    # ``share`` (0 to 1), ``distance`` (in the unit of the data), ``count``, or any other ``number``
    kind: Kind = "share"
    up: bool | None = True  # whether more is better; None: neither (a count, an error with a sign)
    tasks: tuple[Task, ...] = ("segmentation", "classification")  # the tasks in which it is measured
    per_class: bool = False  # whether each class has a value of its own
    shown: bool = True  # whether it stands in the tables of results and in the stream, and can be monitored
    rank: int = 0  # where only a few metrics have room, those with a rank stand, 1 before 2; 0: none
    of_two: int = 0  # the same as ``rank`` for two classes, where accuracy says least: 1 before 2; 0: none
    decides: bool = False  # whether a comparison of runs answers by it
    # of [evaluate], which asks for it; a test has surface distances without being asked. Empty: always there
    key: Key = ""
    # of what it is in the second table of a segmentation; empty: it does not stand there
    beside: Literal["", "volume", "lesions"] = ""
    if_absent: bool = False  # whether a class that is not in the truth has a value too, where there are several classes
    # what guessing reaches; empty: that depends on how frequent the classes are
    chance: Literal["", "1/classes", "1/2"] = ""
    least: float | None = None  # the lowest possible value; None: 0, or of a number that is neither good nor bad none

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest possible value."""
        low = float("-inf") if self.kind == "number" and self.up is None else 0.0
        return low if self.least is None else self.least, 1.0 if self.kind == "share" else float("inf")

    def of_guess(self, classes: int) -> float | None:
        """The value that guessing reaches among so many classes; None where that depends on their shares."""
        return {"1/classes": 1 / max(1, classes), "1/2": 0.5}.get(self.chance)


_of_masks = partial(Measure, tasks=("segmentation",), per_class=True)
_of_images = partial(Measure, tasks=("classification",))
_distance = partial(_of_masks, kind="distance", up=False, key="surface_validation")
_of_all_voxels = partial(_of_masks, kind="distance", up=False, key="all_voxel_distances")
_volume = partial(_of_masks, kind="number", shown=False, beside="volume")
_lesion = partial(_of_masks, shown=False, key="surface_validation", beside="lesions")
_count = partial(Measure, kind="count", per_class=True, shown=False)
_of_training = partial(Measure, kind="number", up=None, tasks=())

_TABLE: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        _of_images("accuracy", "Accuracy", "acc", rank=2, decides=True),
        _of_images("balanced_accuracy", "Balanced accuracy", "BAcc", rank=1, decides=True, chance="1/classes"),
        _of_images("precision", "Precision", "prec", per_class=True),
        _of_images("recall", "Recall", per_class=True, chance="1/classes"),
        _of_images("sensitivity", "Sensitivity", "sens", of_two=1),
        _of_images("specificity", "Specificity", "spec", per_class=True, of_two=2),
        _of_images("f1", "F1", rank=3, per_class=True),
        _of_images("auc", "AUC", rank=4, per_class=True, of_two=4, chance="1/2"),
        _of_images("average_precision", "Average precision", "avg pr", per_class=True, of_two=3),
        _of_images("ece", "ECE", up=False, per_class=True, shown=False),
        _of_images("ece_classwise", "ECE, class-wise", up=False, shown=False),
        _of_images("brier", "Brier score", kind="number", up=False, shown=False),
        _of_images("log_loss", "Log loss", kind="number", up=False, shown=False),
        _of_images("temperature", "Temperature", kind="number", up=None, shown=False),
        _of_masks("dice", "Dice", rank=1, decides=True),
        Measure("dice_regions", "Dice (regions)", "dice ∪", tasks=("segmentation",), key="regions"),
        _of_masks("jaccard", "Jaccard", "jacc", rank=3),
        _of_masks("nsd", "NSD", key="surface_validation"),
        _distance("asd", "ASD", rank=4),
        _distance("assd", "ASSD"),
        _distance("hd95", "95HD", rank=2),
        _distance("hd95_max", "95HD (max)", shown=False),
        _of_all_voxels("assd_all_voxels", "ASSD of all voxels"),
        _of_all_voxels("hd95_all_voxels", "95HD of all voxels"),
        _volume("volume_error", "Volume error", "vol", up=None, least=-1.0),
        _volume("absolute_volume_error", "Absolute volume error", "|vol|", up=False),
        _lesion("lesions", "Lesions", "lesion", "number", up=None, least=0.0),
        _lesion("lesion_sensitivity", "Lesion sensitivity", "les se"),
        _lesion("lesion_false_positives", "False lesions", "les fp", "number", up=False, if_absent=True),
        _count("missed", "Missed", up=False),
        _count("false_positive", "False positive", up=False),
        _count("false_positive_cases", "FP cases", up=False),
        _count("present", "Present in", up=None),
        _count("absent", "Absent", up=None),
        Measure("loss", "Loss", kind="number", up=False),
        _count("n", "n", up=None),
        _count("support", "Support", up=None),
        Measure("nsd_tolerance", "NSD tolerance", kind="distance", up=None, tasks=(), shown=False),
        _count("macro_over", "Classes in macro means", up=None),
        _of_images("threshold", "Threshold", up=None, shown=False),
        _of_training("predicted", "Predicted", kind="count"),
        _of_training("probability", "Probability", "prob", kind="share"),
        _of_training("lr", "Learning rate"),
        _of_training("grad_norm", "Gradient norm"),
    )
}


def register(measure: Measure) -> Measure:
    """Add a metric to the table, after those that are there.

    Raises:
        UsageError: there is another metric of that name.
    """
    if _TABLE.get(measure.name, measure) != measure:
        raise UsageError(f'there is a metric "{measure.name}" already', "choose another name")
    _TABLE[measure.name] = measure
    find.cache_clear()
    return measure


def unregister(name: str) -> None:
    """Take a metric out of the table; nothing where there is none."""
    _TABLE.pop(name, None)
    find.cache_clear()


@lru_cache(maxsize=1024)
def find(name: str) -> Measure:
    """The metric of that name; ``f1_weighted`` and ``hd95_regions`` are made from that without the ending.

    A name that nobody registered, as an older or a newer version may have written, is a number of which more is
    better.
    """
    if (known := _known(name)) is None and _load(strict=False):
        known = _known(name)
    return known or Measure(name, name.replace("_", " "), kind="number", tasks=())


def is_known(name: str) -> bool:
    """Whether the table has the name, or makes it from another."""
    return _known(name) is not None


def _known(name: str) -> Measure | None:
    if name in _TABLE:
        return _TABLE[name]
    base, _, ending = name.rpartition("_")
    if ending not in _TWINS or base not in _TABLE:
        return None
    twin = _TABLE[base]
    ways = (twin.kind, twin.up, twin.tasks)
    return Measure(name, f"{twin.title} ({ending})", "", *ways, shown=False, chance=twin.chance)


def _load(*, strict: bool) -> bool:
    """Let packages register theirs; what cannot be loaded costs a screen nothing but its titles."""
    try:
        return bool(load_plugins("medtui.measures"))
    except UsageError:
        if strict:
            raise
        return False


def of_task(task: str, *, per_class: bool = False) -> list[Measure]:
    """What is shown of a task, in the order of the table; with ``per_class`` only what each class has.

    Raises:
        UsageError: a package that adds metrics cannot be loaded.
    """
    _load(strict=True)
    return [m for m in _TABLE.values() if m.shown and task in m.tasks and (m.per_class or not per_class)]


def in_tables(task: str, *, per_class: bool = False) -> list[str]:
    """Names of the metrics of a table of results: what is shown of a task, without the loss."""
    return [measure.name for measure in of_task(task, per_class=per_class) if measure.name != "loss"]


def beside(*what: str) -> list[str]:
    """Names of the metrics of the second table of a segmentation: of "volume", of "lesions", or of both."""
    return [measure.name for measure in _TABLE.values() if measure.beside in what]


def shown(values: Mapping[str, Value], task: str) -> dict[str, Value]:
    """Of a split's part of metrics.json what the stream holds; surface metrics only where they were measured."""
    return _picked(values, of_task(task))


def shown_per_class(classes: Mapping[str, Mapping[str, Value]], task: str) -> dict[str, dict[str, Value]]:
    """The same for each class, with the number of its cases, and of those in which it was made up."""
    wanted = [
        *of_task(task, per_class=True),
        *(_TABLE[name] for name in ("false_positive_cases", "present", "support")),
    ]
    return {label: _picked(row, wanted) for label, row in classes.items()}


def _picked(values: Mapping[str, Value], wanted: Iterable[Measure]) -> dict[str, Value]:
    names = [m.name for m in wanted if m.name in values and not (m.key and values[m.name] is None)]
    return {name: values[name] for name in names}


def monitorable(task: str) -> list[str]:
    """Names of the metrics that can choose the best epoch.

    Neither sensitivity nor specificity: whoever always says yes, or always no, has 1.
    """
    one_sided = ("sensitivity", "specificity")
    return [measure.name for measure in of_task(task) if measure.up is not None and measure.name not in one_sided]


def default_monitor(task: str) -> str:
    """The first by rank: what chooses the best epoch where the recipe does not say."""
    return min((measure for measure in of_task(task) if measure.rank), key=lambda measure: measure.rank).name


def title(name: str, unit: str = "") -> str:
    """``hd95`` -> ``95HD [mm]``; a name that is not known stays as it is, with spaces.

    What is a volume of voxels is an area of pixels.
    """
    measure = find(name)
    if unit == "pixel" and measure.beside == "volume":
        return measure.title.replace("Volume", "Area").replace("volume", "area")
    return f"{measure.title} [{unit}]" if unit and measure.kind == "distance" else measure.title


def spoken(name: str, unit: str = "") -> str:
    """A name among others words: ``balanced_accuracy`` -> ``balanced accuracy``, ``hd95`` -> ``hd95 mm``; cases that
    papers call FP are so too. A unit that the name ends with is not said again: ``hd95 all voxels``."""
    measure, text = find(name), name.replace("_", " ").replace("false positive", "FP")
    if unit == "pixel" and measure.beside == "volume":
        return text.replace("volume", "area")
    said = not unit or measure.kind != "distance" or text.endswith(f"{unit}s")
    return text if said else f"{text} {unit}"


def short_title(name: str) -> str:
    """In 6 letters."""
    return find(name).short or name[:6]


def ordered(names: Iterable[str]) -> list[str]:
    """``names`` in the order of the table, each once; what is not known last, by name.

    Of two classes (there is a sensitivity) what is asked first there stands first.
    """
    found = {*names}
    places = {name: place for place, name in enumerate(_TABLE)}
    two = _are_two(found)

    def place(name: str) -> tuple[int, int, str]:
        base, _, ending = name.rpartition("_")
        known = name if name in places or ending not in _TWINS else base
        first = find(name).of_two if two else 0
        return first or len(_TABLE), places.get(known, len(places)), name

    return sorted(found, key=place)


def leading(names: Iterable[str]) -> list[str]:
    """``names`` with the most telling first: those with a rank, then the others in the order of the table."""
    known = ordered(names)
    return known if _are_two(known) else sorted(known, key=lambda name: find(name).rank or len(_TABLE))


def headline(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that stand where only a few have room, in the order of tables."""
    known = ordered(names)
    return [name for name in known if (find(name).of_two if _are_two(known) else find(name).rank)]


def _are_two(names: Iterable[str]) -> bool:
    return "sensitivity" in names


def better_up(name: str) -> bool:
    """Whether a larger value is a better one; also where neither is better, which :attr:`Measure.up` tells apart."""
    return find(name).up is not False


def is_distance(name: str) -> bool:
    """Whether its values have the unit of the data."""
    return find(name).kind == "distance"


def is_count(name: str) -> bool:
    """Whether it is a whole number of cases."""
    return find(name).kind == "count"
