"""``manifest.json``: what is needed to understand a run. Typed, and read whatever its state."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.events import Seconds, portable
from engine.runfolder.atomic import write_text
from engine.runfolder.careful import Count, lenient, read_object
from engine.runfolder.lock import updating
from engine.runfolder.paths import RunFolder


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """The machine of a run."""

    cpu: str | None = None
    cores: Count | None = None
    memory_gb: float | None = None
    gpu: str | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session of a run computed, and on how much of it."""

    hardware: Hardware = Hardware()
    device: str = ""


class DataFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The data that a run was trained on."""

    name: str = ""
    source: str = ""
    root: str = ""
    fingerprint: str = ""
    test_fingerprint: str = ""  # of the test split alone
    statement: dict[str, str] = {}  # title, licence, citation, ... see engine.data.catalog
    phantom: bool = False
    published_split: bool | None = None
    unit: str = ""
    classes: list[str] = []
    label_values: list[Count] = []
    ignore: Count | None = None  # the mask value of voxels whose truth is not known
    spatial_dims: Count = 0
    channels: Count = 0
    channel_names: list[str] = []
    value_range: tuple[float, float] | None = None
    ranges: dict[str, tuple[float, float]] = {}  # of training, see engine.data.familiar
    test_ranges: dict[str, tuple[float, float]] = {}
    counts: dict[str, dict[str, Count]] = {}  # split -> class -> cases
    groups: Count = 0
    grouped: Count = 0  # cases of which the group is known
    notes: list[str] = []


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The network of a run."""

    name: str = ""
    parameters: Count | None = None
    output: str = ""
    start: str = ""  # what was loaded of a file of weights, and what was new
    counts: list[Count] = []  # cases (or voxels) of each class in training, where the loss asks for them


class StartFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The weights that a run started from."""

    run: str = ""
    checkpoint: str = ""  # of that run
    epoch: Count | None = None
    file: str = ""  # where they are of no run that is known
    seen: dict[str, Count] = {}  # split -> cases of it that the weights were trained on


class CheckpointFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint that was tested."""

    name: str = ""
    epoch: Count | None = None
    iteration: Count | None = None
    metric: str | None = None
    value: float | None = None
    sha256: str = ""  # of the file


class InferenceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What it took to predict the cases of a split, without reading and measuring them."""

    s_a_case: float | None = None
    memory_mb: float | None = None  # the most that the process held; on a GPU, that of its tensors
    device: str = ""


class StudyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What ties a run to its study: the study's id, and the run's place in it."""

    id: str = ""
    member: str = ""
    fold: Count | None = None
    seed: Count | None = None
    grid: dict[str, str] = {}  # key of the recipe -> value, as TOML


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in ``manifest.json``; what is missing or of another type is at its default."""

    medtui: str = ""
    python: str = ""
    versions: dict[str, str | None] = {}
    git_commit: str | None = None
    hardware: Hardware = Hardware()  # of the last session, as device is
    earlier: list[Machine] = []  # other ones, of the sessions before
    command: list[str] = []
    seed: Count | None = None
    data: DataFacts = DataFacts()
    epochs_planned: Count | None = None
    minutes: float | None = None  # train.minutes, of which the planned epochs were made
    epochs_done: Count | None = None
    sessions: Count = 1
    started_s: Seconds | None = None
    ended_s: Seconds | None = None
    duration_s: float | None = None
    model: ModelFacts = ModelFacts()
    started_from: StartFacts = StartFacts()
    checkpoint: CheckpointFacts = CheckpointFacts()
    device: str = ""
    precision: str | None = None  # what train.amp was found to mean on this device
    data_root: str | None = None
    processes: Count = 1  # that computed it together in its last session
    early_stopped: bool = False
    stopped: bool = False
    measured: bool = False
    study: StudyFacts = StudyFacts()
    looks: dict[str, Count] = {}  # split -> how often it was measured with chosen weights
    inference: dict[str, InferenceFacts] = {}  # split -> the newest


def read_manifest(folder: RunFolder) -> Manifest:
    """The manifest; an empty one where it cannot be read."""
    return lenient(read_object(folder.manifest), Manifest)


def count_look(folder: RunFolder, split: str, cost: InferenceFacts) -> None:
    """Enter that ``split`` was measured once more, and what that took."""
    with updating(folder):
        content, known = read_object(folder.manifest), read_manifest(folder)
        content["looks"] = {**known.looks, split: known.looks.get(split, 0) + 1}
        content["inference"] = msgspec.to_builtins({**known.inference, split: cost})
        write_text(folder.manifest, json.dumps(portable(content), indent=1) + "\n")


def update_manifest(folder: RunFolder, **changes: Any) -> None:
    """Replace or add top-level entries; a dictionary is merged into one that is there."""
    with updating(folder):
        content = read_object(folder.manifest)
        for key, value in changes.items():
            present = content.get(key)
            content[key] = {**present, **value} if isinstance(present, dict) and isinstance(value, Mapping) else value
        write_text(folder.manifest, json.dumps(portable(content), indent=1) + "\n")
