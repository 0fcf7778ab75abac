"""What tables beside the images say of patients and scanners: by these a report divides its results."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine.data.cases import Case
from engine.data.sources.index import missing
from engine.data.sources.rows import plain, table_rows
from engine.errors import DataError
from engine.recipe.names import folded

_COLUMNS = {
    "site": ("site", "centre", "center", "hospital", "institution", "clinic"),
    "sex": ("sex", "gender"),
    "age": ("age", "age approx", "age years", "age at imaging"),
    "scanner": ("scanner", "manufacturer", "vendor", "device", "scanner model", "camera", "magnetic field strength"),
    "skin type": ("skin type", "fitzpatrick", "fitzpatrick skin type", "fitzpatrick type", "skin tone"),
    "ethnicity": ("ethnicity", "race"),
    "body site": ("localization", "localisation", "anatom site", "anatom site general", "body site"),
    "confirmed by": ("diagnosis confirm type", "dx type", "confirmed by"),
}
_TRAITS = {plain(column): trait for trait, columns in _COLUMNS.items() for column in columns}
_IMAGES = ("image", "imageid", "isicid", "imagename", "id", "case", "caseid", "path", "file", "filename")
_PATIENTS = ("participantid", "patientid", "subject", "patient")
_IDS = (*_IMAGES, *_PATIENTS)
GROUPS = (*_PATIENTS, "patid", "patientno", "patientnr", "patnr", "pid", "mrn", "subjectid", "lesionid", "lesion")
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "fold")
_MOST_TABLES = 20
_LONGEST = 60


def with_traits(cases: tuple[Case, ...], folder: Path) -> tuple[Case, ...]:
    """``cases`` with what the CSV and TSV tables in ``folder`` say of them; by their image, else by their group.

    A table counts that has a column for the image, case or patient and one that `_COLUMNS` names, whatever its case and
    separators; one that cannot be read is no table of this kind.
    """
    known: dict[str, dict[str, str]] = {}
    for path in _tables(folder):
        for name, traits in _rows(path, folder):
            known.setdefault(name, {}).update(traits)
    return tuple(replace(case, traits=_of(case, folder, known)) for case in cases) if known else cases


def other_columns(folder: Path, *, splits: bool = False) -> Iterator[tuple[str, str]]:
    """(table, column) of each CSV or TSV table in ``folder`` that names an image and a patient or lesion a row.

    ``splits``: that names an image and its split.
    """
    wanted = SPLIT_COLUMNS if splits else GROUPS
    for path in _tables(folder):
        with suppress(DataError):
            header = next(table_rows(path, folder, (*_IMAGES, *wanted)), (1, [""]))[1]
            names = {plain(cell): cell for cell in header}
            if names.keys() & {*_IMAGES}:
                yield from ((path.name, names[name]) for name in wanted if name in names)


def _tables(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in {".csv", ".tsv"} and path.is_file())
    return sorted(found)[:_MOST_TABLES]


def _rows(path: Path, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        lines = table_rows(path, folder, (*_IDS, *_TRAITS))
        header = [plain(cell) for cell in next(lines, (1, [""]))[1]]
        wanted = {at: _TRAITS[name] for at, name in enumerate(header) if name in _TRAITS}
        ids = [header.index(name) for name in _IDS if name in header]
        if not wanted or not ids:
            return
        for _, cells in lines:
            traits = {
                trait: cells[at][:_LONGEST]
                for at, trait in wanted.items()
                if at < len(cells) and cells[at] and not missing(cells[at]) and folded(cells[at]) != "unknown"
            }
            if ids[0] < len(cells) and traits:
                yield cells[ids[0]].removeprefix("./"), traits
    except DataError:
        return


def _of(case: Case, folder: Path, known: dict[str, dict[str, str]]) -> dict[str, str]:
    image = case.images[0]
    place = image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.name
    names: Iterable[str] = (case.group or "", case.id, image.name, place)
    return {trait: value for name in names for trait, value in known.get(name, {}).items()}
