"""The network of a yard of real machines.

One bridge in a namespace of its own; this computer is its gateway through a veth pair and so reaches every machine
directly. All addresses are from 198.18.0.0/15, set aside for laboratories (RFC 2544): 198.18.N.0/24 stands for the
public network and 198.19.N.0/24 for the private one.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines import MachineAddresses
from hybrid_drivers.sandbox.machines.commands import run

FIRST_MACHINE, LAST_MACHINE = 2, 191  # above: free for addresses a simulator hands out besides
PREFIX = 24


@dataclass(frozen=True, kw_only=True)
class YardNetwork:
    """Names and numbers of one yard's network; ``number`` is the third byte of its addresses."""

    yard_id: str
    number: int
    nat: bool

    @property
    def namespace(self) -> str:
        """The namespace that holds the bridge."""
        return f"onehyb-{self.yard_id}"

    @property
    def outside_link(self) -> str:
        """This computer's end of the veth pair."""
        return f"ohy-{self.yard_id}"

    @property
    def table(self) -> str:
        """The nftables table, ours alone."""
        return f"onehyb_{self.yard_id}"

    @property
    def gateway(self) -> str:
        """This computer's public address in the yard."""
        return f"198.18.{self.number}.1"

    @property
    def subnet(self) -> str:
        """The public network."""
        return f"198.18.{self.number}.0/{PREFIX}"

    def machine_namespace(self, low: int) -> str:
        """Return the namespace of the machine whose addresses end in ``low``."""
        return f"{self.namespace}-{low}"

    def addresses(self, low: int) -> MachineAddresses:
        """Return the addresses that end in ``low``."""
        return MachineAddresses(
            public_v4=f"198.18.{self.number}.{low}",
            private_v4=f"198.19.{self.number}.{low}",
            prefix=PREFIX,
            gateway=self.gateway,
        )

    def up(self) -> None:
        """Make bridge, veth pair and, with NAT, the table that hides machines behind this computer's own address."""
        run(["ip", "netns", "add", self.namespace])
        inside = """link set lo up
link add br0 type bridge stp_state 0 forward_delay 0
link set br0 up
link set up0 master br0
link set up0 up
"""
        outside = f"""link add {self.outside_link} type veth peer name up0 netns {self.namespace}
address add {self.gateway}/{PREFIX} dev {self.outside_link}
address add 198.19.{self.number}.1/{PREFIX} dev {self.outside_link}
link set {self.outside_link} up
"""
        run(["ip", "-batch", "-"], stdin=outside)
        # Else a machine asked for too early is unknown for the next whole second.
        Path(f"/proc/sys/net/ipv4/neigh/{self.outside_link}/retrans_time_ms").write_text("100")
        run(["ip", "-n", self.namespace, "-batch", "-"], stdin=inside)
        if self.nat:
            run(["nft", "-f", "-"], stdin=self._rules())

    def _rules(self) -> str:
        return f"""table ip {self.table} {{
    chain leaving {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {self.subnet} oifname != "{self.outside_link}" masquerade
    }}
}}
"""

    def write_batches(self, low: int, folder: Path) -> None:
        """Write what ``launcher.sh`` feeds to ``ip`` at every boot: the wire to the bridge, and the address.

        The MAC belongs to the address, so that a reused address never meets a stale ARP entry.
        """
        mac = f"02:00:c6:12:{self.number:02x}:{low:02x}"
        here = self.addresses(low)
        (folder / "wire.batch").write_text(
            f"link add m{low} type veth peer name eth0 address {mac} netns {self.machine_namespace(low)}\n"
            f"link set m{low} master br0\nlink set m{low} up\n"
        )
        (folder / "inside.batch").write_text(
            f"link set lo up\naddress add {here.public_v4}/{PREFIX} brd + dev eth0\n"
            f"address add {here.private_v4}/{PREFIX} brd + dev eth0\n"
            f"link set eth0 up\nroute add default via {here.gateway} proto static\n"
        )

    def unplug(self, low: int) -> None:
        """Cut the machine's wire, as ``launcher.sh`` does when it ends in good order."""
        namespace = f"/run/netns/{self.namespace}"
        if Path(namespace).exists() and f": m{low}@" in run(["ip", "-n", self.namespace, "-o", "link", "show"]):
            run(["ip", "-n", self.namespace, "link", "del", f"m{low}"])


def free_number(taken: set[int]) -> int:
    """Return a third byte whose networks neither this computer's routes nor ``taken`` (other yards) use.

    Raises:
        SandboxError: none of the 256 is free.
    """
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    used = [ipaddress.ip_network(route["dst"], strict=False) for route in routes if _is_network(route.get("dst", ""))]
    for number in range(256):
        ours = [ipaddress.ip_network(f"{head}.{number}.0/{PREFIX}") for head in ("198.18", "198.19")]
        if number not in taken and not any(one.overlaps(two) for one in ours for two in used):
            return number
    raise SandboxError("no free network is left in 198.18.0.0/16 for another yard of machines")


def _is_network(text: str) -> bool:
    try:
        return ipaddress.ip_network(text, strict=False).prefixlen > 0
    except ValueError:  # "default"
        return False
