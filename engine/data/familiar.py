"""Whether images are like those that a network was trained on: their values, their voxels, how much is empty."""

from collections.abc import Mapping

from engine.data.cases import CaseFacts, Dataset
from engine.errors import ends
from engine.recipe import DataTable

Ranges = Mapping[str, tuple[float, float]]
"""Least and greatest ``low``, ``high`` and ``blank`` (see `CaseFacts`) of the training cases, and of every axis
``spacing <axis>`` where voxels reach the network as the files have them, and ``size <axis>``."""
_ALIKE = 1.1  # voxels larger or smaller by this factor are other ones; `engine.data.survey` advises from there on, too
_MORE_BLANK = 0.2


def ranges(dataset: Dataset, split: str, *, resampled: bool = False) -> dict[str, tuple[float, float]]:
    """The `Ranges` of the cases of a split of a data set that was checked; empty where there are none."""
    facts = [case.facts for case in dataset.split(split) if case.facts is not None]
    values = {name: [float(getattr(own, name)) for own in facts] for name in ("low", "high", "blank")}
    if not resampled and all(own.spacing for own in facts):
        sides = zip(*(own.spacing or () for own in facts), strict=True)
        values |= {f"spacing {axis}": list(side) for axis, side in enumerate(sides)}
    lengths = zip(*(own.shape[1:] for own in facts), strict=True)
    values |= {f"size {axis}": list(map(float, side)) for axis, side in enumerate(lengths)}
    return {name: (min(own), max(own)) for name, own in values.items()} if facts else {}


def is_stretched(dataset: Dataset, table: DataTable) -> bool:
    """Whether images come at ``table.size`` whatever their voxels are: ``data.spacing`` is refused then."""
    return not dataset.dense and table.resize == "stretch"


def unfamiliar(dataset: Dataset, known: Ranges, table: DataTable) -> tuple[str, ...]:
    """A note for each way in which cases of a checked data set, read as ``table`` says, are far from ``known``."""
    if not {"low", "high", "blank"} <= known.keys():
        return ()
    cases = {case.id: case.facts for case in dataset.cases if case.facts is not None}
    notes = []
    if dataset.spatial_dims == 3 and (far := far_off(cases, known)):
        notes.append(far)
    most = known["blank"][1]
    if empty := [name for name, facts in cases.items() if facts.blank > most + _MORE_BLANK]:
        notes.append(
            f"{_named(empty)}: {cases[empty[0]].blank:.0%} of the image is 0 or its least value, in training at most "
            f'{most:.0%}: where it was padded, crop it; data.intensity = "body" leaves such voxels out of the scale'
        )
    other = [name for name, facts in cases.items() if _other_voxels(facts, known)]
    if other and not is_stretched(dataset, table):
        known_sides = [known[f"spacing {axis}"] for axis in range(dataset.spatial_dims)]
        sides = [ends(f"{low:.4g}", f"{high:.4g}") for low, high in known_sides]
        notes.append(
            f"{_named(other)}: voxels of {' x '.join(f'{side:.4g}' for side in cases[other[0]].spacing or ())} mm; the "
            f"network was trained on {' x '.join(sides)} mm, and nothing resamples them: train with data.spacing"
        )
    return tuple(notes)


def far_off(cases: Mapping[str, CaseFacts], known: Ranges) -> str:
    """A note on those of ``cases`` whose values are far from ``known``; "" where there are none."""
    if not {"low", "high"} <= known.keys() or not (far := [name for name, own in cases.items() if _far(own, known)]):
        return ""
    first = cases[far[0]]
    return (
        f"{_named(far)}: values from {first.low:g} to {first.high:g}; the network was trained on "
        f"values from {known['low'][0]:g} to {known['high'][1]:g}"
    )


def _other_voxels(facts: CaseFacts, known: Ranges) -> bool:
    sides = [(side, known.get(f"spacing {axis}", (side, side))) for axis, side in enumerate(facts.spacing or ())]
    return any(side < low / _ALIKE or side > high * _ALIKE for side, (low, high) in sides)


def _far(facts: CaseFacts, known: Ranges) -> bool:
    """Whether the values leave the training range by its own extent, or span less than a tenth of any case's there."""
    extent = known["high"][1] - known["low"][0]
    narrow = facts.high - facts.low < (known["high"][0] - known["low"][1]) / 10
    return narrow or facts.low < known["low"][0] - extent or facts.high > known["high"][1] + extent


def _named(names: list[str]) -> str:
    return f"case {names[0]}" if len(names) == 1 else f"{len(names)} cases ({names[0]}, ...)"
