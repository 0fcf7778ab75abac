"""What the kernel says of the groups around a process, on trees as it lays them out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine import hardware
from engine.hardware import (
    MemoryGroup,
    cores,
    cpu_quota,
    default_threads,
    free_memory,
    memory_groups,
    python_path,
    total_memory,
)

GIB = 1 << 30


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def groups(tmp_path: Path, membership: str, *, unlimited: bool = False) -> list[MemoryGroup]:
    (tmp_path / "cgroup").write_text(membership)
    return memory_groups(tmp_path / "cgroup", tmp_path / "fs", unlimited=unlimited)


def test_a_slurm_job_is_bounded_by_its_own_group_and_not_by_the_root(tmp_path):
    root = tmp_path / "fs"
    write(root, memory__max="max\n", memory__current=f"{9 * GIB}\n")
    job = root / "system.slice" / "slurmstepd.scope" / "job_7"
    write(job, memory__max=f"{4 * GIB}\n", memory__current=f"{GIB}\n", memory__events="low 0\noom 1\noom_kill 1\n")
    write(job / "step_0", memory__max="max\n", memory__current=f"{GIB}\n")
    found = groups(tmp_path, "0::/system.slice/slurmstepd.scope/job_7/step_0\n")
    assert found == [MemoryGroup(4 * GIB, GIB, killed=1)]


def test_file_pages_that_are_given_back_do_not_count_as_used(tmp_path):
    write(
        tmp_path / "fs" / "a",
        memory__max=f"{2 * GIB}",
        memory__current=f"{2 * GIB}",
        memory__stat=f"anon {GIB}\nfile {GIB}\ninactive_file {GIB // 2}\n",
    )
    assert groups(tmp_path, "0::/a\n") == [MemoryGroup(2 * GIB, 2 * GIB - GIB // 2)]


def test_time_of_a_processor_is_bounded_too(tmp_path):
    root, membership = tmp_path / "fs", tmp_path / "cgroup"
    write(root / "pod", cpu__max="250000 100000\n")
    write(root / "pod" / "a", cpu__max="max 100000\n")
    membership.write_text("0::/pod/a\n")
    assert cpu_quota(membership, root) == 3
    write(root / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    write(root / "cpu" / "slurm", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    membership.write_text("2:cpu,cpuacct:/slurm\n")
    assert cpu_quota(membership, root) == 1
    membership.write_text("2:cpu,cpuacct:/\n")
    assert cpu_quota(membership, root) > 1 << 20


def test_version_1_knows_its_limit_under_another_name(tmp_path):
    job = tmp_path / "fs" / "memory" / "slurm" / "job_9"
    write(
        job,
        memory__limit_in_bytes=f"{3 * GIB}\n",
        memory__usage_in_bytes=f"{GIB}\n",
        memory__oom_control="oom_kill 2\n",
    )
    write(job.parent, memory__limit_in_bytes="9223372036854771712\n", memory__usage_in_bytes=f"{GIB}\n")
    assert groups(tmp_path, "5:cpuset:/x\n4:memory:/slurm/job_9\n") == [MemoryGroup(3 * GIB, GIB, killed=2)]


def test_in_a_container_the_mounted_group_is_asked_where_the_named_one_is_not_there(tmp_path):
    write(tmp_path / "fs", memory__max=f"{GIB}", memory__current="0")
    assert groups(tmp_path, "0::/docker/abc\n") == [MemoryGroup(GIB, 0)]


def test_no_groups_no_limit(tmp_path):
    assert groups(tmp_path, "") == []
    assert memory_groups(tmp_path / "missing", tmp_path) == []
    write(tmp_path / "fs", memory__max="max", memory__current="5")
    assert groups(tmp_path, "0::/\n") == []
    assert [group.used for group in groups(tmp_path, "0::/\n", unlimited=True)] == [5]


def test_what_a_kill_means_goes_by_what_the_kernel_counts():
    now = hardware.out_of_memory_kills()
    assert "most likely because memory ran out" in hardware.killed_words(9, (now[0], None if now[1] is None else -1))
    assert hardware.killed_words(9, (-1, None)).startswith("killed by the kernel: memory ran out, ")
    assert hardware.killed_words(11, now) == "killed by Segmentation fault (signal 11)"
    if now[1] is not None:  # else this kernel does not count them
        assert hardware.killed_words(9, now) == "killed (signal 9) by someone, not by the kernel for want of memory"


def test_this_machine():
    assert cores() == len(os.sched_getaffinity(0))
    assert 0 < free_memory() <= psutil.virtual_memory().total
    assert total_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("said", "torchrun", "threads"),
    [
        ("1", False, 1),
        ("4096", False, None),
        ("", False, None),
        ("four", False, None),
        ("0", False, None),
        ("1", True, None),
    ],
)
def test_threads_are_those_that_the_environment_asks_for(said, torchrun, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    if torchrun:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert default_threads() == (threads or cores())


def test_another_python_finds_this_copy_and_none_of_its_rooms_as_a_package_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert python_path().endswith(os.pathsep + str(tmp_path))
    code = "import engine.hardware, importlib.util as u; print(engine.hardware.__file__, u.find_spec('losses'))"
    given = {**os.environ, "PYTHONPATH": python_path()}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=given, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == [hardware.__file__, "None"]


GROUP = Path("/proc/self/autogroup")


@pytest.mark.skipif(not GROUP.exists(), reason="a kernel that does not group tasks by session")
@pytest.mark.parametrize(("leads", "niceness"), [(True, 7), (True, 0), (False, 7)])
def test_a_run_that_is_nice_is_so_beside_other_sessions(leads, niceness):
    code = """
import os, sys
from engine.__main__ import main
os.setsid()
if not int(sys.argv[2]) and (child := os.fork()):
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.nice(int(sys.argv[1]))
main(["data-list"])
print(open("/proc/self/autogroup").read())
"""
    words = [sys.executable, "-c", code, str(niceness), str(int(leads))]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": python_path()}, capture_output=True, text=True)
    wanted = min(19, os.nice(0) + niceness) if leads else 0  # the tests may be nice themselves
    assert done.stdout.split()[-1] == str(wanted), done.stderr


@pytest.mark.skipif(not GROUP.exists(), reason="a kernel that does not group tasks by session")
def test_runs_that_start_at_once_are_all_nice():
    """Of all processes but root's the kernel takes one such niceness in a tenth of a second."""
    code = """
import os
from pathlib import Path
from engine.hardware import keep_niceness
children = []
for _ in range(3):
    if not (child := os.fork()):
        os.setsid()
        os.nice(7)
        keep_niceness()
        os._exit(Path("/proc/self/autogroup").read_text().split()[-1] != str(os.nice(0)))
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""
    no_root = ["setpriv", "--bounding-set=-sys_admin"] if os.geteuid() == 0 and shutil.which("setpriv") else []
    words = [*no_root, sys.executable, "-c", code]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": python_path()}, capture_output=True, text=True)
    assert done.stdout == "[0, 0, 0]\n", done.stderr
