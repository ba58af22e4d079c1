"""Reading address ranges as oned has them: what is free in them, what they have of whose.

oned's own attributes of its ranges are all there is to go by. Facts about them: OpenNebula ``AddressRange.cc``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.network.addresses import Span, free_run

BLOCK, BLOCK6, PUBLIC = "DEPLOY_ID", "DEPLOY_ID6", "EXTERNAL_IP"  # attributes we write
OLD_BLOCK = "AWS_ALLOCATION_ID"  # of ranges that OpenNebula's own driver made
_SAME = ("AR_ID", "IPAM_MAD", "TYPE", "MAC", "IP", "IP6", "GLOBAL_PREFIX", BLOCK, BLOCK6)  # what tells a range
_MACHINE = 1 << 36

Attributes = Mapping[str, str]


def same_range(one: Attributes, other: Attributes) -> bool:
    """Tell whether two descriptions are of one range: oned hands over a range without its network's id."""
    return all(one.get(key, "") == other.get(key, "") for key in _SAME)


def blocks_of(ar: Attributes) -> tuple[str, ...]:
    """Return the ids of the provider's blocks a range names."""
    return tuple(one.strip() for key in (BLOCK, OLD_BLOCK, BLOCK6) for one in ar.get(key, "").split(",") if one.strip())


def named(ranges: Iterable[Attributes]) -> set[str]:
    """Return the ids of all blocks that ranges name."""
    return {one for ar in ranges for one in blocks_of(ar)}


def spans4(ranges: Iterable[Attributes]) -> list[Span]:
    """Return what of IPv4 ranges have."""
    found = []
    for ar in ranges:
        first = _number(ar.get("IP", ""), 4)
        if first is not None:
            found.append((first, first + max(_size(ar), 1) - 1))
    return found


def networks6(ranges: Iterable[Attributes]) -> list[str]:
    """Return what of IPv6 ranges have, as networks: the 64 bits that addresses are made in, or what is counted."""
    found: list[str] = []
    for ar in ranges:
        if (prefix := _number(ar.get("GLOBAL_PREFIX", ""), 6)) is not None:
            found.append(str(ipaddress.IPv6Network((prefix, 64), strict=False)))
        elif (first := _number(ar.get("IP6", ""), 6)) is not None:
            last = min(first + max(_size(ar), 1) - 1, first | (1 << 64) - 1)
            ends = ipaddress.IPv6Address(first), ipaddress.IPv6Address(last)
            found += [str(one) for one in ipaddress.summarize_address_range(*ends)]
    return found


def held(ar: Attributes) -> set[int]:
    """Return the numbers of the addresses that somebody has, from ``ALLOCATED`` (pairs of number and holder)."""
    return {int(word) for word in ar.get("ALLOCATED", "").split()[::2] if word.isascii() and word.isdigit()}


def machine_at(ar: Attributes, number: int) -> int | None:
    """Return the id of the virtual machine that holds an address; None: none does.

    A holder is a kind and an id in one number (OpenNebula ``PoolObjectSQL.h``).
    """
    words = ar.get("ALLOCATED", "").split()
    for at, holder in zip(words[::2], words[1::2], strict=False):
        if at == str(number) and holder.isascii() and holder.isdigit() and int(holder) & _MACHINE:
            return int(holder) & (1 << 32) - 1
    return None


def number_of_public(ar: Attributes, address: str) -> int | None:
    """Return the number of the address that a public one stands for; None: it is not of this range.

    Addresses that are made of MACs (RFC 4291, appendix A) are of the range when the MAC is.
    """
    outside = [one for one in ar.get(PUBLIC, "").split(",") if one]
    if address in outside:
        return outside.index(address)
    if outside and ":" not in address:
        return None
    direct = number_of(ar, address, address, "")
    prefix, six = _number(ar.get("GLOBAL_PREFIX", ""), 6), _number(address, 6)
    if direct is not None or prefix is None or six is None or prefix >> 64 != six >> 64:
        return direct
    low = six & (1 << 64) - 1
    if low >> 24 & 0xFFFF != 0xFFFE:
        return None
    digits = f"{(low >> 40 ^ 0x020000) << 24 | low & 0xFFFFFF:012x}"
    return number_of(ar, "", "", digits)


def choose(ar: Attributes, taken: Collection[int], count: int) -> int:
    """Return the number of the first of ``count`` free addresses in a row.

    Raises:
        ConfigError: there are none; the text says why.
    """
    size = _size(ar)
    found = free_run(size, taken, count)
    if found is not None:
        return found
    free = size - len([one for one in set(taken) if one < size])
    if free >= count:
        raise ConfigError(f"the address range has {free} free addresses, but no {count} in a row")
    raise ConfigError(f"the address range has {free} free addresses of {size}, {count} were asked for")


def address_at(ar: Attributes, number: int) -> dict[str, str]:
    """Return the addresses with a number of a range: what of IP, IP6 and MAC it counts."""
    found = {}
    for key, family in (("IP", 4), ("IP6", 6)):
        if (first := _number(ar.get(key, ""), family)) is not None:
            found[key] = str((ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address)(first + number))
    if (mac := _mac(ar.get("MAC", ""))) is not None:
        digits = f"{mac + number:012x}"
        found["MAC"] = ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    return found


def number_of(ar: Attributes, ip: str, ip6: str, mac: str) -> int | None:
    """Return the number an address has in a range; None: it is not in there."""
    pairs = [
        (_number(ip, 4), _number(ar.get("IP", ""), 4)),
        (_number(ip6, 6), _number(ar.get("IP6", ""), 6)),
        (_mac(mac), _mac(ar.get("MAC", ""))),
    ]
    for given, first in pairs:
        if given is not None and first is not None:
            return given - first if 0 <= given - first < _size(ar) else None
    return None


def public_address(ar: Attributes, address: str) -> tuple[str, str] | None:
    """Return the public address, and its block's id, that an address of a range stands for; None: not of this range.

    For IPv6, and where the provider does not translate, that is the address itself.
    """
    number, blocks = _number(address, 4), [one for one in ar.get(BLOCK, "").split(",") if one]
    if number is None:
        return (address, ar.get(BLOCK6, "")) if _in_range6(ar, address) else None
    first = _number(ar.get("IP", ""), 4)
    if first is None or not 0 <= number - first < _size(ar) or not blocks:
        return None
    outside = [one for one in ar.get(PUBLIC, "").split(",") if one]
    at = number - first
    if not outside:
        return address, blocks[0]
    return (outside[at], blocks[at]) if at < min(len(outside), len(blocks)) else None


def _in_range6(ar: Attributes, address: str) -> bool:
    number = _number(address, 6)
    return number is not None and any(
        ipaddress.IPv6Address(number) in ipaddress.IPv6Network(one) for one in networks6([ar])
    )


def _size(ar: Attributes) -> int:
    size = ar.get("SIZE", "")
    return int(size) if size.isascii() and size.isdigit() else 0


def _number(text: str, family: int) -> int | None:
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return int(found) if found.version == family else None


def _mac(text: str) -> int | None:
    digits = text.replace(":", "")
    try:
        return int(digits, 16) if len(digits) == 12 and digits.isalnum() else None
    except ValueError:
        return None
