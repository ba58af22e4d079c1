"""The address ranges of a network and their leases, as ``one.vn.info`` and ``one.vnpool.info`` show them.

Facts: recorded replies; OpenNebula ``AddressRange.cc`` and ``AddressRangeInternal.cc``. A range with IPAM_MAD is only
noted: where its driver would be asked, ``AddressRange.make`` and ``lease`` are the places.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.sandbox.frontend.attributes import cdata

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
    leases: dict[int, int] = field(default_factory=dict)

    @classmethod
    def make(cls, range_id: int, given: Mapping[str, str]) -> AddressRange:
        """Make a range of the attributes a client gave. Raises: RangeFault."""
        told = {key: value for key, value in given.items() if key not in _OWN}
        kind = told.get("TYPE", "").upper()
        if kind not in _TYPES:
            raise RangeFault("Unknown or missing address range TYPE.")
        if "IP4" not in kind:
            told.pop("IP", None)
        elif _ip4(told.get("IP", "")) is None:
            raise RangeFault("Wrong or empty IP attribute")
        told["MAC"] = _mac(told)
        if not told.get("SIZE", "").isdecimal():
            raise RangeFault("Wrong SIZE for address range")
        told |= {"AR_ID": str(range_id), "NEXT_INDEX": "0", "SHARED": told.get("SHARED", "NO")}
        return cls(range_id, told, int(told["SIZE"]))

    @property
    def internal(self) -> bool:
        """Tell whether oned hands out the addresses itself."""
        return self.told.get("IPAM_MAD", "internal") == "internal"

    def lease(self, vm_id: int, wanted: str = "") -> dict[str, str] | None:
        """Give a machine an address (``wanted``: that IP) and return what its NIC gets; None when there is none."""
        index = self._index(wanted)
        if index is None:
            return None
        self.leases[index] = vm_id
        if self.internal:
            self.told["NEXT_INDEX"] = str((index + 1) % self.size)
        self._note()
        return {"AR_ID": str(self.id), **self._address(index)}

    def free(self, vm_id: int) -> None:
        """Take back all a machine has."""
        kept = {index: holder for index, holder in self.leases.items() if holder != vm_id}
        if kept != self.leases:
            self.leases = kept
            self._note()

    def _index(self, wanted: str) -> int | None:
        free = (one for one in range(self.size) if one not in self.leases)
        if not wanted:
            begin = int(self.told["NEXT_INDEX"])
            return min(free, key=lambda one: (one - begin) % self.size, default=None)
        first, asked = _ip4(self.told.get("IP", "")), _ip4(wanted)
        return asked - first if first is not None and asked is not None and asked - first in set(free) else None

    def _note(self) -> None:
        held = sorted(self.leases.items())
        self.told["ALLOCATED"] = "".join(f" {index} {_OF_A_VM | vm_id}" for index, vm_id in held)

    def _address(self, index: int) -> dict[str, str]:
        mac = {"MAC": _mac_text(int(self.told["MAC"].replace(":", ""), 16) + index)}
        first = _ip4(self.told.get("IP", ""))
        return mac if first is None else {"IP": str(ipaddress.IPv4Address(first + index)), **mac}

    def xml(self) -> str:
        """Return ``<AR>`` with its leases, as the call for one network shows it."""
        last = self._address(self.size - 1)
        ends = "".join(f"<{key}_END>{cdata(last[key])}</{key}_END>" for key in ("MAC", "IP") if key in last)
        held = "".join(self._lease_xml(index) for index in sorted(self.leases))
        shown = "".join(f"<{key}>{cdata(self.told[key])}</{key}>" for key in sorted(self.told) if key != "ALLOCATED")
        leases = f"<LEASES>{held}</LEASES>" if held else "<LEASES/>"
        return f"<AR>{shown}{ends}<USED_LEASES>{len(self.leases)}</USED_LEASES>{leases}</AR>"

    def stored(self) -> str:
        """Return ``<AR>`` as oned keeps it, which is what the pool shows."""
        return f"<AR>{''.join(f'<{key}>{cdata(self.told[key])}</{key}>' for key in sorted(self.told))}</AR>"

    def _lease_xml(self, index: int) -> str:
        values = {**self._address(index), "VM": str(self.leases[index])}
        return f"<LEASE>{''.join(f'<{key}>{cdata(values[key])}</{key}>' for key in sorted(values))}</LEASE>"


def _ip4(text: str) -> int | None:
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def _mac(told: Mapping[str, str]) -> str:
    if given := told.get("MAC", ""):
        if given.count(":") != 5:
            raise RangeFault("Wrong format for MAC attribute")
        return given
    low = _ip4(told.get("IP", ""))
    return _mac_text(_MAC_PREFIX << 32 | (random.getrandbits(32) if low is None else low))


def _mac_text(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in number.to_bytes(6, "big"))
