"""Finished run folders for tests, in the formats that the trainer writes, with real arrays and real metrics.

The masks and images are small phantoms; the numbers come from `engine.metrics`. A run with a better
``quality`` is better on nearly every case, and two runs of one dataset hold the same cases, so that
comparisons between them have a known answer.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine import events as ev
from engine.data.identity import digest
from engine.measures import shown
from engine.metrics import classification, segmentation
from engine.recipe import parse_recipe, recipe_toml
from engine.runfolder import (
    EventWriter,
    RunFolder,
    SplitRow,
    SplitSummary,
    Status,
    create,
    write_splits,
    write_status,
    write_text,
)

SKIN = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
SHAPE = (36, 32, 24)
STARTED_S = 1_790_000_000.0


def segmentation_run(
    runs: Path,
    *,
    name: str = "seg",
    classes: Sequence[str] = ("left atrium",),
    cases: int = 8,
    epochs: int = 12,
    seed: int = 0,
    quality: float = 0.8,
    spacing: tuple[float, float, float] | None = None,
    missed: Sequence[int] = (),
    state: str = "finished",
    settings: str = "",
    shape: tuple[int, int, int] = SHAPE,
) -> RunFolder:
    """A segmentation run. ``missed``: numbers of the cases whose prediction is empty."""
    folder = create(runs, name, now_s=STARTED_S + seed)
    recipe = _recipe(
        name=name,
        task="segmentation",
        seed=seed,
        epochs=epochs,
        data='source = "nifti_pairs"\nroot = "phantom"\nsize = [16, 16, 16]',
        model='name = "resunet"\nchannels = [4, 8]\nresidual_units = 1',
        loss="dice" if len(classes) == 1 else "dice_ce",
        settings=settings,
    )
    write_text(folder.recipe, recipe)
    unit = "mm" if spacing else "voxel"
    rows, arrays = [], {}
    for number in range(cases):
        case = f"case{number:02d}"
        truth = phantom_mask(number, len(classes), shape)
        prediction = worsened(truth, quality, 1000 * seed + number, name)
        if number in missed:
            prediction = np.zeros_like(truth)
        per_class = segmentation.case_metrics(prediction, truth, classes, spacing)
        rows.append(segmentation.SegmentationRow(case, None, per_class))
        arrays[case] = (phantom_image(truth, number), truth, prediction)
    summary = segmentation.summarise(rows, classes, unit=unit, protocol="whole volume, sliding window, checkpoint best")
    write_text(folder.metrics, json.dumps({"test": summary.to_json()}))
    _table(folder, *segmentation.case_table(rows, classes, "test"))
    _segmentation_examples(folder, rows, arrays, spacing)
    contents = {case: (digest(image), digest(truth)) for case, (image, truth, _) in arrays.items()}
    write_splits(folder, [SplitRow(case, "", "test", *content) for case, content in contents.items()])
    common = {"task": "segmentation", "classes": classes, "seed": seed, "epochs": epochs, "unit": unit, "state": state}
    _events(folder, name=name, quality=quality, summary=summary, **common)
    _manifest(folder, counts={"test": {"cases": cases}}, **common)
    return folder


def classification_run(
    runs: Path,
    *,
    name: str = "cls",
    classes: Sequence[str] = SKIN,
    cases: int = 210,
    epochs: int = 10,
    seed: int = 0,
    quality: float = 0.7,
    absent: Sequence[str] = (),
    groups: bool = True,
    state: str = "finished",
    settings: str = "",
) -> RunFolder:
    """A classification run. ``absent``: classes without a case in the test split."""
    folder = create(runs, name, now_s=STARTED_S + seed)
    recipe = _recipe(
        name=name,
        task="classification",
        seed=seed,
        epochs=epochs,
        data='source = "image_folder"\nroot = "phantom"\nsize = [32, 32]',
        model='name = "resnet18"',
        loss="cross_entropy",
        settings=settings,
    )
    write_text(folder.recipe, recipe)
    present = [index for index, label in enumerate(classes) if label not in absent]
    targets = np.array([present[(number * number + number // 3) % len(present)] for number in range(cases)])
    probabilities = phantom_probabilities(targets, len(classes), quality, seed)
    ids = [f"image{number:04d}" for number in range(cases)]
    lesions = [f"lesion{number // 2:04d}" for number in range(cases)] if groups else None
    summary = classification.summarise(
        targets, probabilities, classes, groups=lesions, protocol="whole image, checkpoint best"
    )
    write_text(folder.metrics, json.dumps({"test": summary.to_json()}))
    losses = -np.log(probabilities[np.arange(cases), targets])
    table = classification.case_table(ids, targets, probabilities, classes, "test", groups=lesions, losses=losses)
    _table(folder, *table)
    _classification_examples(folder, ids, targets, probabilities)
    groups_of = lesions or [""] * cases
    truths = [digest(classes[target]) for target in targets]
    contents = zip(ids, groups_of, ["test"] * cases, map(digest, ids), truths, strict=True)
    write_splits(folder, [SplitRow(*row) for row in contents])
    common = {
        "task": "classification",
        "classes": classes,
        "seed": seed,
        "epochs": epochs,
        "unit": "pixel",
        "state": state,
    }
    _events(folder, name=name, quality=quality, summary=summary, **common)
    counts = {label: int(np.sum(targets == index)) for index, label in enumerate(classes)}
    _manifest(folder, counts={"test": counts}, **common)
    return folder


def phantom_mask(number: int, classes: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """uint8 (*S): an ellipsoid cut into ``classes`` parts along its first axis, another in every case."""
    draw = np.random.default_rng(number)
    centre = np.array(shape) / 2 + draw.uniform(-2, 2, 3)
    radii = np.array(shape) * draw.uniform(0.22, 0.32, 3)
    grid = np.indices(shape)
    inside = sum(((grid[axis] - centre[axis]) / radii[axis]) ** 2 for axis in range(3)) <= 1
    part = np.clip((grid[0] - centre[0] + radii[0]) / (2 * radii[0]) * classes, 0, classes - 1).astype(np.uint8)
    return np.where(inside, part + 1, 0).astype(np.uint8)


def phantom_image(truth: np.ndarray, number: int) -> np.ndarray:
    """float32 (1, *S): bright where the mask is, with noise."""
    noise = np.random.default_rng(500 + number).normal(0, 0.25, truth.shape)
    return ((truth > 0) + 0.3 * truth + noise)[None].astype(np.float32)


def worsened(truth: np.ndarray, quality: float, number: int, salt: str = "") -> np.ndarray:
    """``truth`` moved and with a bite taken out: the lower ``quality``, the further and the larger."""
    draw = np.random.default_rng([number, *salt.encode()])
    wrong = (1 - quality) * draw.uniform(0.5, 1.5)
    shift = np.round(draw.normal(0, 6 * wrong, 3)).astype(int)
    moved = np.roll(truth, tuple(shift), axis=(0, 1, 2))
    depth = round(truth.shape[2] * (0.35 + 0.3 * wrong))
    moved[:, :, :depth][draw.random(moved[:, :, :depth].shape) < wrong / 2] = 0
    return moved


def phantom_probabilities(targets: np.ndarray, classes: int, quality: float, seed: int) -> np.ndarray:
    """float (n, K), rows sum to 1: the noise is that of the case and a little of the seed."""
    noise = np.random.default_rng(7).normal(0, 1, (len(targets), classes))
    noise += np.random.default_rng([8, seed]).normal(0, 0.3, noise.shape)
    logits = 1.2 * noise
    logits[np.arange(len(targets)), targets] += 4 * quality
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def add_weights(folder: RunFolder) -> None:
    """Write ``checkpoints/best.pt`` with the weights of a freshly drawn network of the run's recipe."""
    import torch

    from engine.models import build_model
    from engine.recipe import load_recipe

    recipe = load_recipe(folder.recipe)
    classes = json.loads(folder.manifest.read_text())["data"]["classes"]
    torch.manual_seed(0)
    size = recipe.data.size
    segmentation_task = recipe.task == "segmentation"
    model = build_model(
        recipe.model,
        task=recipe.task,
        channels=1 if segmentation_task else 3,
        classes=len(classes),
        spatial_dims=len(size),
        size=size,
        root=folder.root,
    )
    torch.save({"model": model.state_dict()}, folder.best)


