"""The numbers of a case: every class is there at any width."""

from __future__ import annotations

from engine.runfolder import CaseRow
from tui.widgets.case_panes import CaseNumbers


def test_all_classes_of_a_case_fit_a_narrow_pane() -> None:
    names = [f"organ {n}" for n in range(7)]
    row = CaseRow(
        "07", "test", values={"dice": 0.5}, per_class={name: {"dice": 0.1 * n} for n, name in enumerate(names)}
    )
    for width in (20, 34, 76):
        lines = ["".join(text for text, _ in line) for line in CaseNumbers()._table(row, width, "mm")]
        assert max(map(len, lines)) <= width
        assert all(sum(name in line for line in lines) == 1 for name in names)
        assert sum(line.count("0.") for line in lines) == 8


def test_long_names_of_metrics_leave_the_values_whole() -> None:
    row = CaseRow("07", "test", values={"lesion_false_positives": 0.125, "dice": 0.885})
    lines = ["".join(text for text, _ in line) for line in CaseNumbers()._table(row, 28, "")]
    assert [line.split()[-1] for line in lines if line] == ["0.125", "0.885"]


def test_a_region_is_told_from_a_class() -> None:
    row = CaseRow("07", "test", values={"dice": 0.5}, per_class={name: {"dice": 0.5} for name in ("core", "whole")})
    lines = ["".join(text for text, _ in line) for line in CaseNumbers()._table(row, 60, "mm", ["whole"])]
    assert lines[1].split() == ["case", "core", "∪", "whole"]
