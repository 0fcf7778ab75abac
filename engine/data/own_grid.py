"""From probabilities on the network's grid to labels on a case's own, slab by slab as they arrive. No torch.

Probabilities go back to the own grid and are decided there: the other way round costs accuracy at every
border. Of all classes only the greatest value so far is kept.
"""

from typing import Any

import numpy as np

from engine.data.prepare import Prepared
from engine.data.read import Floats, Masks
from engine.data.resampling import resample_part, smoothing_radii

Box = tuple[slice, ...]


class OwnGrid:
    """Labels of one case on its own grid S, equal to those of all probabilities resampled at once.

    For each part of the network's grid call `begin`, and `add` until its area is full. Labels depend on `margin`
    voxels around a part, an axis.
    """

    def __init__(self, prepared: Prepared, threshold: float | None, dtype: type[np.integer[Any]]) -> None:
        """Args: ``threshold``, from which a single channel is class 1; None: the most probable channel."""
        self._prepared, self._threshold = prepared, threshold
        self._radii = smoothing_radii(prepared.resampled, prepared.turned)
        self.margin = [radius + 1 for radius in self._radii]
        self._labels: Masks = np.zeros(prepared.turned, dtype)
        sides = zip(prepared.resampled, prepared.turned, strict=True)
        self._at = [own / new * (np.arange(new) + 0.5) - 0.5 for own, new in sides]

    def mask(self) -> Masks:
        """Class indices (*S)."""
        return np.ascontiguousarray(self._prepared.turn_back(self._labels))

    def begin(self, part: Box, area: Box) -> None:
        """What is added now decides the labels in ``part``; it fills ``area``, which holds the part and its margin."""
        self._area = self._inside(area)
        edges = [(side.start, side.stop) for side in self._inside(part)]
        found = [np.searchsorted(at + 0.5, edge).tolist() for at, edge in zip(self._at, edges, strict=True)]
        self._wanted = tuple(slice(*pair) for pair in found)
        self._row = self._wanted[0].start
        self._held: list[tuple[Box, Floats]] = []
        self._filled = np.zeros(self._prepared.resampled[0], np.int64)

    def add(self, box: Box, probabilities: Floats) -> None:
        """Probabilities (O, *box); boxes do not overlap, and come about in the order of the first axis."""
        place = self._inside(box)
        shift = [outer.start - inner.start for outer, inner in zip(box, self._prepared.unpadded, strict=True)]
        cut = tuple(slice(p.start - s, p.stop - s) for p, s in zip(place, shift, strict=True))
        self._held.append((place, probabilities[(slice(None), *cut)]))
        self._filled[place[0]] += np.prod([side.stop - side.start for side in place[1:]], dtype=np.int64)
        rows, across = self._area[0], np.prod([side.stop - side.start for side in self._area[1:]])
        short = np.flatnonzero(self._filled[rows] < across)
        self._decide(rows.start + int(short[0]) if len(short) else None)

    def _inside(self, box: Box) -> Box:
        """``box`` of the network's grid in what is no padding, counted from there."""
        sides = zip(box, self._prepared.unpadded, strict=True)
        return tuple(
            slice(max(b.start, p.start) - p.start, max(b.start, p.start, min(b.stop, p.stop)) - p.start)
            for b, p in sides
        )

    def _decide(self, until: int | None) -> None:
        """Fill the rows that depend on nothing from row ``until`` on; None: all that are left."""
        end, at = self._wanted[0].stop, self._at[0]
        if until is not None:
            end = min(end, int(np.searchsorted(at + self.margin[0], until)))
        if end <= self._row:
            return
        low = max(self._area[0].start, int(np.floor(at[self._row])) - self._radii[0])
        high = self._area[0].stop if until is None else until
        area, wanted = (slice(low, high), *self._area[1:]), (slice(self._row, end), *self._wanted[1:])
        labels = self._labels[wanted]
        best: Floats | None = None
        for channel in range(len(self._held[0][1])):
            part = self._gathered(channel, area)
            value = resample_part(part, area, wanted, self._prepared.resampled, self._prepared.turned)
            if self._threshold is not None:
                labels[...] = value >= self._threshold
            elif best is None:
                best = value
            else:
                labels[value > best] = channel
                np.maximum(best, value, out=best)
        self._row = end
        if end < len(at):
            need = int(np.floor(at[end])) - self._radii[0]
            self._held = [(box, values) for box, values in self._held if box[0].stop > need]

    def _gathered(self, channel: int, area: Box) -> Floats:
        part = np.empty([side.stop - side.start for side in area], np.float32)
        for box, values in self._held:
            both = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(area, box, strict=True)]
            if all(start < stop for start, stop in both):
                there, here = (
                    tuple(slice(s - o.start, e - o.start) for (s, e), o in zip(both, of, strict=True))
                    for of in (area, box)
                )
                part[there] = values[channel][here]
        return part
