"""Starting a trainer and following it, with a trainer in miniature: handshake, signals, exit codes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from engine.runfolder import RunFolder, list_runs, read_status, send
from tests.engine.recipe.good import SEGMENTATION
from tui.commands.control import send_request as request

ROOT = Path(__file__).resolve().parents[3]
SMALL = ROOT / "tests" / "tui" / "small_trainer.py"
MEDTUI = f"""
import sys, tui.trainer
tui.trainer.engine_command = lambda *words: [sys.executable, {str(SMALL)!r}, *words]
from tui.cli import main
sys.exit(main())
"""


class Medtui:
    """``medtui`` in a process, with the small trainer behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        self.recipe = folder / "seg.toml"
        self.recipe.write_text(SEGMENTATION)
        self.started: list[subprocess.Popen] = []

    def start(self, *words: str, mode: str = "good", **streams) -> subprocess.Popen:
        environment = {**os.environ, "SMALL_TRAINER": mode, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **streams}
        process = subprocess.Popen(
            [sys.executable, "-c", MEDTUI, *words, "--runs", str(self.runs)],
            env=environment, cwd=self.folder, text=True, **streams,
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *words: str, mode: str = "good") -> tuple[int, str, str]:
        process = self.start("run", str(self.recipe), *words, mode=mode)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def follow(self, *words: str, mode: str) -> tuple[subprocess.Popen, RunFolder]:
        """A run in plain lines, when its launcher follows it: before that a signal ends the trainer."""
        process = self.start("run", str(self.recipe), "--plain", *words, mode=mode)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run folder")
        return process, self.live_run()

    def live_run(self) -> RunFolder:
        """The run of a trainer that waits, when it has come to its end of training."""
        return wait_for(lambda: next((run for run in list_runs(self.runs) if _trained(run)), None))


def _trained(run: RunFolder) -> bool:
    return run.events.exists() and b'"epoch":3' in run.events.read_bytes() and read_status(run).state == "running"


def wait_for(found, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture
def medtui(tmp_path):
    made = Medtui(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for run in list_runs(made.runs):
        status = read_status(run)
        if status.pid > 1 and status.state not in {"finished", "stopped", "failed", "lost"}:
            os.kill(status.pid, signal.SIGKILL)


def test_a_run_in_plain_lines_ends_with_its_results(medtui):
    code, out, err = medtui.run()
    assert code == 0
    (run,) = list_runs(medtui.runs)
    lines = out.splitlines()
    assert lines[0] == f"run folder  {run.root}"
    assert "small  segmentation on cpu: 8 train, 2 test cases; 3 epochs of 4 iterations" in lines
    epochs = [line for line in lines if line.startswith("epoch")]
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert "loss 1.00" in epochs[0]
    assert "val dice 0.600 (best 0.600 @ 1)" in epochs[0]
    assert "val" not in epochs[1]  # the second had no validation
    assert "(best 0.800 @ 3)" in epochs[2]
    table = [line.split() for line in lines if line.startswith(("test", "a ", "b "))]
    assert table == [["test", "0.625", "2.00"], ["a", "0.750", "2.00"], ["b", "0.500", "–"]]
    assert lines[-3:] == ["finished", f"figures  {run.figures} (1)", f"report   {run.report_html}"]
    assert err == "warning: a line that stays\n"  # progress is for terminals
    assert run.log.read_text() == "this goes to train.log\n"


def test_the_words_of_a_trainer_that_refuses_are_shown_and_its_code_is_ours(medtui):
    code, out, err = medtui.run(mode="refuse")
    assert code == 2
    assert out == ""
    assert err == "the data cannot be used: 1 problem\n  case\\x1b[2J01: no label\n"
    assert not medtui.runs.exists()


def test_a_worker_that_outlives_a_refusing_trainer_is_not_waited_for(medtui):
    start = time.monotonic()
    code, _, err = medtui.run(mode="orphan")
    assert code == 2
    assert "no label" in err
    assert time.monotonic() - start < 15


def test_a_trainer_that_vanishes_is_told(medtui):
    code, out, err = medtui.run(mode="vanish")
    assert code == 1
    assert err.startswith("the trainer was killed (signal 9)")
    assert err.endswith("before the run began\n")
    assert out == ""


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "killed (signal 9)"), (signal.SIGABRT, "ended by itself (signal 6)")]
)
def test_how_a_trainer_died_stands_in_its_run_for_everyone(medtui, number, words):
    launcher, run = medtui.follow(mode="long")
    os.kill(read_status(run).pid, number)
    assert launcher.wait(timeout=30) == 1
    status = read_status(run)
    assert status.state == "lost"
    assert status.message.startswith(f"the trainer was {words}")
    assert f"the run was lost: the trainer was {words}" in launcher.stderr.read()