def _recipe(*, name: str, task: str, seed: int, epochs: int, data: str, model: str, loss: str, settings: str) -> str:
    text = f"""
name = "{name}"
task = "{task}"
seed = {seed}
description = "A recorded run for tests."
[data]
{data}
[model]
{model}
[loss]
name = "{loss}"
[train]
epochs = {epochs}
batch_size = 2
{settings}
"""
    return recipe_toml(parse_recipe(text))


def _table(folder: RunFolder, header: list[str], rows: list[list[str]]) -> None:
    with folder.cases.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def _segmentation_examples(
    folder: RunFolder,
    rows: Sequence[segmentation.SegmentationRow],
    arrays: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    spacing: tuple[float, float, float] | None,
) -> None:
    folder.examples.mkdir(exist_ok=True)
    dice = {row.id: row.value("dice") or 0.0 for row in rows}
    order = sorted(dice, key=lambda case: dice[case])
    for role, case in {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}.items():
        image, truth, prediction = arrays[case]
        np.savez_compressed(
            folder.examples / f"test_{case}.npz",
            image=image,
            truth=truth,
            prediction=prediction,
            spacing=np.array(spacing or (), dtype=np.float64),
            affine=np.diag([*spacing, 1.0]) if spacing else np.zeros(0),
            role=np.array(role),
            dice=np.array(dice[case]),
        )


