"""Requirement expressions: what each means (OpenNebula ``expr_bool.y``), and that no text breaks the reader."""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template
from hybrid_drivers.oned.globbing import matches
from hybrid_drivers.oned.requirements import MAX_DEPTH, MAX_LENGTH, HostFacts, facts, joined, parse

HOST = HostFacts(
    values={
        "ID": ["7"],
        "NAME": ["edge-1.example"],
        "CLUSTER_ID": ["100"],
        "HYPERVISOR": ["kvm"],
        "LOAD": ["1.5"],
        "GPU": ["a40", "l40s"],
        "RACK": ["3", "12"],
        "MODEL": ["12th gen"],
        "EMPTY": [""],
        "PROVISION/PLAN": ["c3.small.x86"],
    },
    vm_ids=frozenset({5, 6}),
)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("", True),
        (" \n\t ", True),
        ("CLUSTER_ID = 100", True),
        ("CLUSTER_ID=101", False),
        ("CLUSTER_ID != 101", True),
        ("(CLUSTER_ID = 0 | CLUSTER_ID = 100) & !(PUBLIC_CLOUD = YES) & !(PIN_POLICY = PINNED)", True),
        ("HYPERVISOR = KVM", False),
        ('HYPERVISOR = "k*"', True),
        ('HYPERVISOR != "vm*"', True),
        ('NAME = "edge-[0-9].*"', True),
        ('"NAME" = "edge-1.example"', True),
        ("NAME = edge", False),
        ("LOAD > 1", False),  # a number without a point compares the whole part
        ("LOAD > 1.2", True),
        ("LOAD < 1.5", False),
        ("LOAD = 1.5", True),
        ("ID < 8", True),
        ("ID > -1", True),
        ("MODEL = 12", True),
        ("HYPERVISOR = 0", False),
        ("HYPERVISOR != 0", False),
        ("RACK @> 12", True),
        ("RACK = 12", False),
        ("RACK@>13", False),
        ("RACK @> 12.0", True),
        ('GPU @> "l4*"', True),
        ("GPU @> h100", False),
        ("UNKNOWN = 1", False),
        ("UNKNOWN != 1", False),
        ('UNKNOWN != "x"', False),
        ("!(UNKNOWN = 1)", True),
        ("UNKNOWN @> 1", False),
        ('NAME = ""', False),
        ('NAME != ""', False),
        ('EMPTY = "*"', True),
        ("CURRENT_VMS = 5", True),
        ("CURRENT_VMS != 5", False),
        ("CURRENT_VMS != 9", True),
        ("!(CURRENT_VMS = 9)", True),
        ("CURRENT_VMS > 1", False),
        ('"PROVISION/PLAN" = "c3*"', True),
        ('"/HOST/TEMPLATE/PROVISION/PLAN" = "c3*"', True),
        ('"/HOST/CLUSTER_ID" = 100', True),
        # One precedence, from the left: (1 | 0) & 0, (0 & 0) | 1; and ! holds for the next operand only.
        ("ID = 7 | ID = 7 & ID = 0", False),
        ("ID = 0 & ID = 0 | ID = 7", True),
        ("! ID = 0 & ID = 0", False),
        ("!!ID = 7", True),
        ("ID ! = 8 & RACK @ > 3", True),  # operators are tokens of their own
        ("ID = 7;", True),  # what is no token is passed over
    ],
)
def test_what_an_expression_means(text: str, met: bool) -> None:
    assert parse(text).met_by(HOST) is met


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("ID", "'=', '!=', '<', '>' or '@>' at character 3"),
        ("ID =", "a number or a text at character 5"),
        ("= 7", "an attribute at character 1"),
        ("7 = ID", "an attribute at character 1"),
        ('"" = 7', "an attribute at character 1"),
        ("NAME > abc", "a number at character 8"),
        ("(ID = 7", "')' at character 8"),
        ("ID = 7)", "'&', '|' or the end at character 7"),
        ("ID = 7 ID = 8", "'&', '|' or the end at character 8"),
        ("ID = 7 &", "an attribute at character 9"),
        ("NAME = edge-1", "'&', '|' or the end at character 12"),
        ("NAME = edge*", "'&', '|' or the end at character 12"),
        ("NAME ! x", "'=' at character 8"),
        ("ID @ 7", "'>' at character 6"),
    ],
)
def test_a_wrong_expression_says_where(text: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).endswith(f"expected {where}")


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(ConfigError, match="longer than"):
        parse("A" * (MAX_LENGTH + 1))
    for opening in ("(", "!", "!("):
        with pytest.raises(ConfigError, match="no more than"):
            parse(opening * (MAX_DEPTH + 1) + "ID = 7")
    chain = " & ".join(["ID = 7"] * 7000)
    assert parse(chain).met_by(HOST)


@given(st.text(alphabet='ABid_ 0123.-"=!<>@&|()*\n;', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        parse(text).met_by(HOST)


def test_requirements_are_joined_as_oned_does() -> None:
    assert joined("A = 1", "B = 2 | C = 3") == "A = 1 & ( B = 2 | C = 3 )"
    assert (joined("", "B = 2"), joined("A = 1", ""), joined("", "")) == ("B = 2", "A = 1", "")


def test_facts_are_the_hosts_own_then_those_of_its_cluster() -> None:
    own = Template([("GPU", "a40"), ("GPU", "l40s"), ("PROVISION", {"PLAN": "m3"}), ("CLUSTER_ID", "1")])
    made = facts(own, Template([("GPU", "none"), ("SITE", "ams")]), CLUSTER_ID=100, HYPERVISOR="kvm")
    assert (made.of("CLUSTER_ID"), made.of("GPU")) == (["100", "1"], ["a40", "l40s", "none"])
    assert parse('SITE = ams & HYPERVISOR = kvm & "PROVISION/PLAN" = m3').met_by(made)


SETS = r"\[(ab|!a|a-c|\]a|\[:digit:\]x|\^b)\]"
LIBC = ctypes.CDLL(None)
PIECES = st.sampled_from(
    ["*", "?", "a", "b", "-", ".", "/", "[ab]", "[!a]", "[a-c]", "[]a]", "[", "]", "\\*", "[[:digit:]x]", "1", "[^b]"]
)


@given(st.lists(PIECES, max_size=8).map("".join), st.text(alphabet="abc1-./*[]\\", max_size=8))
@example("*a*a*a*a*b", "a" * 8)
@example("\\", "\\")
def test_patterns_match_as_the_c_library_has_it(pattern: str, text: str) -> None:
    assume("[" not in re.sub(SETS, "", pattern) and not pattern.endswith("\\"))  # C libraries differ on unfinished ones
    assert matches(pattern, text) == (LIBC.fnmatch(pattern.encode(), text.encode(), 0) == 0)
