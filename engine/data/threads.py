"""CaseDataset made in this process, by a few threads, where loader processes would not pay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

Job = TypeVar("Job")
Made = TypeVar("Made")


class Threads(Generic[Job, Made]):
    """A pool of threads, each with a maker of its own and one kernel thread of torch.

    Sums then come out the same as in a loader process, to the last bit, and the threads together
    use no more cores than they are.
    """

    def __init__(self, count: int, maker: Callable[[], Callable[[Job], Made]]) -> None:
        """Start ``count`` threads; ``maker`` is called once in each for what makes its samples."""
        self._own = threading.local()
        self._maker = maker
        before = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="samples", initializer=self._start)
        together = threading.Barrier(count)
        for started in [self._pool.submit(together.wait) for _ in range(count)]:
            started.result()
        torch.set_num_threads(before)  # what threads set last, threads born later would take over

    def map(self, jobs: Iterable[Job]) -> list[Made]:
        """What is made of each of ``jobs``, in their order."""
        return list(self._pool.map(self._one, jobs))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        torch.get_num_threads()  # torch sets a new thread up on first use, and would undo the next line
        torch.set_num_threads(1)
        self._own.make = self._maker()

    def _one(self, job: Job) -> Made:
        make: Callable[[Job], Made] = self._own.make
        return make(job)
