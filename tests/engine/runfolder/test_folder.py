"""Making, listing and finding run folders; requests to the trainer."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.runfolder import EventWriter, RunFolder, create, find_run, list_runs, send, take
from engine.runfolder.paths import sweep

NOW = 1_790_000_000.0


def test_a_folder_is_private_and_has_its_parts(tmp_path):
    folder = create(tmp_path / "deep" / "runs", "seg", now_s=NOW)
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    assert folder.id.endswith("-seg")
    for part in (folder.control, folder.checkpoints, folder.previews, folder.figures):
        assert part.is_dir()


def test_runs_of_one_name_in_one_second_are_apart(tmp_path):
    ids: list[str] = []

    def make() -> None:
        ids.append(create(tmp_path, "seg", now_s=NOW).id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8
    assert sorted(folder.id for folder in list_runs(tmp_path)) == sorted(ids)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot make a run folder") as caught:
        create(tmp_path / "file", "seg")
    assert "--runs" in caught.value.hint


def test_only_runs_are_listed_oldest_first(tmp_path):
    late, early = create(tmp_path, "b", now_s=NOW + 60), create(tmp_path, "a", now_s=NOW)
    (tmp_path / "notes").mkdir()
    (tmp_path / "20200101-000000-file").write_text("x")
    assert [folder.id for folder in list_runs(tmp_path)] == [early.id, late.id]
    assert list_runs(tmp_path / "gone") == []


def test_a_renamed_run_is_known_by_what_it_holds(tmp_path):
    folder = create(tmp_path, "seg", now_s=NOW)
    EventWriter(folder.events).close()
    folder.root.rename(tmp_path / "the good one")
    assert [found.id for found in list_runs(tmp_path)] == ["the good one"]
    assert find_run(tmp_path, "good").id == "the good one"


def test_a_run_that_begins_is_found_by_its_path(tmp_path):
    folder = create(tmp_path / "runs", "seg")  # as `runs --json` has it before there is a stream
    assert find_run(tmp_path / "elsewhere", str(folder.root)) == folder


def test_the_newest_run_is_that_of_the_latest_time_in_any_time_zone(tmp_path):
    early, late = create(tmp_path, "tokyo", now_s=NOW + 9 * 3600), create(tmp_path, "berlin", now_s=NOW)
    for folder, began_s in ((early, NOW), (late, NOW + 60)):
        folder.status.write_text(json.dumps({"state": "finished", "started_s": began_s}))
    assert find_run(tmp_path, None) == late


def test_a_run_is_found_by_folder_id_and_part(tmp_path):
    first, second = create(tmp_path, "seg_bce", now_s=NOW), create(tmp_path, "seg_dice", now_s=NOW + 60)
    EventWriter(first.events).close()
    assert find_run(tmp_path, None) == second
    assert find_run(tmp_path, second.id) == second
    assert find_run(tmp_path, "bce") == first
    longer = create(tmp_path, f"{first.id.split('-', 2)[-1]}_aug")
    assert find_run(tmp_path, first.id.split("-", 2)[-1]) == first  # the whole name, though part of another one
    longer.root.rename(tmp_path / ".gone")
    assert find_run(tmp_path / "elsewhere", str(first.root)) == first


def test_an_exact_id_beats_the_ids_that_hold_it(tmp_path):
    first, second = create(tmp_path, "seg", now_s=NOW), create(tmp_path, "seg", now_s=NOW)
    assert second.id == f"{first.id}-2"
    assert find_run(tmp_path, first.id) == first


def test_the_folder_of_the_shell_is_a_run_with_a_name(tmp_path, monkeypatch):
    folder = create(tmp_path, "seg", now_s=NOW)
    EventWriter(folder.events).close()
    monkeypatch.chdir(folder.root)
    assert find_run(tmp_path, ".").id == folder.id


def test_a_run_is_named_as_a_command_here_would_name_it(tmp_path, monkeypatch):
    folder = create(tmp_path / "runs", "seg", now_s=NOW)
    assert folder.address == str(folder.root)
    monkeypatch.chdir(tmp_path)
    assert folder.address == folder.id
    assert find_run(tmp_path / "runs", folder.address) == folder


def test_what_is_not_found_is_told(tmp_path):
    with pytest.raises(UsageError, match="no runs in") as caught:
        find_run(tmp_path, None)
    assert "medtui run" in caught.value.hint
    for second in range(12):
        create(tmp_path, f"seg{second}", now_s=NOW + second)
    with pytest.raises(UsageError, match=r'"seg" means 12 runs') as caught:
        find_run(tmp_path, "seg")
    assert str(caught.value).count("\n  ") == 8
    for nobody in ("", "."):  # an empty variable of the shell, and what a path makes of it
        with pytest.raises(UsageError, match="no run in"):
            find_run(tmp_path, nobody, studies=True)
    with pytest.raises(UsageError, match=r'no run in .* is called "nothing"'):
        find_run(tmp_path, "nothing")


@given(st.text(max_size=20))
def test_any_name_is_a_run_or_a_usage_error(tmp_path_factory, name):
    runs = tmp_path_factory.getbasetemp() / "named"
    if not runs.exists():
        create(runs, "seg", now_s=NOW)
    try:
        assert find_run(runs, name).id
    except UsageError as error:
        assert error.exit_code == 2


def test_long_and_odd_names_are_usage_errors(tmp_path):
    create(tmp_path, "seg", now_s=NOW)
    for name in ("a" * 5000, "a\0b", "\udcff"):
        with pytest.raises(UsageError):
            find_run(tmp_path, name)


def test_requests_are_taken_once_and_in_order(tmp_path):
    folder = create(tmp_path, "seg")
    sent = [send(folder, "pause"), send(folder, "note", "hello\x1b[2J\udcff"), send(folder, "stop_now")]
    taken = take(folder)
    assert [request.id for request in taken] == [request.id for request in sent]
    assert [request.command for request in taken] == ["pause", "note", "stop_now"]
    assert taken[1].text == "hello\x1b[2J\\udcff"
    assert take(folder) == []
    assert os.listdir(folder.control) == []


def test_what_is_no_request_is_removed_and_harms_nobody(tmp_path):
    folder = create(tmp_path, "seg")
    secret = tmp_path / "secret.json"
    secret.write_text('{"id":"1","command":"stop"}')
    (folder.control / "1.json").write_text("{")
    (folder.control / "2.json").write_text('{"id":"1","command":"format_disk"}')
    (folder.control / "3.json").symlink_to(secret)
    (folder.control / "4.json").write_bytes(b"\xff" * 100)
    (folder.control / "5.json").mkdir()
    (folder.control / "7.json").write_text('{"x":' + "[" * 60_000 + "]" * 5_000)
    (folder.control / ".6.json.tmp").write_text("being written")
    good = send(folder, "checkpoint")
    assert take(folder) == [good]
    assert secret.exists()
    assert sorted(os.listdir(folder.control)) == [".6.json.tmp", "5.json"]


def test_a_long_note_is_cut(tmp_path):
    folder = create(tmp_path, "seg")
    send(folder, "note", "x" * 100_000)
    (request,) = take(folder)
    assert len(request.text) == 2000


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    folder = RunFolder(tmp_path / "gone")
    with pytest.raises(UsageError, match="cannot write"):
        send(folder, "pause")
    assert take(folder) == []


def test_folders_that_a_copy_left_out_are_made_again(tmp_path):
    folder = create(tmp_path, "seg")
    for part in (folder.control, folder.previews):
        part.rmdir()  # as rsync --prune-empty-dirs, git and object stores do
    sweep(folder)
    assert folder.control.is_dir()
    assert folder.previews.is_dir()


def test_a_run_of_another_user_is_not_listed_as_lost():
    with tempfile.TemporaryDirectory() as place:
        runs = Path(place)
        runs.chmod(0o755)
        folders = [create(runs, "seg", now_s=NOW + second) for second in range(2)]
        folders[1].root.chmod(0)  # the owner's own, to whoever is not root
        folders[0].root.chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.setresuid(65534, 65534, 0)
        try:
            assert [folder.id for folder in list_runs(runs)] == [folders[0].id]
            assert find_run(runs, None).id == folders[0].id
            with pytest.raises(UsageError, match="another user's"):
                find_run(runs, folders[1].id)
        finally:
            if root:
                os.setresuid(0, 0, 0)
            folders[1].root.chmod(0o700)


@pytest.mark.parametrize("named", ["20260101-120000-heart.study", "heart", "{runs}/20260101-120000-heart.study/"])
def test_a_study_is_refused_as_such_where_a_run_is_meant(tmp_path, named):
    study = tmp_path / "20260101-120000-heart.study"
    study.mkdir()
    (study / "study.toml").touch()
    with pytest.raises(UsageError, match=r"heart\.study is a study"):
        find_run(tmp_path, named.format(runs=tmp_path))
    assert find_run(tmp_path, named.format(runs=tmp_path), studies=True).root.samefile(study)