def _classification_examples(folder: RunFolder, ids: list[str], targets: np.ndarray, p: np.ndarray) -> None:
    folder.examples.mkdir(exist_ok=True)
    wanted: dict[tuple[int, str], int] = {}
    for number, case in enumerate(ids):
        true, predicted = int(targets[number]), int(p[number].argmax())
        role = "right" if true == predicted else "wrong"
        if wanted.get((true, role), 0) >= 2:
            continue
        wanted[true, role] = wanted.get((true, role), 0) + 1
        image = phantom_picture(true, number)
        np.savez_compressed(
            folder.examples / f"test_{case}.npz",
            image=image,
            input=(image[:32, :32].transpose(2, 0, 1) / 127.5 - 1).astype(np.float32),
            true=np.array(true),
            predicted=np.array(predicted),
            probabilities=p[number].astype(np.float32),
            role=np.array(role),
            id=np.array(case),
        )


def phantom_picture(label: int, number: int, size: int = 32) -> np.ndarray:
    """uint8 (H, W, 3): a disc whose colour is that of its class."""
    draw = np.random.default_rng(number)
    rows, columns = np.indices((size, size))
    inside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (size * draw.uniform(0.2, 0.4)) ** 2
    skin, spot = np.array([224, 172, 150]), np.random.default_rng(label).integers(20, 160, 3)
    picture = np.where(inside[..., None], spot, skin) + draw.normal(0, 6, (size, size, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _events(
    folder: RunFolder,
    *,
    name: str,
    task: str,
    classes: Sequence[str],
    epochs: int,
    quality: float,
    seed: int,
    unit: str,
    state: str,
    summary: SplitSummary,
) -> None:
    writer = EventWriter(folder.events)
    monitor = "dice" if task == "segmentation" else "balanced_accuracy"
    steps = 5
    writer.write(
        ev.RunStarted(
            name=name,
            task=task,
            classes=list(classes),
            cases={"train": 10, "validation": 4, "test": 8},
            epochs=epochs,
            iterations_per_epoch=steps,
            unit=unit,
            monitor=monitor,
        )
    )
    draw = np.random.default_rng([seed, *name.encode()])
    best = -1.0
    for epoch in range(1, epochs + 1):
        level = quality * (1 - np.exp(-epoch / (0.3 * epochs)))
        for step in range(steps):
            loss = float(1.2 - level + draw.normal(0, 0.05))
            at = (epoch - 1) * steps + step + 1
            writer.write(
                ev.Iteration(iteration=at, epoch=epoch, loss=loss, lr=1e-3, cases_per_s=9.5, grad_norm=abs(loss))
            )
        score = float(level + draw.normal(0, 0.01))
        writer.write(ev.EpochDone(epoch=epoch, iteration=epoch * steps, metrics={"loss": 1.2 - level}, seconds=2.0))
        values: ev.Metrics = {"loss": 1.25 - level, monitor: score}
        values |= {"jaccard": score / (2 - score)} if task == "segmentation" else {"accuracy": score + 0.05}
        writer.write(
            ev.Validation(
                epoch=epoch,
                iteration=epoch * steps,
                metrics=values,
                per_class={label: {monitor: score} for label in classes} if task == "segmentation" else {},
                best=score > best,
            )
        )
        best = max(best, score)
    if state != "running":
        numbers = {key: value for key, value in summary.values.items() if isinstance(value, float)}
        writer.write(ev.Result(split="test", metrics=shown(numbers, task)))
        writer.write(ev.RunEnded(state=state))
    writer.close()
    write_status(folder, Status(state=state, name=name, task=task, epoch=epochs, epochs=epochs, pid=1))  # type: ignore[arg-type]


def _manifest(
    folder: RunFolder,
    *,
    task: str,
    classes: Sequence[str],
    seed: int,
    epochs: int,
    unit: str,
    counts: dict[str, dict[str, int]],
    state: str,
) -> None:
    train = {"cases": 10} if task == "segmentation" else dict.fromkeys(classes, 10)
    manifest = {
        "medtui": "0.1.0",
        "python": "3.11.9",
        "versions": {"torch": "2.15.0", "numpy": "2.4.6"},
        "git_commit": "0123456789abcdef",
        "hardware": {"cpu": "A processor", "cores": 2, "memory_gb": 24.0, "gpu": ""},
        "command": ["medtui", "run", "recipes/recorded.toml", "--data", "/home/jane/data"],
        "seed": seed,
        "data": {
            "name": "phantom",
            "source": "nifti_pairs" if task == "segmentation" else "image_folder",
            "root": "/home/jane/data/phantom",
            "fingerprint": "ab" * 32,
            "phantom": True,
            "published_split": None,
            "unit": unit,
            "classes": list(classes),
            "counts": {"train": train, **counts},
            "groups": 5 if task == "classification" else 0,
            "notes": [],
        },
        "model": {"name": "resnet18", "parameters": 11_180_103, "output": "softmax"},
        "device": "cpu",
        "started_s": STARTED_S,
        "ended_s": STARTED_S + 754,
        "duration_s": 754.0,
        "checkpoint": {
            "name": "best",
            "epoch": epochs - 1,
            "iteration": 5 * (epochs - 1),
            "metric": "dice",
            "value": 0.8,
        },
        "epochs_planned": epochs,
        "epochs_done": epochs,
        "early_stopped": False,
        "stopped": state == "stopped",
        "sessions": 1,
    }
    write_text(folder.manifest, json.dumps(manifest))
