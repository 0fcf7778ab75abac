"""Removal: a run at rest is gone, and whatever is anything else stays untouched."""

from __future__ import annotations

import os
import re

import pytest
from msgspec.structs import replace

from engine.errors import MedtuiError, RunError, UsageError
from engine.runfolder import RunFolder, create, own_status, release_lock, take_lock, update_manifest, write_status
from engine.runfolder.mirror import LOST, MARK
from engine.runfolder.remove import remove, what_goes


def ended(runs, name="seg", state="finished", *, study=False, **more):
    folder = create(runs, name, study=study)
    write_status(folder, replace(own_status(name, "segmentation", 3), state=state, **more))
    if study:
        (folder.root / "study.toml").write_text("")
    return folder


def everything(root):
    return sorted(str(path) for path in root.rglob("*"))


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_a_run_at_rest_is_gone(tmp_path, state):
    folder, other = ended(tmp_path, state=state), ended(tmp_path, "other")
    (folder.checkpoints / "last.pt").write_bytes(b"x" * 1_250_000)
    assert what_goes(folder) == f"Delete {folder.id} ({state}, 1.3 MB) for good?"
    remove(tmp_path, folder)
    assert os.listdir(tmp_path) == [other.id]


def test_links_are_not_followed(tmp_path):
    runs, precious = tmp_path / "runs", tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years" * 100_000)
    folder = ended(runs)
    folder.figures.rmdir()
    folder.figures.symlink_to(precious)
    (folder.root / "here").symlink_to(precious)
    assert "0.0 MB" in what_goes(folder)
    remove(runs, folder)
    assert (precious / "thesis.tex").read_text() == "years" * 100_000
    linked = RunFolder(runs / "20260101-000000-link")
    other = ended(tmp_path / "elsewhere")
    linked.root.symlink_to(other.root)
    with pytest.raises(UsageError, match="is a link"):
        remove(runs, linked)
    assert linked.root.is_symlink()
    assert other.status.exists()


def _live(runs):
    return ended(runs, state="running")


def _silent(runs):
    folder = ended(runs, state="running", host="another", pid=1, kernel="x")
    folder.status.write_bytes(re.sub(rb'"heartbeat_s":[0-9.]+', b'"heartbeat_s":1.0', folder.status.read_bytes()))
    return folder


def _locked(runs):
    folder = ended(runs)
    folder.lock.touch()
    return folder


def _foreign(runs):
    root = runs / "20260101-000000-holidays"
    root.mkdir()
    (root / "beach.jpg").touch()
    return RunFolder(root)


def _plain(runs):
    root = runs / "holidays"
    root.mkdir()
    (root / "status.json").write_text('{"state": "finished"}')
    return RunFolder(root)


def _elsewhere(runs):
    return ended(runs / "deeper")


def _above(runs):
    ended(runs)
    return RunFolder(runs)


def _mirrored(runs):
    folder = ended(runs)
    (folder.root / MARK).write_text("gpu1")
    (runs / LOST).touch()
    return folder


def _member_of_a_live_study(runs):
    study, folder = ended(runs, "all", "running", study=True), ended(runs)
    update_manifest(folder, study={"id": study.id, "member": "all-s0"})
    return folder


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_live, "is running"),
        (_silent, "is silent"),
        (_foreign, "holds no run"),
        (_plain, "holds no run"),
        (_elsewhere, "does not lie in"),
        (_above, "does not lie in"),
        (_mirrored, "gpu1 is not connected"),
        (_member_of_a_live_study, "all.study is running"),
    ],
)
def test_what_is_refused_stays(tmp_path, make, words):
    folder = make(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(MedtuiError, match=words):
        remove(tmp_path, folder)
    assert everything(tmp_path) == before


def test_one_that_somebody_writes_is_refused(tmp_path):
    folder = ended(tmp_path)
    lock = take_lock(folder)
    try:
        with pytest.raises(RunError, match="is at work"):
            remove(tmp_path, folder)
    finally:
        release_lock(lock)
    assert folder.status.exists()
    remove(tmp_path, folder)


def test_a_study_leaves_its_members(tmp_path):
    study, member = ended(tmp_path, "all", study=True), ended(tmp_path)
    update_manifest(member, study={"id": study.id, "member": "all-s0"})
    assert f"Its study {study.id} keeps the numbers" in what_goes(member)
    assert "Its members stay" in what_goes(study)
    remove(tmp_path, study)
    assert os.listdir(tmp_path) == [member.id]
    remove(tmp_path, member)
    assert not os.listdir(tmp_path)
