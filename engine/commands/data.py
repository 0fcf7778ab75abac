"""``medtui data``: what is known, what is there, and phantoms in the same layouts."""

from __future__ import annotations

import json
from pathlib import Path

from engine.data import data_root
from engine.data.catalog import DATASETS, find_dataset
from engine.data.phantom import PHANTOMS, make_phantom
from engine.errors import UsageError


def print_list(data: Path | None, *, as_json: bool) -> int:
    """Print the data sets that are known, and whether they lie under the data root."""
    root = data_root(data)
    entries = [dataset.describe(root) for dataset in DATASETS.values()]
    if as_json:
        print(json.dumps(entries, indent=1))
        return 0
    print(f"data root: {root}\n")
    for entry in entries:
        print(f"{entry['name']:24}{'there' if entry['present'] else 'absent':8}{entry['task']}: {entry['title']}")
        print(f"{'':32}{entry['licence']}; {entry['how']}")
    return 0


def write_phantom(name: str, data: Path | None, *, cases: int | None, seed: int) -> int:
    """Write the phantom ``name`` to ``<data root>/<name>-phantom`` and print where it is."""
    folder = data_root(data) / f"{name}-phantom"
    if name not in PHANTOMS:
        raise UsageError(f'no phantom "{name}"', f"there are {', '.join(PHANTOMS)}")
    print(make_phantom(name, folder, seed=seed, cases=cases))
    return 0


def fetch(name: str, data: Path | None) -> int:
    """Download a data set that may be downloaded without a form, and check its sum."""
    from engine.data.download import download

    print(download(find_dataset(name), data_root(data)))
    return 0
