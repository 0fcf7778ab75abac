"""Data: sources, splits, reading, checks, preparation. Nothing here imports torch but `loaders`' side.

``engine.data.loaders`` (torch, MONAI), ``engine.data.prepare`` and ``engine.data.phantom`` are
imported by name where they are needed.
"""

from engine.data.cases import SPLITS, Dataset
from engine.data.checks import check_dataset
from engine.data.dataset import data_root, open_dataset
from engine.data.identity import fingerprint
