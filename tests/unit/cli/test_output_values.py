"""Values made safe for a terminal, measured, cut; and written as JSON, YAML and XML that readers understand."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hybrid_drivers.cli.output import documents
from hybrid_drivers.cli.output.printable import UNSAFE, cell, fit, printable, width
from hybrid_drivers.model import HostState, Template
from hybrid_drivers.secret import Secret

NASTY = "a\x1b[2J\x9b31m\u202eb\x00\x7f\u2028c\n\td"
ANY = st.text(st.characters(exclude_categories=()))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("edge1 é 日本 👍", "edge1 é 日本 👍"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b2J", "\\x9b2J"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80", "\\udc80"),
    ],
)
def test_what_would_move_the_cursor_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANY)
def test_nothing_unsafe_is_left(text: str) -> None:
    shown = printable(text)
    assert not UNSAFE.search(shown)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        ({}, "-"),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        (HostState.MONITORED, "MONITORED"),
        (["a", 1, None], "a, 1, -"),
        (Secret("hunter22"), "Secret(***)"),
    ],
)
def test_values_as_people_read_them(value: object, shown: str) -> None:
    assert cell(value) == shown


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(1, 12), st.booleans())
def test_a_fitted_text_takes_just_its_places(text: str, places: int, left: bool) -> None:
    fitted = fit(text, places, left=left)
    assert width(fitted) == places
    if width(text) <= places:
        assert fitted.strip(" ") == text.strip(" ")


def test_wide_and_combining_characters_are_counted() -> None:
    assert [width("日本"), width("e\u0301"), width("abc")] == [4, 1, 3]
    assert fit("日本語", 4, left=True) == "日… "
    assert fit("7", 3, left=False) == "  7"


@dataclass(frozen=True)
class Row:
    name: str
    state: HostState
    template: Template
    token: Secret
    tags: tuple[str, ...] = ()
    body: str = field(default="never shown", repr=False)


ROW = Row(
    "edge1",
    HostState.ERROR,
    Template([("A", "1"), ("NIC", {"IP": "x"}), ("NIC", {"IP": "y"})]),
    Secret("hunter22"),
    ("<a>", "b & c"),
)
PLAIN = {
    "NAME": "edge1",
    "STATE": "ERROR",
    "TEMPLATE": {"A": "1", "NIC": [{"IP": "x"}, {"IP": "y"}]},
    "TOKEN": "***",
    "TAGS": ["<a>", "b & c"],
}


def test_a_dataclass_without_what_must_not_be_shown() -> None:
    assert documents.plain(ROW) == PLAIN
    assert json.loads(documents.to_json({"HOST": ROW})) == {"HOST": PLAIN}
    assert yaml.safe_load(documents.to_yaml({"HOST": ROW})) == {"HOST": PLAIN}


def test_xml_repeats_lists_and_escapes() -> None:
    root = etree.fromstring(documents.to_xml({"HOST": ROW}))
    assert root.tag == "HOST"
    assert [one.text for one in root.findall("TAGS")] == ["<a>", "b & c"]
    assert [one.text for one in root.findall("TEMPLATE/NIC/IP")] == ["x", "y"]


def test_xml_of_nothing_of_numbers_and_of_keys_that_are_no_names() -> None:
    value: dict[str, object] = {"DOC": {"a b": None, "1st": 2.5, "ok-é": True, "": "x", "E": [], "M": {}}}
    assert documents.to_xml(value) == "\n".join(
        ["<DOC>", "  <a_b/>", "  <_1st>2.5</_1st>", "  <ok-_>true</ok-_>", "  <_>x</_>", "  <M>", "  </M>", "</DOC>"]
    )


def test_numbers_json_lacks_become_text() -> None:
    assert documents.to_json({"A": float("nan"), "B": float("inf")}) == '{\n  "A": "nan",\n  "B": "inf"\n}'


@given(ANY)
def test_any_text_comes_back_and_is_safe_on_the_way(text: str) -> None:
    value = {"D": {"A": text, text: "x"}}
    as_json, as_yaml = documents.to_json(value), documents.to_yaml(value)
    assert json.loads(as_json) == value
    for written in (as_json, as_yaml):
        assert not UNSAFE.search(written.replace("\n", ""))
    if not any(0xD800 <= ord(character) < 0xE000 for character in text):  # no YAML reader takes those
        assert yaml.safe_load(as_yaml) == value


@given(ANY)
def test_any_text_makes_xml_a_parser_takes(text: str) -> None:
    written = documents.to_xml({"D": {"A": text, text: "x"}})
    assert not UNSAFE.search(written.replace("\n", "").replace("\t", ""))
    got = etree.fromstring(written.encode())[0].text or ""
    want = "".join(c if c in "\t\n" or c.isprintable() else "?" for c in text)
    if want == text:
        assert got == text


def test_the_nasty_one_in_all_forms() -> None:
    assert json.loads(documents.to_json({"A": NASTY}))["A"] == NASTY
    assert yaml.safe_load(documents.to_yaml({"A": NASTY}))["A"] == NASTY
    assert etree.fromstring(documents.to_xml({"A": NASTY}).encode()).text == NASTY.replace("\x1b", "\ufffd").replace(
        "\x00", "\ufffd"
    )
