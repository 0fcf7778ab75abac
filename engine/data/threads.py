"""Samples made in this process, by a few threads, where loader processes would not pay."""

import os
import sys
import threading
from collections.abc import Callable
from functools import partial

import torch

from engine.data.daemons import Daemons, Job, Made

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
