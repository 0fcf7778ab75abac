"""One trained network as ONNX, and whether it computes the same."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from engine.errors import RunError, UsageError
from engine.models import count_parameters

_MOST_BYTES = 2**31 - 2**24  # of a protobuf file; weights are 4 bytes each
_TOLERANCE = 1e-3  # of the greatest logit: rounding stays far below it, another operator far above


def refuse_missing() -> None:
    """Raises: UsageError: the libraries that write ONNX and compute with it are not installed."""
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
        raise UsageError(f"export needs {', '.join(missing)}", 'pip install "medtui[export]"')


def write_network(path: Path, model: nn.Module, shape: Sequence[int], name: str) -> float:
    """Write ``model`` in float32, with its weights inside: ``image`` (1, C, *size) to ``logits``.

    Args:
        path: of the file.
        model: in evaluation it gives a tensor of logits.
        shape: (C, *size) of an image.
        name: of the network, for messages.

    Returns:
        The greatest difference of a logit of a random image from torch's.

    Raises:
        RunError: it cannot be written as ONNX, or what was written computes something else.
    """
    if 4 * count_parameters(model) > _MOST_BYTES:
        raise RunError(f"{name} has more than the 2 GB of weights that an ONNX file holds")
    model = model.to("cpu", torch.float32).to(memory_format=torch.contiguous_format)
    model = model.eval().requires_grad_(False)
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with _quiet():
            program = torch.onnx.export(
                model, (image,), input_names=["image"], output_names=["logits"], dynamo=True, external_data=False,
                verbose=False,
            )  # fmt: skip
            if program is None:  # says the type only
                raise RuntimeError("nothing was exported")
            program.save(path)
    except OSError:  # of the disk
        raise
    except Exception as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = "all networks that ship can be; one of a package can where torch.export takes it"
        raise RunError(f"{name} cannot be written as ONNX: {why}", hint) from error
    return _difference(path, model, image, name)


def _difference(path: Path, model: nn.Module, image: torch.Tensor, name: str) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = model(image)
    found = torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
    worst = float((found - wanted).abs().max()) if found.shape == wanted.shape else float("inf")
    if not worst <= _TOLERANCE * max(1.0, float(wanted.abs().max())):
        raise RunError(f"{name} computes something else as ONNX: its logits differ by up to {worst:.3g}")
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter tells of its steps; errors it raises."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(before)
