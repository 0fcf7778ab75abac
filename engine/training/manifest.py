"""``manifest.json``: what is needed to understand a run, and to make it again."""

import functools
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from engine import __version__
from engine.data import Dataset, fingerprint
from engine.data.catalog import statement
from engine.data.familiar import ranges
from engine.data.identity import fingerprint_of_test
from engine.hardware import cores, cpu_name, total_memory
from engine.recipe import Recipe

_PACKAGES = (
    "torch", "torchvision", "pytorch-ignite", "monai", "numpy", "scipy", "scikit-learn", "nibabel", "h5py", "grad-cam",
    "pyvista", "textual", "plotext",
)  # fmt: skip
_OF_DATASET = (
    *("name", "source", "phantom", "published_split", "classes", "label_values", "ignore", "spatial_dims"),
    *("channels", "channel_names", "value_range", "notes"),
)


def first_manifest(recipe: Recipe, dataset: Dataset, command: Sequence[str]) -> dict[str, Any]:
    """The manifest at the start of a run; `update_manifest` adds to it. It names no person and no host."""
    return {
        "medtui": __version__,
        "python": platform.python_version(),
        "versions": _versions(),
        "git_commit": _git_commit(),
        "hardware": hardware_facts(),
        "command": list(command),
        "seed": recipe.seed,
        "data": {
            **{name: getattr(dataset, name) for name in _OF_DATASET},
            "root": recipe.data.root,
            "fingerprint": fingerprint(dataset),
            "test_fingerprint": fingerprint_of_test(dataset),
            "statement": statement(dataset),
            "unit": dataset.spacing_unit,
            "ranges": ranges(dataset, "train", resampled=recipe.data.spacing is not None),
            "test_ranges": ranges(dataset, "test"),
            "counts": dataset.counts(),
            "groups": len({case.group for case in dataset.cases if case.group is not None}),
            "grouped": sum(case.group is not None for case in dataset.cases),
        },
        "epochs_planned": recipe.train.epochs,
        "started_s": round(time.time(), 3),
        "sessions": 1,
    }


def hardware_facts(gpu: str | None = None) -> dict[str, Any]:
    """The machine, as the manifest has it."""
    memory = round(total_memory() / 1e9, 1)
    return {"cpu": cpu_name(), "cores": cores(), "memory_gb": memory, "gpu": gpu}


@functools.cache
def _versions() -> Mapping[str, str]:
    """Of what is installed; to look takes a tenth of a second."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    """Commit of the medtui source in use, with a + when it was changed; None when it is installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(root)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        dirty = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+" if dirty.returncode else "")


def command_line() -> list[str]:
    """How this process was asked for, in the words of the ``medtui`` command."""
    text = os.environ.get("MEDTUI_COMMAND")
    words = json.loads(text) if text else ["python", "-m", "engine", *sys.argv[1:]]
    return [re.sub(r"(runtime\.webhook=)[^\s,]*", r"\1...", word) for word in words]
