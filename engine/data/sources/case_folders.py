"""A folder a case, in which the files are called alike: so come BraTS (a file a channel), KiTS, and many exports.

``BraTS20_001/BraTS20_001_flair.nii.gz`` is called ``flair`` in its folder, ``case_00000/imaging.nii.gz`` ``imaging``; a
folder with slices of DICOM is such a file, too. A
split is given by folders ``train``, ``validation`` and ``test`` above those of the cases; other folders there are those
of patients, whose cases stay together.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from engine.data.cases import Case, DatasetIndex
from engine.data.sources import index
from engine.data.sources.alike import called_alike, cases_alike
from engine.data.sources.pairs import named_classes
from engine.errors import DataError, some
from engine.recipe.sources import CaseFoldersTable


@index.read_index.register
def case_folders(table: CaseFoldersTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Each folder in which one of the named files is, is a case; files that lack are found when it is read.

    Raises:
        DataError: no folder has any of them, the mask is a channel, or nothing names the classes.
    """
    if table.mask.lower() in {name.lower() for name in table.channels}:
        raise DataError(f'the mask, "{table.mask}", is one of data.channels', "a network would be shown what it learns")
    classes, values = named_classes(folder, table)
    cases = tuple(cases_below(folder, table, labelled=True))
    if not cases:
        inside = Counter(kind for _, kinds in called_alike(folder) for kind in kinds)
        there = f"; called alike there: {some([kind for kind, _ in inside.most_common()], 8)}" if inside else ""
        name = table.channels[0]
        raise DataError(
            f"no folder in {folder} has a file called {name}.nii.gz, or <folder>_{name}.nii.gz (.nrrd, .mha, ...)",
            f"data.channels and data.mask say what files are called in each{there}",
        )
    files = len(table.channels)
    return DatasetIndex(
        name=folder.name,
        cases=cases,
        classes=classes,
        label_values=values,
        channels=files if files > 1 else 0,  # one file may have several
        channel_names=table.channels if files > 1 else (),
        notes=index.left_over(folder, sorted({case.images[0].parent for case in cases}), cases),
    )


def cases_below(folder: Path, table: CaseFoldersTable, *, labelled: bool) -> Iterator[Case]:
    """The cases in ``folder`` and its folders, with a mask if ``labelled``."""
    count = len(table.channels)
    for each in cases_alike(folder, (*table.channels, *([table.mask] if labelled else []))):
        mask = each.files[-1] if labelled else None
        yield Case(each.name, each.files[:count], mask, group=each.group, split=each.split)
