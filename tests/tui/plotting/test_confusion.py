"""The confusion matrix as lines."""

from __future__ import annotations

import numpy as np

from tui.plotting.confusion import fits, matrix_lines

COUNTS = [[8, 2, 0], [0, 5, 0], [1, 0, 123]]
NAMES = ["melanoma", "nevus", "basal cell"]


def text(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(part for part, _ in line).rstrip() for line in lines]


def test_counts_support_and_recall_stand_in_their_columns() -> None:
    lines = text(matrix_lines(COUNTS, NAMES, (60, 12), (0, 1)))
    assert lines[0].split() == ["true↓", "pred→", "melanoma", "nevus", "basal", "ce", "n", "recall"]
    assert lines[1].split() == ["melanoma", "8", "[2]", "·", "10", "0.800"]
    assert lines[3].split() == ["basal", "cell", "1", "·", "123", "124", "0.992"]
    assert lines[4].startswith("2 of 10 melanoma predicted as nevus (0.200)")


def test_of_many_classes_those_around_the_cursor_are_shown() -> None:
    many = np.eye(40, dtype=int).tolist()
    names = [f"class {n}" for n in range(40)]
    for cursor in ((0, 0), (39, 39), (20, 3)):
        lines = text(matrix_lines(many, names, (44, 10), cursor))
        assert len(lines) == 10
        assert all(len(line) <= 44 for line in lines)
        assert any(f"class {cursor[0]} " in line for line in lines[1:-1])
        assert f"class {cursor[0]}" in lines[-1]


def test_all_columns_go_before_the_recall_and_the_key_is_whole() -> None:
    names = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    lines = text(matrix_lines((np.eye(7, dtype=int) * 3).tolist(), names, (42, 12), (6, 6)))
    assert lines[0].split()[2:] == [name[:3] for name in names]
    assert lines[-1] == "3 of 3 VASC as VASC  Enter lists them"


def test_what_is_no_matrix_of_the_classes_is_none() -> None:
    assert fits(COUNTS, NAMES)
    assert not any(fits(counts, NAMES) for counts in ([], [[1]], [[1, 2, 3], [1], [2]], COUNTS[:2]))
