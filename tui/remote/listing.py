"""The runs of several machines in one table: ``medtui runs --host``."""

import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import MedtuiError, UsageError
from engine.runfolder.careful import UNREADABLE
from tui.remote.hosts import Host, find_host, hosts_path, known_hosts

WAIT_S = 40.0
MOST_BYTES = 32 << 20


def chosen_hosts(names: Sequence[str], runs: Path) -> list[Host]:
    """The hosts of these names; of ``all`` those of the hosts file. ``runs``: the folder there, if not the usual one.

    Raises:
        UsageError: no host can be called so, or the file names none.
    """
    found: dict[str, Host] = {}
    for name in names:
        hosts = known_hosts() if name == "all" else {name: find_host(name)}
        if not hosts:
            raise UsageError(f"{hosts_path()} names no hosts", 'a table a host: [gpu1] and ssh = "anna@gpu1.example"')
        found |= hosts
    there = {} if runs == Path("runs") else {"runs": str(runs)}
    return [msgspec.structs.replace(host, **there) for host in found.values()]


def runs_of(
    hosts: Sequence[Host], words: str = "", studies: bool = False
) -> list[tuple[Host, list[dict[str, Any]] | MedtuiError]]:
    """What ``medtui runs --json --filter words`` says on each host, or why it says nothing. All are asked at once."""
    options = [*(["--studies"] if studies else []), *([shlex.quote(f"--filter={words}")] if words else [])]
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(zip(hosts, pool.map(partial(_asked, options), hosts), strict=True))


def _asked(options: Sequence[str], host: Host) -> list[dict[str, Any]] | MedtuiError:
    try:
        done = subprocess.run(
            host.command("runs", "--json", *options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return UsageError(f"{host.name} has not answered in {WAIT_S:.0f} s")
    except OSError as error:
        return UsageError(f"ssh cannot be started: {error.strerror or error}", "install an OpenSSH client")
    if done.returncode:
        return host.failure(done.returncode, done.stderr)
    try:  # a login may print lines before it
        return msgspec.json.decode(done.stdout[max(0, done.stdout.find(b"[")) : MOST_BYTES], type=list[dict[str, Any]])
    except UNREADABLE:
        return UsageError(f"what {host.name} says is no list of runs", f"see: {host.by_hand('runs', '--json')}")
