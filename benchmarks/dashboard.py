"""What the dashboard costs, measured from outside, as a user's terminal sees it.

``python -m benchmarks.dashboard [attach] [load] [steady] [keys] [plotext]`` runs the named parts, all by
default, and prints one line a number. The dashboard runs in a pseudo-terminal of 200x60 on recorded runs:

attach   a stream of 1,000,000 iterations: seconds to the first useful screen, to the whole; memory
load     1,000 events a second on top of 200,000: processor share, bytes a second, key latency
steady   2 iterations a second with a validation every 20 s: processor share, bytes a second
keys     latency of keys on a quiet run, from the key to the first byte of the answer
plotext  a chart of 100,000 points by our raster, and the same drawn by plotext after our reduction
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import psutil

from tests.tui import recorded

SIZE = (200, 60)
OPEN = (
    "import sys\nfrom pathlib import Path\nfrom engine.runfolder import RunFolder\n"
    "from tui.commands.attach import open_dashboard\n"
    "open_dashboard(Path(sys.argv[1]).parent, RunFolder(Path(sys.argv[1])))"
)


class Terminal:
    """The dashboard on a pseudo-terminal; what it writes is counted and kept."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        env = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", XDG_CONFIG_HOME=str(home))
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", OPEN, str(folder)],
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, close_fds=True,
        )  # fmt: skip
        os.close(slave)
        self.usage = psutil.Process(self.process.pid)
        self.output = b""
        self.peak_mb = 0.0

    def read(self, seconds: float, *, until: bytes = b"") -> int:
        """Read for so long, or until a text was seen; gives the number of bytes."""
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            ready, _, _ = select.select([self.master], [], [], min(0.05, max(0.0, end - time.monotonic())))
            if ready:
                data = os.read(self.master, 1 << 16)
                self.output += data
                count += len(data)
                if until and until in plain(self.output):
                    break
            self.peak_mb = max(self.peak_mb, self.usage.memory_info().rss / 1e6)
        return count

    def key(self, key: bytes) -> float:
        """Milliseconds from a key to the first byte of the answer; sent in a quiet moment."""
        while self.read(0.08):
            pass
        begin = time.perf_counter()
        os.write(self.master, key)
        select.select([self.master], [], [], 2.0)
        waited = (time.perf_counter() - begin) * 1e3
        self.read(0.1)
        return waited

    def processor_s(self) -> float:
        times = self.usage.cpu_times()
        return times.user + times.system

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self.master)


def plain(data: bytes) -> bytes:
    return re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", data)


class Trainer(threading.Thread):
    """Adds iterations to a recorded run, so many a second."""

    def __init__(self, recorder: recorded.Recorder, plan: recorded.Plan, epoch: int, rate: float, every: int) -> None:
        super().__init__(daemon=True)
        self.recorder, self.plan, self.epoch, self.rate, self.every = recorder, plan, epoch, rate, every
        self.stopped = threading.Event()

    def run(self) -> None:
        step = 0
        batch = max(1, int(self.rate / 20))
        while not self.stopped.wait(batch / self.rate):
            for _ in range(batch):
                step += 1
                iteration = (self.epoch - 1) * self.plan.per_epoch + step
                self.recorder.now_s = time.time()
                loss = recorded.loss_at(self.recorder, self.plan, iteration)
                epoch = self.epoch + (step - 1) // self.plan.per_epoch
                event = recorded.Iteration(iteration=iteration, epoch=epoch, loss=loss, lr=1e-3, cases_per_s=self.rate)
                self.recorder.write(event)
                if self.every and step % self.every == 0:
                    recorded.validate(self.recorder, self.plan, epoch)
            if step % 20 == 0:
                recorded.resources(self.recorder, self.plan)
            self.recorder.flush()


def live(runs: Path, iterations: int, per_epoch: int) -> tuple[recorded.Recorder, recorded.Plan, int]:
    """A run with so many iterations behind it, that still goes on."""
    epochs = iterations // per_epoch
    plan = recorded.Plan(epochs=4 * epochs, done=epochs, per_epoch=per_epoch, extra_steps=0, step_s=0.01)
    return recorded.record(runs, plan), plan, epochs + 1


def say(what: str, value: float, unit: str, budget: str = "") -> None:
    print(f"{what:<44} {value:10.2f} {unit:<8} {budget}", flush=True)


