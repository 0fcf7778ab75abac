"""The steps of CONTRIBUTING for a command, in a copy of the source: two files, and every option arrives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUEST = '''
class Greet(Request, frozen=True):
    """Greet somebody."""

    who: Annotated[str, Option("whom", "NAME", place=None)]
    often: Annotated[int, Option("how often", "N")] = 1


'''
ENGINE = """
from engine.requests import Greet

def greet(request: Greet) -> int:
    print("\\n".join([f"hello {request.who}"] * request.often))
    return 0
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("engine", "tui"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    requests = tmp_path / "engine" / "requests.py"
    before, mark, after = requests.read_text().partition("def _kinds(")
    requests.write_text(before + REQUEST + mark + after)
    (tmp_path / "engine" / "commands" / "greet.py").write_text(ENGINE)
    return tmp_path


def medtui(copy: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-P", "-m", "tui.cli", *words]
    return subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_new_command_is_found_and_reaches_the_engine(copy):
    assert "Greet somebody" in medtui(copy, "--help")
    assert medtui(copy, "greet", "you", "--often", "2") == "hello you\nhello you\n"
