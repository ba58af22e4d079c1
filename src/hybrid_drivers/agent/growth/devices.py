"""PCI devices: which of a host's a virtual machine gets. Pure.

The rules are those of ``HostSharePCI.cc`` (``test``, read in its form of 2023): first the attributes with SHORT_ADDRESS
and nothing else, then the others in their order, each the first free device, by address, whose VENDOR, DEVICE and CLASS
are those the attribute names. They are hexadecimal numbers: ``0x10DE`` is ``10de``. An attribute that names none of
them gets no device anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hybrid_drivers.model_shares import PciDevice

Free = tuple["Device", ...]
_HEX: Final = re.compile(r"\s*(?:0[xX])?([0-9a-fA-F]{1,8})").fullmatch
_PARTS: Final = ("VENDOR", "DEVICE", "CLASS")
_FREE: Final = -1


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a host has; None: nobody has told that part of what it is."""

    vendor: int | None
    device: int | None
    class_: int | None
    address: str = ""  # SHORT_ADDRESS


@dataclass(frozen=True, slots=True)
class Wish:
    """A device that a machine wants, at an ``address`` or of a kind; None: any."""

    vendor: int | None = None
    device: int | None = None
    class_: int | None = None
    address: str = ""

    def met_by(self, one: Device) -> bool:
        """Tell whether a device will do; what is not known of it is not what was named."""
        if self.address:
            return one.address == self.address
        return (
            self.vendor in (None, one.vendor)
            and self.device in (None, one.device)
            and self.class_ in (None, one.class_)
        )


def wishes(attributes: Iterable[Mapping[str, str]]) -> tuple[Wish, ...] | None:
    """Read the PCI attributes of a machine, in the order they are served; None: no host can ever serve them."""
    by_address, by_kind = [], []
    for one in attributes:
        told = [text for name in _PARTS if (text := one.get(name, ""))]
        parts = [_number(one.get(name, "")) for name in _PARTS]
        known = sum(part is not None for part in parts)
        if not known:
            if not one.get("SHORT_ADDRESS"):
                return None
            by_address.append(Wish(address=one["SHORT_ADDRESS"]))
        elif known < len(told):
            return None  # oned compares with whatever the reading of a wrong number left: nothing to rely on
        else:
            by_kind.append(Wish(vendor=parts[0], device=parts[1], class_=parts[2]))
    return (*by_address, *by_kind)


def free_of(devices: Iterable[PciDevice]) -> Free:
    """Return the devices of a host that no machine has, in oned's order."""
    return tuple(_known(one) for one in sorted(devices, key=_order) if one.vm_id == _FREE)


def all_of(devices: Iterable[PciDevice]) -> Free:
    """Return what a host like this one will have."""
    return tuple(_known(one) for one in sorted(devices, key=_order))


def serve(free: Free, wanted: Sequence[Wish]) -> Free | None:
    """Return what is left after one machine; None: it cannot be served."""
    left = list(free)
    for wish in wanted:
        at = next((at for at, one in enumerate(left) if wish.met_by(one)), None)
        if at is None:
            return None
        del left[at]
    return tuple(left)


def render(devices: Iterable[Device]) -> str:
    """Write devices as the entry's table has them, with their addresses: ``10de:20b0:0302@02:00.0``."""
    return " ".join(
        ":".join("*" if part is None else f"{part:04x}" for part in (one.vendor, one.device, one.class_))
        + (f"@{one.address}" if one.address else "")
        for one in devices
    )


def read(texts: Iterable[str]) -> Free:
    """Read what :func:`render` writes or an entry has; ``*``: not known. What is neither is left out."""
    found = []
    for text in texts:
        kind, _, address = text.partition("@")
        parts = [_number(one) for one in kind.split(":")]
        if len(parts) == len(_PARTS):
            found.append(Device(parts[0], parts[1], parts[2], address))
    return tuple(found)


def _known(one: PciDevice) -> Device:
    vendor, device, class_ = (_number(text) or 0 for text in (one.vendor, one.device, one.class_))
    return Device(vendor, device, class_, one.short_address)


def _order(one: PciDevice) -> str:
    return one.address


def _number(text: str) -> int | None:
    found = _HEX(text)
    return int(found[1], 16) if found else None
