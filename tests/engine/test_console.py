"""The standard streams of a command: closed, full, and progress in a file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.console import guarded

ROOT = Path(__file__).resolve().parents[2]


def shell(line: str, folder: Path) -> subprocess.CompletedProcess:
    """A line of sh in which ``medtui`` and ``engine`` are ours."""
    aliases = f'medtui() {{ "{sys.executable}" -m tui.cli "$@"; }}; engine() {{ "{sys.executable}" -m engine "$@"; }}; '
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["sh", "-c", aliases + line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "code"), [("medtui runs", 0), ("medtui data list", 0), ("medtui attach nothing", 2), ("medtui", 2)]
)
def test_a_closed_stream_changes_nothing_else(tmp_path, command, code, closed):
    done = shell(f"{command} {closed}", tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


@pytest.mark.parametrize("command", ["medtui runs", "medtui schema", "medtui data list"])
def test_a_full_disk_behind_the_output_is_one_message(tmp_path, command):
    done = shell(f"{command} > /dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "the output: No space left on device\n"
    assert shell(f"{command} > /dev/full 2>&1", tmp_path).returncode == 1


def test_a_folder_of_the_shell_that_was_removed_is_named(tmp_path):
    recipe = ROOT / "recipes" / "quickstart.toml"
    done = shell(f"mkdir gone; cd gone; rmdir ../gone; medtui run {recipe} --plain", tmp_path)
    assert done.returncode in {1, 2}
    assert "the folder that this shell is in was removed" in done.stderr


def test_a_limit_on_addresses_is_named_where_libraries_do_not_fit(tmp_path):
    recipe = ROOT / "recipes" / "quickstart.toml"
    done = shell(f'ulimit -v 2000000; engine check \'{{"recipe": "{recipe}"}}\'', tmp_path)
    assert done.returncode == 1
    assert "memory ran out" in done.stderr
    assert "this shell gives a process 2.05 GB (ulimit -v: try without)" in done.stderr


def test_who_is_told_may_be_gone(tmp_path):
    said = "from engine.console import show_progress, tell; show_progress('reading')(3, 3); tell('loading')"
    done = shell(f"{{ {sys.executable} -c \"{said}; open('went on', 'w')\" 2>&1 >/dev/null; }} | true", tmp_path)
    assert (tmp_path / "went on").exists(), done.stderr


def test_a_file_in_place_of_a_folder_is_a_wrong_command_line(tmp_path):
    (tmp_path / "file").write_text("kept")
    recipe = ROOT / "recipes" / "quickstart.toml"
    for command in (
        f"medtui run {recipe} --runs file --plain",
        f"medtui run {recipe} --data file --plain",
        f"medtui check {recipe} --data file",
        "medtui runs --runs file",
        "medtui data phantom left_atrium --data file",
        """engine report '{"runs": ["."], "output": "file"}'""",
    ):
        done = shell(command, tmp_path)
        assert done.returncode == 2, command + done.stderr
        assert "file" in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_progress_in_a_file_is_lines(tmp_path):
    code = "from engine.console import show_progress as s; show = s('reading'); [show(n, 9) for n in range(1, 10)]"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == "reading 9/9\n"


def test_a_request_can_be_typed_and_comes_through_stdin_when_it_is_long(tmp_path):
    assert '"name"' in shell("""engine data-list '{"json": true}'""", tmp_path).stdout
    assert "absent" in shell("echo '{}' | engine data-list -", tmp_path).stdout
    for line, said in {
        "engine data-fetch '{}'": "missing required field `name`",
        "engine data-list x": "no JSON",
        "engine nothing '{}'": "no command of the engine",
        """engine train '{"recipe": 3}'""": "got `int`",
    }.items():
        done = shell(line, tmp_path)
        assert done.returncode == 2
        assert said in done.stderr
    names = f"$(seq -f {'x' * 90}%g 2000)"
    done = shell(f"mkdir -p runs/20260101-000000-a; medtui predict runs/20260101-000000-a {names} -o out", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError("Unable to allocate 64.0 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        OSError("libllvmlite.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_memory_that_runs_out_is_one_message(capsys, fault):
    def fails() -> int:
        raise fault

    assert guarded(fails) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"memory ran out: {fault}\n")
    assert "unexpected" not in said
