"""The data sets that medtui knows by name, for ``medtui data list``."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.data.cases import Dataset
from engine.data.dataset import MARKER
from engine.data.phantom import PHANTOMS, Phantom
from engine.data.sources.dataset_json import said
from engine.errors import UsageError
from engine.recipe.names import folded


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """A data set: where it comes from, and what may be done with it."""

    name: str  # short, as in commands
    title: str  # in full
    task: str  # "segmentation" or "classification"
    source: str  # its layout, as in DataTable.source
    folder: str  # the folder below the data root that recipes name
    marker: str  # a file or folder in it by which it is told
    licence: str  # its terms
    cite: str  # what to cite
    how: str  # how to get it
    url: str = ""  # an archive that may be downloaded as it is, or ""
    md5: str = ""  # of that archive, as its publisher gives it
    truth: str = ""  # where the reference standard comes from
    setting: str = ""  # of whom the images are, and where they were taken
    prepared: str = ""  # what was done to the images before they were published

    def describe(self, root: Path) -> dict[str, Any]:
        """All that is known, and whether it lies below the data root ``root``, for a table or as JSON."""
        place = root / self.folder
        present = (place / self.marker).exists()
        phantom = (place / MARKER).is_file() if present else self.marker == MARKER
        return {**asdict(self), "place": str(place), "present": present, "phantom": phantom}


_PUBLIC = (
    KnownDataset(
        name="left_atrium",
        title="2018 Atrial Segmentation Challenge, as packed for UA-MT",
        task="segmentation",
        source="left_atrium",
        folder="left_atrium",
        marker="train.list",
        licence="terms of the challenge",
        cite="Xiong et al., Medical Image Analysis 67, 2021, doi:10.1016/j.media.2020.101832",
        how="github.com/yulequan/UA-MT, folder data: train.list, test.list, <id>/mri_norm2.h5",
        truth="traced by hand by three trained observers, in consensus",
        setting="154 late gadolinium-enhanced MR scans of patients with atrial fibrillation, before or after ablation, "
        "most from the University of Utah",
        prepared="cropped in the plane around the left atrium, by its truth: what lies further out is in no file",
    ),
    KnownDataset(
        name="hippocampus",
        title="Medical Segmentation Decathlon, Task04 Hippocampus",
        task="segmentation",
        source="decathlon",
        folder="Task04_Hippocampus",
        marker="dataset.json",
        licence="CC BY-SA 4.0",
        cite="Antonelli et al., Nature Communications 13, 2022, doi:10.1038/s41467-022-30695-9",
        how="medtui data fetch hippocampus, or medicaldecathlon.com: Task04_Hippocampus.tar, unpacked",
        url="https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar",
        md5="9d24dba78a72977dbd1d2e110310f31b",
        truth="traced by hand by a rater, after a published protocol",
        setting="T1-weighted MR scans of 195 adults, healthy or with a psychotic disorder, at Vanderbilt University",
        prepared="cropped around the hippocampus",
    ),
    KnownDataset(
        name="isic2018",
        title="ISIC 2018 Task 3, lesion diagnosis (HAM10000)",
        task="classification",
        source="isic2018",
        folder="isic2018",
        marker="ISIC2018_Task3_Training_GroundTruth",
        licence="CC BY-NC 4.0",
        cite="Tschandl et al., Scientific Data 5, 2018, doi:10.1038/sdata.2018.161; Codella et al., arXiv:1902.03368",
        how="challenge.isic-archive.com/data, 2018, Task 3: the Input and GroundTruth archives and "
        "LesionGroupings.csv, unpacked side by side",
        truth="histopathology of about half of the lesions; else follow-up, consensus of experts, confocal microscopy",
        setting="dermatoscopic images of pigmented lesions; those of training from the Medical University of Vienna "
        "and a practice in Queensland, over 20 years",
        prepared="centred on the lesion and cropped to 600 x 450, colours of some corrected by hand",
    ),
)


def _made(phantom: Phantom) -> KnownDataset:
    folder = f"{phantom.name}-phantom"
    return KnownDataset(
        name=folder,
        title=phantom.title,
        task=phantom.task,
        source=phantom.source,
        folder=folder,
        marker=MARKER,
        licence="none: made here",
        cite="",
        how=f"medtui data phantom {phantom.name}",
    )


DATASETS: dict[str, KnownDataset] = {data.name: data for data in (*_PUBLIC, *map(_made, PHANTOMS.values()))}
"""Name -> data set: the public ones, then the phantoms that can be made."""


_SAID = {
    "title": ("title", "description"),
    "licence": ("licence", "license"),
    "citation": ("citation", "reference"),
    "reference standard": ("annotators", "annotation"),
    "release": ("release",),
}
"""Entry of a statement -> keys of a dataset.json that may hold it."""
_LONGEST = 400


def statement(dataset: Dataset) -> dict[str, str]:
    """What a report must say of a data set, as far as it is known: of the public ones, and by a ``dataset.json``."""
    if dataset.phantom:
        return {
            "title": "a phantom, made by a program",
            "source": "medtui itself",
            "licence": "none",
            "reference standard": "exact, by making",
        }
    found: dict[str, str] = {}
    table = said(dataset.root)
    for name, keys in _SAID.items():
        texts = [text for key in keys if isinstance(text := table.get(key), str)]
        found |= {name: " ".join(texts[0].split())[:_LONGEST]} if texts else {}
    for known in _PUBLIC:
        named = known.source != "decathlon" or folded(dataset.name) == known.name
        if known.source == dataset.source and named:
            found |= {"title": known.title, "licence": known.licence, "citation": known.cite, "source": known.how}
            found |= {"reference standard": known.truth, "setting": known.setting, "preparation": known.prepared}
    return found


def find_dataset(name: str) -> KnownDataset:
    """The data set ``name``.

    Raises:
        UsageError: there is none of that name.
    """
    if name in DATASETS:
        return DATASETS[name]
    raise UsageError(f'no data set "{name}"', f"there are {', '.join(DATASETS)}")
