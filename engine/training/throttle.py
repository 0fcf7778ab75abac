"""Threads that wait give their core away at once while another program wants it.

libgomp's threads spin for a while before they sleep: worth a third of the speed of a small network that runs alone,
and ruinous for two that share the cores, since each then waits for a thread whose core the other one spins on. How
long is read when libgomp is loaded, with one exception: a process that has more of its threads than cores spins for
next to no time (``gomp_throttled_spin_count_var`` of libgomp's env.c and wait.h). So a second pool of threads, which
sleeps as long as it lives, is made while the main thread waits for a core, and goes when it does not. Nothing is
computed in another way: the loop has the same threads, and the same numbers to the last bit.
"""

import threading
import time
from pathlib import Path

import torch

_BUSY, _QUIET = 0.15, 0.08  # shares of the time; the loader's own threads, which are nice, make up to 0.05
_PARALLEL = 1 << 20  # elements: enough for torch to ask for all threads


class SpinThrottle:
    """Looks how long a thread waited for a core, and has libgomp's threads spin briefly while that is long.

    Made in the thread that trains; `look` and `close` in one other thread.
    """

    def __init__(self) -> None:
        self._waits = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        self._before = (time.monotonic(), self._waited())
        self._over = threading.Event()
        self._pool: threading.Thread | None = None

    @property
    def on(self) -> bool:
        return self._pool is not None

    def look(self) -> None:
        """Throttle, or end it, by the time since the last look."""
        now = (time.monotonic(), self._waited())
        share = (now[1] - self._before[1]) / max(now[0] - self._before[0], 1e-3)
        self._before = now
        if self._pool is None and share > _BUSY:
            self._over.clear()
            self._pool = threading.Thread(target=self._sleep, name="throttle", daemon=True)
            self._pool.start()
        elif share < _QUIET:
            self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._over.set()
            self._pool.join()
            self._pool = None

    def _sleep(self) -> None:
        torch.zeros(_PARALLEL).add_(1)  # libgomp makes the threads of this pool here, and frees them with this thread
        self._over.wait()

    def _waited(self) -> float:
        """Seconds that the thread could have run but had no core; 0 where the system does not say."""
        try:
            return int(self._waits.read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0
