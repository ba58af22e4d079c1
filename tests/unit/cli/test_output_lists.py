"""Listings: which columns and rows, how wide, in which form; for people on a terminal and for pipes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from hybrid_drivers.cli.output import Column, Listing, ListOutput, listing_options
from hybrid_drivers.cli.output import filters as filtering
from hybrid_drivers.cli.output.table import Layout, colour, measure
from hybrid_drivers.cli.output.terminal import Terminal
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.progress import STATES
from hybrid_drivers.provision.record import State


@dataclass(frozen=True)
class Row:
    id: int
    name: str
    state: str
    price: float | None = None


HOSTS: Listing[Row] = Listing(
    pool="HOST_POOL",
    element="HOST",
    columns=(
        Column("ID", "Identifier", 4, lambda row: row.id),
        Column("NAME", "Name of the host", 8, lambda row: row.name, left=True),
        Column("STAT", "State", 7, lambda row: row.state, left=True, state=True),
        Column("PRICE", "Price per hour", 6, lambda row: row.price, default=False),
    ),
)
ROWS = [Row(1, "edge1", "RUNNING", 0.5), Row(10, "edge2-in-amsterdam", "ERROR", 10), Row(9, "", "CONFIGURING")]


class Screen(io.StringIO):
    """Standard output that says what it is."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override] # a stream's encoding is read only
        return self._encoding

    def write(self, text: str, /) -> int:
        text.encode(self._encoding)
        return super().write(text)


@click.command()
@listing_options(HOSTS)
def listed(output: ListOutput[Row]) -> None:
    """List the hosts."""
    output.run(lambda: ROWS)


