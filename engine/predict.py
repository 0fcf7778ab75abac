"""``medtui predict``: masks or class tables for new files, in their own geometry."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from engine.build import Network, build_predictor
from engine.data import Cohort, check_cohort
from engine.data.cases import Case
from engine.data.prepare import normalise_image, prepare, resize_image
from engine.data.read import read_case, read_image
from engine.errors import DataError, UsageError
from engine.evaluation import Measure, Protocol
from engine.finish import chosen_checkpoint
from engine.progress import show_progress
from engine.results import file_name, write_mask
from engine.runfolder import RunFolder, write_text
from engine.trained import Trained, network_for, open_trained

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
    cohort = _cohort(trained, inputs)
    cohort = check_cohort(cohort, trained.recipe.data, progress=show_progress("checking the inputs"))
    network = network_for(trained, cohort)
    network.model.load_state_dict(chosen_checkpoint(folder, trained.recipe)[1]["model"])
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make {output}: {error.strerror or error}", "name another folder with -o DIR"
        ) from error
    if cohort.task == "segmentation":
        _masks(trained, cohort, network, output)
    else:
        _table(trained, cohort, network, output)
    return 0


def _cohort(trained: Trained, inputs: Sequence[Path]) -> Cohort:
    task = trained.recipe.task
    endings = VOLUMES if task == "segmentation" else IMAGES
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.name.lower().endswith(endings))
        elif path.is_file():
            files.append(path)
        else:
            raise UsageError(f"no input at {path}", "name files, or folders of files")
    if not files:
        raise UsageError("the inputs hold no files to predict", "files are known by their ending: " + " ".join(endings))
    channels = int(trained.manifest.get("data", {}).get("channels", 0)) or _channels(trained)
    cases = _cases(files, channels)
    values = tuple(trained.manifest.get("data", {}).get("label_values") or range(1, len(trained.classes) + 1))
    return Cohort(
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
    grouped: dict[str, list[Path]] = {}
    for path in files:
        stem = re.sub(r"(\.nii)?\.[^.]+$", "", path.name)
        match = _CHANNEL.match(stem) if channels > 1 else None
        name = match["case"] if match else stem
        if path.name == "mri_norm2.h5":
            name = path.parent.name  # in the left atrium's layout the folder is the case
        grouped.setdefault(name, []).append(path)
    twice = [name for name, paths in grouped.items() if len(paths) not in {1, channels}]
    if twice:
        raise DataError(
            f"{len(twice)} inputs share a name or lack channels: {', '.join(twice[:5])}",
            f"a case is one file, or {channels} files <case>_0000, <case>_0001, ...",
        )
    return tuple(Case(name, tuple(sorted(paths)), split="chosen") for name, paths in sorted(grouped.items()))


def _masks(trained: Trained, cohort: Cohort, network: Network, output: Path) -> None:
    recipe = trained.recipe
    measure = Measure(cohort, recipe.data, recipe.evaluate, recipe.runtime, network.criterion)
    predictor = build_predictor(recipe, network)
    protocol = Protocol("whole", surface=False, checkpoint="")
    show = show_progress("predicting")
    for n, case in enumerate(cohort.cases, 1):
        prepared = prepare(read_case(cohort, case), recipe.data)
        mask = measure.predict(predictor, prepared, protocol)[1]
        path = output / f"{file_name(case.id)}.nii.gz"
        write_mask(path, mask, case=case, cohort=cohort, affine=prepared.affine)
        show(n, len(cohort.cases))
        print(path)


@torch.inference_mode()
def _table(trained: Trained, cohort: Cohort, network: Network, output: Path) -> None:
    data = trained.recipe.data
    predictor = build_predictor(trained.recipe, network)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "predicted", *(f"prob:{name}" for name in cohort.classes)])
    show = show_progress("predicting")
    for n, case in enumerate(cohort.cases, 1):
        image = torch.from_numpy(normalise_image(resize_image(read_image(cohort, case), data), data))
        probabilities = predictor.probabilities(predictor.class_logits(image[None]).double())[0].cpu().numpy()
        writer.writerow(
            [case.id, cohort.classes[int(probabilities.argmax())], *(repr(float(p)) for p in probabilities)]
        )
        show(n, len(cohort.cases))
    path = output / "predictions.csv"
    write_text(path, text.getvalue())
    print(path)
