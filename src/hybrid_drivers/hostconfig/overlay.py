"""What the roles that connect the hosts of a cluster by VXLAN have in common."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts, is_ipv4
from hybrid_drivers.hostconfig.steps import Step, quote

VXLAN_PORT = 4789  # the one IANA gave it (RFC 7348, 8.)
LINUX_PORT = 8472  # Linux's own default, which OpenNebula's driver vxlan uses (ip-link(8))


def check_own_address(facts: Facts) -> None:
    """Refuse a host that the others reach by IPv6 only.

    Raises:
        ConfigError: names its address.
    """
    if facts.address and not is_ipv4(facts.address):
        raise ConfigError(f"VXLAN among the hosts of a cluster needs IPv4, and this host is known as {facts.address}")


def left_out(facts: Facts) -> str:
    """Return a command that says which hosts are not connected, or nothing to be said."""
    if not facts.unreachable:
        return ":"
    return f"info {quote('not connected, because they have no IPv4 address: ' + ', '.join(facts.unreachable))}"


def let_in(role: str, rules: Sequence[str]) -> Step:
    """Have these rules in the firewall, when there is one (``firewall.sh``)."""
    return Step(
        role=role,
        name="let the other hosts in",
        check=f"firewall_part_is {quote(role)}",
        apply=f"put_firewall_part {quote(role)}",
        stdin="".join(f"{rule}\n" for rule in rules),
    )


def from_hosts(addresses: Sequence[str], service: str) -> list[str]:
    """Return the rule of the firewall that accepts ``service`` from ``addresses``, if there are any."""
    return [f"ip saddr {{ {', '.join(addresses)} }} {service} accept"] if addresses else []
