"""The 2018 Atrial Segmentation Challenge as UA-MT packed it: two lists of ids and an h5 file a case.

``train.list`` and ``test.list`` hold an id a line; ``<id>/mri_norm2.h5`` holds ``image`` and
``label``. The files carry no spacing, so distances are in voxels.
"""

from collections import Counter
from pathlib import Path

from engine.data.cases import Case, DatasetIndex
from engine.data.sources.index import foreground, inside, outside, read_index, read_text, refuse
from engine.errors import Problem
from engine.recipe.sources import LeftAtriumTable

PUBLISHED = {"train": 80, "test": 20}  # cases of the split that the papers use
FILE = "mri_norm2.h5"


@read_index.register
def left_atrium(table: LeftAtriumTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Read the two lists below ``folder``.

    Raises:
        DataError: no list, or an id that is no folder name.
    """
    problems: list[Problem] = []
    cases = [*_cases(folder, "train", problems), *_cases(folder, "test", problems)]
    refuse(folder, problems)
    counts = {split: sum(case.split == split for case in cases) for split in PUBLISHED}
    classes, values = foreground(table, {1: "left atrium"})
    return DatasetIndex(
        name="left atrium",
        cases=tuple(cases),
        classes=classes,
        label_values=values,
        spacing_unit="voxel",
        published_split=counts == PUBLISHED,
    )


def _cases(folder: Path, split: str, problems: list[Problem]) -> list[Case]:
    name = f"{split}.list"
    cases = []
    seen: Counter[str] = Counter()
    for number, line in enumerate(read_text(folder / name, folder).splitlines(), 1):
        identity = line.strip()
        seen[identity] += 1
        if not identity or seen[identity] > 2:  # a third line of one id says nothing new, and a million cost much
            continue
        place = inside(folder, identity)
        if place is None or place.parent != folder:
            problems.append(outside(f"{name}:{number}", identity))
            continue
        cases.append(Case(identity, (place / FILE,), place / FILE, split=split))
    return cases
