"""Filters of runs: what a line means, what it lets through, and the one line that says what is wrong with it."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from tui.state.run_filter import EXAMPLE, RunFilter, parse_filter

RUN = {
    "state": ("failed",),
    "health": ("warning", "overfitting"),
    "task": ("segmentation",),
    "name": "Best of all",
    "age": 3 * 3600.0,
    "best": 0.9,
    "metric dice": 0.85,
    "metric loss": 0.3,
    "optimizer.lr": 5e-4,
    "loss.name": "dice_ce",
    "model.name": "unet3d",
    "train.batch_size": 4.0,
    "data.size": ("96", "80"),
    "train.ema": 0.0,
}
TEXT = "failed best of all segmentation dice 20260101-000000-seg"


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        ("", True),
        (EXAMPLE, True),
        ("lr<1e-3 dice>0.8", True),
        ("lr < 1e-4", False),
        ("optimizer.lr>=5e-4", True),
        ("LR=0.0005", True),
        ("dice>0.85", False),
        ("dice>=0.85", True),
        ("hd95<5", False),  # was not measured: neither less
        ("hd95>5", False),  # nor more
        ("hd95!=5", False),
        ("state:failed,lost", True),
        ("state=running", False),
        ("state!=running", True),
        ("health:overfitting", True),
        ("health:warning", True),
        ("health:ok", False),
        ('name:"best of"', True),
        ("name=best", False),
        ('"of all" seg', True),
        ("BEST 20260101", True),
        ("20260101 classification", False),
        ("age<1d", True),
        ("age<2h", False),
        ("loss<0.5", True),
        ("loss:dice", True),
        ("loss=dice", False),
        ("model:unet batch_size=4", True),
        ("size:96", True),
        ("ema=0", True),
    ],
)
def test_what_passes(line, passes):
    assert parse_filter(line).passes(TEXT, RUN) is passes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lrr<1e-3", '"lrr" is no value of a run; did you mean "lr"?'),
        ("dise>0.8", '"dise" is no value of a run; did you mean "dice"?'),
        ("dize>0.8", '"dize" is no value of a run; did you mean "dice"?'),
        ("optimiser.lr<1", '"optimiser.lr" is no value of a run; did you mean "optimizer.lr"?'),
        ("qqqqqq:3", '"qqqqqq" is no value of a run'),
        ("state:fialed", '"fialed" is no state; did you mean "failed"?'),
        ("health:bad", '"bad" is no health: health:warning'),
        ("state<3", "state has no order: state:failed"),
        ("dice>", "dice> needs a value: dice>0.5"),
        ("dice>much", 'dice>much: "much" is no number: dice>0.5'),
        ("dice:nan", 'dice:nan: "nan" is no number: dice>0.5'),
        ("age<2", 'age<2: "2" is no time: age<2d'),
    ],
)
def test_what_is_wrong_is_one_line(line, said):
    with pytest.raises(UsageError) as caught:
        parse_filter(f"words {line}")
    assert str(caught.value) == said


@given(st.text(max_size=60) | st.from_regex(r"(lr|dice|state|age|name|size)(<|<=|>|>=|=|!=|:)[^ ]{0,9}"))
def test_any_line_is_a_filter_or_one_short_line(line):
    try:
        found = parse_filter(line)
    except UsageError as error:
        assert len(str(error)) < 160
        assert "\n" not in str(error)
    else:
        assert isinstance(found.passes(TEXT, RUN), bool)
        assert isinstance(found.passes("", {}), bool)
        assert found.passes("", {}) == (not found.terms and not any(found.words))


@given(
    st.sampled_from(["<", "<=", ">", ">="]),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(-1e6, 1e6, allow_nan=False),
)
def test_numbers_compare_as_python_does(sign, wanted, value):
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]
    assert parse_filter(f"dice{sign}{wanted!r}").passes("", {"metric dice": value}) is compare(value, wanted)


def test_files_are_read_for_their_values_only():
    assert not parse_filter("seg state:failed best>0.5 age<2d").reads
    assert parse_filter("lr<1").reads
    assert parse_filter("dice>0.5").reads
    assert RunFilter().empty
