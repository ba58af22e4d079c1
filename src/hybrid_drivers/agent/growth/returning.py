"""Machines of a cluster that are being given back, as limits count them: the provider has them until they are gone."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_drivers.agent.departures import Departure
from hybrid_drivers.agent.growth.model import Returning
from hybrid_drivers.agent.growth.names import may_be_of
from hybrid_drivers.agent.record import read
from hybrid_drivers.model import Cluster, Host


def returning(departures: Iterable[Departure], hosts: Iterable[Host], cluster: Cluster) -> tuple[Returning, ...]:
    """Return the machines on their way back, but those that a host still has, which counts itself.

    Where a note does not say of which cluster its host was (an agent that never saw it wrote the note), the name that
    growing gives to hosts does.
    """
    records = [read(one) for one in hosts]
    held = {one.deploy_id for one in records} | {one.replacing for one in records}
    found = [one for one in departures if one.machine_id and one.machine_id not in held and _is_of(one, cluster)]
    machines = {one.machine_id: Returning(machine=one.machine_id, host=one.name, price=one.price) for one in found}
    return tuple(machine for _, machine in sorted(machines.items()))


def _is_of(departure: Departure, cluster: Cluster) -> bool:
    if departure.cluster_id is not None:
        return departure.cluster_id == cluster.id
    return may_be_of(departure.name, cluster)
