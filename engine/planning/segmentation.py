"""The plan of a segmentation: voxels, crop, network and loss from the data, as far as the minutes go.

Rules are those of nnU-Net (Isensee et al. 2021) where one is named, else what docs/benchmarks.md measured.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.errors import DataError
from engine.planning.facts import Facts, in_one_piece, percentiles, rounded
from engine.planning.machine import Pace
from engine.planning.plan import Line, Measure, Plan, Wish, data_lines, pace_words, planned_steps, time_lines

RoundTrip = Callable[[tuple[float, ...]], float]
"""The Dice of the truth, of the worst class, with itself after resampling to a spacing and back."""
_BUDGETS = {(3, False): 112 * 112 * 80, (3, True): 128**3, (2, False): 256**2, (2, True): 512**2}
"""Voxels of the largest crop by the axes of an image and whether there is a GPU."""
_WIDE, _NARROW = 32, 16  # features of the top level
_ENOUGH, _LEAST = 2000, 700
"""Steps that a wide network must have in the minutes, and a crop of its size."""
_QUICKER = 2  # times the steps that a smaller network or crop must make: at equal steps the larger one is better
_EPOCH = 28  # steps of an epoch at least: fewer, and its end takes more than its steps
_SMALLEST = 4  # voxels left along each axis of the lowest level
_COARSEST = 0.95  # round trip that a coarser grid must keep, as `engine.data.survey` advises
_HELD = 4  # a scan of more than so many crops is resampled to a coarser grid: nnU-Net's rule
_PADDED = 0.25  # share of empty voxels from which they are left out of the scale: nnU-Net's rule
_WHOLE = 0.999  # share of the truth in its largest piece from which predictions keep one piece
_AIR = (-1100.0, -900.0)  # in Hounsfield units


@dataclass(frozen=True, slots=True)
class Shape:
    """A network and what it sees."""

    size: tuple[int, ...]
    spacing: tuple[float, ...] | None  # to which images are resampled
    median: tuple[int, ...]  # size of an image there
    levels: int
    top: int
    flat: bool  # whether an axis is too short to be halved with the others
    trip: float = 1.0  # what resampling keeps of the truth

    @property
    def channels(self) -> list[int]:
        return [min(self.top * 2**level, 320) for level in range(self.levels)]

    @property
    def held(self) -> float:
        """The share of a median image that a crop holds."""
        return math.prod(min(a, b) / b for a, b in zip(self.size, self.median, strict=True))


def plan_segmentation(wish: Wish, measure: Measure, trip: RoundTrip) -> Plan:
    """The plan for ``wish``.

    Raises:
        DataError: no network learns from this data on this machine.
    """
    best: tuple[Shape, Pace] | None = None
    tried: list[Shape] = []
    for shape, least in _shapes(wish, trip):
        if shape in tried:
            continue
        tried.append(shape)
        pace = measure(_lines(wish, shape, None))
        if pace is None:
            continue
        steps = planned_steps(wish, pace)
        if best is None or steps >= _QUICKER * planned_steps(wish, best[1]):
            best = (shape, pace)
        if planned_steps(wish, best[1]) >= least:
            break
    if best is None:
        raise DataError("no network of this plan fits into the memory of this machine", "free some of it")
    shape, pace = best
    lines, facts = _lines(wish, shape, pace), wish.facts
    held = "whole images" if shape.held >= 1 else f"{shape.held:.0%} of a median image"
    grid = f", at voxels of {_mm(facts, shape.spacing)}" if shape.spacing else ""
    network, widths = (
        "DynUNet" if shape.flat else "residual U-Net",
        f"{shape.channels[0]} to {shape.channels[-1]} features",
    )
    words = f"{network} of {shape.levels} levels, {widths}; {pace_words(pace, wish.machine)}"
    return Plan(tuple(lines), (f"crops of {_x(shape.size)}, {held}{grid}", words))


def _shapes(wish: Wish, trip: RoundTrip) -> Iterator[tuple[Shape, int]]:
    """What may be trained, from the most that is wanted down, and how many steps of it are worth it."""
    budget = _BUDGETS[wish.facts.dataset.spatial_dims, bool(wish.machine.gpu)]
    yield _shape(wish.facts, budget, _WIDE, trip), _ENOUGH
    for part in (1, 2, 4):
        yield _shape(wish.facts, budget // part, _NARROW, trip), _LEAST


def _shape(facts: Facts, budget: int, top: int, trip: RoundTrip) -> Shape:
    spacing, median, kept = _grid(facts, budget, trip)
    steps = spacing or facts.spacing or (1.0,) * len(median)
    for levels in (4, 3, 2):
        size = _crop(median, steps, budget, [2**levels] * len(median))
        if min(size) >= _SMALLEST * 2**levels:
            break
    flat = levels == 2 and max(size) >= 64 and len(size) == 3
    if flat:
        size = _crop(median, steps, budget, [16 if side >= 64 else 4 for side in median])
        levels = 5
    return Shape(size, spacing, median, levels, top, flat, kept)


def _grid(facts: Facts, budget: int, trip: RoundTrip) -> tuple[tuple[float, ...] | None, tuple[int, ...], float]:
    """Spacing to resample to, the median size there, and how much of the truth is kept."""
    own, median = facts.spacing, facts.size
    if facts.mixed and own is not None:
        sides = zip(zip(*facts.sizes, strict=True), zip(*facts.spacings, strict=True), own, strict=True)
        median = tuple(round(sorted(n * s / to for n, s in zip(a, b, strict=True))[len(a) // 2]) for a, b, to in sides)
    if facts.dataset.spacing_unit == "voxel":
        return None, median, 1.0
    start = own or (1.0,) * len(median)
    mixed = tuple(rounded(side) for side in start) if facts.mixed else None
    coarse = _coarser(start, median, _HELD * budget)
    for _ in range(3):
        kept = 1.0 if coarse == start else trip(coarse)
        if coarse == start or kept >= _COARSEST:
            break
        coarse = tuple(rounded(math.sqrt(a * b)) for a, b in zip(coarse, start, strict=True))
    else:
        coarse, kept = start, 1.0
    if coarse == start:
        return mixed, median, trip(mixed) if mixed else 1.0
    return coarse, tuple(max(1, round(n * a / b)) for n, a, b in zip(median, start, coarse, strict=True)), kept


def _coarser(spacing: Sequence[float], median: Sequence[int], most: int) -> tuple[float, ...]:
    """``spacing`` made coarser until the median image has ``most`` voxels: at first along the finer axes only."""
    left, sides = list(spacing), list(map(float, median))
    if math.prod(sides) <= 1.1 * most:
        return tuple(spacing)
    while math.prod(sides) > most:
        finer = [axis for axis, side in enumerate(left) if 2 * side <= max(left)] or range(len(left))
        for axis in finer:
            left[axis], sides[axis] = left[axis] * 1.02, sides[axis] / 1.02
    return tuple(rounded(side) for side in left)


def _crop(median: Sequence[int], spacing: Sequence[float], budget: int, multiples: Sequence[int]) -> tuple[int, ...]:
    """The median image, or as much of it as ``budget`` voxels hold: the longest side in mm is cut first."""
    size = [max(8, -(-side // multiple) * multiple) for side, multiple in zip(median, multiples, strict=True)]
    while math.prod(size) > budget:
        free = [axis for axis, side in enumerate(size) if side > _SMALLEST * multiples[axis]]
        if not free:
            break
        longest = max(free, key=lambda axis: size[axis] * spacing[axis])
        size[longest] -= multiples[longest]
    return tuple(size)


def _lines(wish: Wish, shape: Shape, pace: Pace | None) -> list[Line]:
    facts = wish.facts
    batch, train = (2 if len(shape.size) == 3 else 8), facts.count("train")
    samples = max(1, -(-_EPOCH * batch // train))
    epoch = -(-train * samples // batch)
    steps = planned_steps(wish, pace) if pace else _ENOUGH
    whole = shape.held >= 1
    what = "scan" if len(shape.size) == 3 else "picture"
    holds = (
        f"a median {what} ({_x(shape.median)}) fits"
        if whole
        else f"{shape.held:.0%} of a median {what} of {_x(shape.median)}"
    )
    held = f"{holds}; {pace_words(pace, wish.machine)}" if pace else holds
    lines = [*data_lines(facts), *_spacing_line(facts, shape), Line("data.size", list(shape.size), held)]
    if whole:
        lines.append(Line("data.crop", "random"))
    else:
        lines.append(Line("data.crop", "foreground", "so that classes are seen however small they are"))
        lines.append(
            Line("data.foreground_share", 0.5, "the other half from anywhere: what looks alike has to be unlearned")
        )
    if samples > 1:
        lines.append(Line("data.samples_per_case", samples, f"{train} cases a pass are few: an epoch is {epoch} steps"))
    lines += [*_intensity_lines(facts), *_model_lines(shape), *_loss_lines(facts, whole)]
    why = "small steps, many of them: batches of 2 were better than of 4 (docs/benchmarks.md)" if batch == 2 else ""
    lines += _optimizer_lines(epoch)
    lines += time_lines(wish, steps, epoch, batch=Line("train.batch_size", batch, why))
    return [*lines, *_augment_lines(facts), *_evaluate_lines(facts)]


def _spacing_line(facts: Facts, shape: Shape) -> list[Line]:
    if shape.spacing is None:
        return []
    ends = [(min(side), max(side)) for side in zip(*facts.spacings, strict=True)]
    found = " x ".join(f"{low:.3g}" if high < 1.01 * low else f"{low:.3g} to {high:.3g}" for low, high in ends)
    coarse = facts.spacing is None or any(a > 1.1 * b for a, b in zip(shape.spacing, facts.spacing, strict=True))
    kept = f"; masks keep a Dice of {shape.trip:.3f} by it"
    if coarse and facts.spacing is None:
        why = f"pixels taken together, so that a crop holds a quarter of a picture of {_x(facts.size)}{kept}"
    elif coarse:
        why = f"coarser than the {found} mm of the files, so that a crop holds a quarter of a scan{kept}"
    else:
        why = f"the medians: voxels are {found} mm{kept}"
    return [Line("data.spacing", list(shape.spacing), why)]


def _intensity_lines(facts: Facts) -> list[Line]:
    if facts.dataset.colour:
        return [Line("data.intensity", "imagenet", "colours by fixed means, so that light and tint stay what they are")]
    means = sorted(each.mean for each in facts.seen)
    middle = len(means) // 2
    normal = all(abs(each.mean) < 0.05 and abs(each.deviation - 1) < 0.05 for each in facts.seen)
    air = sum(_AIR[0] <= each.low <= _AIR[1] or each.low <= -2000 for each in facts.seen)
    named = any(name.strip().lower() == "ct" for name in facts.dataset.channel_names)
    blank = sorted(each.blank for each in facts.seen)[middle]
    if normal:
        return [Line("data.intensity", "none", "every image has mean 0 and deviation 1 already")]
    if (
        (named or 2 * air > len(facts.seen))
        and facts.dataset.channels == 1
        and any(each.foreground for each in facts.seen)
    ):
        low, high = percentiles(facts)
        if high > low:
            why = "CT: " + ("the data set says so" if named else "air is near -1000")
            window = Line("data.window", [rounded(low), rounded(high)], "99 % of the voxels of the classes lie between")
            return [Line("data.intensity", "window", why), window]
    if blank >= _PADDED:
        return [Line("data.intensity", "body", f"{blank:.0%} of an image is empty, which must not set the scale")]
    why = f"each image by itself: means run from {means[0]:.3g} to {means[-1]:.3g}"
    return [Line("data.intensity", "zscore", why)]


def _model_lines(shape: Shape) -> list[Line]:
    if shape.flat:
        lines = [Line("model.name", "dynunet", f"nnU-Net's: halves the long axes only, as {_x(shape.size)} asks for")]
    else:
        lines = [Line("model.name", "resunet", "residual U-Net, the fastest here to a good Dice (docs/benchmarks.md)")]
    why = f"{shape.levels} levels; " + (
        f"{shape.top} features at the top: wider ones would make too few steps in the time"
        if shape.top == _NARROW
        else "as wide as the time allows"
    )
    lines.append(Line("model.channels", shape.channels, why))
    if shape.levels > 3:
        lines.append(
            Line("model.deep_supervision", True, "every level learns from the truth: a short way for the gradient")
        )
    return lines


def _loss_lines(facts: Facts, whole: bool) -> list[Line]:
    one = len(facts.dataset.classes) == 1
    why = "overlap, which small classes count in as large ones do, and every voxel by itself"
    crops = "a batch" if whole else "crops without a class have no Dice of their own: a batch"
    return [
        Line("loss.name", "dice_bce" if one else "dice_ce", why),
        Line("loss.batch_dice", True, f"{crops} counts as one volume"),
    ]


def _optimizer_lines(epoch: int) -> list[Line]:
    return [
        Line("optimizer.name", "adamw"),
        Line("optimizer.lr", 0.002, "one cycle up to 0.004 was worse (docs/benchmarks.md)"),
        Line("optimizer.weight_decay", 0.01),
        Line("schedule.name", "polynomial"),
        *([Line("schedule.warmup_epochs", 1.0)] if epoch > 1 else []),
    ]


def _augment_lines(facts: Facts) -> list[Line]:
    shades = ["noise", "blur", "brightness", "contrast", "gamma"]
    sizes = {"noise": 0.1, "blur": 1.0}
    colour = [Line("augment.saturation", 0.2)] if facts.dataset.colour else []
    return [
        Line("augment.rotate_degrees", 20.0, "what seg_best has; stronger changes did harm (docs/benchmarks.md)"),
        Line("augment.scale", 0.2),
        Line("augment.translate", 0.05),
        Line("augment.affine_probability", 0.7),
        Line("augment.flip", [], "no mirroring: it did harm where sides differ; give axes where they do not"),
        *[Line(f"augment.{name}", sizes.get(name, 0.2)) for name in shades],
        *colour,
        Line("augment.intensity_probability", 0.3),
    ]


def _evaluate_lines(facts: Facts) -> list[Line]:
    lines = [Line("evaluate.checkpoint", "last", "the best of a few validations would be chance")]
    whole = in_one_piece(facts)
    if whole >= _WHOLE:
        why = f"the truth is in one piece a class ({whole:.1%} of it): predictions keep their largest"
        lines.append(Line("evaluate.largest_component", True, why))
    return lines


def _x(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _mm(facts: Facts, spacing: Sequence[float]) -> str:
    return " x ".join(f"{side:g}" for side in spacing) + (" mm" if facts.spacing else " pixels")
