"""Reduction, axes, rasters and charts: against brute force, and on values that should not be."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.readers.columns import Columns
from engine.readers.fold import fold
from engine.readers.run_view import EMPTY, STEP_COLUMNS, TRACK_COLUMNS, RunView
from tui.ascii import to_ascii
from tui.plotting.axes import round_up, step_axis, time_axis, value_axis
from tui.plotting.cells import fit
from tui.plotting.chart import ChartOptions, draw_chart
from tui.plotting.charts import Chart, Curve, Steps, charts_of, steps_of, with_ghost
from tui.plotting.plotted import Window
from tui.plotting.raster import Raster
from tui.plotting.reduce import LARGEST, average, reduce, search
from tui.text import one_line
from tui.theme import DARK, LIGHT

ANY = st.floats(allow_nan=True, allow_infinity=True)


def steps(loss: np.ndarray) -> Columns:
    rows = {name: np.zeros(len(loss)) for name in STEP_COLUMNS}
    return Columns(STEP_COLUMNS).append({**rows, "iteration": np.arange(1, len(loss) + 1), "loss": loss})


def track(values: list[float]) -> Columns:
    at = np.arange(1, len(values) + 1)
    return Columns(TRACK_COLUMNS).append({"iteration": at * 10, "epoch": at, "time_s": at * 5.0, "value": values})


# --- reduction ---------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=300), st.lists(st.integers(0, 300), min_size=2, max_size=12))
def test_reduction_is_the_range_of_the_finite_values(values: list[float], cuts: list[int]) -> None:
    table = steps(np.array(values))
    at = np.array(sorted(min(cut, len(values)) for cut in cuts))
    found = reduce(table, "loss", at)
    for column, (begin, end) in enumerate(itertools.pairwise(at)):
        part = np.array(values[begin:end])
        finite = part[np.abs(part) <= LARGEST]
        assert found.count[column] == len(finite)
        assert found.nans[column] == np.isnan(part).any()
        assert found.pos_inf[column] == (part > LARGEST).any()
        assert found.neg_inf[column] == (part < -LARGEST).any()
        if len(finite):
            assert (found.least[column], found.most[column]) == (finite.min(), finite.max())
        else:
            assert math.isnan(found.least[column])


def test_long_series_are_read_through_blocks_that_follow_growth() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=300_000)
    values[1234], values[77_777] = np.nan, np.inf
    table = steps(values[:200_000])
    reduce(table, "loss", np.linspace(0, len(table), 51).astype(np.intp))
    grown = table.append({**{n: np.zeros(100_000) for n in STEP_COLUMNS}, "iteration": np.arange(200_001, 300_001),
                          "loss": values[200_000:]})  # fmt: skip
    at = np.linspace(0, 300_000, 51).astype(np.intp)
    found = reduce(grown, "loss", at)
    assert found.count.sum() == 299_998
    assert found.nans.sum() == found.pos_inf.sum() == 1
    brute = np.array(
        [np.nanmean(np.where(np.isfinite(values[a:b]), values[a:b], np.nan)) for a, b in itertools.pairwise(at)]
    )
    assert found.mean == pytest.approx(brute, abs=0.01)
    older = reduce(table, "loss", np.linspace(0, 200_000, 51).astype(np.intp))
    assert older.count.sum() == 199_998


def test_the_average_is_that_of_tensorboard() -> None:
    """Debiased exponential moving average, written as TensorBoard documents it."""
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    weight = 0.6
    last = bias = 0.0
    expected = []
    for value in values:
        last, bias = last * weight + (1 - weight) * value, bias * weight + (1 - weight)
        expected.append(last / bias)
    half_life = math.log(0.5) / math.log(weight)
    assert average(np.arange(5.0), values, np.ones(5), half_life) == pytest.approx(expected)
    assert average(np.arange(5.0), values, np.ones(5), 0.0) is values


def test_search_takes_edges_between_whole_numbers() -> None:
    table = steps(np.zeros(10))
    assert search(table, "iteration", np.array([0.0, 1.0, 1.5, 10.0, 10.1, 1e300])).tolist() == [0, 0, 1, 9, 10, 10]


# --- axes --------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), st.integers(2, 60), st.booleans())
def test_axes_hold_their_values_and_name_different_places_differently(a: float, b: float, rows: int, log: bool) -> None:
    low, high = sorted((abs(a), abs(b)) if log else (a, b))
    axis = value_axis(low, high, rows, log=log)
    assert axis.low < axis.high
    bottom, top = (math.log10(max(v, 1e-12)) for v in (low, high)) if log else (low, high)
    slack = (axis.high - axis.low) * 1e-6
    assert axis.low <= bottom + slack
    assert axis.high >= top - slack
    assert len(axis.ticks) <= rows + 4


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [(0.0, 1.0, ["0", "0.5", "1.0"]), (0.12, 0.31, ["0.1", "0.2", "0.3"]), (0.0, 30.0, ["0", "10", "20", "30"])],
)
def test_ticks_are_round_numbers(low: float, high: float, labels: list[str]) -> None:
    shown = [text for _, text in value_axis(low, high, 9).ticks]
    assert set(labels) <= set(shown)


def test_small_and_big_ticks_can_be_told_apart() -> None:
    small = [text for _, text in value_axis(0.001, 0.0011, 12).ticks]
    assert small == ["1.000e-3", "1.025e-3", "1.050e-3", "1.075e-3", "1.100e-3"]
    assert [text for _, text in value_axis(0, 4e29, 12).ticks] == ["0", "1e29", "2e29", "3e29", "4e29"]


def test_counts_and_times_read_well() -> None:
    assert [text for _, text in step_axis(0, 1_000_000, 60).ticks][:3] == ["0", "200k", "400k"]
    assert [text for _, text in step_axis(0, 3, 100).ticks] == ["0", "1", "2", "3"]
    assert [text for _, text in time_axis(0, 7200, 60).ticks] == ["0", "30min", "1h", "1.5h", "2h"]
    assert (round_up(0), round_up(193), round_up(1000), round_up(1001)) == (1.0, 200.0, 1000.0, 1250.0)


# --- text --------------------------------------------------------------------------------------------


@given(st.text(max_size=30), st.integers(0, 40))
def test_text_from_files_is_cut_to_cells_and_made_harmless(text: str, width: int) -> None:
    from rich.cells import cell_len

    safe = one_line(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200f" for c in safe)
    assert cell_len(fit(safe, width)) == width
    assert to_ascii(safe).isascii()


# --- raster ------------------------------------------------------------------------------------------


def test_a_diagonal_runs_from_corner_to_corner_without_a_gap() -> None:
    raster = Raster(4, 4)
    raster.line(np.array([0.0, 4.0]), np.array([0.0, 4.0]), "#ffffff")
    rows = ["".join(text for text, _ in line) for line in raster.lines()]
    assert all(row[3 - i] != " " for i, row in enumerate(rows))
    assert rows[0][:2] == "  "


def test_a_nan_leaves_a_gap_and_values_outside_are_clipped() -> None:
    raster = Raster(6, 2)
    raster.line(np.array([0.5, 1.5, 2.5, 3.5, 4.5]), np.array([1.0, 1.0, np.nan, 1e9, -1e9]), "#ffffff")
    assert raster.chars[:, 2].tolist() == [" ", " "]
    assert (raster.chars[:, 1] != " ").any()
    assert (raster.chars[:, 3] != " ").any()


# --- charts ------------------------------------------------------------------------------------------


def manner(end: float = 100.0, **more: object) -> ChartOptions:
    window = {"window": Window(0.0, end, end), "axis": step_axis(0, end, 50)}
    base = {"smoothing": 0.01, "log": False, "cursor": None}
    return ChartOptions(Steps("iteration", 10, (0.0,), (0.0,)), **{**window, **base, **more})  # type: ignore[arg-type]


def loss_chart(loss: np.ndarray) -> Chart:
    return Chart("loss", (Curve("train", steps(loss), "loss", "ink", "●", dense=True),), up=False)


def picture(chart: Chart, *, width: int = 60, height: int = 12, **more: object) -> list[str]:
    drawn = draw_chart(chart, width, height, manner(**more))  # type: ignore[arg-type]
    lines = ["".join(text for text, _ in line) for line in drawn.lines]
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}
    return lines


@settings(max_examples=80, deadline=None)
@given(
    st.lists(ANY, min_size=0, max_size=250),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(20, 4), (46, 9), (120, 30), (46, 30)]),
    st.one_of(st.none(), st.floats(0, 100)),
)
def test_no_values_can_break_a_chart(
    values: list[float], log: bool, dense: bool, size: tuple[int, int], cursor: float | None
) -> None:
    curve = Curve("train", steps(np.array(values, float)), "loss", "ink", "●", dense=dense)
    lines = picture(
        Chart("loss", (curve,), reason="nothing yet"), width=size[0], height=size[1], log=log, cursor=cursor
    )
    if not (np.abs(np.array(values, float)) <= LARGEST).any():
        assert "nan" not in "".join(lines)


@pytest.mark.parametrize(("seed", "width", "height"), [(6267, 22, 18), (6786, 31, 14), (8293, 25, 16)])
def test_an_axis_whose_labels_and_range_change_one_another_is_drawn(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(20, 400))
    loss = np.exp(rng.normal(0, rng.uniform(0.01, 1.5), count)).cumsum()[::-1] * 10.0 ** rng.integers(-4, 4)
    picture(loss_chart(loss), width=width, height=height, end=float(count))


def test_what_is_not_finite_is_marked_and_counted() -> None:
    values = np.full(100, 0.5)
    values[20], values[40], values[60] = np.nan, np.inf, -np.inf
    lines = picture(Chart("loss", (Curve("train", steps(values), "loss", "ink", "●", dense=True),)))
    assert "✕ 3" in lines[0]
    assert "✕" in lines[-2]
    assert "∞" in lines[1]
    assert "∞" in lines[-2]


def test_one_absurd_value_does_not_flatten_the_others() -> None:
    values = np.linspace(1.0, 0.1, 100)
    values[50] = 1e30
    lines = picture(Chart("loss", (Curve("train", steps(values), "loss", "ink", "●", dense=True),)), smoothing=0.0)
    assert "e+" not in "".join(lines)
    assert "1.0┤" in "".join(lines)


def test_early_values_still_count_where_most_of_a_curve_is_flat() -> None:
    values = np.concatenate([np.linspace(6.0, 1.0, 40), np.ones(400)])
    chart = Chart("grad norm", (Curve("grad norm", steps(values), "loss", "ink", "●", dense=True),))
    assert "6┤" in "".join(picture(chart, end=440.0, smoothing=0.0))


def test_a_log_axis_leaves_out_what_is_not_positive() -> None:
    chart = Chart("loss", (Curve("train", steps(np.array([1.0, 0.0, -1.0, 100.0])), "loss", "ink", "●"),))
    assert "loss log" in picture(chart, log=True, end=4.0)[0]
    nothing = Chart("loss", (Curve("train", steps(np.array([-1.0, 0.0])), "loss", "ink", "●"),))
    assert "no value above 0" in "".join(picture(nothing, log=True))


def test_the_cursor_reads_the_value_at_its_place() -> None:
    curve = Curve("val", track([0.1, 0.2, 0.3, 0.4, 0.5]), "value", "accent", "▲")
    assert "@ iteration 35  val 0.300" in picture(Chart("dice", (curve,)), cursor=35.0)[0]


def test_a_window_between_two_points_shows_the_line_that_joins_them() -> None:
    curve = Curve("val", track([0.1, 0.9]), "value", "accent", "▲")  # at iterations 10 and 20
    lines = picture(Chart("dice", (curve,)), window=Window(12.0, 18.0, 40.0), axis=step_axis(12, 18, 50))
    assert "val 0.100" in lines[0]  # the newest within the window's right edge
    drawn = [line for line in lines[1:-1] if any("\u2800" < char <= "\u28ff" for char in line)]
    assert len(drawn) >= len(lines) // 2


def test_a_line_stands_where_the_run_was_resumed() -> None:
    curve = Curve("val", track([0.1, 0.1, 0.1]), "value", "accent", "▲")
    rows = picture(Chart("dice", (curve,)), end=100.0, resumes=(50.0,))
    assert sum("╎" in row for row in rows) >= len(rows) - 3


def test_the_best_point_of_a_monitored_metric_is_starred() -> None:
    curve = Curve("val", track([0.1, 0.7, 0.3]), "value", "accent", "▲")
    lines = picture(Chart("dice", (curve,), monitored=True), end=30.0)
    assert "best 0.700 @ 2" in lines[0]
    assert "★" in "".join(lines[1:])


def view(values: list[float], loss: float = 1.0) -> RunView:
    from engine.events import Iteration, RunStarted, Validation

    events: list[object] = [
        RunStarted(time_s=0.0, name="a", task="t", monitor="dice", epochs=10, iterations_per_epoch=10)
    ]
    for epoch, value in enumerate(values, start=1):
        events += [
            Iteration(time_s=epoch * 10.0 + i / 10, iteration=epoch * 10 - 9 + i, epoch=epoch, loss=loss)
            for i in range(10)
        ]
        events.append(Validation(time_s=epoch * 10.0 + 5, epoch=epoch, iteration=epoch * 10, metrics={"dice": value}))
    return fold(EMPTY, events)  # type: ignore[arg-type]


def test_a_ghost_says_by_how_much_this_run_differs_at_the_same_step() -> None:
    mine, earlier = view([0.1, 0.2, 0.5]), view([0.3, 0.4, 0.45, 0.9])
    chart = next(c for c in charts_of(mine) if c.name == "dice")
    haunted = with_ghost(chart, earlier, "iteration")
    text = "".join(picture(haunted, end=100.0, ghost="before"))
    assert "◌ before" in text
    assert "+0.050 at iteration 30" in text
    at_cursor = "".join(picture(haunted, end=100.0, ghost="before", cursor=20.0))
    assert "@ iteration 20" in at_cursor
    assert "◌ before −0.200" in at_cursor


def test_the_title_has_the_raw_value_and_marks_the_smoothed_one() -> None:
    loss = np.full(100, 1.0)
    loss[-1] = 397.0
    text = "".join(picture(loss_chart(loss), end=100.0, smoothing=0.04, width=80))
    assert "397 ~" in text
    assert "397 ~397" not in text
    assert "~" not in "".join(picture(loss_chart(loss), end=100.0, width=80, smoothing=0.0))


def test_a_loss_over_decades_is_drawn_on_a_log_axis_unless_that_was_chosen() -> None:
    falling = np.geomspace(2.0, 0.033, 100)
    lines = picture(loss_chart(falling), end=100.0, log=None)
    assert "loss log" in lines[0]
    assert "log" not in picture(loss_chart(falling), end=100.0, log=False)[0]
    assert "log" not in picture(loss_chart(np.linspace(2.0, 1.0, 100)), end=100.0, log=None)[0]
    assert "log" not in picture(loss_chart(np.linspace(1.0, -1.0, 100)), end=100.0, log=None)[0]
    assert "log" not in picture(Chart("dice", (Curve("val", track([0.01, 0.9]), "value", "ink", "o"),)), log=None)[0]


def test_all_of_many_classes_are_named() -> None:
    names = ["melanoma", "nevus", "basal cell", "keratosis", "benign", "fibroma", "vascular"]
    curves = tuple(Curve(name, track([0.1, 0.2]), "value", str(n), "●▲■◆▼★○"[n]) for n, name in enumerate(names))
    for width in (48, 60, 80):
        top = picture(Chart("f1 by class", curves), end=20.0, width=width)[0]
        assert all(mark + name[0] in top for mark, name in zip("●▲■◆▼★○", names, strict=True)), top


def test_best_and_chance_are_levels_and_off_scale_points_are_marked() -> None:
    chart = Chart("auc", (Curve("val", track([0.55, 0.8, 0.7]), "value", "ink", "o"),), monitored=True, chance=0.5)
    lines = picture(chart, end=30.0)
    assert sum("╌" in line[6:] for line in lines[1:]) == 2
    assert "chance 0.500" in lines[0]
    far = Chart("loss", (Curve("val", track([1.0, 1.1, 1e6, 1.2, 1.1, 1.0, 1.3, 1.1]), "value", "ink", "o"),))
    assert any("▴" in line for line in picture(far, end=80.0))


def test_constants_are_known() -> None:
    assert loss_chart(np.full(9, 0.1)).constant
    assert not loss_chart(np.array([0.1, 0.2])).constant
    assert not loss_chart(np.array([0.1])).constant


def test_time_leaves_out_the_gap_between_two_sessions() -> None:
    from engine.events import Iteration, RunStarted

    events = [
        RunStarted(time_s=100.0, name="a", task="t"),
        Iteration(time_s=110.0, iteration=1, epoch=1, loss=1.0),
        RunStarted(time_s=1000.0, name="a", task="t", resumed=True, first_iteration=1),
        Iteration(time_s=1005.0, iteration=2, epoch=1, loss=1.0),
    ]
    axis = steps_of(fold(EMPTY, events), "time")
    assert axis.to_axis(np.array([100.0, 110.0, 1000.0, 1005.0])).tolist() == [0.0, 10.0, 10.0, 15.0]
    assert axis.to_data(np.array([5.0, 12.0])).tolist() == [105.0, 1002.0]


def test_colours_can_be_read_on_their_ground() -> None:
    """Contrast of text on its ground by WCAG 2.1: at least 4.5."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for palette in (DARK, LIGHT):
        back = luminance(palette.ground)
        names = ("ink", "muted", "accent", "truth", "prediction", "warning", "error")
        for color in (*(getattr(palette, name) for name in names), *palette.series):
            front = luminance(color)
            assert (max(front, back) + 0.05) / (min(front, back) + 0.05) >= 4.5, color
