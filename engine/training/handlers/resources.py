"""Samples what the trainer uses of the machine, in a thread of its own."""

import contextlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from engine.errors import RunError
from engine.events import Event, Resources
from engine.hardware import free_memory, total_memory
from engine.training.throttle import SpinThrottle

EVERY_S = 3.0


class ResourceSampler:
    """Emits `Resources` every few seconds: this process and its loader workers, GPU, disk."""

    def __init__(self, emit: Callable[[Event], object], folder: Path, device: torch.device) -> None:
        self._emit = emit
        self._folder = folder
        self._device = device
        self._cores = psutil.cpu_count() or 1
        self._processes: dict[int, psutil.Process] = {}
        self._throttle = SpinThrottle()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="resources", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
            self._throttle.close()

    def _loop(self) -> None:
        with contextlib.suppress(OSError):
            self._sample()  # psutil's first percentage is 0: it needs two looks
        while not self._over.wait(EVERY_S):
            self._throttle.look()
            with contextlib.suppress(RunError, OSError):  # the trainer itself meets a full disk
                self._emit(self._sample())

    def _sample(self) -> Resources:
        cpu = memory = 0.0
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                cpu += process.cpu_percent()
                memory += process.memory_info().rss / 1e6
        use, used, total = self._gpu()
        everyone = psutil.cpu_percent() * self._cores
        return Resources(
            cpu_percent=round(cpu, 1),
            memory_mb=round(memory, 1),
            memory_total_mb=round(total_memory() / 1e6, 1),
            gpu_percent=use,
            gpu_memory_mb=used,
            gpu_memory_total_mb=total,
            disk_free_gb=round(shutil.disk_usage(self._folder).free / 1e9, 2),
            memory_free_mb=round(free_memory() / 1e6, 1),
            others_percent=round(max(0.0, everyone - cpu), 1),
            cores=self._cores,
        )

    def _family(self) -> list[psutil.Process]:
        """This process and its children; the objects are kept, for their CPU counters are in them."""
        me = self._processes.setdefault(0, psutil.Process())
        with contextlib.suppress(psutil.Error):
            for child in me.children(recursive=True):
                self._processes.setdefault(child.pid, child)
        for pid, process in list(self._processes.items()):
            if pid and not process.is_running():
                del self._processes[pid]
        return list(self._processes.values())

    def _gpu(self) -> tuple[float | None, float | None, float | None]:
        if self._device.type != "cuda":
            return None, None, None
        free, total = torch.cuda.mem_get_info(self._device)
        try:
            use: float | None = float(torch.cuda.utilization(self._device))
        except (ModuleNotFoundError, RuntimeError):  # needs pynvml, and a driver that answers it
            use = None
        return use, round((total - free) / 1e6, 1), round(total / 1e6, 1)
