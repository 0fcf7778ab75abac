"""Weights to start from: torchvision's ImageNet weights, and files of one's own."""

import pickle
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.checkpoint import DAMAGE, Content, load_plain, not_finite
from engine.console import show_progress
from engine.data.web import DownloadError, fetch_file
from engine.errors import Problem, RecipeError, counted, some

_WHERE = "a file with a state dict, beside the recipe or below the data root; for the weights of a run: --from RUN"
_ORIGIN = {"run": str, "checkpoint": str, "channels": int, "channel_names": list, "ranges": dict, "trained": Tensor}
_LARGEST = 2 * 10**9  # bytes of a file of ImageNet weights: more than any ResNet has


def load_imagenet(model: nn.Module, name: str, version: str = "V1") -> None:
    """Give ``model``, a ResNet, torchvision's ImageNet weights, all but the final layer.

    The weights are torchvision's ``IMAGENET1K_V1``, which all four ResNets have, or those of another
    ``version``. They are read from the cache of torch hub, and downloaded there on first use.

    Raises:
        RecipeError: there is no such file in the cache, and it cannot be downloaded.
    """
    url, path = imagenet_file(name, version)
    if not path.is_file():
        _download(url, path)
    fit_imagenet(model, read_state(path, "model.pretrained"), path, "conv1.weight")


def fit_imagenet(model: nn.Module, state: dict[str, Tensor], path: Path, first: str) -> None:
    """Give ``model`` the weights of ``state``, read from ``path``, all but those of the final layer, ``fc``.

    The kernels of its ``first`` convolution are repeated over other than three channels of the images in turn and
    scaled by ``3 / channels`` (one channel gets their sum), so that a grey image gives the features that it gives in
    colour.

    Raises:
        RecipeError: they are those of another network.
    """
    state = state | {first: adapt_channels(state[first], model.get_parameter(first).shape[1])}
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    load_state(model, state, path, "model.pretrained", "fc.")


def imagenet_file(name: str, version: str = "V1") -> tuple[str, Path]:
    """Where the ImageNet weights of the ResNet ``name`` come from, and their file in the cache of torch hub."""
    import torchvision

    weights = torchvision.models.get_model_weights(name)[f"IMAGENET1K_{version}"]
    return weights.url, Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """First convolution ``(O, C, *K)`` for another number of input channels, see `fit_imagenet`."""
    given = weight.shape[1]
    if channels == given:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [channel % given for channel in range(channels)]] * (given / channels)


@dataclass(frozen=True, slots=True)
class Start:
    """Weights that a training starts from, and what is known of them."""

    content: Content  # ``model``; where known ``recipe``, ``classes``, ``epoch``, and ``origin``: of which run they are
    place: Path  # the file that they were read from

    @property
    def name(self) -> str:
        """What people know them by: a run, its checkpoint and epoch, or a file."""
        origin = self.content.get("origin", {})
        if not origin.get("run"):
            return self.place.name
        return f"{origin['run']} ({origin.get('checkpoint')}, epoch {self.content.get('epoch')})"


def read_start(path: Path) -> Start:
    """The weights in a file, for ``model.weights``; what else it holds, and is of another type than ours, is left out.

    Raises:
        RecipeError: as `read_state`; or a weight is not finite.
    """
    found, state = _read(path, "model.weights")
    if wrong := not_finite(state):
        raise _refuse("model.weights", f"{path}: {wrong} holds values that are not finite", "weights that are numbers")
    kept = _of_kinds(found, {"recipe": str, "classes": list, "epoch": int, "origin": dict})
    if "origin" in kept:
        kept["origin"] = _of_kinds(kept["origin"], _ORIGIN)
    return Start({"model": state} | kept, path)


def _of_kinds(found: Mapping[str, Any], kinds: Mapping[str, type]) -> Content:
    return {key: found[key] for key, kind in kinds.items() if isinstance(found.get(key), kind)}


def load_start(model: nn.Module, start: Start, head: str, first: Collection[str] = (), channels: int = 0) -> None:
    """Give ``model`` weights to start from, strictly but for its first and its final layer.

    Args:
        head: how the names of the final layers begin. Each may be of another size, or missing; then it
            keeps its random start.
        first: names of what depends on the number of ``channels`` of the images: it is adapted to them by
            `adapt_channels`.

    Raises:
        RecipeError: they are those of another network.
    """
    state, known = dict(start.content["model"]), start.content.get("origin", {}).get("channels")
    own, given = model.state_dict(), 0
    for name in first:
        if name in state and (parts := _of_a_channel(state[name], own[name], channels)):
            given = state[name].shape[1] // parts
            if known in {None, 0, given}:
                fitting = adapt_channels(state[name].unflatten(1, (given, parts)), channels)
                state[name] = fitting.flatten(1, 2)
    load_state(model, state, start.place, "model.weights", head, name=start.name)
    if given:
        said = f"; the first convolution, of {counted(given, 'channel')}, was adapted to {channels}"
        vars(model)["first_weights"] += said


