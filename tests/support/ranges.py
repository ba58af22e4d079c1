"""Networks whose addresses come from a provider, in a laboratory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hybrid_drivers.model import OnedObject, Template
from hybrid_drivers.sandbox.lab import ENTRIES, Lab

READY, ERROR = 1, 5  # VirtualNetwork.h
PLACES: Mapping[str, Mapping[str, str]] = {"packet": {"METRO": "am"}, "ec2": {}}


class Networks:
    """The networks of a laboratory, made as a person would."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.driver = lab, lab.options.provider
        self.objects = lab.objects

    def range(self, size: int = 2, **more: str) -> dict[str, str]:
        """Return an address range to ask for."""
        least = {"TYPE": "IP4", "SIZE": str(size), "IPAM_MAD": self.driver, "PROVIDER": ENTRIES[self.driver]}
        return {key: value for key, value in {**least, **PLACES[self.driver], **more}.items() if value}

    def template(self, name: str, *ranges: Mapping[str, str]) -> Template:
        pairs: list[tuple[str, Any]] = [("NAME", name), ("VN_MAD", "bridge"), ("BRIDGE", "br0")]
        return Template([*pairs, *(("AR", dict(one)) for one in ranges)])

    def make(self, name: str, *ranges: Mapping[str, str], wait: bool = True) -> int:
        """Make a network and wait until its driver is done; it may be in ERROR then."""
        made = self.objects.allocate("vnet", self.template(name, *ranges))
        if wait:
            self.lab.wait(lambda: self.get(made).state in (READY, ERROR))
        return made

    def ready(self, name: str, *ranges: Mapping[str, str]) -> int:
        """Make a network that must become ready."""
        made = self.make(name, *ranges)
        found = self.get(made)
        assert found.state == READY, found.template.text("ERROR")
        return made

    def get(self, vnet_id: int) -> OnedObject:
        """Return a network as the pool shows it: nothing holds that up."""
        return next(one for one in self.objects.pool("vnet") if one.id == vnet_id)

    def ar(self, vnet_id: int, number: int = 0) -> Mapping[str, str]:
        """Return the attributes of an address range."""
        return self.get(vnet_id).address_ranges[number]

    def problem(self, vnet_id: int) -> str:
        """Return why a network is in ERROR."""
        found = self.get(vnet_id)
        assert found.state == ERROR, found.state
        return found.template.text("ERROR")

    def delete(self, vnet_id: int) -> None:
        """Delete a network and wait until it is gone."""
        self.objects.delete("vnet", vnet_id)
        self.lab.wait(lambda: all(one.id != vnet_id for one in self.objects.pool("vnet")))

    def vm(self, vnet_id: int, **nic: str) -> int:
        """Make a virtual machine with an address of the network."""
        pairs: list[tuple[str, Any]] = [("CPU", "1"), ("MEMORY", "64"), ("NIC", {"NETWORK_ID": str(vnet_id), **nic})]
        return self.objects.allocate("vm", Template(pairs))

    def nic(self, vm_id: int) -> Mapping[str, str]:
        """Return the NIC of a virtual machine."""
        return self.objects.get("vm", vm_id).template.vector("NIC")

    def terminate(self, vm_id: int) -> None:
        """End a virtual machine that waits."""
        self.lab.oned.write("vm.action", f"vm {vm_id}", "terminate", vm_id)

    def used(self, vnet_id: int) -> int:
        """Return how many addresses of a network are held."""
        return self.get(vnet_id).used_leases

    def blocks(self) -> dict[str, Any]:
        """Return what is reserved at the provider, but for what it gives to everybody."""
        return {str(one["id"]): one for one in self.lab.simulator.blocks if one["kind"] != "public_ipv6"}

    def public(self) -> list[str]:
        """Return the networks of the blocks."""
        return sorted(str(cast(str, one["network"])) for one in self.blocks().values())

    def wait_released(self, left: int = 0) -> None:
        """Wait until the provider has no more than so many blocks."""
        self.lab.wait(lambda: len(self.blocks()) == left)
