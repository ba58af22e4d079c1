"""``list``, ``top``, ``show`` and ``events``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click

from hybrid_drivers.cli.clilog import logging_options
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
from hybrid_drivers.cli.provision.front_end import here
from hybrid_drivers.cli.provision.tell import lasting
from hybrid_drivers.provision import plan
from hybrid_drivers.provision.experience import Experience
from hybrid_drivers.provision.overview import Row, rows
from hybrid_drivers.provision.progress import HostView, view
from hybrid_drivers.provision.record import Event, Record
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.inline import is_secret
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.model import KINDS

PROVISIONS: Listing[Row] = Listing(
    pool="DOCUMENT_POOL",
    element="DOCUMENT",
    columns=(
        Column("ID", "Identifier of the provision", 4, lambda row: row.id),
        Column("NAME", "Its name", 25, lambda row: row.name, left=True),
        Column("CLUSTERS", "Number of clusters", 8, lambda row: row.clusters),
        Column("HOSTS", "Number of hosts", 5, lambda row: row.hosts),
        Column("READY", "Number of hosts that are ready", 5, lambda row: row.ready, default=False),
        Column("WANTED", "Number of hosts there are to be", 6, lambda row: row.wanted, default=False),
        Column("NETWORKS", "Number of networks", 8, lambda row: row.networks),
        Column("DATASTORES", "Number of datastores", 10, lambda row: row.datastores),
        Column("STAT", "State of the provision", 12, lambda row: row.state, left=True, state=True),
        Column("PROVIDER", "Where its hosts are rented", 16, lambda row: row.provider, left=True, default=False),
        Column("STARTED", "When it was made", 19, lambda row: _when(row.started), left=True, default=False),
        Column("BUSY", "Who works on it now", 20, lambda row: row.holder or None, left=True, default=False),
    ),
    data=lambda row: {key.upper(): value for key, value in asdict(row).items()},
)
HOSTS: Listing[HostView] = Listing(
    pool="HOST_POOL",
    element="HOST",
    columns=(
        Column("ID", "Identifier of the host", 4, lambda one: one.id),
        Column("NAME", "The name it was given", 20, lambda one: one.name, left=True),
        Column("ADDRESS", "Where it answers", 15, lambda one: one.address or None, left=True),
        Column("STATE", "How far it is", 12, lambda one: one.state, left=True, state=True),
        Column("TIME", "How long it took, or has taken", 8, lambda one: lasting(one.elapsed)),
        Column("STEP", "What is being done, or what is wrong", 30, lambda one: one.problem or one.step, left=True),
    ),
)


@click.command("list")
@listing_options(PROVISIONS)
@logging_options(letter=False)
def list_(output: ListOutput[Row]) -> None:
    """List all provisions."""
    site = here()
    output.run(lambda: rows(site))


@click.command()
@top_options(PROVISIONS)
@logging_options(letter=False)
def top(output: ListOutput[Row]) -> None:
    """List all provisions, again and again."""
    site = here()
    output.run(lambda: rows(site))


@click.command()
@click.argument("which", metavar="ID|NAME")
@show_options("DOCUMENT")
@logging_options()
def show(which: str, output: ShowOutput) -> None:
    """Show a provision: its objects, how its hosts stand, and what happened last. Credentials are not shown."""
    site = here()
    record = site.store.read(site.store.find(which).id)
    hosts = host_views(site, record)
    output.show(_data(record, hosts), lambda: _sections(record, hosts))


@click.command()
@click.argument("which", metavar="ID|NAME")
@click.option("--json", "-j", "as_json", is_flag=True, help="Print JSON.")
@logging_options()
def events(which: str, as_json: bool) -> None:
    """Show what happened to a provision, when, and who saw to it."""
    site = here()
    record = site.store.read(site.store.find(which).id)
    if as_json:
        import json

        click.echo(json.dumps([asdict(event) for event in record.events]))
        return
    from hybrid_drivers.cli.output import printable

    for event in record.events:
        click.echo(printable(_told(event)))


def host_views(site: Site, record: Record) -> list[HostView]:
    """Return how the hosts of a provision stand: one call of oned."""
    there = {host.id: host for host in site.oned.hosts()}
    now, usual = site.clock.now(), Experience(site.state / "durations.json").usual(there.values())
    return [view(slot, there.get(slot.number), now, usual) for slot in record.exists("hosts")]


def _data(record: Record, hosts: Sequence[HostView]) -> Mapping[str, object]:
    template = parse_template(record.template, record.source or record.name)
    secret = {one.name for one in template.inputs if one.type == "password" or is_secret(one.name)}
    objects: dict[str, object] = {
        kind: [{"ID": slot.id, "NAME": slot.name, "STAGE": slot.stage.value} for slot in record.of_kind(kind)]
        for kind in KINDS
        if kind != "hosts"
    }
    return {
        "ID": record.id,
        "NAME": record.name,
        "DESCRIPTION": record.description,
        "STATE": record.state.name,
        "PROVIDER": record.provider,
        "PROBLEM": record.problem,
        "STARTED": record.started,
        "ENDED": record.ended,
        "SOURCE": record.source,
        "INPUTS": {key: "***" if key in secret else value for key, value in record.inputs.items()},
        **{kind.upper(): found for kind, found in objects.items()},
        "HOSTS": list(hosts),
        "EVENTS": list(record.events),
    }


def _sections(record: Record, hosts: Sequence[HostView]) -> list[Section]:
    told = {
        "ID": record.id,
        "NAME": record.name,
        "STATE": record.state.name,
        "PROVIDER": record.provider or "-",
        "DESCRIPTION": record.description or "-",
        "TEMPLATE": record.source or "-",
        "STARTED": _when(record.started),
        "PROBLEM": record.problem or "-",
    }
    sections = [Section(f"PROVISION {record.id} INFORMATION", told)]
    for kind in KINDS:
        slots = record.of_kind(kind)
        if kind == "hosts" and hosts:
            sections.append(Section("HOSTS", table=HOSTS.table(list(hosts))))
        elif slots and kind != "hosts":
            sections.append(
                Section(kind.upper(), text=[_line(slot_id, name) for slot_id, name in _named(record, kind)])
            )
    sections.append(Section("LAST EVENTS", text=[_told(event) for event in record.events[-10:]]))
    return sections


def _named(record: Record, kind: str) -> list[tuple[str, str]]:
    return [
        (
            str(slot.id) if slot.id is not None else "-",
            slot.name or f"{plan.WORDS[kind]} {slot.index} ({slot.stage.value})",
        )
        for slot in record.of_kind(kind)
    ]


def _line(number: str, name: str) -> str:
    return f"{number:>6}  {name}"


def _told(event: Event) -> str:
    return f"{_when(event.time)}  {event.who}  {event.text}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"
