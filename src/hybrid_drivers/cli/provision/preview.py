"""``create --dry-run``: what would be made and what it would cost."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from hybrid_drivers.cli.output import Column, Listing
from hybrid_drivers.cli.output.page import Section, page
from hybrid_drivers.cli.output.terminal import Terminal
from hybrid_drivers.provision import plan
from hybrid_drivers.provision.preview import HOURS_A_MONTH, PlannedObject, Preview, Previewer
from hybrid_drivers.provision.runs import Order
from hybrid_drivers.provision.site import Site

OBJECTS: Listing[PlannedObject] = Listing(
    pool="PLAN",
    element="OBJECT",
    columns=(
        Column("OBJECT", "What it is", 16, lambda one: plan.WORDS[one.kind], left=True),
        Column("NAME", "Its name", 24, lambda one: one.name, left=True),
        Column("PROVIDER", "Where it is rented", 16, lambda one: one.provider or None, left=True),
        Column("PLAN", "What is rented", 16, lambda one: one.plan or None, left=True),
        Column("PLACE", "Where", 12, lambda one: one.place or None, left=True),
        Column("PRICE/H", "Price of an hour", 9, lambda one: one.price_text or None),
        Column("DETAIL", "More", 40, lambda one: one.detail or None, left=True),
    ),
)


def show_preview(site: Site, order: Order, *, as_json: bool) -> None:
    """Print what an order would make.

    Raises:
        ConfigError: a provider entry is missing, or something does not fit.
    """
    found = Previewer(site, order.template, order.name, order.wishes).preview()
    if as_json:
        total = {"per_hour": found.total(), "hosts_without_price": found.unpriced}
        click.echo(json.dumps({"name": found.name, "objects": [asdict(one) for one in found.objects], **total}))
        return
    sections = [
        Section(f"PROVISION {found.name}: WHAT WOULD BE MADE", table=OBJECTS.table(list(found.objects))),
        Section("COST", text=_cost(found)),
    ]
    for line in page(sections, Terminal.here()):
        click.echo(line)


def _cost(found: Preview) -> list[str]:
    lines = [
        f"{amount:.2f} {currency} an hour, {amount * HOURS_A_MONTH:,.0f} {currency} a month"
        for currency, amount in found.total().items()
    ]
    if found.unpriced:
        lines.append(f"{found.unpriced} hosts whose price the provider does not tell: 'prices:' in its entry adds it")
    return lines or ["nothing is rented"]
