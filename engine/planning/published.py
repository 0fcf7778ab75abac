"""Challenges whose files say what they are: what their mask values mean, and what unions of them are scored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.data.cases import Case


@dataclass(frozen=True, slots=True)
class Published:
    """How a challenge numbers its classes."""

    name: str
    cases: re.Pattern[str]  # what all folders of cases are called
    channels: frozenset[str]  # what their files are called
    classes: dict[int, str]  # mask value -> class
    regions: dict[str, tuple[int, ...]]  # what is scored, and averaged


# Baid et al., arXiv 2107.02314, for 2017 to 2021; later ones number the enhancing tumour 3. Those of children, in
# which 1, 2 and 3 are others, and of treated gliomas, which have a fourth value, are none of these. The Decathlon's
# brain tumours have other numbers too, and another layout.
_TUMOUR = ("non-enhancing core", "oedema", "enhancing")
_OLD, _NEW = dict(zip((1, 2, 4), _TUMOUR, strict=True)), dict(zip((1, 2, 3), _TUMOUR, strict=True))
PUBLISHED = (
    Published(
        "BraTS (2017 to 2021)",
        re.compile(r"brats(17|18|19|20|2021)_.+", re.IGNORECASE),
        frozenset({"t1", "t1ce", "t2", "flair"}),
        _OLD,
        {"whole tumour": (1, 2, 4), "tumour core": (1, 4), "enhancing tumour": (4,)},
    ),
    Published(
        "BraTS of adults (from 2023 on)",
        re.compile(r"brats-(gli|men|met|ssa)-.+", re.IGNORECASE),
        frozenset({"t1n", "t1c", "t2w", "t2f"}),
        _NEW,
        {"whole tumour": (1, 2, 3), "tumour core": (1, 3), "enhancing tumour": (3,)},
    ),
    Published(
        "KiTS (from 2021 on)",
        re.compile(r"case_\d{5}"),
        frozenset({"imaging"}),
        {1: "kidney", 2: "tumour", 3: "cyst"},
        {"kidney with masses": (1, 2, 3), "masses": (2, 3), "tumour alone": (2,)},
    ),
)


def published(cases: Sequence[Case], channels: Sequence[str], values: Sequence[int]) -> Published | None:
    """The challenge that such ``cases`` of such ``channels`` with such mask ``values`` are of; None where not sure."""
    for known in PUBLISHED:
        alike = known.channels == {name.lower() for name in channels} and {*known.classes} == {*values}
        if alike and cases and all(known.cases.fullmatch(case.images[0].parent.name) for case in cases):
            return known
    return None
