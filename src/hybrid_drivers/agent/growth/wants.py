"""What a waiting machine wants of a host besides CPU and memory, as its document says. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hybrid_drivers.agent.growth import devices, numa
from hybrid_drivers.agent.growth.packing import Offer
from hybrid_drivers.agent.growth.stock import Stock, Wants
from hybrid_drivers.model import Vm

_SPECIAL: Final = frozenset(("PCI", "NUMA_NODE"))
NO_SUCH_DEVICE = "its PCI attribute names no VENDOR, DEVICE, CLASS or SHORT_ADDRESS that a device can have"


def any_special(vms: Iterable[Vm]) -> bool:
    """Tell whether any machine wants what hosts must be asked for."""
    return any(map(_is_special, vms))


def wants_of(vm: Vm) -> tuple[Wants | None, str]:
    """Return what it wants, None: nothing; and why no host can ever give it."""
    if not _is_special(vm):
        return None, ""
    wished = devices.wishes(vm.template.vectors("PCI"))
    if wished is None:
        return None, NO_SUCH_DEVICE
    asked = numa.topology(vm.template)
    return Wants(wished, (asked,) if asked else ()) or None, ""


def _is_special(vm: Vm) -> bool:
    return any(name in _SPECIAL for name, _ in vm.template)


def untold(wants: Wants, offers: Iterable[Offer]) -> str:
    """Say why no new host would give it, as far as is known of its plan; nothing when one would."""
    stocks = [one.stock for one in offers]
    if any(one.serves(wants) for one in stocks):
        return ""
    if wants.devices and not any(Stock(one.devices).serves(Wants(wants.devices)) for one in stocks):
        return "no plan is known to have the PCI devices it wants"
    if wants.topologies and not any(one.numa for one in stocks):
        return "no plan is known by its NUMA nodes: a host of it would tell, or numa in 'plans:' of the provider entry"
    return "its topology fits on the NUMA nodes of no plan"
