"""Functions that compute a metric, by its name; packages add to them."""

from collections.abc import Callable
from typing import Generic, TypeVar

from engine.errors import UsageError
from engine.measures import is_known
from engine.plugins import load_plugins

Function = TypeVar("Function")


class Registry(Generic[Function]):
    """The functions of one task."""

    def __init__(self) -> None:
        self.known: dict[str, Function] = {}

    def computes(self, name: str) -> Callable[[Function], Function]:
        """Register a function as the computation of a metric.

        Raises:
            UsageError: the table of metrics has no such name.
        """
        if not is_known(name):
            raise UsageError(f'there is no metric "{name}"', "register it with engine.measures.register first")

        def keep(function: Function) -> Function:
            self.known[name] = function
            return function

        return keep

    def loaded(self) -> dict[str, Function]:
        """All of them, with those of packages.

        Raises:
            UsageError: a package that adds metrics cannot be loaded.
        """
        load_plugins("medtui.metrics")
        return self.known
