"""The index of runs: what it reads, when it reads it again, how it sorts and filters."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import msgspec
import pytest

from engine.errors import UsageError
from engine.runfolder import RunFolder, Status, write_label
from tui.settings import Kept
from tui.state.run_filter import parse_filter
from tui.state.runs_index import RunRow, RunsIndex, RunsWatch, chosen_rows, counts


def run(runs: Path, number: int, state: str = "finished", **more: object) -> RunFolder:
    folder = RunFolder(runs / f"20260101-{number:06d}-{more.get('name', 'seg')}")
    folder.root.mkdir(parents=True)
    values = {"state": state, "name": "seg", "task": "segmentation", "epoch": 3, "epochs": 9, "metric": "dice", **more}
    folder.status.write_bytes(msgspec.json.encode(Status(**values)))  # type: ignore[arg-type]
    return folder


def whole(index: RunsIndex) -> tuple[RunRow, ...]:
    while index.scan():
        pass
    return index.rows()


def test_parts_come_newest_first_and_add_up(tmp_path: Path) -> None:
    for number in range(150):
        run(tmp_path, number)
    index = RunsIndex(tmp_path)
    assert index.scan(50)
    assert [row.id[9:15] for row in index.rows()] == [f"{n:06d}" for n in range(149, 99, -1)]
    assert index.scan(50)
    assert not index.scan(50)
    assert len(index.rows()) == 150


def test_an_ended_run_is_read_again_only_when_its_status_changes(tmp_path: Path) -> None:
    folder = run(tmp_path, 1, best=0.5)
    index = RunsIndex(tmp_path)
    whole(index)
    before = folder.status.stat()
    text = folder.status.read_bytes().replace(b"0.5", b"0.7")
    with folder.status.open("r+b") as stream:  # the same inode, size and time: the index cannot see it
        stream.write(text)
    os.utime(folder.status, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert whole(index)[0].status.best == 0.5
    os.utime(folder.status, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert whole(index)[0].status.best == 0.7


def test_the_test_of_a_run_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    """Its status.json had no place for it."""
    old, none = run(tmp_path, 1, best=0.5), run(tmp_path, 2, best=0.5)
    old.metrics.write_text('{"test": {"n": 3, "dice": 0.25}, "validation": {"dice": 0.5}}')
    none.metrics.write_text('{"validation": {"dice": 0.5}}')
    found = {row.id: row.status.test for row in whole(RunsIndex(tmp_path))}
    assert found == {old.id: 0.25, none.id: None}


def test_a_live_run_whose_process_dies_is_lost(tmp_path: Path) -> None:
    folder = run(tmp_path, 1, "running", pid=os.getpid(), host=socket.gethostname())
    index = RunsIndex(tmp_path)
    assert whole(index)[0].state == "running"
    text = folder.status.read_bytes()
    folder.status.write_bytes(text.replace(str(os.getpid()).encode(), b"4194305"))
    assert whole(index)[0].state == "lost"


def test_new_and_deleted_runs(tmp_path: Path) -> None:
    first = run(tmp_path, 1)
    index = RunsIndex(tmp_path)
    assert len(whole(index)) == 1
    run(tmp_path, 2)
    (first.status).unlink()
    first.root.rmdir()
    assert [row.id[9:15] for row in whole(index)] == ["000002"]


def test_a_folder_without_a_status_is_lost_and_dated_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "20260102-030405-odd").mkdir()
    (row,) = whole(RunsIndex(tmp_path))
    assert row.state == "lost"
    assert row.recipe == "odd"
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.started_s)) == "2026-01-02 03:04:05"


def test_no_folder_holds_no_runs(tmp_path: Path) -> None:
    assert whole(RunsIndex(tmp_path / "nothing")) == ()


def test_five_hundred_runs_are_scanned_again_quickly(tmp_path: Path) -> None:
    for number in range(500):
        run(tmp_path, number)
    index = RunsIndex(tmp_path)
    whole(index)
    start = time.process_time()
    whole(index)
    assert time.process_time() - start < 0.5  # about 10 ms; a busy machine is given room


def test_sorting_and_filtering(tmp_path: Path) -> None:
    run(tmp_path, 1, "finished", name="b", best=0.8, test=0.7, epoch=9)
    run(tmp_path, 2, "failed", name="a", best=0.9, test=0.6)
    run(tmp_path, 3, "finished", name="c", task="classification", metric="loss", best=0.2)
    run(tmp_path, 4, "stopped", name="d", metric="loss", best=0.1)
    run(tmp_path, 5, "stopped", name="e")
    rows = whole(RunsIndex(tmp_path))

    def names(key: str, *, backwards: bool = False) -> str:
        return "".join(row.recipe for row in chosen_rows(rows, key=key, backwards=backwards))  # type: ignore[arg-type]

    assert names("age") == "edcab"
    assert names("age", backwards=True) == "bacde"
    assert names("recipe") == "abcde"
    assert names("state") == "aedcb"
    assert names("task")[0] == "c"
    assert names("epoch")[0] == "b"
    assert names("best") == "abdce"  # Dice from high to low, then loss from low to high, then none
    assert names("test")[:2] == "ba"
    assert [row.recipe for row in chosen_rows(rows, parse_filter("Classif fin"))] == ["c"]
    assert chosen_rows(rows, parse_filter("nothing like it")) == []
    assert counts(rows) == [("failed", 1), ("stopped", 2), ("finished", 2)]


def test_the_watch_publishes_changes_and_problems(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run(runs, 1)
    heard: list[tuple[int, bool, str]] = []
    watch = RunsWatch(runs, lambda rows, known, problem: heard.append((len(rows), known, problem)))
    watch.start()
    end = time.monotonic() + 30
    while not heard and time.monotonic() < end:
        time.sleep(0.01)
    watch.stop()
    assert heard == [(1, True, "")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        with pytest.raises(UsageError):
            RunsIndex(tmp_path).scan()
    finally:
        tmp_path.chmod(0o700)


def study(runs: Path, number: int, *members: RunFolder) -> RunFolder:
    folder = run(runs, number, name="seg.study")
    lines = [f'[[member]]\nname = "{member.name}"\nrun = "{member.id}"\n' for member in members]
    (folder.root / "study.toml").write_text("".join(lines), encoding="utf-8")
    return folder


def test_a_study_is_one_row_that_opens_to_its_members(tmp_path: Path) -> None:
    members = [run(tmp_path, number, name=f"seg-f{number}") for number in (2, 3)]
    alone, of_all = run(tmp_path, 4, name="alone"), study(tmp_path, 1, *members)
    rows = whole(RunsIndex(tmp_path))
    assert [row.id for row in chosen_rows(rows)] == [alone.id, of_all.id]
    opened = chosen_rows(rows, opened={of_all.id})
    assert [row.id for row in opened] == [alone.id, of_all.id, members[1].id, members[0].id]
    assert [row.id for row in chosen_rows(rows, parse_filter("f3"))] == [members[1].id]


def test_members_of_a_study_that_is_gone_or_damaged_are_runs(tmp_path: Path) -> None:
    member = run(tmp_path, 2, name="seg-f0")
    folder = study(tmp_path, 1, member)
    table = folder.root / "study.toml"
    right = table.read_text(encoding="utf-8")
    table.write_text("member = 3", encoding="utf-8")
    index = RunsIndex(tmp_path)
    assert {row.id for row in chosen_rows(whole(index))} == {member.id, folder.id}
    table.write_text(right, encoding="utf-8")  # whole again, or here at last from another machine
    assert [row.id for row in chosen_rows(whole(index))] == [folder.id]


def test_pinned_come_first_and_hidden_do_not_come(tmp_path: Path) -> None:
    members = [run(tmp_path, number, name=f"seg-f{number}") for number in (2, 3)]
    alone, older, of_all = run(tmp_path, 4, name="alone"), run(tmp_path, 0, name="older"), study(tmp_path, 1, *members)
    rows = whole(RunsIndex(tmp_path))

    def ids(pinned: str = "", hidden: str = "", **more: object) -> list[str]:
        kept = Kept(pinned=(pinned,), hidden=(hidden,) if hidden else ())
        return [row.id for row in chosen_rows(rows, kept=kept, **more)]  # type: ignore[arg-type]

    assert ids() == [alone.id, of_all.id, older.id]
    assert ids(pinned=older.id) == [older.id, alone.id, of_all.id]
    assert ids(pinned=older.id, key="recipe", backwards=True)[0] == older.id
    assert ids(pinned=of_all.id, opened={of_all.id}) == [of_all.id, members[1].id, members[0].id, alone.id, older.id]
    assert ids(pinned=members[0].id, opened={of_all.id}) == [
        members[0].id,
        alone.id,
        of_all.id,
        members[1].id,
        older.id,
    ]
    assert ids(hidden=alone.id) == [of_all.id, older.id]
    assert ids(hidden=of_all.id) == [alone.id, older.id]


def test_values_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    first, second = run(tmp_path, 1, best=0.7), run(tmp_path, 2, best=0.9, test=0.4)
    for folder, lr in ((first, "1e-4"), (second, "1e-2")):
        folder.recipe.write_text(f'name = "seg"\n[optimizer]\nname = "adam"\nlr = {lr}\n', encoding="utf-8")
    first.metrics.write_text('{"test": {"n": 4, "dice": 0.8, "hd95": null}}', encoding="utf-8")
    index = RunsIndex(tmp_path)
    wanted = parse_filter("lr<1e-3")
    assert chosen_rows(whole(index), wanted) == []
    index.reads = True
    rows = whole(index)
    for line, folders in {
        "lr<1e-3": [first],
        "lr>1e-5 optimizer:adam": [second, first],
        "dice>0.75": [first],  # as it was tested, not the best validation
        "dice>0.3 dice<0.5": [second],
        "best>0.8": [second],
        "hd95<100": [],
        "n=4": [first],
    }.items():
        assert [row.id for row in chosen_rows(rows, parse_filter(line))] == [folder.id for folder in folders], line


def test_a_label_is_seen(tmp_path: Path) -> None:
    folder = run(tmp_path, 1)
    index = RunsIndex(tmp_path)
    assert whole(index)[0].recipe == "seg"
    write_label(folder, title="for the paper", note="keep it")
    (row,) = whole(index)
    assert row.recipe == "for the paper"
    assert chosen_rows([row], parse_filter("keep paper seg"))
    assert chosen_rows([row], parse_filter("note:keep"))
