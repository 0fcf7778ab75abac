"""``tools/bootstrap.sh`` on machines that lack things, made of stubs: what it installs, what it says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "bootstrap.sh"
NO_VENV = """
case "$*" in
    *ensurepip*) test -e "{machine}/venv-module" ;;
    *-venv*) echo python3.12-venv ;;
    *version_info*) exit 0 ;;
    *--version*) echo Python 3.12.0 ;;
    *venv\\ --clear*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && touch "$4/pyvenv.cfg" ;;
    *pip*) echo "$*" >> "{machine}/pip" ;;
esac
"""
APT = """
echo "$*" >> "{machine}/apt"
case "$*" in *install*-venv*) touch "{machine}/venv-module" ;; esac
"""


class Machine:
    """A PATH of stubs, and what they wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in ("sh", "env", "dirname", "mkdir", "cp", "touch", "cat"):
            (self.bin / tool).symlink_to(shutil.which(tool) or "/bin/false")
        self.user(1000)

    def stub(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text("#!/bin/sh\n" + body.replace("{machine}", str(self.folder)))
        path.chmod(0o755)

    def user(self, number: int) -> None:
        self.stub("id", f"echo {number}")

    def wrote(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def boot(self, *words: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.bin / "sh", SCRIPT, self.folder / "venv", *words],
            env={"PATH": str(self.bin), **environment}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stderr


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_whole_python_is_used_and_nothing_asked_of_apt(machine):
    machine.stub("python3.12", NO_VENV)
    machine.stub("python3.11", "exit 9")
    machine.stub("apt-get", APT)
    (machine.folder / "venv-module").touch()
    code, said = machine.boot("dev")
    assert code == 0
    assert "with Python 3.12.0" in said
    assert ".[dev]" in machine.wrote("pip")
    assert "install" not in machine.wrote("apt")
    assert machine.boot()[0] == 0  # again: the environment is there
    assert machine.wrote("pip").count("--editable .\n") == 1


def test_a_name_on_the_path_that_does_not_run_is_passed_over(machine):
    machine.stub("python3.14", "echo 'command not found' >&2; exit 127")
    machine.stub("python3", NO_VENV)
    (machine.folder / "venv-module").touch()
    assert machine.boot()[0] == 0


def test_root_gets_the_venv_module_by_apt(machine):
    machine.stub("python3.12", NO_VENV)
    machine.stub("apt-get", APT)
    machine.user(0)
    code, said = machine.boot()
    assert code == 0
    assert "install -y -qq --no-install-recommends python3.12-venv" in machine.wrote("apt")
    assert "installing with apt: python3.12-venv" in said


def test_a_user_with_sudo_gets_it_too(machine):
    machine.stub("python3.12", NO_VENV)
    machine.stub("apt-get", APT)
    machine.stub("sudo", 'echo sudo >> "{machine}/sudo"; shift; case "$1" in true) exit 0 ;; esac; exec "$@"')
    assert machine.boot()[0] == 0
    assert "python3.12-venv" in machine.wrote("apt")
    assert "sudo" in machine.wrote("sudo")


def test_a_user_without_is_told_what_to_type(machine):
    machine.stub("python3.12", NO_VENV)
    machine.stub("apt-get", APT)
    code, said = machine.boot()
    assert code == 2
    assert "sudo apt-get install python3.12-venv" in said
    assert machine.wrote("apt") == ""
    assert not (machine.folder / "venv").exists()


def test_no_python_at_all_is_told(machine):
    code, said = machine.boot()
    assert code == 2
    assert "sudo apt-get install python3 python3-venv" in said


def test_a_python_named_by_hand_must_be_good(machine):
    machine.user(0)
    code, said = machine.boot(MEDTUI_PYTHON="/nowhere/python")
    assert code == 2
    assert "MEDTUI_PYTHON=/nowhere/python is no Python 3.11 or newer" in said


def test_a_folder_that_is_no_environment_is_never_emptied(machine):
    machine.stub("python3.12", NO_VENV)
    (machine.folder / "venv-module").touch()
    (machine.folder / "venv").mkdir()
    (machine.folder / "venv" / "thesis.tex").write_text("mine")
    code, said = machine.boot()
    assert code == 2
    assert "is no virtual environment" in said
    assert (machine.folder / "venv" / "thesis.tex").read_text() == "mine"


def test_an_installation_that_fails_is_told(machine):
    machine.stub("python3.12", NO_VENV.replace('echo "$*" >>', "exit 1; : "))
    (machine.folder / "venv-module").touch()
    code, said = machine.boot()
    assert code == 2
    assert "installation failed" in said or "cannot make" in said


def test_libraries_are_compiled_but_for_their_tests_wherever_the_environment_lies(tmp_path):
    (tmp_path / "test").mkdir()
    machine = Machine(tmp_path / "test")
    machine.stub(
        "python3.12", NO_VENV.replace('case "$*" in', f'case "$*" in\n    *compileall*) {sys.executable} "$@" ;;', 1)
    )
    (machine.folder / "venv-module").touch()
    place = machine.folder / "venv" / "lib" / "python3.12" / "site-packages" / "library"
    (place / "tests").mkdir(parents=True)
    for folder in (place, place / "tests"):
        (folder / "a.py").write_text("")
    (machine.folder / "venv" / "pyvenv.cfg").touch()
    assert machine.boot()[0] == 0
    assert [path.parent for path in place.rglob("__pycache__")] == [place]
