"""``onehybrid gc``: machines of ours that no host needs, those on their way back, and those stopped behind our back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from hybrid_drivers.cli.agent import ask


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what the agent found in its last look.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gc(dry_run: bool, as_json: bool) -> None:
    """Show machines that no host needs, and have the agent look again now.

    The agent gives such machines back by itself, once they were watched for 'quarantine' seconds (hybrid.yaml).
    """
    told = json.loads(ask("gc", *(["--dry-run"] if dry_run else []), start=True))
    if as_json:
        click.echo(json.dumps(told))
        return
    for line in lines(told):
        click.echo(line)
    if not dry_run:
        click.echo("The agent looks again now.")


def lines(told: Mapping[str, Any]) -> list[str]:
    """Return the report for people."""
    found = [
        f"{one['provider']}: machine {one['machine']} ({one['name']}) {one['reason']}; "
        f"given back in {one['given_back_in']} s"
        for one in told["strays"]
    ]
    found += [
        f"{one['provider']}: {_named(one)} is being given back, for {one['for']} s now" for one in told["leaving"]
    ]
    found += [
        f"{one['provider']}: machine {one['machine']} of host {one['host']} ({one['name']}) is {one['state']}, though "
        f"its host is not offline: start it at the provider, or delete the host"
        for one in told["stopped"]
    ]
    if told["unasked"]:
        found.append("Some provider could not be asked: it may have more (see the agent's log).")
    return found or ["There is no machine that no host needs."]


def _named(one: Mapping[str, Any]) -> str:
    return f"machine {one['machine']} ({one['name']})" if one["machine"] else f"what was made for host {one['name']}"
