"""The worker that follows a run: news, restarts, big streams, its end; and what it finds beside the stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.events import Iteration, Preview
from engine.readers.run_view import EMPTY
from tests.tui import recorded
from tui.state import feed as feed_module
from tui.state.feed import Feed, RunSnapshot, view_of
from tui.state.ghosts import candidates
from tui.state.images import read_preview


class Watcher:
    """Keeps what a feed hands out."""

    def __init__(self) -> None:
        self.snapshots: list[RunSnapshot] = []
        self._news = threading.Condition()

    def __call__(self, snapshot: RunSnapshot) -> None:
        with self._news:
            self.snapshots.append(snapshot)
            self._news.notify_all()

    def wait(self, wanted: Callable[[RunSnapshot], bool], within_s: float = 10.0) -> RunSnapshot:
        end = time.monotonic() + within_s
        with self._news:
            while not (self.snapshots and wanted(self.snapshots[-1])):
                assert self._news.wait(max(0.0, end - time.monotonic())), "the feed handed nothing such out"
            return self.snapshots[-1]


@pytest.fixture
def watched(request: pytest.FixtureRequest) -> Callable[[recorded.RunFolder], tuple[Feed, Watcher]]:
    def follow(folder: recorded.RunFolder) -> tuple[Feed, Watcher]:
        watcher = Watcher()
        feed = Feed(folder, watcher)
        feed.interval_s = 0.05
        request.addfinalizer(feed.stop)
        feed.start()
        return feed, watcher

    return follow


def more(folder: recorded.RunFolder, first: int, count: int) -> None:
    recorder = recorded.Recorder(folder, 2e9, seq=first)
    for step in range(count):
        recorder.write(Iteration(iteration=first + step, epoch=30, loss=0.5))
    recorder.flush()


def test_news_are_handed_out_and_nothing_where_there_are_none(tmp_path: Path, watched) -> None:
    folder = recorded.live(tmp_path)
    feed, watcher = watched(folder)
    first = watcher.wait(lambda s: s.view.iteration == 193)
    assert (first.state, first.over, first.read_share) == ("running", False, 1.0)
    more(folder, 1000, 3)
    feed.nudge()
    assert watcher.wait(lambda s: s.view.iteration == 1002).view.steps["iteration"][-3:].tolist() == [1000, 1001, 1002]
    count = len(watcher.snapshots)
    time.sleep(0.6)
    assert len(watcher.snapshots) == count
    feed.stop()
    assert not any(thread.name == f"feed {folder.id}" for thread in threading.enumerate())


def test_a_run_that_was_deleted_is_said_and_stays_readable(tmp_path: Path, watched) -> None:
    folder = recorded.live(tmp_path)
    feed, watcher = watched(folder)
    first = watcher.wait(lambda s: s.view.iteration == 193)
    folder.root.rename(tmp_path / "away")
    feed.nudge()
    gone = watcher.wait(lambda s: s.problem == feed_module.GONE)
    assert (gone.view, gone.status) == (first.view, first.status)
    (tmp_path / "away").rename(folder.root)  # a disk that comes back
    feed.nudge()
    watcher.wait(lambda s: not s.problem and s.view.iteration == 193)


def test_a_stream_that_was_cut_is_folded_again(tmp_path: Path, watched) -> None:
    folder = recorded.live(tmp_path)
    feed, watcher = watched(folder)
    watcher.wait(lambda s: s.view.iteration == 193)
    lines = folder.events.read_bytes().splitlines(keepends=True)
    folder.events.write_bytes(b"".join(lines[: len(lines) // 2]))
    more(folder, 150, 1)
    feed.nudge()
    view = watcher.wait(lambda s: s.view.iteration == 150).view
    assert len(view.steps) < 120


def test_a_big_stream_is_shown_by_samples_first_and_then_whole(
    tmp_path: Path, watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "BIG_BYTES", 1 << 20)
    folder = recorded.huge(tmp_path, iterations=30_000, per_epoch=500)
    _, watcher = watched(folder)
    whole = watcher.wait(lambda s: s.read_share == 1.0, 30.0)
    first = watcher.snapshots[0]
    assert first.read_share == 0.0
    assert first.view.started is not None
    assert first.view.iteration == whole.view.iteration == 30_000
    assert 1000 < len(first.view.steps) < len(whole.view.steps) == 30_000
    assert bool(np.all(np.diff(first.view.steps["iteration"]) > 0))


def test_damage_is_counted_and_skipped(tmp_path: Path, watched) -> None:
    _, watcher = watched(recorded.torn(tmp_path))
    snapshot = watcher.wait(lambda s: s.view.epoch == 6)
    assert snapshot.skipped == 2


def test_a_run_without_a_stream_waits_for_it(tmp_path: Path, watched) -> None:
    folder = recorded.starting(tmp_path)
    feed, watcher = watched(folder)
    assert watcher.wait(lambda s: s.state == "starting").view == EMPTY
    more(folder, 1, 2)
    feed.nudge()
    watcher.wait(lambda s: s.view.iteration == 2)


def test_ghosts_are_finished_runs_of_the_recipe_the_best_first_then_those_of_others(tmp_path: Path) -> None:
    now = recorded.live(tmp_path)
    better = recorded.Plan(level=0.9, done=75, extra_steps=0, seed=4)
    good = recorded.Plan(level=0.8, done=75, extra_steps=0, seed=5)
    other = recorded.Plan(name="seg_best_2", level=0.95, done=75, extra_steps=0)
    second = recorded.finish(recorded.record(tmp_path, good, age_s=9000), good)
    first = recorded.finish(recorded.record(tmp_path, better, age_s=90000), better)
    third = recorded.finish(recorded.record(tmp_path, other, age_s=900), other)
    recorded.failed(tmp_path)
    recorded.live_classes(tmp_path)
    found = candidates(tmp_path, now, "seg_best", task="segmentation", up=True)
    assert [folder.id for _, folder in found] == [first.id, second.id, third.id]
    assert [name for name, _ in found] == ["seg_best", "seg_best", "seg_best_2"]
    assert view_of(first, 1 << 20).ended is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not an archive", "cannot be read"),
        ({"image": np.zeros((2, 4, 4), np.float32)}, "another layout"),
        ({"image": np.zeros((2, 4, 4), np.uint8), "truth": np.zeros((2, 5, 4), np.uint8)}, "another shape"),
        ({"other": np.zeros(3)}, "cannot be read"),
        ({"image": np.array([object()], dtype=object)}, "cannot be read"),
        (None, "no longer there"),
    ],
)
def test_a_preview_that_cannot_be_shown_says_why(tmp_path: Path, content: object, reason: str) -> None:
    folder = recorded.starting(tmp_path)
    path = folder.previews / "e00001_0.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    found = read_preview(folder, Preview(path="previews/e00001_0.npz", epoch=1, case="a"), ())
    assert isinstance(found, str)
    assert reason in found


def test_a_preview_outside_of_the_run_folder_is_not_read(tmp_path: Path) -> None:
    folder = recorded.starting(tmp_path)
    np.savez(tmp_path / "secret.npz", image=np.zeros((1, 2, 2), np.uint8))
    found = read_preview(folder, Preview(path="../secret.npz", epoch=1, case="a"), ())
    assert isinstance(found, str)
    assert "outside" in found
