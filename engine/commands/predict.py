"""``medtui predict``: masks or class tables for new files, in their own geometry."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from engine.data import Dataset, check_dataset
from engine.data.cases import Case
from engine.data.prepare import normalise_image, prepare, resize_image
from engine.data.read import read_case, read_image
from engine.errors import DataError, UsageError, printable
from engine.evaluation.protocol import Measure, Protocol
from engine.evaluation.results import write_mask
from engine.evaluation.tester import chosen_checkpoint
from engine.evaluation.trained import Trained, network_for, open_trained
from engine.network import Network, build_predictor
from engine.progress import show_progress
from engine.runfolder import RunFolder, write_text

VOLUMES = (".nii.gz", ".nii", ".h5", ".hdf5")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")


def predict(
    folder: RunFolder, inputs: Sequence[Path], output: Path, *, checkpoint: str | None, device: str | None
) -> int:
    """Predict every input and print where the results are.

    Args:
        folder: the run whose network predicts.
        inputs: files, or folders of files. Several files ``<case>_0000``, ``<case>_0001``, ... are
            the channels of one case where the network takes several.
        output: folder for ``<case>.nii.gz`` masks, or for ``predictions.csv``; made where missing.
        checkpoint: best or last; default: as the recipe says.
        device: default: as the recipe says.

    Raises:
        UsageError: no inputs, or the output folder cannot be made.
        DataError: an input cannot be read; then nothing is written.
    """
    trained = open_trained(folder, checkpoint=checkpoint, device=device)
    dataset = _dataset(trained, inputs)
    strict = trained.recipe.data.model_copy(update={"unreadable": "refuse"})  # no input is left out in silence
    dataset = check_dataset(dataset, strict, progress=show_progress("checking the inputs"))
    _spare_inputs(dataset, output)
    network = network_for(trained, dataset)
    network.model.load_state_dict(chosen_checkpoint(folder, trained.recipe)[1]["model"])
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make {output}: {error.strerror or error}", "name another folder with -o DIR"
        ) from error
    if dataset.task == "segmentation":
        _masks(trained, dataset, network, output)
    else:
        _table(trained, dataset, network, output)
    return 0


def _dataset(trained: Trained, inputs: Sequence[Path]) -> Dataset:
    task = trained.recipe.task
    endings = VOLUMES if task == "segmentation" else IMAGES
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.name.lower().endswith(endings) and p.name[0] != ".")
        elif path.is_file():
            files.append(path)
        else:
            raise UsageError(f"no input at {path}", "name files, or folders of files")
    if not files:
        raise UsageError("the inputs hold no files to predict", "files are known by their ending: " + " ".join(endings))
    channels = int(trained.manifest.get("data", {}).get("channels", 0)) or _channels(trained)
    cases = _cases(files, channels if task == "segmentation" else 1)  # the colours of a photograph are in one file
    values = tuple(trained.manifest.get("data", {}).get("label_values") or range(1, len(trained.classes) + 1))
    return Dataset(
        task=task,
        name="inputs",
        source=trained.recipe.data.source,
        cases=cases,
        classes=trained.classes,
        label_values=tuple(int(v) for v in values),
        channels=channels,
        spatial_dims=len(trained.recipe.data.size),
        unit="voxel",
        phantom=False,
        published_split=None,
    )


def _channels(trained: Trained) -> int:
    return 3 if trained.recipe.task == "classification" else 1


def _cases(files: Sequence[Path], channels: int) -> tuple[Case, ...]:
    """A case a file, or one for the files ``<case>_0000``, ``<case>_0001``, ... of one folder."""
    parts: dict[tuple[Path, str], dict[int, Path]] = {}
    found: list[Case] = []
    for path in dict.fromkeys(files):
        stem = re.sub(r"(\.nii)?\.[^.]+$", "", path.name)
        match = _CHANNEL.match(stem) if channels > 1 else None
        if match and int(match["channel"]) < channels:
            parts.setdefault((path.parent, match["case"]), {})[int(match["channel"])] = path
        else:
            # In the left atrium's layout the folder is the case.
            name = path.absolute().parent.name if path.name == "mri_norm2.h5" else stem
            found.append(Case(name, (path,), split="chosen"))
    short = [f"{name} in {folder}" for (folder, name), own in parts.items() if len(own) != channels]
    if short:
        raise DataError(
            f"{len(short)} inputs lack channels: {', '.join(short[:5])}",
            f"a case is one file, or {channels} files <case>_0000, <case>_0001, ... in one folder",
        )
    found += [Case(name, tuple(own[n] for n in sorted(own)), split="chosen") for (_, name), own in parts.items()]
    twice = [name for name, count in Counter(case.id for case in found).items() if count > 1]
    if twice:
        raise DataError(
            f"{len(twice)} inputs share a name: {', '.join(sorted(twice)[:5])}",
            "results are named after their inputs: predict these one after the other, each with its own -o DIR",
        )
    return tuple(sorted(found, key=lambda case: case.id))


def _mask_path(output: Path, case: Case) -> Path:
    """Named as the input is: its name was good for a file before."""
    return output / f"{case.id}.nii.gz"


def _spare_inputs(dataset: Dataset, output: Path) -> None:
    """Raises: UsageError: a result would be written over an input."""
    sources = {path.resolve() for case in dataset.cases for path in case.images}
    over = [path for case in dataset.cases if (path := _mask_path(output, case)).resolve() in sources]
    if over:
        raise UsageError(f"{over[0]} is an input: the result would be written over it", "name another folder: -o DIR")


def _masks(trained: Trained, dataset: Dataset, network: Network, output: Path) -> None:
    recipe = trained.recipe
    measure = Measure(dataset, recipe.data, recipe.evaluate, recipe.runtime, network.criterion)
    predictor = build_predictor(recipe, network)
    protocol = Protocol("whole", surface=False, checkpoint="")
    show = show_progress("predicting")
    for n, case in enumerate(dataset.cases, 1):
        prepared = prepare(read_case(dataset, case), recipe.data)
        mask = measure.predict(predictor, prepared, protocol)[1]
        path = _mask_path(output, case)
        write_mask(path, mask, case=case, dataset=dataset, affine=prepared.affine)
        show(n, len(dataset.cases))
        print(printable(str(path)))


@torch.inference_mode()
def _table(trained: Trained, dataset: Dataset, network: Network, output: Path) -> None:
    data = trained.recipe.data
    predictor = build_predictor(trained.recipe, network)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "predicted", *(f"prob:{name}" for name in dataset.classes)])
    show = show_progress("predicting")
    for n, case in enumerate(dataset.cases, 1):
        image = torch.from_numpy(normalise_image(resize_image(read_image(dataset, case), data), data))
        probabilities = predictor.probabilities(predictor.class_logits(image[None]).double())[0].cpu().numpy()
        writer.writerow(
            [case.id, dataset.classes[int(probabilities.argmax())], *(repr(float(p)) for p in probabilities)]
        )
        show(n, len(dataset.cases))
    path = output / "predictions.csv"
    write_text(path, text.getvalue())
    print(printable(str(path)))
