"""All provisions at a glance, from a fixed number of oned's calls, however many there are.

The bodies of documents are encrypted in their pool, so what a list shows comes from elsewhere: the plain summary of
each document, and the tags of the objects in four other pools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hybrid_drivers.model import Kind, Template
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.store import Known

POOLS: tuple[Kind, ...] = ("host", "cluster", "vnet", "datastore")
ATTRIBUTES = (tags.ATTRIBUTE, "PROVISION_STATE")  # all that is read of these objects


@dataclass(frozen=True, kw_only=True)
class Row:
    """A provision in a list. ``hosts`` are those in oned, ``wanted`` how many there are to be."""

    id: int
    name: str
    state: str
    provider: str
    clusters: int
    hosts: int
    ready: int
    wanted: int
    networks: int
    datastores: int
    started: float
    holder: str  # who works on it now
    cost_hour: float | None = None


def rows(site: Site) -> list[Row]:
    """Return all provisions: five calls of oned, at once."""
    with ThreadPoolExecutor(len(POOLS) + 1) as pool:
        documents = pool.submit(site.store.known)
        pools = [pool.submit(site.objects.templates, kind, ATTRIBUTES) for kind in POOLS]
        known, (hosts, *others) = documents.result(), [one.result() for one in pools]
    clusters, networks, datastores = map(_count, others)
    made = _count(hosts)
    ready = _count(host for host in hosts if host.text("PROVISION_STATE") == "READY")
    return [
        Row(
            id=one.id,
            name=one.name,
            state=one.summary.get("STATE", "-"),
            provider=one.summary.get("PROVIDER", "-"),
            clusters=clusters[one.id],
            hosts=made[one.id],
            ready=ready[one.id],
            wanted=_number(one.summary.get("HOSTS", "0")),
            networks=networks[one.id],
            datastores=datastores[one.id],
            started=float(_number(one.summary.get("STARTED", "0"))),
            holder=_holder(one),
        )
        for one in known
    ]


def _count(templates: Iterable[Template]) -> Counter[int]:
    found = (tags.provision_id(template) for template in templates)
    return Counter(one for one in found if one is not None)


def _holder(one: Known) -> str:
    return one.lock.get("HOLDER", "") if one.lock.get("TOKEN", "-") != "-" else ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
