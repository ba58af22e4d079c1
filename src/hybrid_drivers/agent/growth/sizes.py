"""How large hosts of a plan will be: what one of them has told oned, else the entry's table, else the provider.

A provider tells what a whole machine has. Of that virtual machines get less: Linux keeps some of the memory to itself
(``MemTotal`` of /proc/meminfo, which the probes tell as TOTALMEMORY, is 1 to 5 percent less than what is sold, the
more the smaller the machine), and oned takes off RESERVED_CPU and RESERVED_MEM of the cluster (``HostShare.cc``).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.growth import devices, numa
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.stock import EMPTY, Stock, all_of
from hybrid_drivers.agent.record import GROWN, IM_MAD
from hybrid_drivers.errors import ProviderError
from hybrid_drivers.model import Host, Template
from hybrid_drivers.model_shares import HostShare
from hybrid_drivers.providers.base import Plans, PlanSpecs
from hybrid_drivers.providers.plans import PlanSize, size_of

SYSTEM_PART: Final = 0.04  # of its memory that a machine's own system is taken to keep, and besides
SYSTEM_MIB: Final = 128
ALIKE: Final = 0.05  # hosts of one plan differ by less: firmware, kernel
KIB: Final = 1024
_NUMBER: Final = re.compile(r"\s*([+-]?[0-9]{1,15})").fullmatch

log = logging.getLogger(__name__)


@dataclass
class Sizes:
    """What is known of the plans of one cluster; ``problems`` collects why the provider did not tell."""

    hosts: Iterable[Host]
    shares: Mapping[int, HostShare]
    account: Account
    cluster: Template
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._told = {
            plan: [one for one in hosts if _rented_from(one) == self.account.name]
            for plan, hosts in _told(self.hosts).items()
        }

    def size(self, plan: str) -> Size | None:
        """Return what a host of the plan will have for virtual machines; None: nobody tells."""
        if told := self._told.get(plan):
            return _of_hosts(told, self.cluster)
        own = size_of(self.account.provider.entry, plan)
        return _of_table(own) if own is not None else self._asked(plan)

    def stock(self, plan: str, size: Size) -> Stock:
        """Return the devices and NUMA nodes it will have: those of the newest host of the plan, else of the table.

        The newest, for if it lacks what older ones were given by hand, so will the next: no second one is ordered.
        """
        told = [one.id for one in self._told.get(plan, ()) if one.id in self.shares]
        if told:
            return all_of(self.shares[max(told)])
        own = size_of(self.account.provider.entry, plan)
        return EMPTY if own is None else _stock_of_table(own, size)

    def _asked(self, plan: str) -> Size | None:
        provider = self.account.provider
        if not isinstance(provider, Plans):
            return None
        try:
            specs = provider.plan_specs(plan)
        except ProviderError as exc:
            log.info("the size of plan %s is not known: %s", plan, exc)
            self.problems.append(str(exc))
            return None
        return None if specs is None else size_of_machine(specs, self.cluster)


def size_of_machine(specs: PlanSpecs, cluster: Template) -> Size:
    """Return what virtual machines will have of a machine in a cluster with this template."""
    memory = int((specs.memory * (1 - SYSTEM_PART) - SYSTEM_MIB) * KIB)
    return _all_but_reserved(round(specs.cpus * 100), memory, cluster)


def _all_but_reserved(cpu: int, memory: int, cluster: Template) -> Size:
    return Size(
        max(0, reserved_off(cpu, cluster.text("RESERVED_CPU"))),
        max(0, reserved_off(memory, cluster.text("RESERVED_MEM"))),
    )


def reserved_off(total: int, reserved: str) -> int:
    """Take RESERVED_CPU or RESERVED_MEM off: an amount, or a part like ``10%``; what is no whole number is nothing.

    As ``set_reserved_metric`` of ``HostShare.cc``; less than nothing makes more of a host than it has.
    """
    text = reserved.rstrip()
    found = _NUMBER(text.removesuffix("%"))
    if not found:
        return total
    value = int(found[1])
    return int(total * (1 - value / 100)) if text.endswith("%") else total - value


def _told(hosts: Iterable[Host]) -> dict[str, list[Host]]:
    found: dict[str, list[Host]] = {}
    for host in hosts:
        plan = host.template.vector(GROWN).get("PLAN", "")
        if host.im_mad == IM_MAD and plan and host.total_cpu and host.total_memory:
            found.setdefault(plan, []).append(host)
    return found


def _rented_from(host: Host) -> str:
    provision = host.template.vector("PROVISION")
    return provision.get("RENTED_FROM") or provision.get("PROVIDER", "")


def _of_hosts(hosts: Iterable[Host], cluster: Template) -> Size:
    """Return what a next one will have: hosts of a plan differ by little, and those that differ by more are odd ones.

    RESERVED_* of a host are its own; the next one has those of its cluster.
    """
    known = list(hosts)
    return _all_but_reserved(
        _usual([one.total_cpu for one in known]), _usual([one.total_memory for one in known]), cluster
    )


def _usual(amounts: list[int]) -> int:
    """Return the least of those that are no more than ``ALIKE`` below the middle one (of two: the lesser)."""
    middle = sorted(amounts)[(len(amounts) - 1) // 2]
    return min(one for one in amounts if one >= middle * (1 - ALIKE))


def _of_table(own: PlanSize) -> Size:
    return Size(round(own.cpu * 100), round(own.memory * KIB))


def _stock_of_table(own: PlanSize, size: Size) -> Stock:
    nodes = own.numa
    made = numa.even(nodes.nodes, nodes.cores, nodes.threads, size.memory, nodes.pages) if nodes else None
    return Stock(devices.read(own.pci), made)
