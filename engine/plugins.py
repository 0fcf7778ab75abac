"""Packages that add to medtui: their entry points name the modules that register something when imported."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@cache
def load_plugins(group: str) -> tuple[str, ...]:
    """Import every module that an installed package names in this group of entry points, once a process.

    Args:
        group: ``medtui.measures`` (what a metric is called) or ``medtui.tables`` (what a recipe may say), which the
            dashboard reads too, so they import nothing heavy; ``medtui.metrics`` (how a metric is computed) or
            ``medtui.code`` (losses, networks, optimizers, schedules, sources).

    Returns:
        The names of the entry points.

    Raises:
        UsageError: a module of a package cannot be imported.
    """
    from importlib.metadata import entry_points  # brings email, csv and zipfile, for which the first screen waits

    found = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
    for point in found:
        _load(point)
    return tuple(point.name for point in found)


def _load(point: EntryPoint) -> None:
    try:
        point.load()
    except Exception as error:  # whatever the code of others raises
        package = point.dist.name if point.dist is not None else point.value
        raise UsageError(
            f'the package "{package}" cannot add "{point.name}": {type(error).__name__}: {error}',
            f"mend {point.value}, or uninstall the package",
        ) from error


def load_modules(package: str, path: Iterable[str]) -> None:
    """Import every module of ``package``, so that each registers what it has: there is no list of them.

    Args:
        package: its ``__name__``.
        path: its ``__path__``.
    """
    for module in pkgutil.iter_modules(path):
        import_module(f"{package}.{module.name}")
