"""A virtual network and its XML, byte for byte as a real oned 7.4.0 writes it (recorded; ``VirtualNetwork.cc``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from hybrid_drivers.sandbox.frontend.address_ranges import AddressRange
from hybrid_drivers.sandbox.frontend.attributes import Attributes, cdata
from hybrid_drivers.sandbox.frontend.ipam import OneIpam
from hybrid_drivers.sandbox.frontend.oned_conf import OnedConf
from hybrid_drivers.sandbox.frontend.owned import OwnedObject, ids

_NEED_PHYDEV: Final = ("802.1Q", "vxlan")  # VLAN_ID or AUTOMATIC_VLAN_ID too
_NUMBERED: Final = {"vxlan": 2, "802.1Q": 2, "ovswitch": 2}  # drivers with automatic VLAN ids, and the first one


class VnetFault(ValueError):
    """The template cannot be one of a network; ``str()`` is oned's sentence."""


class VnetState(IntEnum):
    """The states of a network (OpenNebula ``VirtualNetwork.h``)."""

    INIT = 0
    READY = 1
    LOCK_CREATE = 2
    LOCK_DELETE = 3
    DONE = 4
    ERROR = 5


@dataclass(kw_only=True)
class VnetObject(OwnedObject):
    """A network: what it is made of, its address ranges, and the machines that were told of it.

    ``busy``: an address driver is asked for it, so that whoever asks for the network itself waits.
    """

    busy: bool = False

    state: VnetState = VnetState.LOCK_CREATE
    previous: VnetState = VnetState.INIT
    vn_mad: str = ""
    bridge: str = ""
    bridge_type: str = ""
    phydev: str = ""
    vlan_id: str = ""
    outer_vlan_id: str = ""
    automatic: bool = False
    template_id: int | None = None
    clusters: set[int] = field(default_factory=set)
    ranges: dict[int, AddressRange] = field(default_factory=dict)
    next_range: int = 0
    updated_vms: set[int] = field(default_factory=set)

    def enter(self, state: VnetState) -> None:
        """Change the state; the one before is the last that was stored."""
        self.previous = self.state if state is not VnetState.READY else state
        self.state = state

    def begin(self, attributes: Attributes, conf: OnedConf) -> None:
        """Set the fields of a new network from its template. Raises: VnetFault."""
        self.vn_mad, self.phydev = attributes.text("VN_MAD"), attributes.text("PHYDEV")
        if not self.vn_mad:
            raise VnetFault("No VN_MAD in template for Virtual Network.")
        self.bridge, self.vlan_id = attributes.text("BRIDGE"), attributes.text("VLAN_ID")
        self.outer_vlan_id = attributes.text("OUTER_VLAN_ID")
        self.automatic = not self.vlan_id and attributes.text("AUTOMATIC_VLAN_ID").upper() in ("YES", "TRUE", "1")
        self._check()
        driver = conf.driver("VN_MAD", self.vn_mad)
        if driver is None:
            raise VnetFault(f'VN_MAD named "{self.vn_mad}" is not defined in oned.conf')
        self.bridge_type = driver.get("BRIDGE_TYPE", "linux")
        self.template = attributes

    def _check(self) -> None:
        if self.vn_mad == "dummy" and not self.bridge:
            raise VnetFault("BRIDGE is mandatory for driver dummy")
        if self.vn_mad in _NEED_PHYDEV and not self.phydev:
            raise VnetFault(f"PHYDEV is mandatory for driver {self.vn_mad}")
        if self.vn_mad in _NEED_PHYDEV and not self.vlan_id and not self.automatic:
            raise VnetFault(f"VLAN_ID (or AUTOMATIC_VLAN_ID) is mandatory for driver {self.vn_mad}")

    def settle(self) -> None:
        """Fill in what follows from the id, and write the fields back into the template."""
        if not self.bridge and self.bridge_type != "none":
            self.bridge = f"onebr.{self.vlan_id}" if self.vlan_id else f"onebr{self.id}"
        if self.automatic and self.vn_mad in _NUMBERED:
            self.vlan_id = str(_NUMBERED[self.vn_mad] + self.id)
        groups = {one.strip() for one in self.template.text("SECURITY_GROUPS").split(",") if one.strip().isdecimal()}
        self.template.set("SECURITY_GROUPS", ",".join(sorted({*groups, "0"}, key=int)))
        self.write_back()

    def write_back(self) -> None:
        """Put the fields into the template, as oned does after every update."""
        for name, value in (
            ("VN_MAD", self.vn_mad),
            ("PHYDEV", self.phydev),
            ("BRIDGE", self.bridge),
            ("BRIDGE_TYPE", self.bridge_type),
            ("OUTER_VLAN_ID", self.outer_vlan_id),
        ):
            self.template.set(name, value)
        self.template.remove("AUTOMATIC_VLAN_ID", "AUTOMATIC_OUTER_VLAN_ID", "VLAN_ID")
        if not self.automatic:
            self.template.set("VLAN_ID", self.vlan_id)

    def add_range(self, given: dict[str, str], ipam: OneIpam | None = None) -> None:
        """Add an address range. Raises: RangeFault."""
        self.ranges[self.next_range] = AddressRange.make(self.next_range, given, ipam)
        self.next_range += 1

    @property
    def used(self) -> int:
        """Return how many addresses are held."""
        return sum(len(one.leases) for one in self.ranges.values())

    def free(self, vm_id: int, mac: str = "") -> None:
        """Take back all addresses of a machine, or that of one card."""
        for one in self.ranges.values():
            one.free(vm_id, mac)
        if all(vm_id not in one.leases.values() for one in self.ranges.values()):
            self.updated_vms.discard(vm_id)

    def xml(self, *, whole: bool) -> str:
        """Return ``<VNET>``; ``whole`` shows leases and ends of ranges, which the pool does not."""
        ranges = "".join(one.xml() if whole else one.stored() for one in self.ranges.values())
        return (
            f"<VNET>{self.head()}{self.rights()}{ids('CLUSTERS', self.clusters)}<BRIDGE>{cdata(self.bridge)}</BRIDGE>"
            f"<BRIDGE_TYPE>{cdata(self.bridge_type)}</BRIDGE_TYPE><STATE>{cdata(str(int(self.state)))}</STATE>"
            f"<PREV_STATE>{cdata(str(int(self.previous)))}</PREV_STATE><PARENT_NETWORK_ID/>"
            f"{_or_empty('TEMPLATE_ID', '' if self.template_id is None else str(self.template_id))}"
            f"<VN_MAD>{cdata(self.vn_mad)}</VN_MAD>{_or_empty('PHYDEV', self.phydev)}"
            f"{_or_empty('VLAN_ID', self.vlan_id)}{_or_empty('OUTER_VLAN_ID', self.outer_vlan_id)}"
            f"<VLAN_ID_AUTOMATIC>{int(self.automatic)}</VLAN_ID_AUTOMATIC>"
            f"<OUTER_VLAN_ID_AUTOMATIC>0</OUTER_VLAN_ID_AUTOMATIC><USED_LEASES>{self.used}</USED_LEASES>"
            f"<VROUTERS></VROUTERS>{ids('UPDATED_VMS', self.updated_vms)}<OUTDATED_VMS></OUTDATED_VMS>"
            f"<UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>{self.template.xml()}"
            f"<AR_POOL>{ranges}</AR_POOL></VNET>"
        )


def _or_empty(tag: str, value: str) -> str:
    return f"<{tag}>{cdata(value)}</{tag}>" if value else f"<{tag}/>"
