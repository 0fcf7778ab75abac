"""The plan of a segmentation: crop, network and loss from the data, as far as the minutes go.

Rules are those of nnU-Net (Isensee et al. 2021) where one is named, else what docs/benchmarks.md measured.
"""

import functools
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.data.order import batch_count
from engine.data.sources.dataset_json import FILE
from engine.errors import DataError, counted
from engine.planning import plan
from engine.planning.facts import Facts, in_one_piece, rounded
from engine.planning.machine import Pace
from engine.planning.plan import Line, Measure, Plan, Wish
from engine.planning.shapes import BUDGETS, NARROW, WIDE, RoundTrip, Shape, shape_of, target_spacing

_ENOUGH = 2400  # steps for a wide network: with so many one had a good Dice (docs/benchmarks.md, time to a Dice)
_LEAST = 700  # steps for a crop: with so many a large one was better than a smaller one with 1,800 (docs/benchmarks.md)
_SEEN = 530  # times a case at most: on the left atrium that is nine times as long, and added little to three times
_MOST = 250_000  # steps at most: nnU-Net's, of all data sets
_QUICKER = 2  # times the steps that a smaller network or crop must make to be worth it: no measurement, a caution
_BATCH = {3: 2, 2: 8}  # by the axes of an image: as hippocampus_hour, and as pictures of quickstart_2d
_EPOCH = 28  # steps of an epoch at least: seg_best's; fewer, and its end takes more than its steps
_WHOLE = 0.999  # share of the truth in its largest piece from which predictions keep one piece: a few stray voxels
_FLAT = 3  # times the short axis that a long one has, from which crops are turned in their plane only: nnU-Net's
_MASKS = 10  # in one piece each, before it is believed: islands far from an organ are what a short training makes


def plan_segmentation(wish: Wish, measure: Measure, trip: RoundTrip) -> Plan:
    """The plan for ``wish``.

    Raises:
        DataError: no network of a plan fits into the memory.
    """
    best: tuple[Shape, Pace] | None = None
    tried: dict[Shape, int | None] = {}  # steps in the minutes; None: no memory
    for shape, least in _shapes(wish, functools.cache(trip)):
        if shape in tried:
            continue
        pace = measure(_lines(wish, shape, None, ""), False)
        tried[shape] = plan.planned_steps(wish, pace) if pace else None
        if pace is None:
            continue
        if best is None or plan.planned_steps(wish, pace) >= _QUICKER * plan.planned_steps(wish, best[1]):
            best = (shape, pace)
        if plan.planned_steps(wish, best[1]) >= least:
            break
    if best is None:
        raise DataError("no network of this plan fits into the memory of this machine", "free some of it")
    shape, pace = best[0], plan.watched(wish, best[1], _lines(wish, best[0], None, ""), measure)
    lines, facts = _lines(wish, shape, pace, _width_words(wish, shape, tried)), wish.facts
    held = "whole images" if shape.least >= 1 else f"{shape.held:.0%} of a median image"
    grid = f", at voxels of {_mm(facts, shape.spacing)}" if shape.spacing else ""
    network = "DynUNet" if shape.flat else "residual U-Net"
    widths = f"{shape.channels[0]} to {shape.channels[-1]} features"
    words = f"{network} of {shape.levels} levels, {widths}; {plan.pace_words(pace, wish.machine)}"
    time = _span(wish, shape, pace)
    said = (f"crops of {_x(shape.size)}, {held}{grid}", words, *plan.said(wish, time), plan.UNMIRRORED)
    return Plan(tuple(lines), said, time.minutes)


