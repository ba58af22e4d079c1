"""``onehybrid growth``: what a cluster that grows would do, did and declines, and what each VM waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from hybrid_drivers.cli.agent import ask

Told = Mapping[str, Any]


@click.group()
def growth() -> None:
    """Look into clusters that grow on demand (docs/growth.md)."""


@growth.command()
@click.argument("cluster")
@click.option("--dry-run", is_flag=True, help="Accepted for clearness: nothing is ever done by this command.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(cluster: str, dry_run: bool, as_json: bool) -> None:
    """Show what the agent would do for CLUSTER (name or id) now, for which VMs, and what that costs."""
    del dry_run
    told = _asked(cluster)
    if not told["on"]:
        raise click.ClickException(_off(told))
    if as_json:
        click.echo(json.dumps(told))
        return
    _lines(f"CLUSTER {told['cluster']['name']}: WHAT WOULD BE DONE NOW", [one["text"] for one in told["actions"]])
    _lines("DECLINED", told["notes"], empty="")
    _problem(told)
    cost = told["cost"]
    click.echo(f"{cost['hour']:.2f} an hour now, {cost['hour_after']:.2f} then; {cost['month']:.2f} this month so far")


@growth.command()
@click.argument("cluster")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(cluster: str, as_json: bool) -> None:
    """Show the hosts and waiting VMs of CLUSTER (name or id), what was done, and what is declined and why."""
    told = _asked(cluster)
    if as_json:
        click.echo(json.dumps(told))
        return
    _lines(f"CLUSTER {told['cluster']['name']}: HOSTS", [_host(one) for one in told["hosts"]])
    _lines("BEING GIVEN BACK", [_returning(one) for one in told.get("returning", [])], empty="")
    if told["on"]:
        _lines("WAITING VMS", [_vm(one) for one in told["vms"]])
        _lines("PLANS", [_plan(one) for one in told["plans"]])
        _lines("NEXT", [one["text"] for one in told["actions"]])
        _lines("DECLINED", told["notes"], empty="")
    _lines("DONE", told["events"])
    if not told["on"]:
        click.echo(_off(told))
    _problem(told)


def _off(told: Told) -> str:
    return f'Cluster {told["cluster"]["name"]} does not grow: ELASTIC with ENABLED="yes" is missing.'


def _asked(cluster: str) -> Told:
    told: Told = json.loads(ask("growth", cluster, start=True))
    return told


def _lines(title: str, lines: Sequence[str], empty: str = "nothing") -> None:
    if not lines and not empty:
        return
    click.echo(click.style(title, bold=True))
    for line in lines or [empty]:
        click.echo(f"  {line}")


def _problem(told: Told) -> None:
    if told["problem"]:
        click.echo(f"ELASTIC_ERROR: {told['problem']}")


def _host(one: Told) -> str:
    parts = [f"{one['id']} {one['name']}: {one['stage']}", f"{one['vms']} VMs"]
    if one["state"] not in ("", "READY"):
        parts.append(f"PROVISION_STATE {one['state']}")
    if one["plan"]:
        parts.append(one["plan"])
    if one["price"] is not None:
        parts.append(f"{one['price']:g} an hour")
    if one["idle"] is not None:
        parts.append(f"idle for {one['idle']} s")
    if not one["made"]:
        parts.append("not made by growing")
    if one["protected"]:
        parts.append("PROTECTED")
    if one["emptied"]:
        parts.append("is being emptied")
    if one["stays"]:
        parts.append(f"not emptied: {one['stays']}")
    return ", ".join(parts)


def _returning(one: Told) -> str:
    price = "its price is not known" if one["price"] is None else f"{one['price']:g} an hour"
    return f"{one['machine']} of {one['name']}, {price}"


def _vm(one: Told) -> str:
    return f"{one['id']}: {one['cpu']:g} CPU, {one['memory']} MiB, for {one['waited']} s; {one['for']}"


def _plan(one: Told) -> str:
    price = "price not known" if one["price"] is None else f"{one['price']:g} an hour"
    if one["plan"].endswith("(spot)"):
        now = "" if one["expected"] is None else f", {one['expected']:g} now"
        price = f"at most {price}{now}"
    sold_out = ", sold out" if one["sold_out"] else ""
    return f"{one['plan']}: {one['cpu']:g} CPU, {one['memory']} MiB, {price}{sold_out}"
