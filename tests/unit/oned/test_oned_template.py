"""What is written for oned is what oned reads back; what it would read otherwise is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template, Value, quote
from hybrid_drivers.oned.template import carriable, readable, render
from hybrid_drivers.sandbox.frontend.template import parse

TRICKY = st.text(alphabet='ab"\\\n\t =[],#<>]&\u00e9\u4e16', max_size=12)
FIT = st.one_of(TRICKY, st.text(max_size=20)).map(readable)
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
VECTORS = st.dictionaries(NAMES, FIT, min_size=0, max_size=4)
PAIRS: st.SearchStrategy[list[tuple[str, Value]]] = st.lists(st.tuples(NAMES, st.one_of(FIT, VECTORS)), max_size=5)


@given(PAIRS)
def test_oneds_reader_reads_back_what_was_written(pairs: list[tuple[str, Value]]) -> None:
    template = Template(pairs)
    assert parse(render(template, "it")) == template


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", '""'),
        ("plain", '"plain"'),
        ('say "hi"', r'"say \"hi\""'),
        (r"C:\temp\new", r'"C:\temp\new"'),
        (r'{"a": "x\"y\n"}', r'"{\"a\": \"x\\"y\n\"}"'),
    ],
)
def test_only_quotes_are_escaped(value: str, written: str) -> None:
    assert quote(value) == written
    assert parse(render(Template([("A", value), ("B", "next")]), "it")).text("A") == value


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("PROVISION_ERROR", "a\x00b")], "PROVISION_ERROR of host 7 holds the character U+0000 at position 1"),
        ([("A", "\x1b[31m")], "A of host 7 holds the character U+001B"),
        ([("A", "line\r\n")], "A of host 7 holds the character U+000D"),
        ([("A", "\ud800")], "A of host 7 holds the character U+D800"),
        ([("A", "\uffff")], "A of host 7 holds the character U+FFFF"),
        ([("PROVISION", {"TOKEN": "s3cret\x07"})], "PROVISION/TOKEN of host 7 holds the character U+0007"),
        ([("A", "x]]>y")], "A of host 7 holds ']]>'"),
        ([("A", "C:\\")], "A of host 7 ends with a backslash"),
        ([("A", {"B": "C:\\"})], "A/B of host 7 ends with a backslash"),
        ([("A B", "x")], "an attribute's name has only"),
        ([("1A", "x")], "an attribute's name has only"),
        ([("", "x")], "an attribute's name has only"),
        ([("A", {"B=": "x"})], "an attribute's name has only"),
        ([("A\nB", {})], "an attribute's name has only"),
    ],
)
def test_what_oned_would_read_otherwise_is_refused(pairs: list[tuple[str, Value]], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        render(Template(pairs), "host 7")
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_backslash_at_the_end_would_have_swallowed_the_next_attribute() -> None:
    """The reason for the refusal, shown on the reader that does as oned does."""
    with pytest.raises(ValueError, match="syntax error"):
        parse(Template([("A", "x\\"), ("B", "y")]).render())


@given(st.text())
def test_readable_text_is_always_carried(text: str) -> None:
    assert render(Template([("PROVISION_ERROR", readable(text))]), "it")


def test_readable_keeps_what_it_can() -> None:
    assert readable("a\r\nb\x1b[0mc \u4e16\\") == "a\nb [0mc \u4e16\\ "
    assert readable("as it is: 'x' \"y\"") == "as it is: 'x' \"y\""
    assert carriable("tab\tand\nline", "it") == "tab\tand\nline"
