"""Write what follows from the source: docs/recipes.md, docs/commands.md, the keys in docs/dashboard.md, the schema.

``python tools/reference.py`` writes them; with ``--check`` it only says whether they are up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.recipe import Recipe, json_schema  # noqa: E402
from engine.recipe.base import NamedTable, Table, conditions  # noqa: E402
from engine.recipe.explain import describe  # noqa: E402
from engine.recipe.model import FAMILIES, TABLES, refresh  # noqa: E402
from tui.app import MedtuiApp  # noqa: E402
from tui.arguments import EXIT_CODES, RUN_HELP, parser  # noqa: E402
from tui.screens.case import CaseScreen  # noqa: E402
from tui.screens.compare import CompareScreen  # noqa: E402
from tui.screens.gallery import GalleryScreen  # noqa: E402
from tui.screens.help import everywhere  # noqa: E402
from tui.screens.home import HomeScreen  # noqa: E402
from tui.screens.replay import ReplayScreen  # noqa: E402
from tui.screens.run import RunScreen  # noqa: E402

DASHBOARD = ROOT / "docs" / "dashboard.md"
FIRST = "<!-- keys: written by tools/reference.py from the BINDINGS in tui/; change them there, then: make docs -->"
LAST = "<!-- end of the keys -->"

HEAD = """\
# Recipes

<!-- Written by tools/reference.py from engine/recipe/. Change the docstrings there, then: make docs -->

A recipe is a TOML file that says what to train. Keys without a default must be given. An unknown key, a
wrong type and a value out of range are refused, all at once, with file and line. `extends = "other.toml"`
on top inherits the keys of another recipe in the same folder or below it; `--set table.key=value` on the
command line wins over both. A key that would do nothing is refused too: `loss.gamma` has a meaning with some losses
only, `data.window` beside one intensity. What a child or `--set` takes the meaning from, it need not know: inherited
keys that do nothing any more are left out. A recipe is data: it names things that the engine knows, and no code runs
because of it.

Editors complete and check recipes by their JSON Schema, which `medtui schema` prints and which lies beside the
recipes. With the line `#:schema ./recipe.schema.json` on top of a recipe, Even Better TOML (VS Code) and taplo
find it.
"""

COMMANDS_HEAD = """\
# Commands

