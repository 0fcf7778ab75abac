"""Packages that add to medtui: their entry points name the modules that register something when imported."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from engine.errors import UsageError


@cache
def load_plugins(group: str) -> tuple[str, ...]:
    """Import every module that an installed package names in this group of entry points, once a process.

    Args:
        group: ``medtui.measures`` (what a metric is called; read by the dashboard too, so it imports nothing heavy)
            or ``medtui.metrics`` (how it is computed).

    Returns:
        The names of the entry points.

    Raises:
        UsageError: a module of a package cannot be imported.
    """
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
