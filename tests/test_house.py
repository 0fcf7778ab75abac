"""The rules of the house: who imports whom, what is never done, and what is generated."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOOR = (
    "engine.errors",
    "engine.console",
    "engine.plugins",
    "engine.measures",
    "engine.toml",
    "engine.recipe",
    "engine.events",
    "engine.requests",
    "engine.hardware",
    "engine.diagnosis",
    "engine.runfolder",
)
READERS = "engine.readers"
"""From run folders to values, for figures, report and screen alike: above the floor, with NumPy, without torch."""
HEAVY = ("torch", "ignite", "monai", "textual", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "nibabel")
SOURCES = sorted([*ROOT.glob("engine/**/*.py"), *ROOT.glob("tui/**/*.py")])


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, full name) of everything that a file imports, also inside functions."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], base]).rstrip(".")
            yield from ((node.lineno, f"{base}.{name.name}") for name in node.names)


def is_in(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def modules_after(statement: str, tmp_path: Path) -> set[str]:
    """Names of all modules that a fresh interpreter holds after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    return set(done.stdout.split())


def test_contracts_of_import_linter_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("package", "most"), [("engine", 14), ("tui", 12)])
def test_few_files_lie_outside_of_the_rooms(package, most):
    assert len([path for path in (ROOT / package).iterdir() if path.is_file()]) <= most


def test_no_module_needs_itself():
    graph = grimp.build_graph("engine", "tui", exclude_type_checking_imports=True, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError and names the circle


def test_engine_never_imports_tui():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in ROOT.glob("engine/**/*.py")
        for line, name in imports(path)
        if is_in(name, ("tui", "textual"))
    ]
    assert not found


def test_tui_imports_only_the_floor_and_the_readers_of_the_engine():
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in ROOT.glob("tui/**/*.py")
        for line, name in imports(path)
        if is_in(name, ("engine",))
        and not is_in(name, (*FLOOR, READERS))
        and name not in {"engine", "engine.__version__"}
    ]
    assert not found


def test_readers_stand_on_the_floor_alone():
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in ROOT.glob("engine/readers/*.py")
        for line, name in imports(path)
        if is_in(name, HEAVY[:4]) or (is_in(name, ("engine", "tui")) and not is_in(name, (*FLOOR, READERS)))
    ]
    assert not found


def test_the_floor_imports_nothing_above_it():
    files = [ROOT / f"{name.replace('.', '/')}.py" for name in FLOOR]
    files = [file for file in files if file.exists()]
    files += [file for name in FLOOR for file in (ROOT / name.replace(".", "/")).glob("**/*.py")]
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in imports(path)
        if is_in(name, HEAVY) or (is_in(name, ("engine", "tui")) and not is_in(name, FLOOR))
    ]
    assert len(files) > 10
    assert not found


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import tui.cli", ("torch", "textual", "numpy", "pydantic", "msgspec", "engine.recipe")),
        (
            "import tui.arguments; tui.arguments.parser(str).format_help()",
            ("torch", "textual", "numpy", "pydantic"),
        ),
        (
            "import engine.errors, engine.events, engine.requests, engine.runfolder",
            ("torch", "textual", "numpy", "pydantic"),
        ),
        ("import engine.recipe", ("torch", "textual", "numpy", "ignite", "monai")),
        (
            "import tui.commands.run, tui.commands.control, tui.commands.runs",
            ("torch", "textual", "numpy", "pydantic"),
        ),
        ("import tui.printed.plain, tui.printed.once", ("torch", "textual", "matplotlib", "pydantic")),
        (
            "import tui.app",  # what the first screen waits for
            ("torch", "pydantic", "PIL", "scipy", "matplotlib", "importlib.metadata", "engine.recipe"),
        ),
        ("import engine.data", ("torch", "textual", "monai")),
        ("import engine.metrics", ("torch", "textual", "monai")),
    ],
)
def test_nothing_heavy_comes_along(statement, absent, tmp_path):
    present = modules_after(statement, tmp_path)
    assert not [name for name in absent if name in present]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a file with the dotted name that it calls."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


GEOMETRY = ("engine/data", "engine/models", "engine/figures/volume.py", "engine/figures/slices.py",
            "engine/figures/surface.py", "engine/figures/gradcam_volume.py", "engine/evaluation/results.py",
            "engine/evaluation/previews.py", "engine/evaluation/inference.py", "engine/evaluation/windows.py",
            "engine/evaluation/labels.py", "engine/commands/predict.py",
            "engine/recipe/model.py", "tui/state/images.py", "tui/widgets/slice_view.py")  # fmt: skip
"""Where the shape of images is dealt with."""
OF_THE_TASK = {
    "engine/data/cases.py": 1,  # Dataset.dense, the one place that says it for the others
    "engine/data/dataset.py": 1,  # the classes of other data must be those of a classifier
    "engine/data/sources/csv_table.py": 1,  # whether a column holds classes or masks
    "engine/models/__init__.py": 3,  # the channels of the logits
    "engine/commands/predict.py": 1,  # whether there are masks to be written
    "engine/recipe/model.py": 3,  # tables that are for other tasks; class weights
}
"""Comparisons with the task that are about what is learned, and how many of them a file has."""


def test_the_task_decides_no_geometry():
    found: dict[str, int] = {}
    for place in GEOMETRY:
        for path in [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            count = sum(isinstance(node, ast.Compare) and _asks_for_the_task(node) for node in ast.walk(tree))
            if count:
                found[path.relative_to(ROOT).as_posix()] = count
    assert found == OF_THE_TASK


def _asks_for_the_task(comparison: ast.Compare) -> bool:
    sides = [comparison.left, *comparison.comparators]
    named = {side.attr if isinstance(side, ast.Attribute) else getattr(side, "id", "") for side in sides}
    said = {side.value for side in sides if isinstance(side, ast.Constant)}
    return "task" in named or bool(said & {"segmentation", "classification"})


def test_nothing_unsafe_is_loaded():
    wrong = []
    for path in SOURCES:
        for name, call in calls(path):
            options = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if name == "torch.load" and options.get("weights_only") != "True":
                wrong.append(f"{path}:{call.lineno} loads without weights_only=True")
            if name in {"eval", "exec", "pickle.load", "pickle.loads", "os.system", "marshal.loads", "yaml.load"}:
                wrong.append(f"{path}:{call.lineno} calls {name}")
            if options.get("allow_pickle") == "True" or options.get("shell") == "True":
                wrong.append(f"{path}:{call.lineno}: {name}")
    assert not wrong


def test_generated_files_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "tools/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
