"""Threads that read data. None is waited for: one that hangs on a dead mount keeps no process from its end."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Generic, Self, TypeVar

from engine.console import tell

Job = TypeVar("Job")
Made = TypeVar("Made")

STALLED_S = 30.0  # data that does not come for so long is worth a word
_LOOK_S = 0.25
_LEAVE_S = 1.0


def tell_slow(seconds: float) -> None:
    """Say on stderr, every so often, that data has been waited for."""
    if seconds >= STALLED_S and seconds % STALLED_S < _LOOK_S:
        tell(f"no data for {seconds:.0f} s: does the disk or mount that it lies on still answer?")


WAITING: ContextVar[Callable[[float], None]] = ContextVar("WAITING", default=tell_slow)
"""Is told four times a second for how many seconds data has been waited for, and 0 once it came; what it raises
ends the waiting."""


class Daemons(Generic[Job, Made]):
    """A pool of threads. A context manager: its end is that of the pool."""

    def __init__(self, count: int, maker: Callable[[], Callable[[Job], Made]]) -> None:
        """Start ``count`` threads; ``maker`` is called once in each for what does its jobs."""
        self._jobs: queue.SimpleQueue[tuple[Future[Made], Job] | None] = queue.SimpleQueue()
        ready = threading.Barrier(count + 1)
        arguments = (maker, ready)
        self._threads = [threading.Thread(target=self._work, args=arguments, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        ready.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, job: Job) -> Future[Made]:
        """Ask for a job to be done; `result` waits for it."""
        future: Future[Made] = Future()
        self._jobs.put((future, job))
        return future

    def result(self, future: Future[Made]) -> Made:
        """What was made, or what was raised instead."""
        start = time.monotonic()
        late = False
        while True:
            try:
                made = future.result(_LOOK_S)
            except TimeoutError:
                if future.done():  # it is the job's own
                    raise
                late = True
                WAITING.get()(time.monotonic() - start)
            else:
                if late:
                    WAITING.get()(0.0)
                return made

    def map(self, jobs: Iterable[Job]) -> Iterator[Made]:
        """What is made of each of ``jobs``, in their order."""
        futures = deque(map(self.submit, jobs))
        while futures:
            yield self.result(futures.popleft())

    def ahead(self, groups: Iterable[Iterable[Job]]) -> Iterator[list[Made]]:
        """What is made of each of ``groups``; the next one is begun before an earlier one is given."""
        waiting: deque[list[Future[Made]]] = deque()
        for group in groups:
            waiting.append([self.submit(job) for job in group])
            if len(waiting) > 1:
                yield [self.result(future) for future in waiting.popleft()]
        for futures in waiting:
            yield [self.result(future) for future in futures]

    def close(self) -> None:
        """End the threads; what was not begun is not done."""
        try:
            while True:
                self._jobs.get_nowait()
        except queue.Empty:
            for _ in self._threads:
                self._jobs.put(None)
        end = time.monotonic() + _LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self, maker: Callable[[], Callable[[Job], Made]], ready: threading.Barrier) -> None:
        make = maker()
        ready.wait()
        while (item := self._jobs.get()) is not None:
            future, job = item
            try:
                future.set_result(make(job))
            except BaseException as error:  # noqa: BLE001  raised again where the result is asked for
                future.set_exception(error)
            del item, future, job  # results are large
