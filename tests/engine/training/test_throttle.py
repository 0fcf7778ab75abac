"""Threads that wait sleep at once while another process wants the core, and not longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.hardware import python_path

ALONE_AND_WITH_ANOTHER = """
import os, subprocess, sys, time
import torch
from engine.training.throttle import SpinThrottle

def threads():
    return len(os.listdir("/proc/self/task"))

def more(expected):  # a thread takes a moment to come and to go
    end = time.monotonic() + 10
    while threads() - usual != expected and time.monotonic() < end:
        time.sleep(0.01)
    return threads() - usual

def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

torch.set_num_threads(2)
torch.zeros(1 << 20).add_(1)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
throttle = SpinThrottle()
usual = threads()
other = subprocess.Popen([sys.executable, "-c", "while True: pass"])  # inherits the one core
work(0.5)
throttle.look()
print("with another", throttle.on, more(2))
other.kill()
other.wait()
throttle.look()
time.sleep(2)  # a thread that wants no core waits for none, whatever else this machine does
throttle.look()
print("alone", throttle.on, more(0))
"""


@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="this system does not say how long a thread waits"
)
def test_a_second_pool_lives_while_another_process_wants_the_core() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE_AND_WITH_ANOTHER],
        env=os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # The thread that keeps the pool, and the one thread more that libgomp made for it.
    assert done.stdout.splitlines() == ["with another True 2", "alone False 0"]
