"""Title and note of a run: one line each, in a file of their own, and the title names the run."""

from __future__ import annotations

import pytest

from engine.errors import RunError, UsageError
from engine.runfolder import Label, create, find_run, read_label, shown_name, write_label
from engine.runfolder.mirror import LOST, MARK


def test_each_is_set_alone_and_taken_away(tmp_path):
    folder = create(tmp_path, "seg")
    assert read_label(folder) == Label()
    assert shown_name(folder, "") == "seg"
    write_label(folder, title="the best one")
    write_label(folder, note="two\nlines \x1b[2J and\ttabs")
    assert read_label(folder) == Label(title="the best one", note="two lines \\x1b[2J and tabs")
    assert shown_name(folder, "seg_dice") == "the best one"
    write_label(folder, title="")
    assert shown_name(folder, "seg_dice") == "seg_dice"
    assert read_label(folder).note


def test_a_title_finds_its_run_unless_an_id_has_it(tmp_path):
    first, second = create(tmp_path, "seg"), create(tmp_path, "other")
    write_label(first, title="other")
    write_label(second, title="for the paper")
    assert find_run(tmp_path, "other") == second
    assert find_run(tmp_path, "for the paper") == second
    write_label(first, title="for the paper")
    with pytest.raises(UsageError, match="means 2 runs"):
        find_run(tmp_path, "for the paper")


@pytest.mark.parametrize("content", [b"{", b'{"title": 3, "note": ["x"]}', b"\xff", b"[1]"])
def test_a_damaged_label_is_none(tmp_path, content):
    folder = create(tmp_path, "seg")
    folder.label.write_bytes(content)
    assert read_label(folder) == Label()
    assert write_label(folder, note="mended") == Label(note="mended")


def test_too_long_and_elsewhere_are_refused(tmp_path):
    folder = create(tmp_path, "seg")
    with pytest.raises(UsageError, match="at most 80 characters: found 81"):
        write_label(folder, title="x" * 81)
    (folder.root / MARK).write_text("gpu1")
    (tmp_path / LOST).touch()
    with pytest.raises(RunError, match="gpu1 is not connected: nothing was changed"):
        write_label(folder, title="x")
    assert not folder.label.exists()
