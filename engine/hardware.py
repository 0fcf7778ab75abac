"""What this process may use of the machine. No torch: also asked before anything heavy is loaded."""

import gc
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_TRIES = 20  # to be nice, where other runs start at the same time


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group that bounds the memory of this process (a SLURM job, a container, a systemd slice)."""

    limit: int  # bytes
    used: int  # bytes, without file pages that the kernel gives back when asked
    killed: int = 0  # processes of the group that the kernel has killed for want of memory


@dataclass(frozen=True, slots=True)
class Place:
    """A process among those of one run."""

    rank: int = 0  # its number; 0 writes the run folder
    world: int = 1  # how many there are
    local: int = 0  # its number on this machine
    meeting: str = ""  # the file by which they find each other, else "": by ``MASTER_ADDR`` and ``MASTER_PORT``


def launched_place() -> Place:
    """The place that ``torchrun`` or ``srun``, or process 0 of the run, gave this process in its environment.

    Of a step of SLURM with several tasks the names of ``torchrun`` are filled in.
    """
    known = os.environ
    if "RANK" not in known and known.get("SLURM_STEP_NUM_TASKS", "1") != "1" and "SLURM_PROCID" in known:
        first = subprocess.run(
            ["scontrol", "show", "hostnames", known["SLURM_STEP_NODELIST"]], capture_output=True, text=True, check=False
        )
        known["MASTER_ADDR"] = (first.stdout.split() or ["127.0.0.1"])[0]
        known["MASTER_PORT"] = str(20000 + int(known["SLURM_JOB_ID"]) % 20000)
        known["RANK"], known["LOCAL_RANK"] = known["SLURM_PROCID"], known["SLURM_LOCALID"]
        known["WORLD_SIZE"] = known["SLURM_STEP_NUM_TASKS"]
    rank, world, local = (known.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if not (rank.isdigit() and world.isdigit() and int(rank) < int(world)):
        return Place()
    return Place(int(rank), int(world), int(local or 0), known.get("MEDTUI_MEETING", ""))


_sharers = [1]


def share_cores(processes: int) -> None:
    """Say that so many processes of the run divide the cores that this one may use."""
    _sharers[:] = [processes]


def keep_niceness() -> None:
    """Let the niceness of this process, if it leads a session, hold beside processes of other sessions too.

    Many a Linux groups processes by session (sched(7), "The autogroup feature"), and a group has a niceness of its own,
    0 at first. A run has its own session, so ``nice medtui run`` gave way to nobody.
    """
    niceness = os.nice(0)
    if niceness > 0 and os.getsid(0) == os.getpid():
        for _ in range(_TRIES):
            try:
                Path("/proc/self/autogroup").write_text(str(niceness))
            except BlockingIOError:  # of all processes but root's the kernel takes one such in a tenth of a second
                time.sleep(0.1)
                continue
            except OSError:  # no Linux, or one without such groups
                pass
            return


def cores() -> int:
    """Processor cores that this process may use: its share of them where a run has several processes here."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, cpu_quota()) // _sharers[0])


def default_threads() -> int:
    """Threads of the CPU kernels where a recipe names none: ``OMP_NUM_THREADS``, as everywhere in the field, of the
    cores at most. ``torchrun`` sets it to 1 unasked, which says nothing."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    told = said.isdigit() and int(said) > 0 and "TORCHELASTIC_RUN_ID" not in os.environ
    return min(int(said), cores()) if told else cores()


def cpu_quota(membership: Path = _CGROUP, mount: Path = _MOUNT) -> int:
    """Cores whose time the narrowest control group gives (a container with ``--cpus 2``); very many without a limit."""
    quotas = [_UNLIMITED]
    for folder, version in _group_folders(membership, mount, "cpu"):
        names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        quota, period, *_ = [*" ".join(_text(folder / name) for name in names).split(), "", ""]
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            quotas.append(-(-int(quota) // int(period)))
    return max(1, min(quotas))


def python_path() -> str:
    """``PYTHONPATH`` by which another Python finds this copy of medtui, also where it is not installed."""
    home, known = Path(__file__).resolve().parents[1], os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = [] if home.name in {"site-packages", "dist-packages"} else [str(home)]
    return os.pathsep.join(dict.fromkeys([*own, *filter(None, known)]))


JOB = "MEDTUI_SLURM_JOB"
"""In the environment of an engine that a job of SLURM began: the number of the job, which begins it again."""


def engine_environment() -> dict[str, str]:
    """What another process of the engine needs beside the environment of this one."""
    # Threads that spin while they wait starve a second run.
    spin = {} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "50000")}
    return {"PYTHONPATH": python_path(), **spin}


def _of_processor(*names: str) -> str:
    """The first entry of ``/proc/cpuinfo`` that begins so; "" where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            return next((line.partition(":")[2].strip() for line in stream if line.startswith(names)), "")
    except OSError:
        return ""


