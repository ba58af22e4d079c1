"""The addresses a range counts, by number: MAC, IPv4, and IPv6 made of MACs or counted.

Facts: OpenNebula ``AddressRange.cc`` (``set_mac``, ``set_ip``, ``set_ip6``, ``set_ip6_static``, ``to_xml``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_LINK = int(ipaddress.IPv6Address("fe80::"))
_LOCAL_BIT = 0x0200 << 32


def ip4(text: str) -> int | None:
    """Read an IPv4 address."""
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def ip6(text: str) -> int | None:
    """Read an IPv6 address."""
    try:
        return int(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def mac_text(number: int) -> str:
    """Write a MAC."""
    return ":".join(f"{byte:02x}" for byte in number.to_bytes(6, "big"))


def mac_number(text: str) -> int:
    """Read a MAC."""
    return int(text.replace(":", ""), 16)


def has_ip4(kind: str) -> bool:
    """Tell whether a TYPE has IPv4 addresses."""
    return kind.startswith("IP4")


def makes_ip6(kind: str) -> bool:
    """Tell whether a TYPE has IPv6 addresses made of MACs."""
    return kind in ("IP6", "IP4_6")


def counts_ip6(kind: str) -> bool:
    """Tell whether a TYPE has IPv6 addresses that are counted."""
    return kind.endswith("_STATIC")


def addresses(told: Mapping[str, str], number: int, *, link: bool = True) -> dict[str, str]:
    """Return the addresses with a number; ``link``: the one of the link too, which a NIC and a lease have."""
    kind = told["TYPE"].upper()
    mac = mac_number(told["MAC"]) + number
    found = {"MAC": mac_text(mac)}
    if has_ip4(kind) and (first := ip4(told.get("IP", ""))) is not None:
        found["IP"] = str(ipaddress.IPv4Address(first + number))
    if makes_ip6(kind):
        if link:
            found["IP6_LINK"] = _eui64(_LINK, mac)
        for key, prefix in (("IP6_ULA", "ULA_PREFIX"), ("IP6_GLOBAL", "GLOBAL_PREFIX")):
            if (network := ip6(told.get(prefix, ""))) is not None:
                found[key] = _eui64(network, mac)
    if counts_ip6(kind) and (first := ip6(told.get("IP6", ""))) is not None:
        found["IP6"] = str(ipaddress.IPv6Address(first + number))
    return found


def ends(told: Mapping[str, str], size: int) -> dict[str, str]:
    """Return what oned shows behind a range's attributes: its last addresses, and the first that are made of MACs."""
    last = addresses(told, size - 1, link=False)
    made = {key: value for key, value in addresses(told, 0, link=False).items() if key in ("IP6_ULA", "IP6_GLOBAL")}
    shown = {"MAC_END": last["MAC"], **({"IP_END": last["IP"]} if "IP" in last else {})}
    for key, value in made.items():
        shown |= {key: value, f"{key}_END": last[key]}
    return {**shown, **({"IP6_END": last["IP6"]} if "IP6" in last else {})}


def _eui64(prefix: int, mac: int) -> str:
    low = mac & 0xFFFFFF
    high = (mac ^ _LOCAL_BIT) >> 24
    return str(ipaddress.IPv6Address((prefix >> 64 << 64) | high << 40 | 0xFFFE << 24 | low))
