"""The dashboard over a real ssh to loopback, with five live runs there: ``python -m benchmarks.remote``.

Needs sshd (Debian: openssh-server). Each run makes two iterations a second and a validation every 20 s. First screen:
from the start of ``medtui attach`` on a terminal of 200x60 to its first loss; on a shared machine the processor's
seconds are the fair figure. Bytes are counted on the TCP connection.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import dashboard
from benchmarks.dashboard import Terminal, Trainer, say
from tests.tui import recorded
from tests.tui.remote.far_machine import ROOT, program
from tests.tui.remote.sshd import Sshd

ATTACH = "import sys\nfrom tui.cli import main\nsys.exit(main(['attach', 'loopback:run4']))"
MINUTE_S = 60.0


def far_processor_s(sshd: Sshd) -> float:
    """Of all that sshd has started and that lives."""
    times = [child.cpu_times() for child in psutil.Process(sshd.process.pid).children(recursive=True)]
    return sum(time.user + time.system for time in times)


def main() -> None:
    """Print one line a number."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sshd = Sshd(folder / "sshd")
        trainers = []
        for number in range(5):
            plan = recorded.Plan(name=f"run{number}", done=20, per_epoch=40, epochs=400, extra_steps=0)
            trainers.append(Trainer(recorded.record(folder / "runs", plan), plan, 21, 2.0, 40))
        program(folder / "medtui", f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tui.cli "$@"\n')
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        (folder / "config" / "medtui").mkdir(parents=True)
        (folder / "config" / "medtui" / "hosts.toml").write_text(
            f'[loopback]\nruns = "{folder / "runs"}"\nmedtui = "{folder / "medtui"}"\nconfig = "{sshd.config}"\n'
        )
        dashboard.SIZE, dashboard.OPEN = (200, 60), ATTACH
        terminal: Terminal | None = None
        try:
            for trainer in trainers:
                trainer.start()
            for what in ("first screen, nothing known of the host", "first screen, known from before"):
                terminal = Terminal(folder, folder / "config")
                terminal.read(60, until=b"train 0.")
                say(what, time.monotonic() - terminal.began, "s", "2")
                say("  of this a processor's, here", terminal.processor_s(), "s")
                say("  there", far_processor_s(sshd), "s")
                if what.endswith("host"):
                    terminal.close()
                    time.sleep(2)
            terminal.read(10)
            before = sshd.door.count
            drawn = terminal.read(MINUTE_S)
            say("over ssh, both ways, the run of one open", (sshd.door.count - before) / MINUTE_S / 1e3, "kB/s", "4")
            say("to the terminal", drawn / MINUTE_S / 1e3, "kB/s", "4")
            terminal.output = b""
            sshd.door.slam()
            began = time.monotonic()
            terminal.read(60, until=b"loopback again")
            back = b"loopback again" in dashboard.plain(terminal.output)
            say("connection cut, back by itself after", time.monotonic() - began if back else float("nan"), "s")
        finally:
            if terminal:
                terminal.close()
            for trainer in trainers:
                trainer.stopped.set()
            sshd.close()


if __name__ == "__main__":
    main()
