"""The address ranges of a network and their leases, as ``one.vn.info`` and ``one.vnpool.info`` show them.

Facts: recorded replies and driver messages; OpenNebula ``AddressRange.cc``, ``AddressRangeInternal.cc`` and
``AddressRangeIPAM.cc``. A range with IPAM_MAD asks its driver, where the front-end has drivers; otherwise it is only
noted.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.sandbox.frontend import range_addresses as counted
from hybrid_drivers.sandbox.frontend.attributes import cdata
from hybrid_drivers.sandbox.frontend.ipam import IpamAnswer, OneIpam

_TYPES: Final = ("ETHER", "IP4", "IP6", "IP6_STATIC", "IP4_6", "IP4_6_STATIC")
_MAC_PREFIX: Final = 0x0200
_OF_A_VM: Final = 0x1000000000  # PoolObjectSQL::VM, what an address is held by
_OWN: Final = ("ALLOCATED", "USED_LEASES", "LEASES", "PARENT_NETWORK_AR_ID", "PARENT_NETWORK")


class RangeFault(ValueError):
    """No range can be made of this; ``str()`` is oned's sentence."""


@dataclass
class AddressRange:
    """One range: ``told`` are its attributes, ``leases`` maps the number of an address to the machine that holds it."""

    id: int
    told: dict[str, str]
    size: int
    ipam: OneIpam | None = None
    leases: dict[int, int] = field(default_factory=dict)

    @classmethod
    def make(cls, range_id: int, given: Mapping[str, str], ipam: OneIpam | None = None) -> AddressRange:
        """Make a range of the attributes a client gave, or of those its driver answers with. Raises: RangeFault."""
        driver = given.get("IPAM_MAD", "internal")
        if ipam is None or driver == "internal":
            return cls.of(range_id, given)
        answer = ipam.ask("register_address_range", driver, _ar(given))
        if not answer.ok:
            raise RangeFault(answer.message)
        if "AR" not in answer.template:
            raise RangeFault("AR not found in IPAM driver response")
        try:
            return cls.of(range_id, answer.template.vector("AR"), ipam)
        except RangeFault:
            ipam.ask("unregister_address_range", driver, _ar(given))
            raise

    @classmethod
    def of(cls, range_id: int, given: Mapping[str, str], ipam: OneIpam | None = None) -> AddressRange:
        """Make a range of these attributes, nobody being asked. Raises: RangeFault."""
        told = {key: value for key, value in given.items() if key not in _OWN}
        kind = told.get("TYPE", "").upper()
        if kind not in _TYPES:
            raise RangeFault("Unknown or missing address range TYPE.")
        if not counted.has_ip4(kind):
            told.pop("IP", None)
        elif counted.ip4(told.get("IP", "")) is None:
            raise RangeFault("Wrong or empty IP attribute")
        _check_ip6(kind, told)
        told["MAC"] = _mac(told)
        if not told.get("SIZE", "").isdecimal():
            raise RangeFault("Wrong SIZE for address range")
        told |= {"AR_ID": str(range_id), "NEXT_INDEX": "0", "SHARED": told.get("SHARED", "NO")}
        return cls(range_id, told, int(told["SIZE"]), ipam)

    @property
    def internal(self) -> bool:
        """Tell whether oned hands out the addresses itself."""
        return self.told.get("IPAM_MAD", "internal") == "internal"

    # --- leases ---

    def lease(self, vm_id: int, wanted: str = "") -> dict[str, str] | None:
        """Give a machine an address (``wanted``: that one) and return what its NIC gets; None when there is none."""
        index = self._index(wanted)
        if index is not None and not self.internal and self.ipam is not None:
            index = self._asked(index, wanted)
        if index is None:
            return None
        self.leases[index] = vm_id
        if self.internal:
            self.told["NEXT_INDEX"] = str((index + 1) % self.size)
        self._note()
        return {"AR_ID": str(self.id), **counted.addresses(self.told, index)}

    def free(self, vm_id: int, mac: str = "") -> None:
        """Take back all a machine has (``mac``: what one card has); what the driver does not let go stays."""
        held = sorted(index for index, holder in self.leases.items() if holder == vm_id)
        for index in held if not mac else [one for one in held if counted.addresses(self.told, one)["MAC"] == mac]:
            if self.internal or self._ask("free_address", self._address_xml(index)).ok:
                self.leases.pop(index, None)
                self._note()

    def unregister(self) -> str:
        """Tell the driver that the range goes; return why it must stay, empty when it may go."""
        if self.internal or self.ipam is None:
            return ""
        answer = self._ask("unregister_address_range")
        return "" if answer.ok else answer.message

    def _index(self, wanted: str) -> int | None:
        free = (one for one in range(self.size) if one not in self.leases)
        if not wanted:
            begin = int(self.told["NEXT_INDEX"])
            if self.size > len(self.leases) + (1 << 16):  # a network of IPv6: no look at each of its addresses
                return next(free)
            return min(free, key=lambda one: (one - begin) % self.size, default=None)
        number = self._number(wanted)
        return number if number is not None and number not in self.leases else None

    def _number(self, address: str) -> int | None:
        read, key = (counted.ip6, "IP6") if ":" in address else (counted.ip4, "IP")
        first, asked = read(self.told.get(key, "")), read(address)
        found = None if first is None or asked is None else asked - first
        return found if found is not None and 0 <= found < self.size else None

    def _asked(self, index: int, wanted: str) -> int | None:
        """Ask the driver for any address, or for the wanted one; oned takes only IPv4 of what a driver offers."""
        if wanted:
            return index if self._ask("allocate_address", self._address_xml(index)).ok else None
        answer = self._ask("get_address", "<ADDRESS><SIZE>1</SIZE></ADDRESS>")
        number = self._number(answer.template.vector("ADDRESS").get("IP", "")) if answer.ok else None
        return number if number is not None and number not in self.leases else None

    def _ask(self, action: str, address: str = "") -> IpamAnswer:
        if self.ipam is None:
            return IpamAnswer(True)
        return self.ipam.ask(action, self.told["IPAM_MAD"], self._handed(), *([address] if address else []))

    def _note(self) -> None:
        held = sorted(self.leases.items())
        self.told["ALLOCATED"] = "".join(f" {index} {_OF_A_VM | vm_id}" for index, vm_id in held)

    # --- XML ---

    def xml(self) -> str:
        """Return ``<AR>`` with its leases, as the call for one network shows it."""
        held = "".join(self._lease_xml(index) for index in sorted(self.leases))
        leases = f"<LEASES>{held}</LEASES>" if held else "<LEASES/>"
        return f"<AR>{self._shown()}{leases}</AR>"

    def stored(self) -> str:
        """Return ``<AR>`` as oned keeps it, which is what the pool shows."""
        return _ar(self.told)

    def _handed(self) -> str:
        """Return ``<AR>`` as drivers get it (recorded: ``ipam.get_address``)."""
        return f"<AR>{self._shown()}</AR>"

    def _shown(self) -> str:
        values = {key: self.told[key] for key in sorted(self.told) if key != "ALLOCATED"}
        plain = "".join(f"<{key}>{cdata(value)}</{key}>" for key, value in values.items())
        last = "".join(f"<{key}>{cdata(value)}</{key}>" for key, value in counted.ends(self.told, self.size).items())
        return f"{plain}{last}<USED_LEASES>{len(self.leases)}</USED_LEASES>"

    def _lease_xml(self, index: int) -> str:
        values = {**counted.addresses(self.told, index), "VM": str(self.leases[index])}
        return f"<LEASE>{''.join(f'<{key}>{cdata(values[key])}</{key}>' for key in sorted(values))}</LEASE>"

    def _address_xml(self, index: int) -> str:
        found = counted.addresses(self.told, index, link=False)
        order = [key for key in ("MAC", "IP", "IP6_ULA", "IP6_GLOBAL", "IP6") if key in found]
        return f"<ADDRESS>{''.join(f'<{key}>{found[key]}</{key}>' for key in order)}<SIZE>1</SIZE></ADDRESS>"


