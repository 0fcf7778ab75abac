"""Names of files made of names from elsewhere: safe, and no two alike."""

from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from engine.runfolder import example_file, file_name

ANY = st.text(min_size=0, max_size=200)


@given(ANY)
def test_a_name_is_one_plain_part_of_a_path(name: str) -> None:
    made = file_name(name)
    assert made
    assert not made.startswith(".")
    assert len(made) <= 129
    assert all(char.isalnum() or char in "._-" for char in made)


@given(ANY, ANY)
def test_different_names_have_different_files(first: str, second: str) -> None:
    assert (file_name(first) == file_name(second)) == (first == second)


def test_plain_names_stay() -> None:
    assert file_name("ISIC_0027793") == "ISIC_0027793"
    assert file_name("a b") != file_name("a_b") == "a_b"
    assert file_name("x" * 200) != file_name("x" * 201)


def test_examples_of_a_result_are_not_those_of_another_one() -> None:
    assert example_file("test", "case_07") == "test_case_07.npz"
    assert fnmatch.fnmatch(example_file("test", "07"), example_file("test", "*"))
    assert not fnmatch.fnmatch(example_file("test_ext", "07"), example_file("test", "*"))
