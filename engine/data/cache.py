"""Loaded cases kept in memory, as far as they fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from engine.data.cases import Case, Dataset
from engine.data.crops import Voxels, foreground_voxels, known_voxels
from engine.data.daemons import Daemons
from engine.data.prepare import on_grid, resize_image, shades_map, whole_volume
from engine.data.read import Floats, Masks, read_case, read_image
from engine.data.volumes import Array
from engine.errors import DataError
from engine.hardware import cores, free_memory
from engine.recipe import DataTable


@dataclass(frozen=True, slots=True, eq=False)
class LoadedVolume:
    """A training volume or picture with its mask on the network's grid, of which crops are taken; or a volume that
    has a class as a whole, already at its size, with `_no_mask`."""

    image: Array  # (C, *N). A volume: float32, normalised. A picture: shades from 0 to 255, uint8 or float32
    label: Masks  # (*N)
    voxels: Voxels  # where its classes are
    spacing: tuple[float, ...]  # of a voxel, in mm, or 1 where unknown
    # pictures: (scale, shift), see `intensity_map`; None: the image is normalised already
    intensity: tuple[Floats, Floats] | None = None
    known: Voxels = ()  # where its truth is known; empty where it is everywhere
    shared: bool = False  # whether all cases have this one mask

    @property
    def nbytes(self) -> int:
        """What keeping it costs."""
        own = 0 if self.shared else self.label.nbytes
        return self.image.nbytes + own + sum(voxels.nbytes for voxels in (*self.voxels, *self.known))


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """A training picture that has a class as a whole, (H, W, 3), shades from 0 to 255: already at its size,
    unless the recipe crops at random."""

    image: Array

    @property
    def nbytes(self) -> int:
        return self.image.nbytes


Loaded = LoadedVolume | LoadedImage


def load(dataset: Dataset, case: Case, table: DataTable, *, resize: bool) -> Loaded:
    """Read ``case`` and do all that is the same every time it is drawn.

    Raises:
        DataError: the case cannot be read.
    """
    if not dataset.dense:
        if dataset.spatial_dims == 3:
            volume, spacing = whole_volume(read_case(dataset, case), table)
            return LoadedVolume(volume, _no_mask(table.size), (), spacing, shared=True)
        image = read_image(dataset, case)
        return LoadedImage(resize_image(image, table) if resize else image)
    prepared = on_grid(read_case(dataset, case), table)
    label = prepared.label_net
    if label is None:
        label = np.zeros(prepared.image.shape[1:], np.uint8)
    voxels = foreground_voxels(label, dataset.ignored) if table.crop == "foreground" else ()
    known = known_voxels(label, dataset.ignored) if table.crop != "center" else ()
    intensity = shades_map(prepared, table) if dataset.spatial_dims == 2 else None
    return LoadedVolume(prepared.image, label, voxels, prepared.spacing_net or (1.0,) * label.ndim, intensity, known)


@lru_cache(maxsize=1)
def _no_mask(size: tuple[int, ...]) -> Masks:
    """One mask of nothing for all volumes of ``size``."""
    return np.zeros(size, np.uint8)


class CachedDataset:
    """The training cases, by index: from memory where they are kept, else read again."""

    def __init__(self, dataset: Dataset, cases: Sequence[Case], table: DataTable, *, resize: bool) -> None:
        self.dataset = dataset
        self.cases = tuple(cases)
        self.table = table
        self.resize = resize
        self.kept: dict[int, Loaded] = {}

    def __getitem__(self, index: int) -> Loaded:
        kept = self.kept.get(index)
        return load(self.dataset, self.cases[index], self.table, resize=self.resize) if kept is None else kept

    @property
    def complete(self) -> bool:
        """Whether every case is kept."""
        return len(self.kept) == len(self.cases)

    def fill(self, cache: Literal["auto", "memory", "none"], share: float, notify: Callable[[int, int], None]) -> None:
        """Load cases in order and keep them: all ("memory"), none, or while they fit ("auto").

        Args:
            cache: the recipe's `DataTable.cache`.
            share: of the free memory, that "auto" may take.
            notify: called with (cases loaded, all cases).

        Raises:
            DataError: a case cannot be read.
        """
        if cache == "none":
            return
        room = free_memory() * share if cache == "auto" else float("inf")
        total, step = len(self.cases), 4 * cores()
        with Daemons(cores(), lambda: self._readable) as pool:
            for start in range(0, total, step):
                indices = range(start, min(start + step, total))
                for index, loaded in zip(indices, pool.map(indices), strict=True):
                    if loaded is None:
                        continue
                    room -= loaded.nbytes
                    if room < 0:
                        return
                    self.kept[index] = loaded
                    notify(index + 1, total)

    def _readable(self, index: int) -> Loaded | None:
        """Case ``index``; None where it broke since it was checked and the recipe skips such."""
        try:
            return self[index]
        except DataError:
            if self.table.unreadable == "refuse":
                raise
            return None
