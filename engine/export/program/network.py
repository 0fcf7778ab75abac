"""The networks of a folder, and how what they give becomes masks and shares of classes."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.export.program.cases import Array
from engine.export.program.faults import UnusableError, first_line, refuse_ended
from engine.export.program.preparing import Seen

FORMAT = 1  # of model.json
KEYS = {"format", "task", "classes", "label_values", "image", "output", "networks", "ranges"}


def read_facts(path: Path) -> dict[str, Any]:
    """What ``model.json`` says."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnusableError(f"{path} is damaged, copy the folder again: {error}") from error
    if not isinstance(facts, dict) or KEYS - facts.keys() or not facts["networks"]:
        raise UnusableError(f"{path} is damaged, copy the folder again: it lacks what a network needs")
    if facts["format"] != FORMAT:
        raise UnusableError(f"{path} is of another version than this predict.py: take both from one folder")
    return facts


class Network:
    """The networks of this folder, which vote by their mean probability."""

    def __init__(self, folder: Path, *, threads: int = 0, cpu: bool = False) -> None:
        import onnxruntime

        self.facts = read_facts(folder / "model.json")
        self.expected, self.output = self.facts["image"], self.facts["output"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        own = [name for name in onnxruntime.get_available_providers() if name.startswith(("CUDA", "CPU"))]
        self.sessions = []
        for member in self.facts["networks"]:
            content = (folder / member["file"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != member["sha256"]:
                raise UnusableError(f"{member['file']} is not the file that was exported: copy the folder again")
            providers = ["CPUExecutionProvider"] if cpu else own
            try:
                self.sessions.append(onnxruntime.InferenceSession(content, options, providers=providers))
            except Exception as error:
                why = f"{member['file']} cannot be used by onnxruntime {onnxruntime.__version__}: {first_line(error)}"
                raise UnusableError(why) from error
            if self.sessions[-1].get_inputs()[0].shape != [1, self.expected["channels"], *self.expected["size"]]:
                raise UnusableError(f"{folder / 'model.json'} does not fit {member['file']}: copy the folder again")

    def logits(self, session: Any, image: Array) -> Array:
        """Of an image (C, *size), without a batch: the mean over mirrored inputs."""
        axes, total = self.output["mirror_axes"], 0
        flips = [each for n in range(len(axes) + 1) for each in itertools.combinations(axes, n)]
        for each in flips:
            turned = tuple(axis + 1 for axis in each)
            try:
                (found,) = session.run(None, {"image": np.ascontiguousarray(np.flip(image, turned))[None]})
            except Exception as error:
                raise UnusableError(f"the network cannot be run: {first_line(error)}") from error
            total = total + (np.flip(found[0], turned) if found[0].ndim == image.ndim else found[0])
        return np.asarray(total / np.float32(len(flips)), np.float32)

    def windows(self, session: Any, image: Array) -> Array:
        """Logits (O, *N) of an image (C, *N): the mean of overlapping windows, weighted by Gaussians."""
        size, shape = tuple(self.expected["size"]), image.shape[1:]
        if shape == size:
            return self.logits(session, image)
        steps = [
            side if side == length else max(1, int(side * (1 - self.output["overlap"])))
            for length, side in zip(shape, size, strict=True)
        ]
        starts = [
            [min(i * step, length - side) for i in range(math.ceil((length - side) / step) + 1)]
            for length, side, step in zip(shape, size, steps, strict=True)
        ]
        gaussian = np.ones((), np.float32)
        for side in size:
            axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
            gaussian = gaussian[..., None] * np.exp(axis**2 / (-2 * (0.125 * side) ** 2)).astype(np.float32)
        gaussian = np.maximum(gaussian, max(float(gaussian.min()), 1e-3))
        total, weight = np.zeros((0, *shape), np.float32), np.zeros(shape, np.float32)
        for corner in itertools.product(*starts):
            refuse_ended()
            box = tuple(slice(start, start + side) for start, side in zip(corner, size, strict=True))
            found = self.logits(session, image[(slice(None), *box)])
            total = total if len(total) else np.zeros((len(found), *shape), np.float32)
            total[(slice(None), *box)] += found * gaussian
            weight[box] += gaussian
        total /= weight
        return total

    def probabilities(self, logits: Array) -> Array:
        """Of logits whose first axis is that of the classes."""
        if self.output["activation"] == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-logits)))
        powers = np.exp(logits - logits.max(axis=0))
        return np.asarray(powers / powers.sum(axis=0))

    def mask(self, seen: Seen) -> Array:
        """Class indices (*S) of an image, on the grid of its file."""
        from engine.data.resampling import resample

        alone, same = len(self.sessions) == 1, tuple(s.stop - s.start for s in seen.inner) == seen.turned
        scores: Array | None = None
        for session in self.sessions:
            found = self.windows(session, seen.image)[(slice(None), *seen.inner)]
            if not (alone and same and self.output["activation"] == "softmax"):  # there the greatest logit decides
                found = self.probabilities(found)
            scores = found if scores is None else scores + found
        assert scores is not None  # noqa: S101  (a folder has a network)
        scores /= np.float32(len(self.sessions))
        mask = self.decided(resample(channel, seen.turned) for channel in scores)
        if seen.turn is not None:
            from nibabel.orientations import apply_orientation

            back = np.zeros_like(seen.turn)
            for axis, (place, sign) in enumerate(seen.turn):
                back[int(place)] = (axis, sign)
            mask = np.ascontiguousarray(apply_orientation(mask, back))
        return self.cleaned(mask) if self.output["largest_component"] else mask

    def decided(self, channels: Iterator[Array]) -> Array:
        """Class indices of the scores of each channel, of which the greatest so far is kept."""
        best = next(channels)
        if self.output["activation"] == "sigmoid":
            return np.asarray(best >= self.output["threshold"], np.uint8)
        mask = np.zeros(best.shape, np.uint8 if len(self.facts["classes"]) <= 255 else np.int32)
        for index, scores in enumerate(channels, 1):
            mask[scores > best] = index
            best = np.maximum(best, scores)
        return mask

    def cleaned(self, mask: Array) -> Array:
        """``mask`` with only the largest connected component of each class."""
        from engine.evaluation.components import largest_component  # SciPy is loaded where it is needed

        return largest_component(mask, len(self.facts["classes"]), faces_only=self.output["connectivity"] == 6)

    def shares(self, image: Array) -> Array:
        """Probabilities of the classes of a picture (C, H, W)."""
        logits = [self.logits(session, image).astype(np.float64) for session in self.sessions]
        return np.asarray(np.mean([self.probabilities(own) for own in logits], axis=0))
