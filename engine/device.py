"""The machine: device, precision, memory layout, threads, and what is said when memory runs out."""

import contextlib
import os
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine.console import memory_ran_out
from engine.errors import MemoryShortError, Problem, RecipeError, RunError
from engine.hardware import cpu_flags, default_threads, memory_words
from engine.recipe import RuntimeTable

BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
"""Processors with units for products of bf16: matrices (Intel since 2023), or vectors (AMD since 2022)."""
_GAIN = 1.1  # less is within what a busy machine shows, and float32 has the finer steps
_PAIRS = 5
_PROBE_S = 10.0


@dataclass(frozen=True, slots=True)
class Device:
    """Where and how tensors are computed with."""

    device: torch.device  # the torch device
    amp: torch.dtype | None  # dtype of mixed precision, or None
    channels_last: bool  # whether images and weights lie channel by channel
    reason: str = ""  # why this precision, where that was measured

    @property
    def name(self) -> str:
        """For people: ``cpu x2``, ``cuda:0 NVIDIA H100``."""
        if self.device.type == "cuda":
            return f"{self.device} {torch.cuda.get_device_name(self.device)}"
        return f"cpu x{torch.get_num_threads()}" if self.device.type == "cpu" else str(self.device)

    @property
    def precision(self) -> str:
        """``float32``, or the type of mixed precision: ``bf16``, ``fp16``."""
        return {None: "float32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.amp]

    def autocast(self) -> torch.autocast:
        """The context in which networks are run."""
        return torch.autocast(self.device.type, dtype=self.amp or torch.bfloat16, enabled=self.amp is not None)

    def alone(self, batch: Tensor) -> contextlib.AbstractContextManager[object]:
        """The context in which a network predicts ``batch`` (B, C, *S) fastest, without a gradient."""
        wide = self.device.type == "cpu" and self.channels_last and self.amp is None
        if not (wide and batch.ndim == 5 and len(batch) == 1):
            return _NOTHING
        return _OneVolume() if torch.backends.mkldnn.is_available() else _NOTHING  # type: ignore[no-untyped-call]

    def move(self, image: Tensor) -> Tensor:
        """``image`` (B, C, *S) on the device, in its memory layout."""
        return image.to(self.device, non_blocking=True, memory_format=self.layout(image.ndim))

    def layout(self, ndim: int) -> torch.memory_format:
        """The memory format of a tensor of ``ndim`` dimensions."""
        if not self.channels_last:
            return torch.contiguous_format
        return torch.channels_last_3d if ndim == 5 else torch.channels_last


_NOTHING = contextlib.nullcontext()


class _OneVolume(TorchFunctionMode):
    """Has 3-D convolutions of a single volume done by oneDNN, as those of two are.

    Of one with few voxels torch takes a kernel of its own in float32 (``ConvParams::use_mkldnn`` in its source: up to
    20,480 channels times slices times rows), which leaves channels_last and takes two to six times as long.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.conv3d and len(args) == 7 and not isinstance(args[4], str):
            image, weight, bias, stride, padding, dilation, groups = args
            return torch.mkldnn_convolution(image, weight, bias, padding, stride, dilation, groups)
        return func(*args, **(kwargs or {}))


def open_device(table: RuntimeTable, amp: Literal["off", "auto", "bf16", "fp16"]) -> Device:
    """The device that the recipe asks for, with threads and kernels set.

    ``auto`` is float32 on a CPU: `measured` may choose otherwise once there is a network.

    Raises:
        RecipeError: there is no such device here, or it cannot do the precision asked for.
    """
    device = _device(table.device)
    torch.set_num_threads(table.threads or default_threads())
    torch.backends.cudnn.benchmark = not table.deterministic
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it
    # Some 3-D kernels have no deterministic form on a GPU: then torch warns, and the log shows it.
    # Not by use_deterministic_algorithms, which imports the compiler to tell it of this: two seconds on slow cores.
    torch.set_deterministic_debug_mode("warn" if table.deterministic else "default")
    # Filling new memory with NaN, which that switch brings, finds bugs in kernels and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    dtype = _amp(device, amp)
    # Measured: 1.05 to 1.4 times faster on CPUs; on GPUs the tensor cores of 16-bit types want it.
    automatic = device.type == "cpu" or dtype is not None
    channels_last = automatic if table.channels_last == "auto" else table.channels_last
    return Device(device, dtype, channels_last)


def _device(name: str) -> torch.device:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a driver that is too old warns; the message below says enough
        cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    wanted = torch.device(name)
    have, allowed = "", "auto, cpu or a device that is there"
    if wanted.type == "cuda" and (not cuda or (wanted.index or 0) >= torch.cuda.device_count()):
        have = f"{torch.cuda.device_count()} CUDA devices" if cuda else "no CUDA device"
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        have, allowed = "none", "auto or cpu"
    if have:
        problem = Problem("runtime.device", f'found "{name}"; this machine has {have}', allowed)
        raise RecipeError("this device is not here", "go on without it: --set runtime.device=auto", (problem,))
    return wanted


def _amp(device: torch.device, amp: str) -> torch.dtype | None:
    if amp == "off":
        return None
    if amp == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if amp == "fp16" and device.type == "cpu":
        problem = Problem("train.amp", 'found "fp16" on a CPU', '"off", "auto" or "bf16"')
        raise RecipeError("this precision is not here", "--set train.amp=auto", (problem,))
    return torch.bfloat16 if amp == "bf16" else torch.float16


def measured(device: Device, model: nn.Module, shape: Sequence[int]) -> Device:
    """``device`` with bf16 where this processor has units for it and they make this very network faster.

    The network is copied, and a step of it, forward and backward, is timed in float32 and in bf16, in turns.
    Neither weights nor statistics nor random states change.

    Args:
        device: a CPU, in float32.
        model: the network, on it.
        shape: (B, C, *S), of what a step sees.
    """
    if not cpu_flags() & BF16_FLAGS:
        return device
    narrow = replace(device, amp=torch.bfloat16)
    copy = deepcopy(model).train()
    with torch.random.fork_rng(devices=[]):
        image = device.move(torch.randn(*shape))
        for each in (device, narrow):
            _probe_s(each, copy, image)  # the first step chooses kernels
        pairs: list[tuple[float, float]] = []
        end = time.perf_counter() + _PROBE_S
        while not pairs or (len(pairs) < _PAIRS and time.perf_counter() < end):
            pairs.append((_probe_s(device, copy, image), _probe_s(narrow, copy, image)))
    gain = statistics.median(wide / short for wide, short in pairs)
    said = f"bf16 {'is' if gain >= _GAIN else 'would be'} {gain:.2f} times as fast as float32 here, by measurement"
    return replace(narrow if gain >= _GAIN else device, reason=said)


def _probe_s(device: Device, model: nn.Module, image: Tensor) -> float:
    start = time.perf_counter()
    with device.autocast():
        output = model(image)
        output = output[0] if isinstance(output, tuple) else output
    # The square keeps the gradient from being the same everywhere: some kernels have a path of their own for that.
    output.float().square().mean().backward()
    model.zero_grad()
    return time.perf_counter() - start


ELSEWHERE = "free some of it, or compute on the CPU: --device cpu"
"""Advice where memory runs out and no recipe can be changed."""
TOO_SMALL = "Expected more than 1 value per channel when training"
"""How torch begins to say that a batch norm has nothing to take a deviation of."""
ONE_VOXEL = "Expected more than 1 spatial element"
"""And an instance norm."""


@contextlib.contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Turn running out of memory, on the GPU or the CPU, into a `MemoryShortError` with ``advice``.

    And a batch that is too small for batch norm, or an image for instance norm, into a `RunError`: that depends on
    size, depth and cases together.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryShortError(f"the GPU ran out of memory: {str(error).split('. ')[0]}", advice) from error
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if memory_ran_out(error):
            raise MemoryShortError(f"the machine ran out of memory; {memory_words()}", advice) from error
        if str(error) == "can't start new thread":  # its stack is memory too, and ulimit -u counts it
            raise MemoryShortError("the machine ran out of memory, or of threads (ulimit -u)", advice) from error
        raise
    except ValueError as error:
        if str(error).startswith(ONE_VOXEL):
            text = "instance norm cannot learn where the last level of the network is a single pixel or voxel"
            hint = 'a larger data.size, a smaller model.stem or fewer levels, or another model.norm, such as "group"'
            raise RunError(text, hint) from error
        if not str(error).startswith(TOO_SMALL):
            raise
        text = "batch norm cannot learn from a batch of one case of which the last level is a single pixel"
        hint = "train.batch_size = 2 or more, with as many training cases, or a larger data.size"
        raise RunError(text, hint) from error
