"""The command line: help, slips, exit codes, and what is passed on to the engine."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.errors import UsageError
from engine.runfolder import EventWriter, create, own_status, write_status
from tests.tui.test_arguments import COMMANDS
from tui.arguments import parser
from tui.cli import main
from tui.engine_process import _run, engine_command, engine_environment

ROOT = Path(__file__).resolve().parents[2]
NAMES = [words[0] for words in COMMANDS if len(words) == 1]
NOW = 1_790_000_000.0


def medtui(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, **options
    )


def test_help_names_every_command_and_exit_code():
    said = medtui("--help")
    assert said.returncode == 0
    for word in [*NAMES, "examples:", "130  interrupted", "medtui run recipes/quickstart.toml"]:
        assert word in said.stdout
    assert max(len(line) for line in said.stdout.splitlines()) <= 100


def work_s(*words: str) -> float:
    """Seconds of a core that a command of Python takes: on a busy machine the clock on the wall says nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, timeout=60).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_help_answers_at_once():
    """About as soon as NumPy is imported, which it does not need; torch takes ten times as long."""
    pairs = [(work_s("-m", "tui.cli", "--help"), work_s("-c", "import numpy")) for _ in range(3)]
    assert min(help_s / numpy_s for help_s, numpy_s in pairs) < 2