def _ar(told: Mapping[str, str]) -> str:
    return f"<AR>{''.join(f'<{key}>{cdata(told[key])}</{key}>' for key in sorted(told))}</AR>"


def _check_ip6(kind: str, told: dict[str, str]) -> None:
    for key, words in (
        ("GLOBAL_PREFIX", "IP6 global address prefix"),
        ("ULA_PREFIX", "IP6 unique local address prefix"),
    ):
        if not counted.makes_ip6(kind):
            told.pop(key, None)
        elif told.get(key) and counted.ip6(told[key]) is None:
            raise RangeFault(f"Wrong format for {words}")
    if not counted.counts_ip6(kind):
        told.pop("IP6", None)
    elif counted.ip6(told.get("IP6", "")) is None:
        raise RangeFault("Wrong or empty IP6 attribute")
    elif not told.get("PREFIX_LENGTH", "").isdecimal():
        raise RangeFault("Wrong or empty PREFIX_LENGTH")


def _mac(told: Mapping[str, str]) -> str:
    if given := told.get("MAC", ""):
        if given.count(":") != 5:
            raise RangeFault("Wrong format for MAC attribute")
        return given
    low = counted.ip4(told.get("IP", ""))
    return counted.mac_text(_MAC_PREFIX << 32 | (random.getrandbits(32) if low is None else low))
