"""The program of an exported folder: medtui's own readers beside what is its own, as one package that stands alone."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest

from engine.export.copied import program
from tests.engine.export.exports import here, scan

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)

LIBRARIES = {"numpy", "onnxruntime", "scipy", "nibabel", "PIL", "pydicom"}
MISSED = {"h5py": "volumes.py", "numba": "compiled.py"}
"""What no requirements name, and where it stands: HDF5 is not looked for, and pylibjpeg takes the place of Numba."""


def outside(text: str) -> set[str]:
    """The libraries that a source imports, also inside functions; those of Python apart."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
        elif isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
    return found - sys.stdlib_module_names


def test_it_needs_nothing_but_its_requirements_and_its_files_are_short():
    for name, text in program().items():
        assert outside(text) <= LIBRARIES | {library for library, place in MISSED.items() if place == name}, name
        assert len(text.splitlines()) <= 300, name


def test_what_it_imports_of_itself_is_there():
    texts = program()
    for name, text in texts.items():
        inside = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.level]
        assert {f"{node.module}.py" for node in inside} <= texts.keys(), name
        assert not any(is_medtui(node) for node in ast.walk(ast.parse(text))), name


def is_medtui(node: ast.AST) -> bool:
    names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
    names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
    return any(str(name).partition(".")[0] in {"engine", "tui"} for name in names)


def test_two_folders_do_not_mix_in_one_process(volumes, tmp_path):
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    for name in ("first", "second"):
        place = Path(shutil.copytree(volumes[1], tmp_path / name)) / "program" / "writing.py"
        place.write_text(place.read_text().replace("predicted by medtui", name))
        assert here(tmp_path / name, source, "-o", tmp_path / f"of {name}").returncode == 0
        assert nibabel.load(tmp_path / f"of {name}" / "x.nii.gz").header["descrip"] == name.encode()


def test_it_runs_from_anywhere_and_by_a_link(volumes, tmp_path):
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    (tmp_path / "program").mkdir()  # another one where Python looks first
    (tmp_path / "program" / "command.py").write_text("raise SystemExit(9)")
    (tmp_path / "linked.py").symlink_to(volumes[1] / "predict.py")
    typed = [sys.executable, "linked.py", source, "-o", "out", "--threads", "1"]
    done = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "out/x.nii.gz\n"), done.stderr


def test_a_program_of_which_a_part_lacks_or_is_cut_off_is_one_line(volumes, tmp_path):
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    for name in ("all", "__init__", "headers", "cut", "empty"):
        folder = Path(shutil.copytree(volumes[1], tmp_path / name))
        if name == "all":
            shutil.rmtree(folder / "program")
        elif name == "cut":
            (folder / "program" / "network.py").write_text("def read(")
        elif name == "empty":
            (folder / "program" / "command.py").write_text("")
        else:
            (folder / "program" / f"{name}.py").unlink()
        done = here(folder, source, "-o", tmp_path / "out")
        assert (done.returncode, done.stderr) == (2, f"error: {folder / 'program'} is damaged: copy the folder again\n")