def cpu_name() -> str:
    """The processor's name as its maker gives it, else its architecture."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """What the processor can do, in the kernel's words; empty where the kernel does not say."""
    return frozenset(_of_processor("flags", "Features").split())


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, or of a group around it where that is less."""
    free = int(psutil.virtual_memory().available)
    return min([free, *(max(0, group.limit - group.used) for group in memory_groups())])


def total_memory() -> int:
    """Bytes of memory of the machine, or of the narrowest group around this process."""
    return min([int(psutil.virtual_memory().total), *(group.limit for group in memory_groups())])


Kills = tuple[int, int | None]
"""Processes that the kernel killed for want of memory: in the groups around this one, and on the whole machine."""


def out_of_memory_kills() -> Kills:
    """Those since the groups and the machine began; None where the kernel does not count them."""
    groups = (group.killed for group in memory_groups(unlimited=True))
    return max(groups, default=0), _pairs(Path("/proc/vmstat")).get("oom_kill")


def killed_words(number: int, before: Kills) -> str:
    """What it means that a process was ended by signal ``number``; ``before``: `out_of_memory_kills` then."""
    if number == signal.SIGABRT:  # what C++ does where it finds no memory, and little else
        return f"ended by itself (signal 6), most likely because memory ran out: {memory_words()}"
    if number != signal.SIGKILL:
        return f"killed by {signal.strsignal(number)} (signal {number})"
    groups, machine = out_of_memory_kills()
    if groups > before[0]:
        return f"killed by the kernel: memory ran out, {memory_words()}"
    if machine is not None and machine == before[1]:
        return "killed (signal 9) by someone, not by the kernel for want of memory"
    return f"killed (signal 9), most likely because memory ran out: {memory_words()}"


def memory_words() -> str:
    """How much memory there is for this process, and what bounds it."""
    machine, all_of_it = int(psutil.virtual_memory().total), total_memory()
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY:
        return f"this shell gives a process {most / 1e9:.3g} GB (ulimit -v: try without)"
    if all_of_it < machine:
        return f"the job's control group has {all_of_it / 1e9:.3g} GB"
    return f"this machine has {machine / 1e9:.3g} GB"


def memory_groups(membership: Path = _CGROUP, mount: Path = _MOUNT, *, unlimited: bool = False) -> list[MemoryGroup]:
    """The control groups around this process that bound its memory, the innermost first.

    A limit may stand at any level above the process, so its own group and all those above it are asked, in
    version 2 (``memory.max``) and version 1 (``memory.limit_in_bytes``) of the kernel's interface.

    Args:
        membership: the kernel's list of the groups that this process is in.
        mount: where the groups are mounted.
        unlimited: give groups without a limit too.
    """
    found = []
    for folder, version in _group_folders(membership, mount, "memory"):
        names = _V2 if version == 2 else _V1
        limit, used = _number(folder / names[0]), _number(folder / names[1])
        if used is not None and (limit is not None or unlimited):
            statistics = _pairs(folder / "memory.stat")
            given_back = statistics.get("inactive_file", statistics.get("total_inactive_file", 0))
            killed = _pairs(folder / names[2]).get("oom_kill", 0)
            found.append(MemoryGroup(_UNLIMITED if limit is None else limit, max(0, used - given_back), killed))
    return found


_V2 = ("memory.max", "memory.current", "memory.events")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
_UNLIMITED = 1 << 62
_UNLIMITED_V1 = 1 << 60  # version 1 writes the largest number of pages where there is no limit


def _group_folders(membership: Path, mount: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """The groups around this process that ``controller`` bounds, innermost first, and the version of their files."""
    for line in _text(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = mount / controller if controllers else mount
        own = root / path.strip("/")
        # Inside a container the path may be that of the host, and the group is what is mounted.
        for folder in [own, *own.parents]:
            if folder.is_dir():
                yield folder, 1 if controllers else 2
            if folder == root:
                break


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int | None:
    """A number of bytes; None for ``max``, a missing file, or the word of version 1 for no limit."""
    text = _text(path)
    return int(text) if text.isdigit() and int(text) < _UNLIMITED_V1 else None


def _pairs(path: Path) -> dict[str, int]:
    rows = [line.split() for line in _text(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


@contextmanager
def unwatched() -> Iterator[None]:
    """Import what is large without collections of garbage: of the half million objects of PyTorch all stay.

    Walking them again and again, while they come and later, takes a third of the start of a command.
    """
    watched, known = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        if watched:
            gc.enable()