def _shapes(wish: Wish, trip: RoundTrip) -> Iterator[tuple[Shape, int]]:
    """What may be trained, from the most that is wanted down, and how many steps of it are worth it."""
    budget = BUDGETS[wish.facts.dataset.spatial_dims, bool(wish.machine.gpu)]
    yield shape_of(wish.facts, budget, WIDE, trip), _ENOUGH
    for part in (1, 2, 4):
        yield shape_of(wish.facts, budget // part, NARROW, trip), _LEAST


def _width_words(wish: Wish, shape: Shape, tried: dict[Shape, int | None]) -> str:
    """Why the network is as wide as it is, by what was timed."""
    if shape.top == WIDE:
        return f"from {WIDE} features at the top, as nnU-Net's"
    wide = next((steps for each, steps in tried.items() if each.top == WIDE), None)
    found = f"would make {plan.about(wide)} steps in {counted(wish.minutes, 'minute')}" if wide else ""
    return f"half the width of nnU-Net's, which {found or 'does not fit the memory'}"


def _lines(wish: Wish, shape: Shape, pace: Pace | None, width: str) -> list[Line]:
    facts, batch = wish.facts, _BATCH[len(shape.size)]
    train, samples = facts.count("train"), _samples(facts, batch)
    time = _span(wish, shape, pace)
    few = f"{counted(train, 'case')} a pass: an epoch is {time.epoch} steps"
    why = "on the hippocampus as many cases in batches of 2 were better than of 4 (docs/benchmarks.md)"
    return [
        *plan.data_lines(facts),
        *_spacing_line(facts, shape),
        *_crop_lines(wish, shape, pace),
        *([Line("data.samples_per_case", samples, few)] if samples > 1 else []),
        *plan.intensity_lines(facts),
        *_model_lines(shape, width),
        *_loss_lines(facts, whole=shape.whole),
        Line("optimizer.name", "adamw"),
        Line("optimizer.lr", 0.002, "as hippocampus.toml; one cycle up to 0.004 was worse there (docs/benchmarks.md)"),
        Line("optimizer.weight_decay", 0.01),
        Line("schedule.name", "polynomial"),
        *plan.warmup_lines(time.steps, time.epoch),
        *plan.time_lines(wish, pace, time, batch=Line("train.batch_size", batch, why if batch == 2 else "")),
        *_augment_lines(facts, shape),
        *_evaluate_lines(facts),
    ]


def _samples(facts: Facts, batch: int) -> int:
    """Crops of a case in an epoch."""
    return max(1, -(-_EPOCH * batch // facts.count("train")))


def _span(wish: Wish, shape: Shape, pace: Pace | None) -> plan.Span:
    batch, train = _BATCH[len(shape.size)], wish.facts.count("train")
    seen = train / shape.held / batch  # steps in which each case is seen once
    most = min(_MOST, max(_ENOUGH, round(_SEEN * seen)))
    why = f"each case is seen {plan.about(most / seen)} times; on the left atrium more than {_SEEN} added little"
    why = "the steps of nnU-Net, whatever the data" if most == _MOST else f"{why} (docs/benchmarks.md)"
    return plan.span(wish, pace, batch_count(train * _samples(wish.facts, batch), batch), most, why)


def _crop_lines(wish: Wish, shape: Shape, pace: Pace | None) -> list[Line]:
    what = "scan" if len(shape.size) == 3 else "picture"
    held = f"a median {what} ({_x(shape.median)}) fits"
    if shape.held < 1:
        held = f"{shape.held:.0%} of a median {what} of {_x(shape.median)}"
    elif not shape.whole:
        held += f", and {shape.least:.1%} of the largest"
    size = Line("data.size", list(shape.size), f"{held}; {plan.pace_words(pace, wish.machine)}" if pace else held)
    if shape.whole:
        return [size, Line("data.crop", "random")]
    share = "the other half from anywhere: what looks alike has to be told apart"
    return [
        size,
        Line("data.crop", "foreground", "so that classes are seen however small they are"),
        Line("data.foreground_share", 0.5, share),
    ]


def _spacing_line(facts: Facts, shape: Shape) -> list[Line]:
    if shape.spacing is None:
        return []
    ends = [(min(side), max(side)) for side in zip(*facts.spacings, strict=True)]
    found = " x ".join(f"{low:.3g}" if high < 1.01 * low else f"{low:.3g} to {high:.3g}" for low, high in ends)
    target, own = target_spacing(facts), facts.spacing
    coarse = target is None or any(a > 1.1 * b for a, b in zip(shape.spacing, target, strict=True))
    kept = f"; masks keep a Dice of {shape.trip:.3f} by it"
    thin = ""
    if target and own and any(a == rounded(b) < rounded(c) for a, b, c in zip(shape.spacing, target, own, strict=True)):
        thin = ", of thick slices the 10th percentile: nnU-Net's rule, as the median would take thinner ones together"
    if target is None:
        why = f"pixels taken together, so that a crop holds {shape.held:.0%} of a picture of {_x(facts.size)}{kept}"
    elif coarse:
        why = f"coarser than the {found} mm of the files{thin}, so that a crop holds {shape.held:.0%} of a scan{kept}"
    else:
        why = f"voxels are {found} mm: the medians{thin}{kept}"
    return [Line("data.spacing", list(shape.spacing), why)]


def _model_lines(shape: Shape, width: str) -> list[Line]:
    why = "residual U-Net: on the hippocampus, in equal time, ahead of nnU-Net's network (docs/benchmarks.md)"
    lines = [Line("model.name", "resunet", why)]
    if shape.flat:
        why = f"nnU-Net's: halves an axis of {_x(shape.size)} only while 4 voxels are left along it"
        lines = [Line("model.name", "dynunet", why)]
    lines.append(Line("model.channels", shape.channels, f"{shape.levels} levels, {width}" if width else ""))
    if shape.levels > 3:
        why = "every level learns from the truth (Lee et al. 2015), as in nnU-Net"
        lines.append(Line("model.deep_supervision", True, why))
    return lines


def _loss_lines(facts: Facts, *, whole: bool) -> list[Line]:
    one = len(facts.dataset.classes) == 1
    why = "overlap, which small classes count in as large ones do, and every voxel by itself"
    crops = "a batch" if whole else "crops without a class have no Dice of their own: a batch"
    return [
        Line("loss.name", "dice_bce" if one else "dice_ce", why),
        Line("loss.batch_dice", True, f"{crops} counts as one volume"),
    ]


def _augment_lines(facts: Facts, shape: Shape) -> list[Line]:
    shades = ["noise", "blur", "brightness", "contrast", "gamma"]
    sizes = {"noise": 0.1, "blur": 1.0}
    colour = [Line("augment.saturation", 0.2)] if facts.dataset.colour else []
    return [
        Line(
            "augment.rotate_degrees",
            20.0,
            "as seg_best.toml; on the left atrium stronger changes did harm (docs/benchmarks.md)",
        ),
        *_plane_line(shape),
        Line("augment.scale", 0.2),
        Line("augment.translate", 0.05),
        Line("augment.affine_probability", 0.7),
        Line(
            "augment.flip",
            [],
            "mirroring did harm on the left atrium (docs/benchmarks.md); [0], say, where sides are alike",
        ),
        *[Line(f"augment.{name}", sizes.get(name, 0.2)) for name in shades],
        *colour,
        Line("augment.intensity_probability", 0.3),
    ]


def _plane_line(shape: Shape) -> list[Line]:
    """The plane of the two long axes, where the third is short: turned into it, a slice would leave the crop."""
    short = min(range(len(shape.size)), key=lambda axis: shape.size[axis])
    if len(shape.size) < 3 or max(shape.size) <= _FLAT * shape.size[short]:
        return []
    plane = [axis for axis in range(3) if axis != short]
    why = f"nnU-Net's rule: an axis of {shape.size[short]} voxels is not turned into one of {max(shape.size)}"
    return [Line("augment.rotate_plane", plane, why)]


def _evaluate_lines(facts: Facts) -> list[Line]:
    lines = [plan.LAST]
    masks = Counter(index for each in facts.seen for index, _, _ in each.pieces)
    fewest = min(masks[index] for index in range(len(facts.dataset.classes)))
    if fewest >= _MASKS and in_one_piece(facts) >= _WHOLE:
        why = f"each class is in one piece wherever it was seen ({fewest} masks or more): predictions keep the largest"
        lines.append(Line("evaluate.largest_component", True, why))
    return [*lines, *_region_lines(facts)]


def _region_lines(facts: Facts) -> list[Line]:
    """What is scored beside the classes, where the data set says it, or is known for it."""
    dataset, known = facts.dataset, facts.published
    if unions := dataset.unions:
        return [
            Line("evaluate.regions", unions, f"labels of several mask values in {FILE}: measured beside the classes")
        ]
    if known is None:
        return []
    named = dict(zip(dataset.label_values, dataset.classes, strict=True))
    unions = {name: [named[value] for value in values] for name, values in known.regions.items()}
    return [Line("evaluate.regions", unions, f"unions of classes that {known.name} scores beside them")]


def _x(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _mm(facts: Facts, spacing: Sequence[float]) -> str:
    return " x ".join(f"{side:g}" for side in spacing) + (" mm" if facts.spacing else " pixels")
