"""Numbers as people read them."""

from __future__ import annotations

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.readers import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.75849, "0.758"), (None, "–"), (math.nan, "–"), (-0.0159, "−0.016"), (math.inf, "∞"), (0.88, "0.880")),
        *((11.5764, "11.58"), (-149.07, "−149.1"), (12345.6, "12346"), (-0.0002, "0.000"), (0.0, "0.000")),
    ],
)
def test_three_decimals_but_fewer_of_what_is_large_and_no_negative_zero(value: float | None, text: str) -> None:
    assert numbers.digits(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.88, "0.880"), (12.345, "12.3"), (254.4, "254"), (0.0, "0.00")])
def test_three_significant_digits(value: float, text: str) -> None:
    assert numbers.short(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0123, "+0.012"), (-0.0123, "−0.012"), (0.0001, "0.000"), (0, "0.000")])
def test_a_difference_has_a_sign_where_it_is_one(value: float, text: str) -> None:
    assert numbers.signed(value) == text


def test_an_interval_that_is_not_whole_is_not_shown() -> None:
    assert numbers.interval([0.1, 0.2]) == "0.100 to 0.200"
    assert numbers.interval([0.1, None]) == ""
    assert numbers.interval(None) == ""


@pytest.mark.parametrize(("seconds", "text"), [(12, "12 s"), (250, "4 min 10 s"), (11100, "3 h 05 min"), (None, "–")])
def test_durations(seconds: float | None, text: str) -> None:
    assert numbers.duration(seconds) == text


@given(st.text(max_size=200))
def test_every_name_makes_a_safe_part_of_a_file_name(name: str) -> None:
    part = numbers.file_part(name)
    assert 0 < len(part) <= 80
    assert set(part) <= set(string.ascii_letters + string.digits + "._-")
    assert not part.startswith(".")
