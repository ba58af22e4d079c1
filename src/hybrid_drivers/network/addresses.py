"""Finding free addresses: in a range by number, and in a network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeVar, Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Span = tuple[int, int]  # first and last address as numbers
Address4 = ipaddress.IPv4Address
NetworkT = TypeVar("NetworkT", ipaddress.IPv4Network, ipaddress.IPv6Network)


def free_run(size: int, held: Iterable[int], count: int, begin: int = 0) -> int | None:
    """Return the lowest of ``count`` free numbers in a row from ``begin`` to ``size`` - 1; None: there are none.

    ``size`` may be huge (an IPv6 network): only what is ``held`` is looked at.
    """
    for taken in (*sorted(one for one in set(held) if begin <= one < size), size):
        if taken - begin >= count:
            return begin
        begin = taken + 1
    return None


def free_span(pool: Span, taken: Iterable[Span], count: int) -> int | None:
    """Return the lowest address of ``count`` in a row within ``pool`` that touch no span of ``taken``; None: none."""
    first, last = pool
    for low, high in sorted(
        (*((one, two) for one, two in taken if two >= first and one <= last), (last + 1, last + 1))
    ):
        if low - first >= count:
            return first
        first = max(first, high + 1)
    return None


def free_network(parent: NetworkT, bits: int, taken: Iterable[NetworkT], skip: int = 0) -> NetworkT | None:
    """Return the first network of ``bits`` bits in ``parent`` that overlaps none of ``taken``; None: there is none.

    ``skip``: how many addresses at the beginning of ``parent`` are left alone.
    """
    step = 1 << (parent.max_prefixlen - bits)
    first, end = int(parent.network_address) + skip, int(parent.broadcast_address) + 1
    at = -(-first // step) * step
    spans = sorted((int(one.network_address), int(one.broadcast_address)) for one in taken if one.overlaps(parent))
    for low, high in spans:
        if at + step <= low:
            break
        at = max(at, -(-(high + 1) // step) * step)
    return type(parent)((at, bits)) if at + step <= end else None


def span_of(network: Network) -> Span:
    """Return the first and the last address of a network."""
    return int(network.network_address), int(network.broadcast_address)
