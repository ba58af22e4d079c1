"""``onehybrid cost``: what the rented hosts of each cluster cost an hour, and have cost this month."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence

import click

from hybrid_drivers.agent.departures import Departure, noted
from hybrid_drivers.agent.growth import memory as growth_memory
from hybrid_drivers.agent.growth.memory import HOUR
from hybrid_drivers.agent.growth.returning import returning
from hybrid_drivers.agent.record import IM_MAD, price_of
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Cluster, Host
from hybrid_drivers.oned.api import Oned


@click.command()
@click.argument("cluster", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(cluster: str | None, as_json: bool) -> None:
    """Show what rented hosts cost, in the providers' currency: of CLUSTER (name or id), or of all that have some.

    GOING are machines that are being given back: they cost until they are gone.

    The price of a host is its COST_HOUR. The month is counted for clusters that grow on demand; for others it is '-'.
    """
    location = Location.from_environment(os.environ)
    oned = Oned.from_location(location)
    hosts, departures = oned.hosts(), noted(location.state / "departures")
    asked = [one for one in oned.clusters() if cluster in (None, one.name, str(one.id))]
    if cluster is not None and not asked:
        raise ConfigError(f"There is no cluster {cluster!r}.")
    asked.sort(key=lambda found: found.id)
    rows = [row for one in asked if (row := cost_of(one, hosts, time.time(), departures))]
    if as_json:
        click.echo(json.dumps(rows))
        return
    click.echo(f"{'CLUSTER':20} {'HOSTS':>6} {'GOING':>6} {'NO PRICE':>9} {'AN HOUR':>10} {'THIS MONTH':>12}")
    for row in rows:
        month = "-" if row["month"] is None else f"{row['month']:.2f}"
        counts = f"{row['hosts']:>6} {row['returning']:>6} {row['unpriced']:>9}"
        click.echo(f"{row['name']:20} {counts} {row['hour']:>10.2f} {month:>12}")


def cost_of(
    cluster: Cluster, hosts: Sequence[Host], now: float, departures: Iterable[Departure] = ()
) -> dict[str, object] | None:
    """Return what a cluster costs; None when it has no rented host and never grew.

    Machines that are being given back cost until they are gone: ``departures`` are the agent's notes of them.
    """
    leaving = returning(departures, hosts, cluster)
    rented = [one for one in hosts if one.cluster_id == cluster.id and one.im_mad == IM_MAD]
    vector = cluster.template.vector(growth_memory.NAME)
    if not rented and not leaving and not vector:
        return None
    prices = [*(price_of(one.template) for one in rented), *(one.price for one in leaving)]
    hour = sum(one for one in prices if one is not None)
    memory = growth_memory.read(vector)
    month = None
    if memory.month == time.strftime("%Y-%m", time.localtime(now)):
        month = round(memory.spent + hour * max(0.0, now - memory.settled_at) / HOUR, 2)
    return {
        "id": cluster.id,
        "name": cluster.name,
        "hosts": len(rented),
        "returning": len(leaving),
        "unpriced": prices.count(None),
        "hour": round(hour, 4),
        "month": month,
    }
