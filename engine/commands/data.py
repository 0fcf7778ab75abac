"""``medtui data``: what is known, what is there, and phantoms in the same layouts."""

import json

from engine.data import data_root
from engine.data.catalog import DATASETS, find_dataset
from engine.data.phantom import make_phantom
from engine.errors import printable
from engine.requests import DataFetch, DataList, DataPhantom


def data_list(request: DataList) -> int:
    """Print the data sets that are known, and whether they lie under the data root."""
    root = data_root(request.data)
    entries = [dataset.describe(root) for dataset in DATASETS.values()]
    if request.json:
        print(json.dumps(entries, indent=1))
        return 0
    print(printable(f"data root: {root}\n"))
    for entry in entries:
        print(f"{entry['name']:24}{'there' if entry['present'] else 'absent':8}{entry['task']}: {entry['title']}")
        print(f"{'':32}{entry['licence']}; {entry['how']}")
    return 0


def data_phantom(request: DataPhantom) -> int:
    """Write the phantom to ``<data root>/<name>-phantom`` and print where it is."""
    folder = data_root(request.data) / f"{request.name}-phantom"
    print(printable(str(make_phantom(request.name, folder, seed=request.seed, cases=request.cases))))
    return 0


def data_fetch(request: DataFetch) -> int:
    """Download a data set that may be downloaded without a form, and check its sum."""
    from engine.data.download import download

    print(printable(str(download(find_dataset(request.name), data_root(request.data)))))
    return 0
