"""Role ``bridged-networking``: a bridge for guests, there after a reboot too."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.parameters import Address, Interface, InterfaceOrLabel
from hybrid_drivers.hostconfig.primitives import command
from hybrid_drivers.hostconfig.steps import Step, words

_DEFAULT_INTERFACE = Interface("eth1")
# When nothing gives the bridge an address: OneProvision 5.12's own templates used this for guests behind NAT.
_LAST_RESORT = "192.168.150.1/24"


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula ``share/oneprovision/ansible/roles/bridged-networking/defaults/main.yml``.

    Where OneProvision failed (no eth1 and no address given), the bridge is for the host's own guests. Without an
    address given the bridge takes over those of ``ip_iface`` when that is its port: all, IPv6 too, with routes and name
    servers. ``iface_manage: no``: people connect a port themselves; it is neither asked for nor touched.
    """

    bridged_networking_bridge: Interface = Interface("br0")  # noqa: RUF009 - a NewType of str, as immutable as str
    bridged_networking_bridge_manage: bool = True
    bridged_networking_iface: Interface = _DEFAULT_INTERFACE
    bridged_networking_iface_manage: bool = True
    bridged_networking_static_ip: Address = Address("")  # noqa: RUF009 - as above
    bridged_networking_static_netmask: Address = Address("255.255.255.0")  # noqa: RUF009 - as above
    bridged_networking_static_gateway: Address = Address("")  # noqa: RUF009 - as above
    bridged_networking_ip_iface: InterfaceOrLabel = InterfaceOrLabel(_DEFAULT_INTERFACE)  # noqa: RUF009 - as above


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the step.

    Raises:
        ConfigError: the bridge has no name, the netmask is none, or there is a gateway without an address.
    """
    if not parameters.bridged_networking_bridge_manage:
        return ()
    bridge = parameters.bridged_networking_bridge
    if not bridge:
        raise ConfigError("configuration: bridged_networking_bridge is empty, expected the name of a network interface")
    port = parameters.bridged_networking_iface if parameters.bridged_networking_iface_manage else ""
    must = "must" if port not in ("", _DEFAULT_INTERFACE) else ""
    arguments = words(
        bridge,
        port,
        must,
        _static_address(parameters),
        parameters.bridged_networking_static_gateway,
        parameters.bridged_networking_ip_iface,
        _LAST_RESORT,
    )
    return (
        command(
            "bridged-networking",
            f"make bridge {bridge}",
            check=f"bridge_is {arguments}",
            apply=f"put_bridge {arguments}",
        ),
    )


def _static_address(parameters: Parameters) -> str:
    address, gateway = parameters.bridged_networking_static_ip, parameters.bridged_networking_static_gateway
    if not address:
        if gateway:
            raise ConfigError(
                "configuration: bridged_networking_static_gateway is given without bridged_networking_static_ip"
            )
        return ""
    mask = parameters.bridged_networking_static_netmask
    try:
        return str(ipaddress.IPv4Interface(f"{address}/{mask}"))
    except ValueError as exc:
        raise ConfigError(f"configuration: bridged_networking_static_netmask is '{mask}', expected a netmask") from exc
