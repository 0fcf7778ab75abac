"""What all tests share: calm settings for hypothesis, one thread a process, real data where it is there."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Several workers share the cores; a test that compares times is no test. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where no bytecode is written, each process that a test starts compiles all of medtui again.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.dont_write_bytecode = False
# Started in the background, or by nohup, a process ignores these, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# A test must see neither the data root nor the habits of whoever runs it. Under another name the root
# reaches the workers of pytest-xdist, which are started after this line.
if "MEDTUI_DATA" in os.environ:
    os.environ["REAL_DATA_OF_TESTS"] = os.environ.pop("MEDTUI_DATA")
REAL_DATA = os.environ.get("REAL_DATA_OF_TESTS")

# The same examples every time: a change fails by what it did, never by a draw. To look for more of them:
# pytest --hypothesis-profile=explore
explore = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("explore", explore)
settings.register_profile("medtui", explore, derandomize=True)
settings.load_profile("medtui")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What the imports make stays for good: walking it for garbage is a third of their time, and need not be later.

    statsmodels asks for many collections.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(autouse=True)
def _private_habits(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.getbasetemp() / "home"
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture(autouse=True)
def _plain_signals() -> None:
    """A trainer in this process takes signals over and leaves them ignored; no test may inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The root of real data sets, from $MEDTUI_DATA; the test is skipped where there is none."""
    if not REAL_DATA or not Path(REAL_DATA).is_dir():
        pytest.skip("no real data: set MEDTUI_DATA")
    return Path(REAL_DATA)
