"""A trainer in miniature for tests of the launcher: the real protocol and run folder, and no training.

``python small_trainer.py train REQUEST``, as ``python -m engine`` is started; $SMALL_TRAINER says how it behaves:
good, refuse, vanish, hang, orphan, fail, long (until it is asked to stop), deaf (as long, and answers nothing).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import msgspec

from engine import events as ev
from engine.requests import Resume, Train, decode
from engine.runfolder import EventWriter, RunFolder, create, own_status, take, write_status

EPOCHS, STEPS = 3, 4


def main() -> int:
    request = decode(sys.argv[1], sys.argv[2])
    assert isinstance(request, Train | Resume)
    assert request.handshake is not None
    mode = os.environ.get("SMALL_TRAINER", "good")
    for done in range(1, 4):
        print(f"checking the data {done}/3", end="\r", file=sys.stderr, flush=True)
    if mode in {"refuse", "vanish", "hang", "orphan"}:
        return before_the_handshake(mode)
    resumed = isinstance(request, Resume)
    folder = RunFolder(request.run) if isinstance(request, Resume) else create(request.runs, request.name or "small")
    print("warning: a line that stays", file=sys.stderr, flush=True)
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = msgspec.structs.replace(own_status("small", "segmentation", EPOCHS), state="running", metric="dice")
    write_status(folder, status)
    os.write(request.handshake, json.dumps({"run": str(folder.root)}).encode() + b"\n")
    os.close(request.handshake)
    return Small(folder, status, resumed=resumed).work(mode)


def before_the_handshake(mode: str) -> int:
    if mode == "vanish":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "hang":
        print("waiting for a disk", file=sys.stderr, flush=True)
        time.sleep(600)
    if mode == "orphan" and os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    print("the data cannot be used: 1 problem\n  case\x1b[2J01: no label", file=sys.stderr, flush=True)
    return 2


class Small:
    """The run itself."""

    def __init__(self, folder: RunFolder, status, *, resumed: bool) -> None:
        self.folder, self.status, self.resumed = folder, status, resumed
        self.writer = EventWriter(folder.events)
        self.stop = ""

    def work(self, mode: str) -> int:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("this goes to train.log")
        self.writer.write(
            ev.RunStarted(
                name="small", task="segmentation", classes=["a", "b"], cases={"train": 8, "test": 2}, epochs=EPOCHS,
                iterations_per_epoch=STEPS, monitor="dice", unit="mm", resumed=self.resumed,
                first_iteration=STEPS if self.resumed else 0, first_epoch=2 if self.resumed else 1,
            )
        )  # fmt: skip
        self.writer.write(ev.Phase(phase="caching", total=8))
        self.writer.write(ev.Phase(phase="training"))
        for epoch in range(2 if self.resumed else 1, EPOCHS + 1):
            self.epoch(epoch)
            if mode == "fail" and epoch == 2:
                return self.end("failed", "the loss is not finite at iteration 8", "lower optimizer.lr")
        if mode in {"long", "deaf"}:
            self.wait(answers=mode == "long")
        if self.stop:
            self.folder.last.write_bytes(b"checkpoint")
            return self.end("stopped", f"stopped on request: {self.stop}")
        per_class = {"a": {"dice": 0.75, "hd95": 2.0}, "b": {"dice": 0.5, "hd95": float("nan")}}
        self.writer.write(ev.Result(split="test", metrics={"dice": 0.625, "hd95": 2.0}, per_class=per_class))
        (self.folder.figures / "curves.png").write_bytes(b"png")
        self.folder.report_html.write_text("report")
        return self.end("finished")

    def epoch(self, epoch: int) -> None:
        for step in range(1, STEPS + 1):
            iteration = (epoch - 1) * STEPS + step
            self.writer.write(
                ev.Iteration(iteration=iteration, epoch=epoch, loss=1 / iteration, lr=1e-3, cases_per_s=2.0)
            )
        iteration = epoch * STEPS
        self.writer.write(ev.EpochDone(epoch=epoch, iteration=iteration, metrics={"loss": 1 / epoch}, seconds=0.1))
        if epoch != 2:
            self.writer.write(ev.Phase(phase="validation", total=2))
            self.writer.write(
                ev.Validation(epoch=epoch, iteration=iteration, metrics={"dice": 0.5 + 0.1 * epoch}, best=True)
            )
            self.writer.write(ev.Phase(phase="training"))

    def wait(self, *, answers: bool) -> None:
        while not self.stop:
            time.sleep(0.02)
            for request in take(self.folder) if answers else []:
                if request.command in {"stop", "stop_now"}:
                    self.stop = request.command
                if request.command in {"pause", "resume"}:
                    self.status = msgspec.structs.replace(
                        self.status, state="paused" if request.command == "pause" else "running"
                    )
                    write_status(self.folder, self.status)
                if request.command == "note":
                    self.writer.write(ev.Note(text=request.text))
                refused = request.command == "checkpoint"
                self.writer.write(
                    ev.Control(
                        request=request.id, command=request.command, state="refused" if refused else "done",
                        message=f"{request.command} \x1b[1m heard",
                    )
                )  # fmt: skip

    def end(self, state: str, message: str = "", hint: str = "") -> int:
        self.writer.write(ev.RunEnded(state=state, message=message, hint=hint))
        self.status = msgspec.structs.replace(self.status, state=state, message=message, hint=hint)
        write_status(self.folder, self.status)
        return {"finished": 0, "stopped": 3, "failed": 1}[state]


if __name__ == "__main__":
    sys.exit(main())
