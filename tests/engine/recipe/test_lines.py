"""The line of every key, against documents whose lines are known."""

from __future__ import annotations

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from engine.recipe.lines import key_lines

bare = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-", min_size=1, max_size=8)
quoted = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(lambda t: "." not in t)
names = st.one_of(bare, quoted)


def spelt(name: str) -> str:
    """A key as TOML may write it."""
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else json.dumps(name, ensure_ascii=False)


values = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(['"[x]"', "'a = 1'", '"#"', "true", "1979-05-27", "{ y = [1, 2], z = 3 }"]),
    st.sampled_from(['"\\"]"', "1.5 # c = 1", "[\n  1,\n  2,\n]", '[\n[1, 2],\n[ "a = b" ],\n]']),
    st.sampled_from(['"""\n[train]\nepochs = 3\n"""', "'''\n# x\ny = 2'''", '"""a\\\n  b"""""']),
)  # fmt: skip
comments = st.sampled_from(["", "# a = 1\n", "\n\n", "   # [train]\n", "\t\n", "# \u2028 \x85 = 1\n"])
pairs = st.dictionaries(names, st.tuples(comments, values), max_size=5)
documents = st.tuples(pairs, st.dictionaries(names, st.tuples(comments, pairs), max_size=4))


@given(documents)
def test_every_key_has_its_line(document):
    top, tables = document
    tables = {name: table for name, table in tables.items() if name not in top}
    text, expected = "", {}

    def add(pairs, prefix):
        nonlocal text
        for name, (comment, value) in pairs.items():
            text += comment
            expected[f"{prefix}{name}"] = text.count("\n") + 1
            text += f"{spelt(name)} = {value}\n"

    add(top, "")
    for name, (comment, pairs) in tables.items():
        text += comment
        expected[name] = text.count("\n") + 1
        text += f"[{spelt(name)}]  # here\n"
        add(pairs, f"{name}.")
    tomllib.loads(text)  # the document is right by itself
    assert key_lines(text) == expected


def test_dotted_keys_and_what_stands_in_strings():
    text = 'a . "b" . c = 1\n[ x . y ]\nd = """\n[z]\nq = 1\n"""\n[[list]]\ne = 2'
    assert key_lines(text) == {
        "a": 1, "a.b": 1, "a.b.c": 1, "x": 2, "x.y": 2, "x.y.d": 3, "list": 7, "list.e": 8,
    }  # fmt: skip
