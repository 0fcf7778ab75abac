"""The program of an exported folder: `engine.export.program` and what of medtui it imports, as one package.

So what reads images is written once. The modules are copied as they are, but that they name each other as neighbours:
``from engine.data.headers import LPS`` is ``from .headers import LPS`` there.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import engine

PACKAGE = "program"
_ROOT = Path(engine.__file__).resolve().parent.parent
_START = ("engine.export.program", "engine.export.program.command")
_FROM = re.compile(r"^( *)from engine\.(?:\w+\.)*(\w+) import ", re.MULTILINE)


def program() -> dict[str, str]:
    """Name of a file -> its text, of all that the package holds."""
    waiting, found = [*_START], dict[str, str]()
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = _source(module).read_text(encoding="utf-8")
            waiting += imported(found[module])
    texts = {_name(module): _FROM.sub(r"\1from .\2 import ", text) for module, text in found.items()}
    if len(texts) < len(found):
        raise AssertionError(f"two modules of one name in the program: {sorted(found)}")
    return dict(sorted(texts.items()))


def imported(text: str) -> Iterator[str]:
    """The modules of medtui that the source ``text`` imports, inside functions too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "engine":
            yield str(node.module)


def _source(module: str) -> Path:
    path = _ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _name(module: str) -> str:
    return "__init__.py" if module == _START[0] else f"{module.rpartition('.')[2]}.py"
