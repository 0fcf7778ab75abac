"""What the dashboard remembers from one time to the next, in the user's configuration folder; and its keys."""

import os
import re
from pathlib import Path

import msgspec

from engine.runfolder import read_small, write_bytes

own_keys: dict[str, str] = {}  # action -> how its key is written, of those that the user's keys.toml changes


def keyed(text: str) -> str:
    """A sentence with the keys in force: ``<stop:s> stops it`` names that of the action, where its usual one is s."""
    return re.sub("<([^<>]+):([^<>]+)>", lambda found: own_keys.get(found[1], found[2]), text)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one folder, by their ids, that stand on top of the list, and that do not stand in it."""

    pinned: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def turned(self, what: str, run: str) -> "Kept":
        """``run`` is ``pinned``, or ``hidden``, where it was not, and no longer where it was."""
        before: tuple[str, ...] = getattr(self, what)
        others = {name: tuple(one for one in getattr(self, name) if one != run) for name in ("pinned", "hidden")}
        return Kept(**{**others, what: others[what] if run in before else (*before, run)})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Choices made by keys. A field that a later version does not know is left alone by it."""

    theme: str = ""  # "": dark, unless the terminal says that it is light
    smoothing: int = 3
    axis: str = "iteration"
    lists: dict[str, Kept] = {}  # by folder of runs
    places: dict[str, tuple[str, bool]] = {}  # by run: the pane with the focus, and whether it stood alone
    borders: dict[str, dict[str, float]] = {}  # by run: how far they were moved, as shares of the board


def settings_path() -> Path:
    """``$XDG_CONFIG_HOME/medtui/dashboard.json``, by default under ``~/.config``."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "medtui" / "dashboard.json"


def load_settings() -> Settings:
    """The remembered choices; the usual ones where there are none or they cannot be read."""
    try:
        return msgspec.json.decode(read_small(settings_path()), type=Settings)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Settings()


def save_settings(settings: Settings) -> str:
    """Remember; a home that cannot be written to is no reason to stop, so its reason is returned."""
    path = settings_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, msgspec.json.encode(settings) + b"\n")
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return ""
