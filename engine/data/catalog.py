"""The data sets that medtui knows by name, for ``medtui data list``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.data.cohort import MARKER
from engine.data.phantom import PHANTOMS


@dataclass(frozen=True, slots=True)
class DataSet:
    """A public data set: where it comes from, and what may be done with it.

    Attributes:
        name: short, as in commands.
        title: in full.
        task: "segmentation" or "classification".
        source: its layout, as in DataTable.source.
        folder: the folder below the data root that the recipes name.
        marker: a file or folder in it by which it is told.
        licence: its terms.
        cite: what to cite.
        get: how to get it.
    """

    name: str
    title: str
    task: str
    source: str
    folder: str
    marker: str
    licence: str
    cite: str
    get: str


@dataclass(frozen=True, slots=True)
class Found:
    """Whether a data set is there: "yes", "phantom" or "no", and where it was looked for."""

    data: DataSet
    state: str
    place: Path


DATASETS: tuple[DataSet, ...] = (
    DataSet(
        name="left_atrium",
        title="2018 Atrial Segmentation Challenge, as packed for UA-MT",
        task="segmentation",
        source="left_atrium",
        folder="left_atrium",
        marker="train.list",
        licence="terms of the challenge",
        cite="Xiong et al., Medical Image Analysis 67, 2021, doi:10.1016/j.media.2020.101832",
        get="github.com/yulequan/UA-MT, folder data: train.list, test.list, <id>/mri_norm2.h5",
    ),
    DataSet(
        name="hippocampus",
        title="Medical Segmentation Decathlon, Task04 Hippocampus",
        task="segmentation",
        source="decathlon",
        folder="Task04_Hippocampus",
        marker="dataset.json",
        licence="CC BY-SA 4.0",
        cite="Antonelli et al., Nature Communications 13, 2022, doi:10.1038/s41467-022-30695-9",
        get="medicaldecathlon.com: Task04_Hippocampus.tar, unpacked",
    ),
    DataSet(
        name="isic2018",
        title="ISIC 2018 Task 3, lesion diagnosis (HAM10000)",
        task="classification",
        source="isic2018",
        folder="isic2018",
        marker="ISIC2018_Task3_Training_GroundTruth",
        licence="CC BY-NC 4.0",
        cite="Tschandl et al., Scientific Data 5, 2018, doi:10.1038/sdata.2018.161; Codella et al., arXiv:1902.03368",
        get="challenge.isic-archive.com/data, 2018, Task 3: the Input and GroundTruth archives and "
        "LesionGroupings.csv, unpacked side by side",
    ),
)


def find_datasets(root: Path) -> tuple[Found, ...]:
    """Which of `DATASETS`, and of the phantoms that can be made, lie below the data root ``root``."""
    found = [Found(data, _state(root / data.folder, data.marker), root / data.folder) for data in DATASETS]
    for phantom in PHANTOMS.values():
        place = root / phantom_folder(phantom.name)
        data = DataSet(
            name=place.name,
            title=phantom.title,
            task=phantom.task,
            source=phantom.source,
            folder=place.name,
            marker=MARKER,
            licence="none: made here",
            cite="",
            get=f"medtui data phantom {phantom.name}",
        )
        found.append(Found(data, _state(place, MARKER), place))
    return tuple(found)


def phantom_folder(name: str) -> str:
    """The folder below the data root in which the phantom ``name`` is made."""
    return f"{name}-phantom"


def _state(place: Path, marker: str) -> str:
    if not (place / marker).exists():
        return "no"
    return "phantom" if (place / MARKER).is_file() else "yes"
