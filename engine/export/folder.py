"""The exported folder: written beside its place and renamed, so that it is there as a whole or not at all."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.console import show_progress
from engine.errors import UsageError, raised_as, some
from engine.evaluation.inference import Predictor
from engine.evaluation.trained import (
    Trained,
    as_trained,
    chosen_checkpoint,
    inputs_of,
    load_predictors,
    network_for,
)
from engine.export.copied import PACKAGE, program
from engine.export.facts import facts
from engine.export.network import refuse_missing, write_network
from engine.export.readme import readme
from engine.runfolder import read_manifest

_OWN = re.compile(
    r"model(_\d+)?\.onnx|model\.json|predict\.py|requirements\.txt|README\.md|program(/\w+\.py)?|(program/)?__pycache__"
)
SCRIPT = Path(__file__).with_name("predict.py")
REQUIREMENTS = {
    "numpy": "1.26", "onnxruntime": "1.20", "scipy": "1.11", "nibabel": "5.2", "pillow": "11.0", "pydicom": "3.0",
}  # fmt: skip
"""The oldest versions with which the program was tried."""


def write_folder(trained: Trained, output: Path, *, force: bool = False) -> list[float]:
    """Write the networks of a run or of a study, and all that is needed to predict with them, to ``output``.

    Returns:
        What `write_network` says of each network.

    Raises:
        UsageError: the folder is there and not empty, and ``force`` is not set, or it cannot be written.
        RunError: a network has no weights, or cannot be exported.
    """
    refuse_missing()
    refuse_present(output, force=force)
    train = trained.recipe.train.model_copy(update={"amp": "off"})  # weights are float32 whatever training computed in
    trained = replace(trained, recipe=trained.recipe.model_copy(update={"train": train}))
    dataset = as_trained(inputs_of(trained), trained)
    with _whole(output, force=force) as folder:
        predictors, _, _ = load_predictors(trained.recipe, network_for(trained, dataset), trained.voters)
        networks, differences = [], []
        progress = show_progress("exporting")
        for index, (predictor, entry) in enumerate(zip(predictors, _entries(trained), strict=True)):
            path, shape = folder / entry["file"], (dataset.channels, *trained.recipe.data.size)
            differences.append(write_network(path, predictor.model, shape, trained.recipe.model.name))
            networks.append({**entry, "sha256": _sum(path), "difference_from_torch": differences[-1]})
            progress(index + 1, len(predictors))
        _write_texts(folder, trained, predictors[0], networks, dataset.channels)
    return differences


def refuse_present(output: Path, *, force: bool) -> None:
    """Raises: UsageError: ``output`` is a file, a link, or without ``force`` a folder that is not empty; or it
    holds more than an export, of which nobody should lose anything."""
    if not os.path.lexists(output):
        return
    if output.is_symlink() or not output.is_dir():
        raise UsageError(f"{output} is there and is no folder", "name another with -o DIR")
    with raised_as(UsageError, f"cannot read {output}", "name another folder with -o DIR"):
        paths = [*output.iterdir(), *(output / PACKAGE).glob("*")]
        names = sorted(path.relative_to(output).as_posix() for path in paths)
    if not names:
        return
    if not force:
        raise UsageError(f"{output} is there and not empty", "name another folder with -o DIR, or add --force")
    if "model.json" not in names:
        raise UsageError(f"{output} holds something else than an export: it is not replaced", "name another folder")
    if other := [name for name in names if not _OWN.fullmatch(name)]:
        raise UsageError(f"{output} also holds {some(other)}: it is not replaced", "move that away, or name another")


def _entries(trained: Trained) -> Iterator[dict[str, Any]]:
    """What ``model.json`` says of each network but for its sum."""
    for index, run in enumerate(trained.voters):
        path, content = chosen_checkpoint(run, trained.recipe)
        yield {
            "file": "model.onnx" if len(trained.voters) == 1 else f"model_{index}.onnx",
            "run": run.id,
            "checkpoint": path.name,
            "checkpoint_sha256": _sum(path),
            "epoch": content.get("epoch"),
            "trained_by": f"medtui {read_manifest(run).medtui}",
        }


def _write_texts(
    folder: Path, trained: Trained, predictor: Predictor, networks: Sequence[dict[str, Any]], channels: int
) -> None:
    content = facts(trained, predictor, networks, channels)
    wanted = _libraries(content)
    texts = {
        "model.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
        "predict.py": SCRIPT.read_text(encoding="utf-8"),
        "requirements.txt": "".join(f"{name}>={REQUIREMENTS[name]}\n" for name in wanted),
        "README.md": readme(trained, content),
        **{f"{PACKAGE}/{name}": text for name, text in program().items()},
    }
    (folder / PACKAGE).mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _libraries(content: dict[str, Any]) -> list[str]:
    """What the program imports for such images."""
    volumes, masks = content["image"]["axes"] == 3, content["task"] == "segmentation"
    scipy = ["scipy"] if masks or volumes else []
    return ["numpy", "onnxruntime", *scipy, "nibabel" if volumes else "pillow", "pydicom"]


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _whole(output: Path, *, force: bool) -> Iterator[Path]:
    """A folder to be filled, which then takes the place of ``output``; on any error it is gone."""
    beside: Path | None = None
    try:
        with raised_as(UsageError, f"cannot write {output}", "name another folder with -o DIR"):
            output.absolute().parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(dir=output.absolute().parent, prefix=f".{output.name}."))
            folder = beside / "new"
            folder.mkdir()
            yield folder
            refuse_present(output, force=force)
            if output.exists():
                output.rename(beside / "old")
            folder.rename(output)
    finally:
        if beside and (beside / "old").exists() and not output.exists():  # cut off between the two: nothing is lost
            (beside / "old").rename(output)
        if beside:
            shutil.rmtree(beside, ignore_errors=True)
