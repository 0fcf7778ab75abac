"""Whether a data set is what weights to start from were trained on: other values, and cases that they have seen."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from engine.data.cases import Dataset
from engine.data.familiar import Ranges, far_off, is_stretched, ranges
from engine.errors import counted, ends, some
from engine.recipe import DataTable
from engine.recipe.names import folded

_ALIKE = 1.1  # as in `engine.data.familiar`
_BY_ITSELF = frozenset({"zscore", "body", "minmax"})  # scale each image by its own values: whatever these are


def seen_before(dataset: Dataset, trained: Collection[str]) -> dict[str, list[str]]:
    """The cases of validation and test whose images are among ``trained`` ones, by hashes: split -> ids."""
    found = {
        split: [case.id for case in dataset.split(split) if case.facts is not None and case.facts.image in trained]
        for split in ("validation", "test")
    }
    return {split: ids for split, ids in found.items() if ids}


def seen_words(dataset: Dataset, seen: Mapping[str, Sequence[str]], run: str) -> Iterator[str]:
    """What `seen_before` found, for people; ``run`` is what the weights were trained in."""
    for split, ids in seen.items():
        share = f"{len(ids)} of {counted(len(dataset.split(split)), f'{split} case')}"
        were = "was" if len(ids) == 1 else "were"
        yield f"{share} {were} in training before, in {run}: {some(ids)}; for them the numbers are too good"


def other_values(
    table: DataTable, known: DataTable, dataset: Dataset, channel_names: Sequence[str], before: Ranges
) -> Iterator[str]:
    """A note for each way in which the network would see other values than its weights were trained with.

    Args:
        table: the recipe's [data].
        known: that of the run of the weights.
        dataset: checked.
        channel_names: of that run's data.
        before: ranges of its training cases, see `engine.data.familiar`.
    """
    then, now = ((kind.intensity, kind.window) for kind in (known, table))
    if then != now:
        words = f"--set data.intensity={known.intensity}" + (f" {_set('window', known.window)}" if known.window else "")
        yield f"data.intensity is {_scale(*now)}, and the weights were trained with {_scale(*then)}: {words}"
    elif table.intensity not in _BY_ITSELF and dataset.spatial_dims == 3:
        cases = {case.id: case.facts for case in dataset.split("train") if case.facts is not None}
        if far := far_off(cases, before):
            yield far
    if not is_stretched(dataset, table) and (voxels := _other_voxels(table, known, dataset, before)):
        yield voxels
    own, theirs = list(dataset.channel_names), list(channel_names)
    if own and len(own) == len(theirs) > 1 and [*map(folded, own)] != [*map(folded, theirs)]:
        yield f"the channels are {', '.join(own)}, and the weights were trained on {', '.join(theirs)}, in this order"
    if dataset.spatial_dims == 2 and not dataset.dense and table.size != known.size:
        here, there = (" x ".join(map(str, sizes)) for sizes in (table.size, known.size))
        yield f"data.size is {here}, and the weights were trained with {there}: what pictures show has another size"


def _other_voxels(table: DataTable, known: DataTable, dataset: Dataset, before: Ranges) -> str:
    """In words, where the voxels that the network sees are larger or smaller than those of training."""
    sides = [
        _sides(known.spacing, before),
        _sides(table.spacing, ranges(dataset, "train", resampled=table.spacing is not None)),
    ]
    pairs = list(zip(*sides, strict=False))
    if not any(now[0] < then[0] / _ALIKE or now[1] > then[1] * _ALIKE for then, now in pairs):
        return ""
    then, now = (" x ".join(ends(f"{a:.4g}", f"{b:.4g}") for a, b in of) for of in sides)
    wanted = known.spacing or [round((low + high) / 2, 3) for low, high in sides[0]]
    return f"voxels are {now} mm, and the weights were trained on {then} mm: {_set('spacing', wanted)}"


def _set(key: str, values: Sequence[float]) -> str:
    return f"--set 'data.{key}=[{', '.join(f'{float(value)!r}' for value in values)}]'"


def _scale(intensity: str, window: Sequence[float] | None) -> str:
    return f"{intensity} {window[0]:g} to {window[1]:g}" if window else intensity


def _sides(spacing: Sequence[float] | None, known: Ranges) -> list[tuple[float, float]]:
    if spacing is not None:
        return [(side, side) for side in spacing]
    axes = (known.get(f"spacing {axis}") for axis in range(3))
    return [(side[0], side[1]) for side in axes if side]