def test_a_run_that_fails_says_why_and_what_to_do(medtui):
    code, out, err = medtui.run(mode="fail")
    assert code == 1
    assert "the run failed: the loss is not finite at iteration 8\nlower optimizer.lr\n" in err
    assert "train.log" in err
    assert "epoch 2/3" in out


def test_detach_prints_the_folder_and_leaves(medtui):
    code, out, _ = medtui.run("--detach", mode="long")
    run = medtui.live_run()
    assert code == 0
    assert out == f"{run.root}\n"
    assert read_status(run).state == "running"
    assert request(run, "stop", wait_s=20) == 0
    wait_for(lambda: read_status(run).state == "stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_ctrl_c_asks_for_a_checkpoint_and_waits_for_it(medtui, number):
    process, run = medtui.follow(mode="long")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert read_status(run).state == "stopped"
    assert "stop_now" in read_status(run).message
    assert run.last.exists()
    assert f"go on    medtui resume {run.id}" in out


def test_a_second_ctrl_c_kills(medtui):
    process, run = medtui.follow(mode="deaf")
    pid = read_status(run).pid
    process.send_signal(signal.SIGINT)
    assert wait_for(lambda: os.listdir(run.control))
    assert alive(pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert not alive(pid)
    assert read_status(run).state == "lost"
    assert "the run was lost" in err


def test_notice_given_twice_is_still_notice(medtui):
    process, run = medtui.follow(mode="deaf")
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):  # as batch systems do before they preempt
        process.send_signal(number)
        time.sleep(0.7)
    assert read_status(run).state == "running"
    assert len(os.listdir(run.control)) == 1


def test_a_lost_terminal_does_not_touch_the_training(medtui):
    process, run = medtui.follow(mode="long")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    time.sleep(0.3)
    assert read_status(run).state == "running"
    assert request(run, "stop", wait_s=20) == 0


def test_a_reader_that_leaves_does_not_touch_the_training(medtui):
    process = medtui.start("run", str(medtui.recipe), "--plain", mode="long")
    assert process.stdout is not None
    process.stdout.close()
    run = medtui.live_run()
    send(run, "note", "something to print")
    send(run, "stop_now")
    assert process.wait(30) == 3
    assert read_status(run).state == "stopped"


def test_a_full_disk_behind_the_output_does_not_touch_the_training(medtui):
    with open("/dev/full", "w") as full:
        process = medtui.start("run", str(medtui.recipe), "--plain", stdout=full)
        assert process.wait(30) == 0
    (run,) = list_runs(medtui.runs)
    assert read_status(run).state == "finished"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_a_run_whose_streams_are_closed_is_trained(medtui, closed):
    line = f'exec "$0" -c "$1" run "$2" --plain --runs "$3" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, MEDTUI, str(medtui.recipe), str(medtui.runs)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=medtui.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    (run,) = list_runs(medtui.runs)
    assert read_status(run).state == "finished"


def test_ctrl_c_before_the_handshake_ends_the_trainer_and_leaves_nothing(medtui):
    process = medtui.start("run", str(medtui.recipe), mode="hang")
    assert process.stderr is not None
    assert process.stderr.readline() == "waiting for a disk\n"
    (trainer,) = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not alive(trainer)
    assert not medtui.runs.exists()


def test_the_trainer_lives_in_a_session_of_its_own_without_our_input(medtui):
    medtui.run("--detach", mode="long")
    run = medtui.live_run()
    pid = read_status(run).pid
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert request(run, "stop", wait_s=20) == 0


def test_resume_wakes_a_paused_run_and_restarts_a_stopped_one(medtui):
    medtui.run("--detach", mode="long")
    run = medtui.live_run()
    assert request(run, "pause", wait_s=20) == 0
    assert read_status(run).state == "paused"
    process = medtui.start("resume", run.id)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == f"{run.id}: resume \\x1b[1m heard\n"
    assert request(run, "stop", wait_s=20) == 0
    wait_for(lambda: read_status(run).state == "stopped")

    process = medtui.start("resume", "seg" if "seg" in run.id else run.id, "--plain")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "goes on after iteration 4" in out
    assert "epoch 1/3" not in out  # what happened before is not told again
    assert "epoch 2/3" in out
    assert len(list_runs(medtui.runs)) == 1


def test_requests_get_the_trainers_own_answer(medtui):
    medtui.run("--detach", mode="long")
    run = medtui.live_run()
    answers = {
        ("note", run.id, "hello"): (0, f"{run.id}: note \\x1b[1m heard\n"),
        ("checkpoint",): (1, f"{run.id}: checkpoint \\x1b[1m heard\n"),  # this trainer refuses it
        ("stop", "--now"): (0, f"{run.id}: stop_now \\x1b[1m heard\n"),
    }
    for words, (code, said) in answers.items():
        process = medtui.start(*words)
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (code, said)
    wait_for(lambda: read_status(run).state == "stopped")
    process = medtui.start("pause")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "is stopped: there is no trainer to ask" in err


def test_a_trainer_that_does_not_answer_is_pending(medtui, capsys):
    medtui.run("--detach", mode="deaf")
    run = medtui.live_run()
    assert request(run, "pause", wait_s=0.3) == 1
    assert capsys.readouterr().out == f"pending: the trainer of {run.id} has not answered yet\n"
    os.kill(read_status(run).pid, signal.SIGKILL)


def on_a_terminal(medtui: Medtui, *words: str, mode: str) -> tuple[subprocess.Popen, int]:
    master, slave = pty.openpty()

    def take_the_terminal() -> None:  # as a shell does: its loss then means SIGHUP
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = medtui.start(
        "run", str(medtui.recipe), *words, mode=mode, stdin=slave, stdout=slave, stderr=slave,
        preexec_fn=take_the_terminal,
    )  # fmt: skip
    os.close(slave)
    return process, master


def read_until(master: int, words: bytes, seconds: float = 20.0) -> bytes:
    seen, end = b"", time.monotonic() + seconds
    while words not in seen and time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                seen += os.read(master, 65536)
            except OSError:
                break
    return seen


def test_on_a_terminal_plain_lines_have_progress(medtui, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    process, master = on_a_terminal(medtui, "--plain", mode="long")
    seen = read_until(master, b"iteration 4/4")
    assert b"checking the data 3/3" in seen
    assert b"\r\x1b[K" in seen
    assert b"epoch 3/3  iteration 4/4" in seen
    run = medtui.live_run()
    send(run, "stop_now")
    seen = read_until(master, b"go on")
    assert b"stopped" in seen
    process.wait(20)
    os.close(master)
    assert process.returncode == 3


def test_a_dashboard_that_loses_its_terminal_leaves_the_training(medtui, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    process, master = on_a_terminal(medtui, mode="long")
    run = medtui.live_run()
    assert b"small" in read_until(master, b"small")
    os.close(master)
    process.wait(20)
    time.sleep(0.3)
    assert read_status(run).state == "running"
    assert request(run, "stop", wait_s=20) == 0


def test_leaving_the_dashboard_says_how_to_come_back(medtui, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    process, master = on_a_terminal(medtui, mode="long")
    run = medtui.live_run()
    read_until(master, b"small")
    os.write(master, b"q")
    seen = read_until(master, b"medtui attach")
    assert f"training goes on; attach again with: medtui attach {run.id}".encode() in seen
    assert process.wait(20) == 0
    os.close(master)
    assert read_status(run).state == "running"
    assert request(run, "stop", wait_s=20) == 0
