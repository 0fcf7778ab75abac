"""Voxels whose truth is not known (``data.ignore``): how many there are, and cases that have no others."""

from dataclasses import replace

import numpy as np

from engine.data.cases import Dataset
from engine.data.read import Masks
from engine.errors import DataError, counted, some


def known_share(label: Masks | None, ignored: int | None) -> float:
    """The share of the voxels of a mask (*S) that are not ``ignored``; 1 where all are known."""
    return 1.0 if label is None or ignored is None else float(np.count_nonzero(label != ignored) / label.size)


def without_unknown(dataset: Dataset) -> Dataset:
    """``dataset``, which was checked, without the cases of which nothing is known; with notes on what is not known.

    Raises:
        DataError: no case is left, or none to train on.
    """
    gone = [case.id for case in dataset.cases if case.facts is not None and not case.facts.known]
    cases = tuple(case for case in dataset.cases if case.id not in {*gone})
    lost = {case.split for case in dataset.cases} - {case.split for case in cases}
    if "train" in lost or not cases:
        where = "for training" if "train" in lost else f"in {dataset.root}"
        raise DataError(f"no case {where} has a voxel of another mask value than data.ignore = {dataset.ignore}")
    shares = [case.facts.known for case in cases if case.facts is not None]
    least = min(shares, default=1.0)
    share = f"{1 - sum(shares) / len(shares):.1%} of a case on average" if least < 1 else "no mask holds it"
    notes = [*dataset.notes, f"voxels of mask value {dataset.ignore} are not known and count nowhere: {share}"]
    if gone:
        notes.append(f"left out: no voxel is known of {counted(len(gone), 'case')}: {some(gone)}")
    return replace(dataset, cases=cases, notes=tuple(notes))


def only_known(truth: Masks, mask: Masks, ignored: int | None) -> tuple[Masks, Masks]:
    """A truth and a prediction (*S), both background where the truth is not known."""
    if ignored is None:
        return truth, mask
    unknown = truth == ignored
    return np.where(unknown, truth.dtype.type(0), truth), np.where(unknown, mask.dtype.type(0), mask)