def attach(runs: Path) -> None:
    begin = time.monotonic()
    folder = recorded.huge(runs)
    print(f"(recorded {folder.events.stat().st_size / 1e6:.0f} MB in {time.monotonic() - begin:.0f} s)")
    terminal = Terminal(folder.root, runs)
    terminal.read(30, until=b"train 0.")
    say("attach: first useful screen", time.monotonic() - terminal.began, "s", "(below 0.7)")
    before = terminal.processor_s()
    while terminal.read(0.5) >= 0 and (now := terminal.processor_s()) - before > 0.1:
        before = now
    say("attach: whole stream read within", time.monotonic() - terminal.began, "s")
    say("attach: most memory", terminal.peak_mb, "MB", "(below 250)")
    terminal.close()


def under_way(name: str, terminal: Terminal, seconds: float) -> None:
    terminal.read(4)
    before, begin = terminal.processor_s(), time.monotonic()
    count = terminal.read(seconds)
    spent = time.monotonic() - begin
    say(f"{name}: processor share", (terminal.processor_s() - before) / spent * 100, "%", "(below 2)")
    say(f"{name}: to the terminal", count / spent / 1e3, "kB/s", "(below 4)")


def load(runs: Path) -> None:
    recorder, plan, epoch = live(runs, 200_000, 2000)
    trainer = Trainer(recorder, plan, epoch, 1000, 0)
    trainer.start()
    terminal = Terminal(recorder.folder.root, runs)
    under_way("load", terminal, 20)
    latencies(terminal, "load")
    trainer.stopped.set()
    terminal.close()


def steady(runs: Path) -> None:
    recorder, plan, epoch = live(runs, 400, 40)
    trainer = Trainer(recorder, plan, epoch, 2, 40)
    trainer.start()
    terminal = Terminal(recorder.folder.root, runs)
    under_way("steady", terminal, 40)
    trainer.stopped.set()
    terminal.close()


def latencies(terminal: Terminal, name: str) -> None:
    keys = [b"+", b"-", b"y", b"y", b"x", b"j", b"k", b"l", b"h", b"0", b"x", b"x"] * 5  # each changes the screen
    times = sorted(terminal.key(key) for key in keys)
    say(f"{name}: key latency, median", statistics.median(times), "ms")
    say(f"{name}: key latency, 95th percentile", times[int(len(times) * 0.95)], "ms", "(below 40)")


def keys(runs: Path) -> None:
    terminal = Terminal(recorded.finished(runs).root, runs)
    terminal.read(3)
    latencies(terminal, "keys")
    terminal.close()


def against_plotext(_: Path) -> None:
    import numpy as np
    import plotext

    from engine.readers.columns import Columns
    from engine.readers.run_view import STEP_COLUMNS
    from tui.plotting.axes import step_axis
    from tui.plotting.chart import ChartOptions, draw_chart
    from tui.plotting.charts import Chart, Curve, Steps
    from tui.plotting.plotted import Window
    from tui.plotting.reduce import reduce, search

    count = 100_000
    step = np.arange(1, count + 1)
    loss = np.exp(-step / 2e4) + np.random.default_rng(0).normal(0, 0.05, count)
    table = Columns(STEP_COLUMNS).append(
        {**{name: np.zeros(count) for name in STEP_COLUMNS}, "iteration": step, "loss": loss}
    )
    chart = Chart("loss", (Curve("train", table, "loss", "ink", "●", dense=True),))
    window = Window(0.0, float(count), float(count))
    options = ChartOptions(Steps("iteration", 100, (0.0,), (0.0,)), window, step_axis(0, count, 90), smoothing=0.01)
    draw_chart(chart, 100, 30, options)
    times = []
    for _turn in range(20):
        begin = time.perf_counter()
        draw_chart(chart, 100, 30, options)
        times.append(time.perf_counter() - begin)
    say("raster: a chart of 100x30", statistics.median(times) * 1e3, "ms")
    times = []
    for _turn in range(5):
        begin = time.perf_counter()
        cells = reduce(table, "loss", search(table, "iteration", np.linspace(0, count, 201)))
        places = np.linspace(0, count, 200)
        plotext.clear_figure()
        plotext.plot_size(100, 30)
        for values in (cells.least, cells.most, cells.mean):
            plotext.plot(places.tolist(), values.tolist(), marker="braille")
        plotext.build()
        times.append(time.perf_counter() - begin)
    say("plotext: the same from 3 x 200 points", statistics.median(times) * 1e3, "ms")


PARTS = {"attach": attach, "load": load, "steady": steady, "keys": keys, "plotext": against_plotext}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        for part in sys.argv[1:] or PARTS:
            PARTS[part](Path(where))
