"""How a real machine's own system configures its network: the files that its image's first boot would have written."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from hybrid_drivers.sandbox.machines import MachineAddresses
from hybrid_drivers.sandbox.machines.suites import Suite


def network_files(suite: Suite, here: MachineAddresses, resolver: str) -> Mapping[str, tuple[str, int]]:
    """Return path, text and mode of each file, with the same static addresses as the machine boots with.

    ``resolver`` is the text of a resolv.conf; empty where no DNS can be reached.
    """
    if suite.netplan:
        return {"etc/netplan/50-cloud-init.yaml": (_netplan(here, resolver), 0o600)}
    return {
        "etc/systemd/network/10-eth0.network": (_networkd(here), 0o644),
        "etc/resolv.conf": (resolver, 0o644),
    }


def _networkd(here: MachineAddresses) -> str:
    """See systemd.network(5)."""
    return (
        f"[Match]\nName=eth0\n\n[Network]\nAddress={here.public_v4}/{here.prefix}\n"
        f"Address={here.private_v4}/{here.prefix}\n"
        f"Gateway={here.gateway}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nKeepConfiguration=yes\n"
    )


def _netplan(here: MachineAddresses, resolver: str) -> str:
    """See netplan's YAML reference (https://netplan.readthedocs.io/en/stable/netplan-yaml/)."""
    servers = [line.split()[1] for line in resolver.splitlines() if line.startswith("nameserver ")]
    link = {
        "addresses": [f"{here.public_v4}/{here.prefix}", f"{here.private_v4}/{here.prefix}"],
        "routes": [{"to": "default", "via": here.gateway}],
        "nameservers": {"addresses": servers},
        "link-local": [],
        "accept-ra": False,
        "critical": True,  # the addresses are there before networkd: it shall not take them away first
    }
    return yaml.safe_dump({"network": {"version": 2, "ethernets": {"eth0": link}}}, sort_keys=False)
