"""Data: sources, splits, reading, checks, preparation. Nothing here imports torch but `loaders`' side.

``engine.data.loaders`` (torch, MONAI), ``engine.data.prepare`` and ``engine.data.phantom`` are
imported by name where they are needed.
"""

from engine.data.cases import SPLITS, Case, Cohort
from engine.data.checks import check_cohort
from engine.data.cohort import data_root, fingerprint, open_cohort

__all__ = ["SPLITS", "Case", "Cohort", "check_cohort", "data_root", "fingerprint", "open_cohort"]
