"""Checkpoints: written atomically, loaded with ``weights_only=True`` and nothing else."""

import os
import pickle
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch

from engine.errors import RunError
from engine.runfolder import atomic_open, most_unpacked, open_regular, zip_members

FORMAT = 1
_OTHER = "use the other checkpoint of the run (best or last)"
MOST_PICKLE = 8 << 20  # bytes of names and plain values in a file of weights

StateDict: TypeAlias = dict[str, Any]  # memory of one part of a training, as plain data and tensors
Content: TypeAlias = dict[str, Any]
"""Content of a checkpoint: ``model`` and what `engine.training.state.TrainerState` adds to it."""

# What the zip and pickle readers of torch raise on damaged bytes is not documented; all of these
# were seen while bytes were changed at random.
DAMAGE = (
    *(OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(ImportError, OverflowError, MemoryError, zipfile.BadZipFile),
)


LARGEST = 1 << 38  # bytes of a checkpoint; a larger file is none


def save_checkpoint(path: Path, content: Content) -> float:
    """Replace ``path`` by ``content``; the old file is there until the new one is safely on disk.

    Args:
        path: ``checkpoints/last.pt`` or ``best.pt``.
        content: tensors, numbers, strings, and dicts and lists of them: what loads without pickle's
            power to run code.

    Returns:
        Seconds that it took.

    Raises:
        RunError: a weight is not finite, or the disk is full, gone or read-only. The old checkpoint stays.
    """
    start = time.perf_counter()
    wrong = not_finite(content["model"]) or not_finite(content.get("raw") or {})
    if wrong:
        raise RunError(
            f"{path.name} is not written: {wrong} holds values that are not finite",
            "lower optimizer.lr, or set train.clip_norm = 1.0. The last good checkpoint is kept",
        )
    try:
        with atomic_open(path) as stream:
            torch.save({"format": FORMAT, **content}, stream)
    except (OSError, RuntimeError) as error:
        raise RunError(
            f"cannot write the checkpoint {path.name}: {_reason(error)}",
            "the checkpoint before it is whole; make room, then: medtui resume " + path.parent.parent.name,
        ) from error
    return time.perf_counter() - start


def not_finite(state: Mapping[str, Any]) -> str:
    """The first entry of a state dict that holds NaN or infinity; "" where none does."""
    tensors = ((name, value) for name, value in state.items() if torch.is_tensor(value) and value.is_floating_point())
    return next((name for name, value in tensors if not bool(torch.isfinite(value).all())), "")


def _reason(error: BaseException) -> str:
    """What the disk said: torch hides it behind a RuntimeError of its zip writer."""
    deeper: BaseException | None = error
    while deeper is not None:
        if isinstance(deeper, OSError) and deeper.strerror:
            return deeper.strerror
        deeper = deeper.__cause__ or deeper.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def load_plain(path: Path) -> Any:
    """What ``torch.save`` wrote into a regular file, on the CPU: tensors and plain values, nothing else.

    Raises:
        OSError, RuntimeError and others: it is damaged, or would take more memory than it takes disk.
    """
    with open_regular(path, LARGEST) as stream:
        begin = stream.read(4)
        if begin[:1] not in {b"P", b"\x80"}:
            raise zipfile.BadZipFile("torch.save did not write it")
        if begin == b"PK\x03\x04":
            members = zip_members(stream)
            stored = min(os.fstat(stream.fileno()).st_size, most_unpacked(stream))
            pickled = sum(member.file_size for member in members if member.filename.endswith(".pkl"))
            if pickled > MOST_PICKLE or sum(member.file_size for member in members) > stored:
                raise zipfile.BadZipFile("it holds more than its size")
    content = torch.load(path, map_location="cpu", weights_only=True)
    todo, seen = [content], {0}
    while todo:
        part = todo.pop()
        if isinstance(part, torch.Tensor):
            whole = part.layout is torch.strided and not (part.is_meta or part.is_nested)
            if not whole or part.numel() * part.element_size() > part.untyped_storage().nbytes():
                raise RuntimeError("a tensor in it is larger than what is stored of it")
        elif isinstance(part, dict | list | tuple) and id(part) not in seen:
            seen.add(id(part))  # lists may lie in themselves
            todo.extend(part.values() if isinstance(part, dict) else part)
    return content


def load_checkpoint(path: Path) -> Content:
    """The content of a checkpoint, on the CPU.

    Raises:
        RunError: there is none, it is damaged, it holds anything but plain data and tensors, or a count that
            is none, or a weight that is not finite.
    """
    try:
        content = load_plain(path)
    except FileNotFoundError:
        raise RunError(
            f"there is no checkpoint {path.name} in this run",
            "the run ended before its first checkpoint: start it again",
        ) from None
    except pickle.UnpicklingError as error:
        raise RunError(
            f"{path.name} is refused: it is damaged or holds more than plain data and tensors",
            "medtui loads no pickled code, whoever wrote it; use a checkpoint written by medtui",
        ) from error
    except DAMAGE as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise RunError(f"{path.name} cannot be read: {reason}", _OTHER) from error
    if not isinstance(content, dict) or "model" not in content:
        raise RunError(f'{path.name} is not a checkpoint of medtui: it has no "model"')
    if str(content.get("format", FORMAT)) != str(FORMAT):
        raise RunError(f"{path.name} was written by another version of medtui (format {content['format']})")
    for part in ("model", "raw"):
        state = content.get(part) or {}
        if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
            raise RunError(f'{path.name}: "{part}" is not a state dict', _OTHER)
        if wrong := not_finite(state):
            raise RunError(f"{path.name} is damaged: {wrong} holds values that are not finite", _OTHER)
    for name in ("epoch", "iteration"):
        if type(count := content.get(name, 0)) is not int or not 0 <= count < 1 << 53:
            raise RunError(f"{path.name} is damaged: its {name} is {str(count)[:40]}, which is no count", _OTHER)
    return content


def load_weights(model: torch.nn.Module, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Put a state dict into ``model``; nothing of it is left out or cast.

    Args:
        name: of the checkpoint, for the message.

    Raises:
        RunError: a name, a shape or a type is not that of the network.
    """
    own = model.state_dict()
    for key in own:
        if key in state and state[key].dtype != own[key].dtype:
            found, wanted = str(state[key].dtype)[6:], str(own[key].dtype)[6:]
            raise RunError(f"{name} does not fit: {key} is {found}, and {wanted} in the network of this run", _OTHER)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise RunError(f"{name} does not fit the network of this run: {reason}", _OTHER) from error
