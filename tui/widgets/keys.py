"""Keys, read from where they are declared: the BINDINGS of the app, of a screen, of a bar, of a pane.

Key bar, help, command palette and the tables of docs/dashboard.md are all made from them. In a `Binding`

- ``description`` is a word or two for the key bar; without one the key is a second way to the same thing and is
  named nowhere;
- ``tooltip`` is its line in the help, by default the description;
- ``key_display`` is how it is written, together with its twin (``- +``);
- ``show=False`` lets the key bar name it only where there is room left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import format_key

Section: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # a heading, and (keys as written, what they do) below it


@dataclass(frozen=True, slots=True)
class Key:
    """A key of one part of the screen."""

    owner: DOMNode
    binding: Binding

    @property
    def name(self) -> str:
        """As it is written."""
        return written(self.binding)

    @property
    def words(self) -> str:
        """What it does, for the key bar."""
        called = getattr(self.owner, "called", None)  # of a Canvas
        return str(called(self.binding)) if called else self.binding.description

    @property
    def help(self) -> str:
        """What it does, in a line."""
        return self.binding.tooltip or self.binding.description


def written(binding: Binding) -> str:
    """How the key of a binding is written for people."""
    return binding.key_display or format_key(binding.key.partition(",")[0])


def bindings_of(owner: type[DOMNode], above: type[DOMNode] | None = None) -> Iterator[Binding]:
    """The bindings of a class in the order in which they are declared, its own before those inherited below ``above``.

    By default nothing of Textual's own is inherited.
    """
    taken: set[str] = set()
    for base in owner.__mro__:
        if base is above or base.__module__.startswith("textual."):
            return
        for binding in base.__dict__.get("BINDINGS", ()):
            keys = set(binding.key.split(","))
            if not keys & taken:
                yield binding
            taken |= keys


def binding_for(owner: DOMNode, key: str) -> Binding | None:
    """What a key does in ``owner``."""
    return next((b for b in bindings_of(type(owner)) if key in b.key.split(",")), None)


def section(title: str, owner: type[DOMNode], above: type[DOMNode] | None = None) -> Section:
    """The help of one class."""
    return title, tuple((written(b), b.tooltip or b.description) for b in bindings_of(owner, above) if b.description)
