"""Pages of details, and what is shown again and again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator

import click
import pytest
from click.testing import CliRunner

from hybrid_drivers.cli.output import (
    Column,
    Listing,
    ListOutput,
    Section,
    ShowOutput,
    listing_options,
    show_options,
    top_options,
)
from hybrid_drivers.cli.output.page import page
from hybrid_drivers.cli.output.terminal import Terminal
from hybrid_drivers.errors import OnedUnreachable

NAMES: Listing[str] = Listing(
    pool="NAMES", element="NAME", columns=(Column("NAME", "A name", 8, lambda name: name, left=True),)
)


class Ticks:
    """A clock whose ``sleep`` ends everything, as Ctrl-C does, after some rounds."""

    def __init__(self, rounds: int) -> None:
        self.left, self.slept = rounds, list[float]()

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_a_page_has_two_levels_tables_and_text() -> None:
    sections = [
        Section("HOST 3", {"ID": 3, "PROVISION": {"PLAN": "x", "TAGS": ["a", "b"]}, "AR": [{"IP": 1}, {"IP": 2}]}),
        Section("NOTES", {"NONE": {}, "SEVERAL LINES": "a\nb\x1b"}, text=["\x1b[2Jlast"]),
        Section("NAMES", table=NAMES.table(["edge1"])),
    ]
    assert page(sections, Terminal(io.StringIO(), None, False)) == [
        "HOST 3",
        "ID        : 3",
        "PROVISION :",
        "  PLAN : x",
        "  TAGS : a, b",
        "AR        :",
        "  IP : 1",
        "AR        :",
        "  IP : 2",
        "",
        "NOTES",
        "NONE          : -",
        "SEVERAL LINES : a",
        "                b\\x1b",
        "\\x1b[2Jlast",
        "",
        "NAMES",
        "NAME",
        "edge1",
    ]


def test_headings_are_underlined_on_a_terminal() -> None:
    assert page([Section("A")], Terminal(io.StringIO(), 80, True)) == ["\x1b[1;4m" + "A".ljust(80) + "\x1b[0m"]


def test_programs_get_the_data_and_people_the_page() -> None:
    made: list[str] = []

    def sections() -> Iterable[Section]:
        made.append("page")
        return [Section("HOST 3", {"ID": 3})]

    @click.command()
    @click.argument("form")
    @show_options("HOST")
    def show(form: str, output: ShowOutput) -> None:
        output.show({"ID": 3, "FORM": form}, sections)

    run = CliRunner().invoke
    assert json.loads(run(show, ["x", "--json"]).output) == {"HOST": {"ID": 3, "FORM": "x"}}
    assert run(show, ["x", "-y"]).output == "HOST:\n  ID: 3\n  FORM: x\n"
    assert run(show, ["x", "-x"]).output.splitlines()[0] == "<HOST>"
    assert made == []
    assert run(show, ["x"]).output == "HOST 3\nID : 3\n"


def test_watching_shows_what_is_there_each_time_until_ctrl_c() -> None:
    clock, screen, rows = Ticks(3), io.StringIO(), iter([["a"], ["b"], ["c"]])
    ListOutput(listing=NAMES, every=2.5, clock=clock, terminal=Terminal(screen, None, False)).run(lambda: next(rows))
    assert screen.getvalue().split() == ["NAME", "a", "NAME", "b", "NAME", "c"]
    assert clock.slept == [2.5] * 3


def test_a_failure_while_watching_is_told_and_passes() -> None:
    answers: Iterator[list[str] | OnedUnreachable] = iter([["a"], OnedUnreachable("oned\x1b is away"), ["b"]])

    def fetch() -> list[str]:
        answer = next(answers)
        if isinstance(answer, OnedUnreachable):
            raise answer
        return answer

    screen = io.StringIO()
    ListOutput(listing=NAMES, every=1, clock=Ticks(3), terminal=Terminal(screen, None, False)).run(fetch)
    assert screen.getvalue().splitlines() == ["NAME", "a", "NAME", "a", "oned\\x1b is away", "NAME", "b"]


def test_a_failure_at_the_beginning_is_the_commands_own() -> None:
    def fetch() -> list[str]:
        raise OnedUnreachable("oned is away")

    with pytest.raises(OnedUnreachable):
        ListOutput(listing=NAMES, every=1, clock=Ticks(1), terminal=Terminal(io.StringIO(), None, False)).run(fetch)


def test_a_terminal_is_redrawn_in_place() -> None:
    screen = io.StringIO()
    rows = iter([["a"], ["b"]])
    ListOutput(listing=NAMES, every=1, clock=Ticks(2), terminal=Terminal(screen, 20, True)).run(lambda: next(rows))
    assert "\x1b[1A" in screen.getvalue()  # up one line
    assert screen.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_top_and_watch_look_as_often_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[ListOutput[str]] = []

    @click.command()
    @top_options(NAMES)
    def top(output: ListOutput[str]) -> None:
        outputs.append(output)

    @click.command("list")
    @listing_options(NAMES)
    def listed(output: ListOutput[str]) -> None:
        outputs.append(output)

    run = CliRunner().invoke
    for command, words in ((top, []), (top, ["-d", "3"]), (listed, []), (listed, ["--watch", "--delay", "0.5"])):
        assert run(command, words).exit_code == 0
    assert [output.every for output in outputs] == [1.0, 3.0, None, 0.5]
    assert run(top, ["-d", "0"]).exit_code == 2