def _of_a_channel(found: Tensor, own: Tensor, channels: int) -> int:
    """How many values of dimension 1 belong to a channel (of a patch each of its voxels has one); 0: they differ in
    more than in their channels, or in nothing."""
    parts = own.shape[1] // channels if own.ndim > 1 else 0
    same = parts and found.ndim == own.ndim and found.shape[:1] + found.shape[2:] == own.shape[:1] + own.shape[2:]
    return parts if same and found.shape[1] != own.shape[1] and found.shape[1] % parts == 0 else 0


def read_state(path: Path, key: str) -> dict[str, Tensor]:
    """The state dict in a file, bare or under ``model`` (our checkpoints) or ``state_dict``.

    Only tensors and plain values are read (``weights_only``): a file cannot make code run.

    Raises:
        RecipeError: for the recipe's ``key``.
    """
    return _read(path, key)[1]


def _read(path: Path, key: str) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """All that a file holds, and the state dict in it."""
    try:
        found: Any = load_plain(path)
    except FileNotFoundError:
        raise _refuse(key, f"there is no file {path}", _WHERE) from None
    except pickle.UnpicklingError:
        found_text = f"{path} is damaged, or holds more than tensors and plain values"
        raise _refuse(key, found_text, "a state dict, as torch.save writes it") from None
    except DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _refuse(key, f"cannot read {path}: {reason}", "a state dict, as torch.save writes it") from None
    content = found if isinstance(found, Mapping) else {}
    for name in ("model", "state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise _refuse(key, f"{path} holds no state dict", "names and tensors, bare or under `model`")
    # DistributedDataParallel puts its own name before every key.
    return content, {str(name).removeprefix("module."): value for name, value in found.items()}


def load_state(
    model: nn.Module, state: Mapping[str, Tensor], path: Path, key: str, head: str, *, name: str = ""
) -> None:
    """Load ``state``, strictly but for the final layers, whose names begin with ``head``.

    What was loaded, by its ``name`` (default: the file's), and what is new is kept for `first_weights`.

    Raises:
        RecipeError: naming the keys that are missing, unknown or of another shape.
    """
    own = model.state_dict()
    fits = {key for key, value in state.items() if key in own and value.shape == own[key].shape}
    heads = {key for key in {*own, *state} if key.startswith(head)}
    new = {_layer(key) for key in heads & own.keys() - fits}  # a new weight with an old bias would be neither
    fits -= {key for key in heads if _layer(key) in new}
    other = [key for key in own if key in state and key not in heads and state[key].shape != own[key].shape]
    shapes = [f"{key} ({_shape(state[key])}, the network has {_shape(own[key])})" for key in other]
    problems = [
        *_listed("missing", [key for key in own if key not in state and key not in heads]),
        *_listed("unknown", [key for key in state if key not in own and key not in heads]),
        *_listed("of another shape", shapes),
    ]
    if problems:
        raise _refuse(key, f"{path} is of another network: {'; '.join(problems)}", "weights of the network in [model]")
    model.load_state_dict({key: state[key] for key in fits}, strict=False)
    random = [f"{key} ({_shape(own[key])}{_theirs(state.get(key), own[key])})" for key in own if key not in fits]
    words = "".join(_listed("new, with a random start", random)) or "all of the network's"
    taken = f"{len(own) - len(random)} of {len(own)} tensors from {name or path.name}"
    vars(model)["first_weights"] = f"{taken}; {words}"


def _layer(key: str) -> str:
    return key.rpartition(".")[0]


def first_weights(model: nn.Module) -> str:
    """What ``model`` was given of a file by `load_state`, and what of it is new; "" where all is."""
    return str(vars(model).get("first_weights", ""))


def _theirs(found: Tensor | None, own: Tensor) -> str:
    return "" if found is None or found.shape == own.shape else f", {_shape(found)} in the file"


def _listed(what: str, names: list[str]) -> list[str]:
    return [f"{len(names)} {what}: {some(names, 5)}"] if names else []


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _download(url: str, path: Path) -> None:
    """Fetch a file whose name ends in the first figures of its SHA-256; it appears whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sum_of = path.stem.rpartition("-")[2]
        fetch_file(url, path, sum_of=sum_of, limit=_LARGEST, show=show_progress(f"downloading {path.name}: bytes"))
    except (OSError, DownloadError) as error:
        raise _absent(url, path, getattr(error, "strerror", None) or str(error)) from None


def _absent(url: str, path: Path, reason: str) -> RecipeError:
    problem = Problem("recipe", f"cannot download {url}: {reason}", key="model.pretrained")
    hint = (
        f"without a network: put the file {path.name} into {path.parent}, from any computer that can fetch it; "
        "or go on without ImageNet weights: --set model.pretrained=false"
    )
    return RecipeError("the ImageNet weights are not there:", hint, (problem,))


def _refuse(key: str, found: str, allowed: str) -> RecipeError:
    hint = "delete the file and try again: it is fetched, or the way to it is said" if key == "model.pretrained" else ""
    return RecipeError("the weights cannot be used:", hint, (Problem("recipe", found, allowed, key),))
