"""What the ``ipam`` executables are asked to do: argv and standard input of a call, parsed once into a frozen value.

Recorded from a real oned 7.4.0, which hands over the address range with its secrets in clear, whatever of it is
encrypted at rest (OpenNebula ``IPAMRequest.cc``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Union

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned.fields import Node, whole
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.xml import MAX_INPUT, from_base64, parse

_ROOT = "IPAM_DRIVER_ACTION_DATA"


@dataclass(frozen=True, kw_only=True)
class OnRange:
    """An action on an address range; ``ar`` are its attributes, credentials among them."""

    driver: str
    request_id: str  # oned's number of the request, from 0 again after each start of oned
    ar: Mapping[str, str] = field(repr=False)


class Register(OnRange):
    """Make the range: the answer replaces all its attributes in oned."""


class Unregister(OnRange):
    """The range is about to be deleted."""


@dataclass(frozen=True, kw_only=True)
class OnAddress(OnRange):
    """An action on ``size`` addresses in a row, which begin with these; what the range does not have is empty."""

    size: int
    ip: str = ""
    ip6: str = ""  # of a static range
    ip6_global: str = ""
    mac: str = ""


class GetAddress(OnAddress):
    """Say which ``size`` addresses are free."""


class AllocateAddress(OnAddress):
    """These addresses were asked for by name: may they be had?"""


class FreeAddress(OnAddress):
    """These addresses are no longer used."""


RangeAction = Union[Register, Unregister, GetAddress, AllocateAddress, FreeAddress]


def parse_ipam(call: Call) -> RangeAction:
    """Turn a call into what it asks for.

    Raises:
        ConfigError: there is no such action, or argv or standard input is not as it has to be.
    """
    read = ACTIONS.get(call.action)
    name = f"ipam/{call.driver}/{call.action}"
    if not read:
        raise ConfigError(f"the hybrid drivers have no action '{call.action[:40]}' in 'ipam'")
    if len(call.argv) != 1:
        raise ConfigError(f"{name} was called with {len(call.argv)} arguments, expected <request id>")
    what = f"standard input of {name} ({_ROOT})"
    node = parse(from_base64(call.stdin, what), _ROOT, what, ConfigError, MAX_INPUT)
    ar = node.vector("AR")
    if ar.get("IPAM_MAD") != call.driver:
        raise ConfigError(f"{name} was called for an address range of IPAM_MAD '{ar.get('IPAM_MAD', '')[:40]}'")
    return read(call, ar, node)


def _on_range(kind: type[OnRange]) -> Callable[[Call, Mapping[str, str], Node], RangeAction]:
    def read(call: Call, ar: Mapping[str, str], node: Node) -> RangeAction:
        del node
        return kind(driver=call.driver, request_id=call.argv[0], ar=ar)  # type: ignore[return-value] # one of the union

    return read


def _on_address(kind: type[OnAddress]) -> Callable[[Call, Mapping[str, str], Node], RangeAction]:
    def read(call: Call, ar: Mapping[str, str], node: Node) -> RangeAction:
        size = node.get("ADDRESS/SIZE", whole, 1)
        if size < 1:
            raise ConfigError(f"ipam/{call.driver}/{call.action}: ADDRESS/SIZE is {size}, expected 1 or more")
        return kind(  # type: ignore[return-value] # one of the union
            driver=call.driver,
            request_id=call.argv[0],
            ar=ar,
            size=size,
            ip=node.get("ADDRESS/IP", str, ""),
            ip6=node.get("ADDRESS/IP6", str, ""),
            ip6_global=node.get("ADDRESS/IP6_GLOBAL", str, ""),
            mac=node.get("ADDRESS/MAC", str, ""),
        )

    return read


ACTIONS: Final[Mapping[str, Callable[[Call, Mapping[str, str], Node], RangeAction]]] = {
    "register_address_range": _on_range(Register),
    "unregister_address_range": _on_range(Unregister),
    "get_address": _on_address(GetAddress),
    "allocate_address": _on_address(AllocateAddress),
    "free_address": _on_address(FreeAddress),
}
