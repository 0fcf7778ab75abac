"""The user's own keys: a TOML file of actions and the keys that do them, put into the BINDINGS of all parts."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, format_key, key_to_character
from textual.screen import ModalScreen, Screen

from engine.errors import MedtuiError, UsageError
from engine.runfolder import read_text
from engine.toml import parse
from tui.settings import own_keys, settings_path
from tui.text import one_line
from tui.widgets.control_bar import ControlBar
from tui.widgets.keys import bindings_of
from tui.widgets.pane import Pane

_defaults: dict[type[DOMNode], list[Binding]] = {}
"""What each part of the dashboard declares; filled when keys are changed for the first time."""


def keys_path() -> Path:
    """``$XDG_CONFIG_HOME/medtui/keys.toml``, by default under ``~/.config``."""
    return settings_path().with_name("keys.toml")


def load_keys() -> str:
    """Put the user's keys in force; gives what is wrong with their file, in which case all keys are the usual ones."""
    path = keys_path()
    if not path.exists() and not _defaults:
        return ""
    try:
        put_in_force(read_keys(read_text(path), str(path)) if path.exists() else {})
    except (MedtuiError, OSError, UnicodeDecodeError) as error:
        put_in_force({})
        return one_line(f"the usual keys are in force: {error.message if isinstance(error, MedtuiError) else error}")
    return ""


def read_keys(text: str, where: str) -> dict[str, str]:
    """Action -> its keys, as a `Binding` has them.

    Raises:
        UsageError: what is no TOML, no action, no key, or a key that does something else in the same place.
    """
    chosen: dict[str, str] = {}
    known = {binding.action for declared in usual_keys().values() for binding in declared}
    for action, value in parse(text, where).items():
        keys = [value] if isinstance(value, str) else value
        if action not in known:
            from difflib import get_close_matches

            near = get_close_matches(action, known, 1)
            raise UsageError(f'{where}: there is no action "{action}"' + (f"; did you mean {near[0]}?" if near else ""))
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and _is_key(key) for key in keys):
            raise UsageError(f"{where}: {action} = {value!r} is no key, such as x, f5, ctrl+x or [j, down] in quotes")
        chosen[action] = ",".join(_character_to_key(key) if len(key) == 1 else key for key in keys)
    _refuse_twins(chosen, where)
    return chosen


def put_in_force(chosen: Mapping[str, str]) -> None:
    """Give actions other keys than they declare; all others have their own again."""
    parts = usual_keys()
    own_keys.clear()
    own_keys.update({action: format_key(keys.partition(",")[0]) for action, keys in chosen.items()})
    for part, declared in parts.items():
        part.BINDINGS = [
            replace(each, key=chosen[each.action], key_display=None) if each.action in chosen else each
            for each in declared
        ]
    for part in sorted(_kinds(DOMNode), key=lambda kind: len(kind.__mro__)):
        part._merged_bindings = part._merge_bindings()  # Textual does so once, when the class is made


def in_force() -> str:
    """All actions with their keys and what they do, as a keys.toml has them; the usual ones are comments."""
    lines: dict[str, str] = {}
    for part, declared in usual_keys().items():
        for usual, each in zip(declared, part.BINDINGS, strict=False):
            assert isinstance(each, Binding)  # noqa: S101  # as `put_in_force` gives them
            keys = ", ".join(f'"{key}"' for key in each.key.split(","))
            does = each.tooltip or each.description
            name = each.action if each.action.isidentifier() else f'"{each.action}"'
            line = ("# " if each.key == usual.key else "") + f"{name} = [{keys}]" + (f"  # {does}" if does else "")
            if each.action not in lines or (does and "  # " not in lines[each.action]):
                lines[each.action] = line
    return "\n".join(lines[action] for action in sorted(lines))


def _refuse_twins(chosen: Mapping[str, str], where: str) -> None:
    above = [part for part in usual_keys() if issubclass(part, App | Screen | ControlBar)]
    for part in _kinds(DOMNode):
        taken: dict[str, tuple[str, bool]] = {}
        beside = above if issubclass(part, Pane) else []
        for each in (each for owner in (part, *beside) for each in bindings_of(owner)):
            for key in chosen.get(each.action, each.key).split(","):
                usual = key in each.key.split(",")
                other, own = taken.setdefault(key, (each.action, usual))
                # Both have it as it is: they are never on one screen.
                if other != each.action and {other, each.action} & set(chosen) and not (usual and own):
                    raise UsageError(f'{where}: "{key}" would do two things: {other} and {each.action}')


def _is_key(text: str) -> bool:
    name = text.rpartition("+")[2] if len(text) > 1 else _character_to_key(text)
    known = {*(key.value for key in Keys), *KEY_NAME_REPLACEMENTS.values()}  # slash, minus: unknown to key_to_character
    return name in known or key_to_character(name) is not None


def usual_keys() -> dict[type[DOMNode], list[Binding]]:
    """All parts that declare keys, with the usual ones, also of screens that were not opened yet."""
    if not _defaults:
        for room in ("tui.screens", "tui.widgets"):
            for module in iter_modules(import_module(room).__path__):
                import_module(f"{room}.{module.name}")
        for kind in _kinds(DOMNode):
            declared = [each for each in kind.__dict__.get("BINDINGS", ()) if isinstance(each, Binding)]
            if declared and not issubclass(kind, ModalScreen):  # what asks and explains is left as it is
                _defaults[kind] = declared
    return _defaults


def _kinds(above: type[DOMNode]) -> Iterator[type[DOMNode]]:
    """The dashboard's own kinds below one."""
    for kind in above.__subclasses__():
        if kind.__module__.startswith("tui."):
            yield kind
        yield from _kinds(kind)
