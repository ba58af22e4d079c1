"""Role ``frr``: BGP EVPN among the hosts of the cluster, for OpenNebula's virtual networks of the driver ``vxlan``.

FRR tells the others which VXLAN networks this host has, and where its guests are (RFC 8365). The first hosts of the
cluster, by host id, reflect what they hear to the others (RFC 4456); they are connected with each other too. OpenNebula
itself makes the devices of a virtual network that has ``VXLAN_MODE=evpn``.

FRR is each distribution's own: Debian (packages.debian.org/src:frr) and Ubuntu have ``frr`` and, for reloading,
``frr-pythontools``; in Red Hat Enterprise Linux ``frr`` (AppStream) has both (Fedora's ``frr.spec``, its origin).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import overlay
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.parameters import Interface
from hybrid_drivers.hostconfig.primitives import command, packages, require, service
from hybrid_drivers.hostconfig.steps import Step, all_of, quote

_ROLE = "frr"
_UNIT = "frr.service"
_PACKAGES = {"debian": ("frr", "frr-pythontools"), "redhat": ("frr",)}
_RETRY = 5  # seconds; FRR's own 120 would be how long a network stays broken after a reboot


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula 6.x ``share/oneprovision/ansible/roles/frr/defaults/main.yml``.

    ``frr_frrver`` must stay empty: nothing tells what key FRR's own repositories are signed with, so they are not used.
    These differ, because all hosts of the cluster are known here: ``frr_prefix_length`` was the network from which a
    reflector let anybody connect; its neighbours are named instead, and only when a length is given may others of that
    network connect too (where ``iptables_base_rules_services`` has tcp/179 and udp/8472). ``frr_iface``, for sessions
    from that interface's address, may stay empty: then the route decides.
    ``frr_zebra``, ``frr_ipcalc`` and ``frr_net_mask`` served hosts that reach each other by their default route only;
    that always works here, so they change nothing.
    """

    frr_frrver: str = ""
    frr_rr_num: int = 1
    frr_iface: Interface = Interface("")  # noqa: RUF009 - a NewType of str, as immutable as str
    frr_as: int = 65000
    frr_prefix_length: int = 0
    frr_zebra: bool = False
    frr_ipcalc: bool = False
    frr_net_mask: int = 20


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: a value does not fit; the text names the variable.
    """
    overlay.check_own_address(facts)
    _check(parameters)
    enable = command(
        _ROLE,
        "have FRR start bgpd",
        check="frr_daemon_is bgpd",
        apply="put_frr_daemon bgpd",
        triggers=(_UNIT,),
    )
    return (
        *_has_interface(parameters.frr_iface),
        packages(_ROLE, _PACKAGES),
        enable,
        service(_ROLE, _UNIT),
        overlay.let_in(_ROLE, _rules(parameters, facts)),
        _connect(parameters, facts),
    )


def _has_interface(name: str) -> Sequence[Step]:
    found = (
        f"[ -e {quote(f'/sys/class/net/{name}')} ] || stop {quote(f'there is no network interface {name} (frr_iface)')}"
    )
    return [require(_ROLE, f"look for interface {name}", found)] if name else []


def _connect(parameters: Parameters, facts: Facts) -> Step:
    return Step(
        role=_ROLE,
        name="connect BGP with the other hosts",
        check=all_of(overlay.left_out(facts), "frr_is"),
        apply=all_of(overlay.left_out(facts), "put_frr"),
        stdin=_configuration(parameters, facts),
        triggers=("frr.conf",),
    )


def _reflectors(parameters: Parameters, facts: Facts) -> tuple[str, ...]:
    """Return the addresses of the reflectors but this host's own."""
    return tuple(one for one in facts.members[: parameters.frr_rr_num] if one != facts.address)


def _clients(parameters: Parameters, facts: Facts) -> tuple[str, ...]:
    """Return those whom this host reflects to; for most hosts nobody."""
    first = facts.members[: parameters.frr_rr_num]
    return facts.members[parameters.frr_rr_num :] if facts.address in first else ()


def _rules(parameters: Parameters, facts: Facts) -> list[str]:
    """Let VXLAN in from all hosts, at both ports that a virtual network may use, and BGP from the neighbours."""
    neighbours = _reflectors(parameters, facts) + _clients(parameters, facts)
    vxlan = overlay.from_hosts(facts.others, f"udp dport {{ {overlay.VXLAN_PORT}, {overlay.LINUX_PORT} }}")
    return vxlan + overlay.from_hosts(neighbours, "tcp dport 179")


def _configuration(parameters: Parameters, facts: Facts) -> str:
    """Write ``frr.conf``, in the words and the order in which FRR itself shows it (docs.frrouting.org, BGP and EVPN).

    The router id is the address the others know: what this host says about devices that have no address of their own
    names it as the way to them. Nexthops may be reached by the default route, as between hosts in different networks.
    """
    reflects = facts.address in facts.members[: parameters.frr_rr_num]
    lines = ["frr defaults traditional", "log syslog informational", "service integrated-vtysh-config", "!"]
    lines += ["ip nht resolve-via-default", "!", f"router bgp {parameters.frr_as}"]
    lines += [f" bgp router-id {facts.address}"] if facts.address else []
    lines += [" no bgp default ipv4-unicast"]
    lines += [f" bgp cluster-id {facts.address}"] if reflects else []
    lines += _group("clients", _clients(parameters, facts), parameters) if reflects else []
    lines += _group("reflectors", _reflectors(parameters, facts), parameters)
    if reflects and parameters.frr_prefix_length:
        network = ipaddress.IPv4Network(f"{facts.address}/{parameters.frr_prefix_length}", strict=False)
        lines.append(f" bgp listen range {network} peer-group clients")
    lines += [" !", " address-family l2vpn evpn"]
    lines += ["  neighbor clients activate", "  neighbor clients route-reflector-client"] if reflects else []
    lines += ["  neighbor reflectors activate", "  advertise-all-vni", " exit-address-family", "exit", "!"]
    return "\n".join(lines) + "\n"


def _group(name: str, addresses: Sequence[str], parameters: Parameters) -> list[str]:
    lines = [
        f" neighbor {name} peer-group",
        f" neighbor {name} remote-as {parameters.frr_as}",
        *([f" neighbor {name} update-source {parameters.frr_iface}"] if parameters.frr_iface else []),
        f" neighbor {name} timers connect {_RETRY}",
    ]
    return lines + [f" neighbor {address} peer-group {name}" for address in addresses]


def _check(parameters: Parameters) -> None:
    ranges = {
        "frr_rr_num": (parameters.frr_rr_num, 1, 1000),
        "frr_as": (parameters.frr_as, 1, 4294967295),  # RFC 6793
        "frr_prefix_length": (parameters.frr_prefix_length, 0, 32),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise ConfigError(f"configuration: {name} is {value}, expected {low} to {high}")
    if parameters.frr_frrver:
        raise ConfigError(
            "configuration: frr_frrver cannot be chosen, FRR is the distribution's own: leave it out, or rent with an "
            "image of the system that has FRR's repository"
        )
