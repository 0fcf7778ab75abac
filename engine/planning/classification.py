"""The plan of a classification: size of the images and network, as far as the minutes go."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from engine.data.order import batch_count
from engine.errors import DataError, counted
from engine.planning import plan
from engine.planning.facts import Facts
from engine.planning.machine import LITE, Pace
from engine.planning.plan import Line, Measure, Plan, Wish, intensity_lines

_SIZES = (224, 192, 160, 128, 96, 64)  # sides: ImageNet's down to the least that cls_best_hour begins with
_LEAST = 30  # passes over the cases: what cls_best has
_LEAST_LITE = 12  # what cls_lite_hour has: from ImageNet weights fewer will do
_MOST = 600  # passes at most: the longest of the usual trainings from random weights
_VOLUME_SIZES = (128, 96, 80, 64, 48, 32)  # the longest sides of volumes; by no measurement
_DEEP = 64  # voxels of the shortest side from which torchvision's stem leaves something for the last layers
_BATCH, _FEWEST = 64, 16  # cls_best_hour's, and the least that batch norm and MixUp are worth something with
_VOLUME_BATCH = 8  # quickstart_nodules's
_STEPS = 10  # an epoch has at least so many, where the cases allow: of few cases smaller batches, not fewer steps
_OF_ONE = 2  # cases of a class in the mean, at least: one to learn it by and one to test it
_UNLIKE = 1.1  # times the cases of the rarest class, from which the loss weighs them


@dataclass(frozen=True, slots=True)
class Shape:
    """A network and what it sees."""

    name: str
    size: tuple[int, ...]

    @property
    def words(self) -> str:
        return "x".join(map(str, self.size))


def plan_classification(wish: Wish, measure: Measure, pretrained: frozenset[str]) -> Plan:
    """The plan for ``wish``.

    Args:
        pretrained: networks of which ImageNet weights are here already: nothing is fetched.

    Raises:
        DataError: there are fewer than two classes, or too few cases of them; or no network fits into the memory.
    """
    facts = wish.facts
    if sum(count > 0 for count in facts.present.values()) < 2:
        names = ", ".join(facts.dataset.classes)
        raise DataError(f"all cases are of one class: {names}", "a classification needs two classes or more")
    if len(facts.dataset.classes) * _OF_ONE > len(facts.dataset.cases):
        found = f"{counted(len(facts.dataset.classes), 'class')} for {counted(len(facts.dataset.cases), 'case')}"
        way = f"{_OF_ONE} cases of each class or more; a column of measured numbers, or of names, has no classes"
        raise DataError(f"{found}: too few to learn and to test one", way)
    targets = {case.target for case in facts.dataset.split("train")}
    if len(targets) < 2:
        raise DataError("all training cases are of one class", "add cases, or give a split with classes in each part")
    best: tuple[Shape, Pace] | None = None
    for shape in _shapes(wish, pretrained):
        pace = measure(_lines(wish, shape, None, pretrained), False)
        if pace is None:
            continue
        best = (shape, pace)
        if plan.planned_steps(wish, pace) >= (_LEAST_LITE if shape.name == LITE else _LEAST) * _epoch(facts):
            break
    if best is None:
        raise DataError("no network of this plan fits into the memory of this machine", "free some of it")
    shape, pace = best[0], plan.watched(wish, best[1], _lines(wish, best[0], None, pretrained), measure)
    start = "from ImageNet weights" if shape.name in pretrained else "from random weights"
    kind = "volumes" if facts.dataset.spatial_dims == 3 else "pictures"
    words = f"{kind} of {shape.words}, {shape.name} {start}; {plan.pace_words(pace, wish.machine)}"
    time = _span(wish, pace)
    said = (words, *plan.said(wish, time), plan.UNMIRRORED)
    return Plan(tuple(_lines(wish, shape, pace, pretrained)), said, time.minutes)


def _shapes(wish: Wish, pretrained: frozenset[str]) -> Iterator[Shape]:
    longest = max(wish.facts.size)
    if wish.facts.dataset.spatial_dims == 3:
        yield from (Shape("resnet18", size) for size in dict.fromkeys(_volume_sizes(wish.facts)))
        return
    sides = [side for side in _SIZES if side <= longest] or [max(32, longest // 32 * 32)]
    small = LITE if LITE in pretrained else "resnet18"  # ImageNet weights are worth more than features
    if wish.machine.gpu and (small != LITE or "resnet50" in pretrained):
        yield Shape("resnet50", (sides[0],) * 2)
    yield from (Shape(small, (side,) * 2) for side in sides)


def _volume_sizes(facts: Facts) -> Iterator[tuple[int, ...]]:
    """Sizes with the proportions of the median volume in space, in multiples of 8; none finer than its own voxels."""
    extent = [side * step for side, step in zip(facts.size, facts.spacing or (1.0,) * 3, strict=True)]
    for longest in _VOLUME_SIZES:
        shares = [longest * part / max(extent) for part in extent]
        yield tuple(
            8 * max(2, min(round(share / 8), -(-side // 8))) for share, side in zip(shares, facts.size, strict=True)
        )


def _batch(facts: Facts) -> int:
    train = facts.count("train")
    if facts.dataset.spatial_dims == 3:
        return max(1, min(_VOLUME_BATCH, train))
    return min(_BATCH, max(_FEWEST, 2 ** int(math.log2(max(1, train / _STEPS))))) if train >= _FEWEST else max(1, train)


def _epoch(facts: Facts) -> int:
    return batch_count(facts.count("train"), _batch(facts))


def _span(wish: Wish, pace: Pace | None) -> plan.Span:
    epoch = _epoch(wish.facts)
    why = (
        f"{_MOST} passes over the cases, the longest of the usual trainings from random weights (Wightman et al. 2021)"
    )
    return plan.span(wish, pace, epoch, _MOST * epoch, why)


def _grows(shape: Shape) -> bool:
    return all(side % 32 == 0 and side >= 64 for side in shape.size)


def _lines(wish: Wish, shape: Shape, pace: Pace | None, pretrained: frozenset[str]) -> list[Line]:
    facts, ready = wish.facts, shape.name in pretrained
    time = _span(wish, pace)
    steps, epoch = time.steps, time.epoch
    batch = Line("train.batch_size", _batch(facts), f"{counted(epoch, 'step')} an epoch")
    volumes = facts.dataset.spatial_dims == 3
    kind = "volume" if volumes else "picture"
    sizes = "x".join(map(str, facts.size))
    seen = f"{kind}s are {sizes} in the median; {plan.pace_words(pace, wish.machine)}" if pace else ""
    return [
        *plan.data_lines(facts),
        Line("data.size", list(shape.size), seen),
        Line("data.resize", "stretch", f"the whole {kind}: nothing at its border is lost"),
        *_intensity_lines(facts, ready=ready),
        *(_volume_model if volumes else _model_lines)(shape, plan.about(steps / epoch), ready=ready),
        *_loss_lines(facts),
        *_optimizer_lines(shape, steps, epoch, ready=ready),
        *plan.time_lines(wish, pace, time, batch=batch),
        *_augment_lines(facts, shape, batch=_batch(facts)),
        plan.LAST,
    ]


def _intensity_lines(facts: Facts, *, ready: bool) -> list[Line]:
    if facts.dataset.colour:
        normal = "as the ImageNet weights know them" if ready else "by fixed means, so that tints stay what they are"
        return [Line("data.intensity", "imagenet", normal)]
    if facts.dataset.spatial_dims == 3:
        return intensity_lines(facts)
    return [Line("data.intensity", "zscore", "each picture by itself")]


def _volume_model(shape: Shape, passes: str, *, ready: bool) -> list[Line]:  # noqa: ARG001  (one signature for both)
    few = min(shape.size) < _DEEP
    return [
        Line("model.name", shape.name, f"about {passes} passes over the cases"),
        Line(
            "model.width",
            0.5,
            "half of the features, which take a third of the time: volumes have many voxels",
        ),
        *([Line("model.stem", 2, f"of {shape.words} voxels, 4 would leave almost nothing at the end")] if few else []),
        Line("model.dropout", 0.2),
    ]


def _model_lines(shape: Shape, passes: str, *, ready: bool) -> list[Line]:
    fetch = "true fetches ImageNet weights, which is not done unasked; then optimizer.lr = 3e-4, as cls_best.toml has"
    return [
        Line("model.name", shape.name, f"about {passes} passes over the cases"),
        Line("model.pretrained", ready, "ImageNet weights, which are here already" if ready else fetch),
        Line("model.dropout", 0.2),
    ]


def _loss_lines(facts: Facts) -> list[Line]:
    counts = {name: count for name, count in facts.present.items() if count}
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    lines = [Line("loss.name", "cross_entropy")]
    if counts[most] > _UNLIKE * counts[least]:
        shares = f"{most} has {counts[most]:,} cases, {least} {counts[least]:,}"
        why = f"{shares}: none is to be favoured for being frequent (Menon et al. 2021)"
        lines.append(Line("loss.logit_adjustment", 0.8, why))
    return lines


def _optimizer_lines(shape: Shape, steps: int, epoch: int, *, ready: bool) -> list[Line]:
    rate, why = (3e-4, "at which ImageNet weights survive") if ready else (0.002, "")
    if shape.name == LITE:
        rate, why = 0.001, "as cls_lite_hour.toml, which was measured"
    lines = [
        Line("optimizer.name", "adamw"),
        Line("optimizer.lr", rate, why),
        Line("optimizer.weight_decay", 0.05),
    ]
    if ready and shape.name != LITE:
        return [*lines, Line("schedule.name", "cosine"), *plan.warmup_lines(steps, epoch)]
    return [*lines, Line("schedule.name", "one_cycle")]


def _augment_lines(facts: Facts, shape: Shape, batch: int) -> list[Line]:
    grown = [
        Line("augment.grow_from", 0.5, "pictures grow from half the side, which takes less time (Tan and Le 2021)")
    ]
    mixed = [
        Line("augment.mixup", 0.2, "keeps the network from being sure (Zhang et al. 2018)"),
        Line("augment.mix_probability", 0.5),
    ]
    if facts.dataset.spatial_dims == 3:
        return [
            Line("augment.rotate_degrees", 15.0),
            Line("augment.scale", 0.1),
            Line("augment.translate", 0.05),
            Line("augment.affine_probability", 0.7),
            Line("augment.flip", [], "[0] where left and right are alike"),
            Line("augment.noise", 0.1),
            Line("augment.brightness", 0.2),
            Line("augment.contrast", 0.2),
            Line("augment.intensity_probability", 0.3),
            *(mixed if batch > 1 else []),
        ]
    return [
        Line("augment.rotate_degrees", 20.0),
        Line("augment.affine_probability", 0.5),
        Line("augment.flip", [], "[0, 1], and rotate90 = true, where a picture has no upright (skin, cells)"),
        Line("augment.crop_scale", 0.5, "a random part of each picture, at least half"),
        Line("augment.brightness", 0.2),
        Line("augment.contrast", 0.2),
        *([Line("augment.saturation", 0.2)] if facts.dataset.colour else []),
        *(grown if _grows(shape) else []),
        *(mixed if batch > 1 else []),
    ]
