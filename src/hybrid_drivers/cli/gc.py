"""``onehybrid gc``: what of ours nobody needs, what is on its way back, and what was stopped behind our back."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from hybrid_drivers.cli.agent import ask
from hybrid_drivers.cli.misuse import FAILED, Command
from hybrid_drivers.cli.output.columns import Column
from hybrid_drivers.cli.output.table import Layout, lines
from hybrid_drivers.cli.output.terminal import Terminal
from hybrid_drivers.cli.provision.tell import lasting

WAITS = 2  # exit code

Told = Mapping[str, Any]

COLUMNS: tuple[Column[Told], ...] = (
    Column("PROVIDER", "The provider entry", 10, lambda one: one["provider"], left=True),
    Column("WHAT", "Its id at the provider", 12, lambda one: one["what"], left=True),
    Column("NAME", "The host it was made for, or its addresses", 8, lambda one: one["name"], left=True),
    Column("AGE", "Since it was made", 6, lambda one: _time(one.get("age"))),
    Column("WATCHED", "Since it was first seen without a host", 7, lambda one: _time(one.get("watched_for"))),
    Column("NEXT", "What happens to it", 14, lambda one: one["next"], left=True),
    Column("WHY", "Why", 20, lambda one: one["why"], left=True),
)


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Only look: nothing is given back by this command.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gc(dry_run: bool, as_json: bool) -> None:
    """Give back now what no host and no address range needs, and show what waits and why.

    The agent does the same by itself every minute. What is found is watched for 'quarantine' seconds (hybrid.yaml)
    first; machines and addresses without this cloud's tag are never looked at.

    Exit code: 0 nothing is left, 1 an error, or some provider could not be asked, 2 something waits or is on its way.
    """
    told = json.loads(ask("gc", *(["--dry-run"] if dry_run else []), start=True))
    if as_json:
        click.echo(json.dumps(told))
    else:
        terminal = Terminal.here()
        for line in report(told, terminal):
            terminal.write(line)
    sys.exit(exit_code(told))


def exit_code(told: Told) -> int:
    """Return 0, 1 or 2, as the command's help says."""
    if told["unasked"] or told["late"]:
        return FAILED
    return WAITS if any(told[key] for key in ("strays", "blocks", "leaving", "released")) else 0


def report(told: Told, terminal: Terminal) -> list[str]:
    """Return the report for people."""
    found = _rows(told)
    shown = _unasked(told)
    if found:
        shown += lines(COLUMNS, found, Layout(), terminal)
    elif not shown:
        shown.append("There is nothing that nobody needs.")
    shown += [
        f"{one['provider']}: {one['machines']} machines have this cloud's tag, {one['of_hosts']} of them are of hosts."
        for one in told["accounts"]
    ]
    shown += [
        f"{one['provider']}: machine {one['machine']} of host {one['host']} ({one['name']}) is {one['state']}, though "
        f"its host is not offline: start it at the provider, delete the host, or set WHEN_STOPPED of its PROVISION"
        for one in told["stopped"]
    ]
    if told["held"]:
        shown.append("Nothing is given back while collector.hold is in the state folder (see docs/operations.md).")
    return shown


def _unasked(told: Told) -> list[str]:
    """Say first what keeps the rest from being the whole truth."""
    shown = []
    if told["unasked"]:
        names = ", ".join(told["unasked"])
        shown.append(f"Could not be asked, and may have more than is shown here (see the agent's log): {names}.")
    if told["late"]:
        shown.append("A provider takes long to answer: this is what the last look found; the agent goes on.")
    return shown


def _rows(told: Told) -> Sequence[Told]:
    held, dry = told["held"], told["dry_run"]
    rows = [
        {
            **one,
            "what": f"machine {one['machine']}",
            "watched_for": one["watched"] - one["given_back_in"],
            "next": _next("given back", one["given_back_in"], held=held, dry=dry),
            "why": one["reason"],
        }
        for one in told["strays"]
    ]
    rows += [
        {
            **one,
            "what": f"block {one['block']}",
            "name": one["network"],
            "watched_for": one["watched"] - one["released_in"],
            "next": _next("released", one["released_in"], held=held, dry=dry),
            "why": "has our tag but no address range in oned",
        }
        for one in told["blocks"]
    ]
    rows += [
        {**one, "what": f"block {one['block']}", "name": one["network"], "next": "released", "why": ""}
        for one in told["released_blocks"]
    ]
    rows += [
        {
            **one,
            "what": f"machine {one['machine']}" if one["machine"] else "all of its host",
            "next": "being given back",
            "why": f"for {_time(one['for'])} now",
        }
        for one in told["leaving"]
    ]
    rows += [{**one, "what": f"machine {one['machine']}", "next": "left", "why": one["reason"]} for one in told["left"]]
    return rows


def _next(verb: str, seconds: float, *, held: bool, dry: bool) -> str:
    if held:
        return "held"
    if seconds > 0:
        return f"{verb} in {_time(seconds)}"
    return f"would be {verb} now" if dry else f"{verb} next"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else lasting(seconds)
