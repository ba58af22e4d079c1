"""The template parser against what oned's own does (facts: template_parser.l, template_syntax.y)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybrid_drivers.model import Template
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse

names = st.from_regex(r"[A-Z][A-Z0-9_]{0,11}", fullmatch=True)
# oned cannot be told a backslash before the closing quote, nor "]]>"; NUL and lone surrogates are no text
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(
    lambda one: "]]>" not in one and not one.endswith("\\")
)
values = st.one_of(texts, st.dictionaries(names, texts, max_size=4))


@given(st.lists(st.tuples(names, values), max_size=6))
@example([("A", 'C:\\dir \\"quoted\\" \\\\ {"json": "line\\n"}'), ("B", "x")])
def test_what_is_rendered_is_read_back(pairs: list[tuple[str, str | dict[str, str]]]) -> None:
    template = Template(pairs)
    assert parse(template.render()) == template


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("# a comment\n\n  \t\n", []),
        ("cpu=1 memory = 64", [("CPU", "1"), ("MEMORY", "64")]),
        ("EMPTY=\nB=2", [("EMPTY", ""), ("B", "2")]),
        ('A="two\nlines"', [("A", "two\nlines")]),
        (r'A="say \"hi\""', [("A", 'say "hi"')]),
        (r'A="C:\dir \\ end"', [("A", r"C:\dir \\ end")]),  # only \" is undone
        ("V=[]", [("V", {})]),
        ('V = [ a = 1,\n  B = "x, y" ]\nW=1', [("V", {"A": "1", "B": "x, y"}), ("W", "1")]),
        ("V=[A=1,A=2]", [("V", {"A": "1"})]),  # the first of equal keys
        ("X=1\nX=2", [("X", "1"), ("X", "2")]),
        ('A="open', [("A", '"open')]),  # no closing quote: an unquoted word
        ('A="x"#no comment\nB=1', [("A", "x"), ("B", "1")]),
        ("<T><A>1</A><V><X><![CDATA[y]]></X></V><E/></T>", [("A", "1"), ("V", {"X": "y"})]),
    ],
)
def test_read_as_oned_reads_it(text: str, pairs: list[tuple[str, str | dict[str, str]]]) -> None:
    assert list(parse(text)) == list(Template(pairs))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "A B",
            "Parse error: syntax error, unexpected VARIABLE, expecting EQUAL or EQUAL_EMPTY at line 1, columns 2:3",
        ),
        ("A=", "unexpected end of file, expecting STRING"),
        ("V=[A=1", "unexpected end of file, expecting COMMA or CBRACKET"),
        ('A="x ]]> y"', "Parse error."),
        ('A="ends with \\"\nB="y"', "unexpected end of file"),  # the quote after the backslash does not close
        ("<T><A>", "Parse error: XML Template malformed."),
        ('<!DOCTYPE t [<!ENTITY e "x">]><T><A>&e;</A></T>', "Parse error: XML Template malformed."),
    ],
)
def test_what_is_no_template_is_refused(text: str, words: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="Parse error") as caught:
        parse(text)
    assert words in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(TemplateSyntaxError):
        parse(text)


def test_a_large_value_is_read_in_no_time() -> None:
    body = "QUJD" * 100_000
    assert parse(f'PROVISION_BODY="{body}"').text("PROVISION_BODY") == body


def test_merging_replaces_whole_vectors_and_xml_is_sorted() -> None:
    attributes = Attributes([("B", "1"), ("V", {"Y": "1", "X": "2"}), ("A", "x")])
    attributes.merge(parse("V=[Z=3] a=7"))
    assert attributes.xml() == (
        "<TEMPLATE><A><![CDATA[7]]></A><B><![CDATA[1]]></B><V><Z><![CDATA[3]]></Z></V></TEMPLATE>"
    )
    assert attributes.number("A") == 7
    assert attributes.number("V") == 0
