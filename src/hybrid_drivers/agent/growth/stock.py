"""What a host has beyond CPU and memory, and what machines want of it: devices, NUMA nodes, and whose company. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_drivers.agent.growth import devices, numa
from hybrid_drivers.model_shares import HostShare

RoleKey = tuple[int, str]  # a VM group's id, a role's name


@dataclass(frozen=True, slots=True)
class Wants:
    """What one machine (or some that stay together) wants. ``shuns``: roles of which none may be on the same host."""

    devices: tuple[devices.Wish, ...] = ()
    topologies: tuple[numa.Topology, ...] = ()
    roles: frozenset[RoleKey] = frozenset()
    shuns: frozenset[RoleKey] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.devices or self.topologies or self.shuns)

    def plus(self, other: Wants) -> Wants:
        """Return what both want together."""
        return Wants(
            (*self.devices, *other.devices),
            (*self.topologies, *other.topologies),
            self.roles | other.roles,
            self.shuns | other.shuns,
        )


@dataclass(frozen=True, slots=True)
class Stock:
    """What is free of a host, and the roles of those that were put on it."""

    devices: devices.Free = ()
    numa: numa.Numa | None = None
    roles: frozenset[RoleKey] = frozenset()

    def take(self, wants: Wants, most: int) -> tuple[int, Stock]:
        """Serve as many alike as can be, ``most`` at most; return how many, and what is left."""
        if most < 1 or wants.shuns & self.roles:
            return 0, self
        if wants.shuns & wants.roles:
            most = min(most, 1)
        if not wants.devices and not wants.topologies:
            return most, Stock(self.devices, self.numa, self.roles | wants.roles)
        left = self
        for count in range(most):
            after = left._less(wants)
            if after is None:
                return count, left
            left = after
        return most, left

    def serves(self, wants: Wants | None) -> bool:
        """Tell whether one can be served."""
        return not wants or self.take(wants, 1)[0] == 1

    def _less(self, wants: Wants) -> Stock | None:
        free, nodes = self.devices, self.numa
        if wants.devices:
            served = devices.serve(free, wants.devices)
            if served is None:
                return None
            free = served
        for one in wants.topologies:
            nodes = numa.serve(nodes, one) if nodes is not None else None
            if nodes is None:
                return None
        return Stock(free, nodes, self.roles | wants.roles)


EMPTY = Stock()


def free_of(share: HostShare | None) -> Stock:
    """Return what is free of a host now."""
    return Stock(devices.free_of(share.devices), numa.free_of(share.nodes)) if share else EMPTY


def all_of(share: HostShare) -> Stock:
    """Return what another host like this one will have."""
    return Stock(devices.all_of(share.devices), numa.all_of(share.nodes))


def render(stock: Stock) -> dict[str, str]:
    """Return what a new host will have as texts for its GROWTH, and nothing of what it will not."""
    told = {"PCI": devices.render(stock.devices), "NUMA": numa.render(stock.numa) if stock.numa else ""}
    return {name: text for name, text in told.items() if text}


def read(told: dict[str, str]) -> Stock:
    """Read what :func:`render` wrote."""
    return Stock(devices.read(told.get("PCI", "").split()), numa.read(told.get("NUMA", "")))