@pytest.mark.parametrize("command", [["data"], *COMMANDS])
def test_every_command_has_its_help(command, capsys):
    assert main([*command, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: medtui {' '.join(command)} ")
    assert "exit codes:" in said


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"medtui {engine.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], ['"rnu" is no command; did you mean "run"?', "one of: new, run, attach"]),
        (["run", "x.toml", "--epochs", "5"], ['"--epochs"; it is a key of the recipe: --set train.epochs=...']),
        (["run", "x.toml", "--plian"], ['medtui run has no option "--plian"; did you mean "--plain"?']),
        (["run", "x.toml", "y.toml"], ['medtui run has no argument "y.toml"']),
        (["run", "x.toml", "--dat=x"], ['no option "--dat"; did you mean "--data"?']),
        (["run"], ["required: RECIPE", "see: medtui run --help"]),
        (["run", "x.toml", "--plain", "--detach"], ["not allowed with"]),
        ([], ["usage: medtui", "exit codes:"]),
        (["data", "phantum"], ['"phantum" is no command; did you mean "phantom"?']),
        (["data", "phantom", "x", "--cases", "0"], ['found "0", allowed is a whole number from 1']),
        (["data", "phantom", "x", "--cases", "9" * 5000], ["allowed is a whole number"]),
        (["stop", "--wait", "soon"], ['found "soon", allowed is a number of seconds']),
        (["stop", "--wait", "nan"], ["allowed is a number of seconds"]),
        (["serve", "--port", "70000"], ["from 1 to 65535"]),
        (["evaluate", "--split", "tset"], ['"tset" is no value of --split; did you mean "test"?']),
        (["evaluate", "--checkpoint", "bets"], ['"bets" is no value of --checkpoint; did you mean "best"?']),
        (["note", "run"], ["required: TEXT"]),
        (["predict", "run", "in"], ["required: -o/--output"]),
        (["run", "x.toml", "--name", "a/b"], ['--name: found "a/b"', "letters, digits"]),
        (["run", "\x1b[2Jx.toml"], ["no recipe at \\x1b[2Jx.toml"]),
        (["\x1b[2J"], ['"\\x1b[2J" is no command']),
        (["attach", "nothing"], ["no runs in", "medtui run"]),
        (["report", "nothing"], ["no runs in"]),
    ],
)  # fmt: skip
def test_slips_are_told_in_one_message(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    for word in said:
        assert word in told.err
    assert "\x1b" not in told.err
    assert os.listdir(tmp_path) == []


@given(
    st.lists(st.text(st.characters(exclude_categories=[]), max_size=12), max_size=4),
    st.sampled_from(["", "runs", "data", "stop"]),
)
def test_any_words_are_a_message_or_a_command(words, command):
    try:
        parser(str).parse_args([command, *words] if command else words)
    except UsageError as error:
        assert error.exit_code == 2
    except SystemExit as end:
        assert end.code == 0  # --help was among them


def test_a_closed_pipe_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "schema"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_terminal_without_unicode_gets_a_question_mark():
    said = medtui("runs", "--runs", "grö…ße", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert said.returncode == 0
    assert "gr???e" in said.stdout


def test_schema_is_json(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "medtui recipe"


@pytest.fixture
def runs(tmp_path):
    first, second = create(tmp_path, "seg_bce", now_s=NOW), create(tmp_path, "seg_dice", now_s=NOW + 60)
    for folder in (first, second):
        EventWriter(folder.events).close()
    return tmp_path, first, second


def test_the_engine_that_starts_is_ours_wherever_we_stand(tmp_path):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("raise SystemExit('not ours')")
    (tmp_path / "engine" / "__main__.py").write_text("raise SystemExit('not ours')")
    said = subprocess.run(
        engine_command("--help"), cwd=tmp_path, env=engine_environment(), capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0
    assert "not ours" not in said.stderr


def test_the_folder_of_runs_may_stand_before_the_command(runs, capsys):
    root, first, _ = runs
    assert main(["--runs", str(root), "runs", "--json"]) == 0
    assert first.id in {run["id"] for run in json.loads(capsys.readouterr().out)}
    assert main(["--runs"]) == 2


def test_exit_codes_and_signals_of_the_engine_are_passed_on():
    assert _run([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert _run([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]) == 137
    assert _run([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"]) == 130
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_runs_are_listed_in_a_table_and_as_json(runs, capsys):
    root, first, second = runs
    status = own_status("seg_bce", "segmentation", 50)
    write_status(
        first,
        msgspec.structs.replace(
            status, state="finished", epoch=50, metric="dice", best=0.8765, test=0.81, started_s=NOW
        ),
    )
    write_status(second, msgspec.structs.replace(status, name="\x1b[2Jodd", state="running", started_s=time.time()))
    assert main(["runs", "--runs", str(root)]) == 0
    head, one, two = capsys.readouterr().out.splitlines()
    assert head.split() == ["state", "recipe", "epoch", "best", "test", "age", "id"]
    assert one.split() == ["finished", "seg_bce", "50/50", "dice", "0.876", "0.810", *one.split()[6:8], first.id]
    assert two.split()[:3] == ["running", "\\x1b[2Jodd", "0/50"]
    assert head.index("id") == one.index(first.id)

    assert main(["runs", "--runs", str(root), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["id"] for record in records] == [first.id, second.id]
    assert records[0]["best"] == 0.8765
    assert records[0]["test"] == 0.81
    assert records[0]["state"] == "finished"
    assert Path(records[0]["path"]) == first.root


def test_no_runs_is_no_error(tmp_path, capsys):
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert "start one with" in capsys.readouterr().out
    assert main(["runs", "--runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_serving_a_port_that_is_taken_is_told(tmp_path, capsys):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert (
            main(["serve", "--host", "127.0.0.1", "--port", str(taken.getsockname()[1]), "--runs", str(tmp_path)]) == 2
        )
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_a_study_hears_the_second_interrupt(tmp_path):
    child = (
        "import signal, time; heard = []; signal.signal(signal.SIGINT, lambda *_: heard.append(1))\n"
        "print('ready', flush=True)\n"
        "while len(heard) < 2: time.sleep(0.05)\n"
        "time.sleep(0.3); print('killed the members', flush=True)"
    )
    run = f"sys.exit(_run([sys.executable, '-c', {child!r}], patience=2))"
    parent = f"import sys; from tui.engine_process import _run; {run}"
    process = subprocess.Popen(
        [sys.executable, "-c", parent],
        stdout=subprocess.PIPE,
        text=True,
        env=engine_environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.5)
    assert process.communicate(timeout=60)[0] == "killed the members\n"
    assert process.returncode == 130