def run(*words: str) -> list[str]:
    result = CliRunner().invoke(listed, words, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output.splitlines()


def table(layout: Layout, room: int | None, columns: Sequence[str] = (), *, styled: bool = False) -> list[str]:
    screen = Screen()
    output = ListOutput(listing=HOSTS, layout=layout, columns=columns, terminal=Terminal(screen, room, styled))
    output.run(lambda: ROWS)
    return screen.getvalue().splitlines()


def test_into_a_pipe_nothing_is_cut_or_coloured() -> None:
    assert run() == [
        "ID NAME               STAT",
        " 1 edge1              RUNNING",
        "10 edge2-in-amsterdam ERROR",
        " 9 -                  CONFIGURING",
    ]


def test_the_states_of_provisions_and_hosts_have_colours() -> None:
    provisions = [state.name for state in State]
    shown = {word: colour(word) for word in (*provisions, *STATES)}
    assert {word for word, name in shown.items() if name == "good"} == {"RUNNING", "READY"}
    assert {word for word, name in shown.items() if name == "bad"} == {"ERROR"}
    assert {name for word, name in shown.items() if word not in ("RUNNING", "READY", "ERROR")} == {"busy"}


def test_chosen_columns_come_in_the_order_asked_for() -> None:
    assert run("-l", "price,id", "--list", "stat")[:2] == ["PRICE ID STAT", "  0.5  1 RUNNING"]
    assert run("--no-header", "-l", "ID") == [" 1", "10", " 9"]


def test_the_columns_are_described_without_looking_at_anything() -> None:
    assert run("--describe", "-l", "NOTHING")[3] == "PRICE               : Price per hour"


@pytest.mark.parametrize("words", [("-l", "ID,FOO"), ("-f", "foo=1"), ("--adjust", "foo"), ("--size", "Foo=3")])
def test_unknown_columns_name_the_known(words: tuple[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        CliRunner().invoke(listed, words, catch_exceptions=False)
    assert str(caught.value).lower() == "there is no column 'foo' in this list; it has id, name, stat, price."


@pytest.mark.parametrize(
    ("term", "ids"),
    [
        ("STAT=RUNNING", [1]),
        ("stat!=RUNNING", [10, 9]),
        ("ID<10", [1, 9]),
        ("ID<=10", [1, 10, 9]),
        ("ID>9", [10]),
        ("ID>=9", [10, 9]),
        ("PRICE<2", [1]),
        ("PRICE=10.0", [10]),
        ("NAME~edge", [1, 10]),
        ("NAME=-", [9]),
        ("NAME=", []),
        ("NAME~edge,ID>1", [10]),
        (" NAME = edge1 ", [1]),
    ],
)
def test_rows_are_filtered(term: str, ids: list[int]) -> None:
    assert [int(line) for line in run("-l", "ID", "--no-header", "--filter", term)] == ids


def test_filters_are_joined_by_and_or_or() -> None:
    assert len(run("--no-header", "-f", "ID=1", "-f", "ID=9", "--operator", "or")) == 2
    assert run("--no-header", "-f", "ID=1", "-f", "ID=9", "--operator", "AND") == []


@pytest.mark.parametrize("term", ["NAME", "=x", "NAME edge1", "!"])
def test_what_is_no_filter_says_what_one_is(term: str) -> None:
    with pytest.raises(ConfigError, match="is not COLUMN, one of"):
        filtering.parse(HOSTS, term)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--csv-del", ",,"), "--csv-del takes one character"),
        (("--delimiter", '"'), "--csv-del takes one character"),
        (("--size", "NAME"), "'NAME' is not COLUMN=a number of places"),
        (("--size", "NAME=0"), "'NAME=0' is not COLUMN=a number of places"),
        (("--size", "NAME=x"), "'NAME=x' is not"),
        (("--expand", "NAME=2"), "'NAME=2' is not COLUMN=a share from 0 to 1"),
        (("--expand", "NAME=nan"), "'NAME=nan' is not"),
    ],
)
def test_bad_values_are_one_sentence(words: tuple[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        CliRunner().invoke(listed, words, catch_exceptions=False)


def test_csv_has_the_columns_and_no_dashes() -> None:
    text = "\n".join(run("--csv", "-l", "NAME,PRICE"))
    assert list(csv.reader(io.StringIO(text)))[1:] == [["edge1", "0.5"], ["edge2-in-amsterdam", "10"], ["", ""]]
    assert run("--csv", "--csv-del", ";", "--no-header")[0] == "1;edge1;RUNNING"


def test_programs_get_all_of_the_rows_that_are_left() -> None:
    told = json.loads("\n".join(run("-j", "-l", "ID", "-f", "ID=1")))
    assert told == {"HOST_POOL": {"HOST": [{"ID": 1, "NAME": "edge1", "STATE": "RUNNING", "PRICE": 0.5}]}}
    assert run("-x", "-f", "ID=1")[:3] == ["<HOST_POOL>", "  <HOST>", "    <ID>1</ID>"]
    assert run("--yaml", "-f", "ID=0") == ["HOST_POOL:", "  HOST: []"]


def test_on_a_terminal_the_columns_take_the_room_there_is() -> None:
    assert table(Layout(), 80)[2] == "  10 edge2-in-amsterdam ERROR"
    assert table(Layout(), 30)[2] == "10 edge2-in-amste… ERROR"
    assert table(Layout(), 10)[2] == "10 edge2-i… ERROR"  # no less than the declared widths
    assert table(Layout(fixed=True), 80)[2:] == ["  10 edge2-i… ERROR", "   9 -        CONFIG…"]
    assert table(Layout(adjust=frozenset(["NAME"])), 10)[2] == "10 edge2-in-amsterdam ERROR"
    assert table(Layout(sizes={"NAME": 5}), 80)[2] == "  10 edge… ERROR"


def test_expanded_columns_fill_the_terminal() -> None:
    columns = HOSTS.chosen(())
    cells = [["1", "a", "b"]]
    assert measure(columns, cells, Layout(), 40) == [4, 8, 7]
    for expand in ({}, {"NAME": None}, {"NAME": None, "STAT": None}):
        assert sum(measure(columns, cells, Layout(expand=expand), 40)) == 38
    assert measure(columns, cells, Layout(expand={"NAME": 0.5}), 40) == [4, 18, 7]
    assert measure(columns, cells, Layout(expand={}), 10) == [2, 4, 4]


def test_styles_are_for_terminals_that_want_them() -> None:
    shown = table(Layout(), 80, styled=True)
    assert shown[0].startswith("\x1b[1;4m  ID NAME")
    assert "\x1b[32mRUNNING" in shown[1]
    assert "\x1b[31mERROR" in shown[2]
    assert "\x1b" not in "".join(table(Layout(), 80))


def test_a_terminal_is_told_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    assert Terminal.of(screen, {}) == Terminal(screen, None, False)
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "77")
    assert Terminal.of(screen, {}) == Terminal(screen, 77, True)
    assert Terminal.of(screen, {"NO_COLOR": "1"}) == Terminal(screen, 77, False)
    assert Terminal.of(screen, {"TERM": "dumb"}) == Terminal(screen, 77, False)


def test_what_the_encoding_lacks_is_written_out() -> None:
    screen = Screen("ascii")
    Terminal(screen, None, False).write("é…")
    assert screen.getvalue() == "\\xe9\\u2026\n"


def test_names_that_would_move_the_cursor_do_not() -> None:
    screen = Screen()
    output = ListOutput(listing=HOSTS, terminal=Terminal(screen, 80, True))
    output.run(lambda: [Row(1, "\x1b]0;owned\x07\n", "OK\x9b")])
    assert "\\x1b]0;owned\\x07\\n" in screen.getvalue()
    assert "\x07" not in screen.getvalue()


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    code = (
        "import sys, hybrid_drivers.cli.output as o; print([m for m in ('rich', 'yaml', 'lxml') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