<!-- By tools/reference.py from engine/requests.py and tui/commands/. Change the texts there, then: make docs -->
"""


def outputs() -> dict[Path, str]:
    """Every generated file and its text."""
    return {
        ROOT / "docs" / "recipes.md": reference(),
        ROOT / "docs" / "commands.md": commands(),
        DASHBOARD: between_marks(DASHBOARD.read_text(encoding="utf-8"), keys()),
        ROOT / "recipes" / "recipe.schema.json": json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n",
    }


def keys() -> str:
    """The keys of every screen of the dashboard, as the panes declare them."""
    screens = (RunScreen, CaseScreen, HomeScreen, CompareScreen, ReplayScreen, GalleryScreen)
    parts = [("everywhere", everywhere(MedtuiApp)[1]), *(part for screen in screens for part in screen.help())]
    lines = ["| where | key | does |", "|---|---|---|"]
    seen: set[object] = set()
    for title, rows in parts:
        for at, (key, does) in enumerate(row for row in rows if (title, row) not in seen):
            lines.append(f"| {'' if at else title} | `{key}` | {does} |".replace("| |", "|  |"))
        seen |= {(title, row) for row in rows}
    return "\n".join(lines)


def between_marks(page: str, text: str) -> str:
    """``page`` with ``text`` between the marks that say where it is written."""
    before, _, rest = page.partition(FIRST)
    _, last, after = rest.partition(LAST)
    if not last:
        raise ValueError(f"docs/dashboard.md has not the lines {FIRST} and {LAST}")
    return f"{before}{FIRST}\n\n{text}\n\n{LAST}{after}"


def reference() -> str:
    """The page about recipes."""
    refresh()
    parts = [HEAD, "## On top of the file\n", *_table(Recipe, skip=frozenset(TABLES))]
    for name, kind in TABLES.items():
        parts += [f"\n## [{name}]\n\n{_words(kind)}\n"]
        parts += _family(name, FAMILIES[name]) if name in FAMILIES else _table(kind)
    return "\n".join(parts) + "\n"


def _family(table: str, family: type[NamedTable]) -> Iterator[str]:
    """The keys that every member has, and for each member what it has of its own."""
    members = list(dict.fromkeys(family.members.values()))
    shared = set.intersection(*({*member.model_fields} for member in members)) - {family.key}
    names = ", ".join(f'`"{name}"`' for name in family.members)
    default = family.default()
    which = "The `task` on top decides" if family.key == "task" else f"`{family.key}` is one of {names}"
    yield which + (f'; default `"{default}"`.' if default else ".") + " All of them have:\n"
    schemas = {member: member.model_json_schema()["properties"] for member in members}
    first = members[0]
    yield from _table(first, skip=frozenset({*first.model_fields} - shared))
    for member in members:
        own = [name for name, found in family.members.items() if found is member]
        tasks = ", ".join(sorted(member.tasks))
        yield f"\n### {family.decider(table)} = " + ", ".join(f'"{name}"' for name in own)
        only = "" if len(member.tasks) > 1 or family.key == "task" else f" For {tasks}."
        yield f"\n{_words(member)}{only}"
        same = {key for key in shared if schemas[member][key] == schemas[first][key]}
        if {*member.model_fields} - same - {family.key}:
            yield ""
            yield from _table(member, skip=frozenset({*same, family.key}))


def _words(kind: type[Table]) -> str:
    return _one_line((kind.__doc__ or "").partition("\n\n")[0])


def commands() -> str:
    """The page about the command line."""
    parts = [COMMANDS_HEAD, f"{RUN_HELP} Without a command, `medtui` opens the list of runs.\n"]
    parts += [f"```\n{EXIT_CODES}\n```"]
    for name, command in _commands(parser(str)):
        parts.append(f"\n## {name}\n\n{_one_line(command.description or '')}")
        rows = []
        for action in command._actions:
            words = ", ".join(action.option_strings) or str(action.metavar)
            value = f" {action.metavar or '{' + ','.join(map(str, action.choices or ())) + '}'}"
            shown = words + (value if action.option_strings and action.nargs != 0 else "")
            if action.dest != "help":
                rows.append(f"| `{shown}` | {(action.help or '').replace('|', chr(92) + '|')} |")
        parts += ["\n| argument | does |\n|---|---|", *rows] if rows else []
        examples = [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  medtui")]
        if examples:
            parts.append("\n```sh\n" + "\n".join(examples) + "\n```")
    return "\n".join(parts) + "\n"


def _commands(part: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    groups = [action for action in part._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for child in group.choices.values():
            yield from _commands(child)
    if not groups:
        yield part.prog, part


def _table(kind: type[Table], skip: frozenset[str] = frozenset()) -> Iterator[str]:
    definition = kind.model_json_schema()
    required = set(definition.get("required", ()))
    yield "| key | what it is | allowed | default |"
    yield "|---|---|---|---|"
    for name, part in definition["properties"].items():
        if name in skip:
            continue
        what, allowed = _one_line(part.get("description", "")), describe(part)
        needs = " and ".join(condition.words for condition in conditions(kind, name))
        what += f" Only with {needs}." if needs else ""
        words = [what, "a string in quotes, as described" if what.startswith(allowed) else allowed]
        words.append("must be given" if name in required else _default(part.get("default")))
        yield f"| `{name}` | " + " | ".join(word.replace("|", "\\|") for word in words) + " |"


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, list | tuple):
        return "`[" + ", ".join(_default(item).strip("`") for item in value) + "]`"
    return f"`{value}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def main() -> int:
    """Write the files, or check them."""
    options_of = argparse.ArgumentParser(description=__doc__)
    options_of.add_argument("--check", action="store_true", help="write nothing; exit code 1 when something is old")
    options = options_of.parse_args()
    old = {
        path: text for path, text in outputs().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in old.items():
        if options.check:
            print(f"{path.relative_to(ROOT)} is not up to date: make docs", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if old and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
