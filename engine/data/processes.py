"""Batches made beside the training: by loader processes, which live as long as the loader, or by threads."""

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any, Generic

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from engine.data.daemons import Daemons, Job, Made
from engine.errors import RunError
from engine.hardware import Kills, killed_words, out_of_memory_kills

_WATCH_S = 2.0
_LINGER_S = 20


class Processes(Generic[Job, Made]):
    """Loader processes over one set of samples. On Linux they share the cached cases with this process."""

    def __init__(
        self, samples: TorchDataset[Any], collate: Callable[[list[Any]], Made], count: int, *, pin_memory: bool
    ) -> None:
        """``samples[job]`` makes a sample, ``collate`` a batch of them; the processes start with the first batch."""
        self._plan: list[list[Job]] = []  # the batches that are to be made next; read by the loader in this process
        self._children: list[BaseProcess] = []
        self._kills = out_of_memory_kills()
        self._fetch: Daemons[Iterator[Made], Made] = Daemons(1, lambda: next)
        atexit.register(self.close)  # before that of multiprocessing, which asks kindly and waits
        context = multiprocessing.get_context("fork") if sys.platform == "linux" else None
        with _quiet():
            self._loader: DataLoader[Any] | None = DataLoader(
                samples,
                batch_sampler=self._plan,
                num_workers=count,
                collate_fn=collate,
                pin_memory=pin_memory,
                persistent_workers=True,
                worker_init_fn=_begin,
                multiprocessing_context=context,
                generator=torch.Generator(),  # its own: the loader must not draw from torch's global one
            )

    def batches(self, groups: list[list[Job]]) -> Iterator[Made]:
        """A batch for each of ``groups``.

        Raises:
            RunError: a process was killed.
        """
        self._plan[:] = groups
        iterator = self._iterator()
        for _ in groups:
            try:
                batch = self._fetch.result(self._fetch.submit(iterator))
            except (RuntimeError, EOFError, OSError) as error:
                code = self._died()
                if code is None:
                    raise
                raise _killed(code, self._kills) from error
            yield batch

    def close(self) -> None:
        """End the processes. They hold nothing that is not elsewhere, so none is waited for."""
        self._loader = None
        for child in self._children:
            child.kill()
        self._children = []
        self._fetch.close()
        atexit.unregister(self.close)

    def _iterator(self) -> Iterator[Made]:
        """The loader's iterator. Torch's handler of dying children is taken off again: it raises its error
        wherever the trainer happens to be; without it, the error comes when the next batch is asked for."""
        main = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGCHLD)
        before = set(multiprocessing.active_children())
        with _quiet():
            iterator = iter(self._loader or ())
        if main:
            signal.signal(signal.SIGCHLD, handler if handler is not None else signal.SIG_DFL)
        self._children += [child for child in multiprocessing.active_children() if child not in before]
        return iterator

    def _died(self) -> int | None:
        """Exit code of a process that ended though nobody asked it to; None where all live."""
        for child in self._children:
            child.join(timeout=1.0 / len(self._children))
            if child.exitcode:
                return child.exitcode
        return None


def _begin(_number: int) -> None:
    """In a loader process: one thread; signals are for the trainer, which needs this process to end well.

    A batch system sends SIGTERM to every process of a job. A worker that died of it would take the trainer
    along before its checkpoint is written; so it ends a while later, if it is still there.
    """
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.alarm(_LINGER_S))
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()


def _leave_with(trainer: int) -> None:
    """End this process when the trainer is gone: full of batches that nobody takes, it would wait for ever."""
    while os.getppid() == trainer:
        time.sleep(_WATCH_S)
    os._exit(1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remark on more processes than cores: the recipe asked for them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def _killed(code: int, before: Kills) -> RunError:
    why = killed_words(-code, before) if code < 0 else f"ended with exit code {code}"
    return RunError(
        f"a loader worker was {why}",
        'set runtime.workers = 0 or lower, or data.cache = "none"; in a container, raise its memory and /dev/shm',
    )


_WAY = 10  # nicer than the network's threads by so much


class Threads(Daemons[Job, Made]):
    """A pool of threads, each with a maker of its own and one kernel thread of torch.

    Sums then come out the same as in a loader process, to the last bit, and the threads together
    use no more cores than they are. They give way to the network's: what is single in a step leaves
    cores free, and then they make the next batch.
    """

    def __init__(self, count: int, maker: Callable[[], Callable[[Job], Made]]) -> None:
        """Start ``count`` threads; ``maker`` is called once in each for what makes its samples."""
        before = torch.get_num_threads()
        super().__init__(count, partial(_on_one_core, maker))
        torch.set_num_threads(before)  # what threads set last, threads born later would take over


def _on_one_core(maker: Callable[[], Callable[[Job], Made]]) -> Callable[[Job], Made]:
    torch.get_num_threads()  # torch sets a new thread up on first use, and would undo the next line
    torch.set_num_threads(1)
    if sys.platform == "linux":  # where a thread has a niceness of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(os.getpriority(os.PRIO_PROCESS, 0) + _WAY, 19))
    return maker()
