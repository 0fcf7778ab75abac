"""Events survive the way through their line, whatever they hold."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import events as ev
from engine.events import number
from engine.runfolder.lines import decode, encode, sequence_number

KINDS = [
    kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev.Event) and kind is not ev.Event
]
floats = st.floats(allow_nan=True, allow_infinity=True)
texts = st.text(st.characters(exclude_categories=[]), max_size=20)  # lone surrogates too: names of old files
metrics = st.dictionaries(texts, floats | st.none(), max_size=4)


def same(written: object, read: object) -> bool:
    """Whether a value came back: non-finite floats as names, integers and texts as they were."""
    if isinstance(written, float) and not math.isfinite(written):
        return read == str(written)
    if isinstance(written, str):
        return read == written.encode("utf-8", "backslashreplace").decode()
    if isinstance(written, dict):
        return len(written) == len(read) and all(same(value, read[clean(key)]) for key, value in written.items())
    return written == read


def clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@given(loss=floats | st.none(), lr=floats, grad=floats | st.none(), iteration=st.integers(0, 2**53))
@example(loss=math.nan, lr=math.inf, grad=-math.inf, iteration=1)
def test_an_iteration_comes_back(loss, lr, grad, iteration):
    line = encode(ev.Iteration(seq=3, time_s=1.5, iteration=iteration, epoch=2, loss=loss, lr=lr, grad_norm=grad))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    event = decode(line)
    assert isinstance(event, ev.Iteration)
    assert (event.seq, event.time_s, event.iteration, event.epoch) == (3, 1.5, iteration, 2)
    assert same(loss, event.loss)
    assert same(grad, event.grad_norm)
    assert event.lr == (lr if math.isfinite(lr) else 0.0)  # a plain float has no name for it


@given(metrics=metrics, case=texts, text=texts)
@example(metrics={"dice": math.nan, "hd95": math.inf, "asd": None}, case="a\udcff", text="line\nbreak\x1b[2J\u2028")
def test_metrics_cases_and_texts_come_back(metrics, case, text):
    if len({clean(key) for key in metrics}) != len(metrics):
        return
    event = decode(encode(ev.Validation(epoch=1, iteration=2, metrics=metrics, cases=[{"id": case, "loss": math.inf}])))
    assert isinstance(event, ev.Validation)
    assert same(metrics, event.metrics)
    assert event.cases == [{"id": clean(case), "loss": "inf"}]
    log = decode(encode(ev.Log(message=text)))
    assert isinstance(log, ev.Log)
    assert same(text, log.message)


def test_numbers_of_numpy_are_numbers():
    event = decode(
        encode(
            ev.Validation(
                epoch=np.int64(3),
                iteration=np.int32(4),
                metrics={"dice": np.float32(0.5), "hd95": np.float64("nan")},
                cases=[{"id": "x", "dice": np.float64(0.25)}],
                best=np.bool_(True),
            )
        )
    )
    assert event == ev.Validation(
        epoch=3, iteration=4, metrics={"dice": 0.5, "hd95": "nan"}, cases=[{"id": "x", "dice": 0.25}], best=True
    )


def test_what_no_event_can_hold_is_a_fault_of_ours():
    with pytest.raises(TypeError, match="cannot hold a object"):
        encode(ev.Validation(epoch=1, iteration=1, cases=[{"id": object()}]))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_comes_back_and_has_a_docstring(kind):
    values = {str: "x", int: 1, float: 0.5, bool: True}
    needed = {part.name: values.get(part.type, 1.0) for part in msgspec.structs.fields(kind) if part.required}
    event = kind(seq=7, time_s=2.0, **needed)
    assert decode(encode(event)) == event
    assert kind.__doc__


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"null", b"[1]", b"\xff\xfe", b'{"kind":"unheard_of","seq":1}', b'{"kind":"note","text":"\xff"}',
     b'{"kind":"note","text":"\\ud800"}', b'{"kind":"note"}', b'{"kind":"iteration","iteration":1,"epoch":1,"loss":[]}',
     b'{"kind":"validation","epoch":1,"iteration":1,"cases":[{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}"],
)  # fmt: skip
def test_damage_and_unknown_kinds_are_no_event(line):
    assert decode(line) is None


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(line):
    decode(line)
    sequence_number(line)


@given(st.data())
def test_mutated_lines_are_events_or_nothing(data):
    line = bytearray(encode(ev.Validation(epoch=1, iteration=2, metrics={"dice": 0.5}, per_class={"a": {"dice": 1.0}})))
    for _ in range(data.draw(st.integers(1, 5))):
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    event = decode(bytes(line))
    assert event is None or isinstance(event, ev.Event)


def test_fields_of_a_later_version_are_skipped():
    event = decode(b'{"kind":"note","seq":5,"time_s":1.0,"text":"x","mood":"fine"}')
    assert event == ev.Note(seq=5, time_s=1.0, text="x")
    assert sequence_number(b'{"kind":"of tomorrow","seq":9,"more":{}}') == 9


def test_number_reads_all_that_a_stream_may_hold():
    assert number(0.5) == 0.5
    assert number("-inf") == -math.inf
    assert math.isnan(number("nan"))
    assert math.isnan(number(None))
    assert math.isnan(number("damaged"))
