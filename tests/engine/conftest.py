"""A trainer takes over the signals of its process; tests give them back, also those of a module's fixtures."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def _given_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    yield from _given_back()


@pytest.fixture(autouse=True, scope="module")
def _signals_of_module() -> Iterator[None]:
    yield from _given_back()
