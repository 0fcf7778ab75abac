"""Weights that a training starts from: those of a run (``--from``), or of a file (``model.weights``).

They are kept in the new run's own folder, in ``start/``, with what is known of them: so its recipe runs again when the
first run is gone or has gone on, and whoever starts from the new run learns what its weights have seen.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from engine.checkpoint import DAMAGE, Content, load_checkpoint, load_plain, save_checkpoint
from engine.data import Dataset
from engine.data.started import other_values, seen_before, seen_words
from engine.errors import MedtuiError, Problem, RecipeError, RunError
from engine.evaluation.trained import chosen_path, open_trained
from engine.models.weights import Start, read_start
from engine.network import Network, build_network, fetch_weights, rehearse
from engine.recipe import ModelTable, Recipe, parse_recipe, toml_value
from engine.recipe.names import folded
from engine.runfolder import RunFolder, file_name, read_manifest, read_splits
from engine.runfolder.careful import lenient

_KINDS = {2: "pictures", 3: "volumes"}  # by the axes of data.size
_HASH = 16  # bytes of the hash of an image


class Origin(msgspec.Struct, frozen=True):
    """The run that weights are of: what a training that starts from them has to know of it."""

    run: str = ""
    checkpoint: str = ""
    channels: int = 0
    channel_names: list[str] = []
    ranges: dict[str, tuple[float, float]] = {}  # of its training, see `engine.data.familiar`


def find_start(recipe: Recipe, run: Path | None, *places: Path) -> tuple[Recipe, Start | None]:
    """The weights that a recipe starts from, and the recipe as it stands in the folder of a run that keeps them.

    Args:
        run: whose weights to take (``--from``), in place of what the recipe says.
        places: where ``model.weights`` is looked for, such as beside the recipe and below the data root.

    Raises:
        MedtuiError: they are not there, or cannot be read.
    """
    weights = recipe.model.weights
    if run is None and weights is None:
        return recipe, None
    if run is not None:
        folder = RunFolder(run)
        path = chosen_path(folder, open_trained(folder).recipe)
        start = _with_origin(Start(_content(folder, path), path), folder)
    else:
        found = [place / str(weights) for place in places]
        start = read_start(next((path for path in found if path.is_file()), found[-1]))
        folder = RunFolder(start.place.parent.parent)
        if folder.checkpoints == start.place.parent and folder.manifest.exists():
            start = _with_origin(start, folder)
    run_id = _origin(start).run
    name = file_name(f"{run_id}.pt" if run_id else start.place.name)
    pretrained = {"pretrained": False} if hasattr(recipe.model, "pretrained") else {}
    model = recipe.model.model_copy(update={"weights": f"{folder.start.name}/{name}", **pretrained})
    return recipe.model_copy(update={"model": model}), start


def _content(folder: RunFolder, path: Path) -> Content:
    """Of a checkpoint of a run that was named. Raises: RunError: it cannot be used, with the way to the other one."""
    try:
        return load_checkpoint(path)
    except RunError as error:
        other = folder.last if path == folder.best else folder.best
        way = f"--allow-outside --set {shlex.quote(f'model.weights={other.resolve()}')}, in place of --from"
        hint = f"start with its other checkpoint: {way}" if other.exists() else "start with another run"
        raise RunError(f"{folder.id}: {error.message}", hint) from error


def keep_start(folder: RunFolder, recipe: Recipe, start: Start | None) -> None:
    """Put weights into a run folder, where the recipe that `find_start` gave looks for them."""
    if start is not None:
        folder.start.mkdir(mode=0o700, exist_ok=True)
        save_checkpoint(folder.root / str(recipe.model.weights), dict(start.content))


def start_network(
    recipe: Recipe, dataset: Dataset, root: Path, start: Start | None, precision: str | None = None
) -> Network:
    """`build_network` with weights to start from, and what has to be said of them in its ``doubts``.

    Raises:
        RecipeError: as there; or they are of another network, with the keys of the recipe that it takes.
    """
    with _other_network(recipe, start):
        network = build_network(recipe, dataset, root, precision, start=start)
    if start is None:
        return network
    origin, seen = _origin(start), seen_before(dataset, _hashes(start))
    doubts = (*seen_words(dataset, seen, origin.run), *_doubts(recipe, dataset, start, network))
    facts = {"run": origin.run or None, "checkpoint": origin.checkpoint, "epoch": start.content.get("epoch")}
    said = {"file": start.place.name} if not origin.run else facts
    return replace(network, doubts=doubts, origin=said | {"seen": {split: len(ids) for split, ids in seen.items()}})


def refuse_misfits(recipe: Recipe, dataset: Dataset, root: Path, start: Start | None) -> None:
    """Look whether the network can be made, and whether weights that were found fit; others are not looked for.

    Raises:
        RecipeError: as `start_network`.
    """
    with _other_network(recipe, start):
        rehearse(recipe if start else recipe.bare(), dataset, root, start)


def rehearse_start(recipe: Recipe, dataset: Dataset, root: Path, run: Path | None, beside: Path) -> None:
    """Look whether a run that begins elsewhere will find weights that fit. Raises: as `start_network`."""
    recipe, start = find_start(recipe, run, beside, root)
    with _other_network(recipe, start):
        fetch_weights(recipe, dataset, root, start)


def trained_before(folder: RunFolder) -> set[str]:
    """Hashes of the images that the weights which a run started from were trained on; none where that is not known."""
    found: set[str] = set()
    for path in sorted(folder.start.glob("*.pt"))[:1]:
        try:
            content = load_plain(path)
        except DAMAGE:
            continue
        found |= _hashes(Start(content if isinstance(content, dict) else {}, path))
    return found


def _with_origin(start: Start, folder: RunFolder) -> Start:
    """``start``, a checkpoint of ``folder``, with what that run knows of it, and nothing of how it would go on."""
    data = read_manifest(folder).data
    images = {row.image for row in read_splits(folder) if row.split == "train"} | trained_before(folder)
    known = b"".join(sorted(bytes.fromhex(image) for image in images if len(image) == 2 * _HASH))
    origin = {
        "run": folder.id,
        "checkpoint": start.place.stem,
        "channels": data.channels,
        "channel_names": data.channel_names,
        "ranges": {name: list(ends) for name, ends in data.ranges.items()},
        "trained": torch.frombuffer(bytearray(known), dtype=torch.uint8) if known else torch.zeros(0),
    }
    kept = {key: start.content[key] for key in ("model", "recipe", "classes", "epoch") if key in start.content}
    return Start(kept | {"origin": origin}, start.place)


def _origin(start: Start) -> Origin:
    return lenient(start.content.get("origin", {}), Origin)


def _hashes(start: Start) -> set[str]:
    origin = start.content.get("origin")
    packed = origin.get("trained") if isinstance(origin, dict) else None
    if not isinstance(packed, torch.Tensor) or packed.dtype != torch.uint8:
        return set()
    whole = packed.numpy().tobytes()
    return {whole[at : at + _HASH].hex() for at in range(0, len(whole), _HASH)}


def _recipe_of(start: Start) -> Recipe | None:
    try:
        return parse_recipe(str(start.content.get("recipe", "")), outside=True, stored=True)
    except MedtuiError:
        return None


def _doubts(recipe: Recipe, dataset: Dataset, start: Start, network: Network) -> Iterator[str]:
    """What the network would learn on that its weights have not learned, and what only looks alike."""
    origin, known = _origin(start), _recipe_of(start)
    if origin.run and not _hashes(start):
        yield f"which images {origin.run} was trained on is not known: nor is whether cases here were among them"
    if known is not None and known.task == recipe.task:
        yield from other_values(recipe.data, known.data, dataset, origin.channel_names, origin.ranges)
    classes = [str(name) for name in start.content.get("classes", [])]
    same_layer = len(classes) == len(dataset.classes) and "random start" not in network.start
    if same_layer and [*map(folded, classes)] != [*map(folded, dataset.classes)]:
        now = ", ".join(dataset.classes)
        yield f"the final layer was trained for {', '.join(classes)}, and begins as it is for {now}"


@contextmanager
def _other_network(recipe: Recipe, start: Start | None) -> Iterator[None]:
    """Say which keys of [model] make another network than that of the weights: before it is built those that are sure
    to, and else where they do not fit."""
    known = _recipe_of(start) if start else None
    if start is None or known is None:
        yield
        return
    own, theirs = recipe.model, known.model
    if len(known.data.size) != len(recipe.data.size):
        of, here = (_KINDS[len(one.data.size)] for one in (known, recipe))
        message = f"{start.name} was trained on {of}, and {recipe.name} is of {here}: no key makes these weights fit"
        raise RecipeError(message, f"start from a run on {here}")
    differing = {key: value for key, value in _keys(theirs).items() if value != getattr(own, key, None)}
    if sure := {key: value for key, value in differing.items() if getattr(own, key, None) is not None}:
        raise _refusal(start, recipe.model, sure)
    try:
        yield
    except RecipeError as error:
        if not any(problem.key == "model.weights" for problem in error.problems):
            raise
        if differing:
            raise _refusal(start, own, differing) from None
        if known.data.size != recipe.data.size:
            words = "--set " + shlex.quote(f"data.size={toml_value(known.data.size)}")
            error.hint = f"levels and strides of a network may follow from data.size: as in {start.name}, {words}"
        raise


def _keys(table: ModelTable) -> Mapping[str, Any]:
    return {key: value for key, value in table.model_dump(exclude_none=True).items() if key not in table.loose}


def _refusal(start: Start, own: ModelTable, differing: Mapping[str, Any]) -> RecipeError:
    problems, words = [], []
    for key, value in differing.items():
        found = getattr(own, key, None)
        said = "nothing" if found is None else toml_value(found)
        problems.append(Problem("recipe", f"found {said}", toml_value(value), f"model.{key}"))
        words.append("--set " + shlex.quote(f"model.{key}={value if isinstance(value, str) else toml_value(value)}"))
    message = f"{start.name} is of another network than this recipe's:"
    return RecipeError(message, f"take over: {' '.join(words)}", tuple(problems))
