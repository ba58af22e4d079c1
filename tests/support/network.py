"""Machines that keep their network in one of the ways systems do, for tests of the network roles.

Each machine gets two more interfaces, ``eth1`` and ``eth2``: veth pairs whose other ends, in the namespaces ``far1``
and ``far2`` inside the machine, stand for what is at the other end of a cable (10.9.1.2/24, fd09:1::2/64 and so on).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.machines import make_identity
from tests.support.node import Node

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import RunReport
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script, render
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines

NETWORK_ROLES = ("tuntap", "bridged-networking", "iptables")
# The launcher gives eth0 its addresses before the machine starts; a real one begins with none.
_CABLES = """cat >/etc/systemd/system/cables.service <<'EOF'
[Unit]
DefaultDependencies=no
Before=network-pre.target systemd-networkd.service NetworkManager.service networking.service
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/cables
[Install]
WantedBy=sysinit.target
EOF
cat >/etc/cables <<'EOF'
for i in 1 2; do
    ip netns add far$i
    ip link add eth$i address 02:00:00:00:00:0$i type veth peer name far netns far$i
    ip -n far$i address add 10.9.$i.2/24 dev far
    ip -n far$i address add fd09:$i::2/64 dev far nodad
    ip -n far$i link set far up
done
[ "$1" = now ] || ip address flush dev eth0
EOF
systemctl enable -q cables.service; sh /etc/cables now
"""
_NO_NETWORKD = """rm /etc/systemd/network/10-eth0.network
systemctl disable -q systemd-networkd.service systemd-networkd.socket
"""
_KEYFILE = """cat >/etc/NetworkManager/system-connections/eth0.nmconnection <<EOF
[connection]
id=eth0
type=ethernet
interface-name=eth0
[ipv4]
method=manual
address1=$address,$gateway
address2=$private
[ipv6]
method=disabled
EOF
chmod 600 /etc/NetworkManager/system-connections/eth0.nmconnection
printf '[main]\\nno-auto-default=*\\n' >/etc/NetworkManager/conf.d/quiet.conf
"""
_INTERFACES = """cat >/etc/network/interfaces.d/50-cloud-init <<EOF
auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
    address $address
    gateway $gateway
    up ip address add $private dev eth0
EOF
"""
_NETPLAN = """cat >/etc/netplan/50-cloud-init.yaml <<EOF
network:
  version: 2
  renderer: %s
  ethernets:
    eth0:
      addresses: [$address, $private]
      routes: [{to: default, via: $gateway}]
EOF
chmod 600 /etc/netplan/50-cloud-init.yaml
"""


@dataclass(frozen=True)
class Way:
    """A way to keep the network: packages and the shell text that turns a machine (systemd-networkd) into one."""

    name: str
    packages: str = ""
    convert: str = ""


WAYS: Mapping[str, Way] = {
    way.name: way
    for way in (
        Way("networkd"),
        Way("NetworkManager", "network-manager", _NO_NETWORKD + _KEYFILE),
        Way("ifupdown", "ifupdown", _NO_NETWORKD + _INTERFACES),
        Way("netplan-networkd", "netplan.io", "rm /etc/systemd/network/10-eth0.network\n" + _NETPLAN % "networkd"),
        Way("netplan-NetworkManager", "netplan.io network-manager", _NO_NETWORKD + _NETPLAN % "NetworkManager"),
    )
}


@dataclass
class NetworkNode(Node):
    """A machine and what the network roles are given."""

    def network(
        self, *roles: str, given: Mapping[str, str] | None = None, check_only: bool = False, wait: int = 20
    ) -> RunReport:
        """Run network roles (all of them when none is named); ``wait``: how long a new network is waited for."""
        script = network_script(*roles, given=given)
        text = script.text.replace("HYBRID_NETWORK_WAIT:-20", f"HYBRID_NETWORK_WAIT:-{wait}")
        return self.runs(replace(script, text=text), check_only=check_only)

    @property
    def gateway(self) -> str:
        return self.target.address.rsplit(".", 1)[0] + ".1"

    @property
    def private(self) -> str:
        """The machine's second address on eth0."""
        return self.target.address.replace("198.18.", "198.19.")

    def reaches(self, address: str, *, namespace: str = "") -> bool:
        inside = f"ip netns exec {namespace} " if namespace else ""
        return "1 received" in self.says(f"{inside}ping -c 1 -W 3 {address} || true")

    def connects(self, address: str, port: int, *, namespace: str) -> bool:
        """Tell whether a TCP connection from a namespace to an address is accepted or refused by a server's absence."""
        attempt = f"ip netns exec {namespace} timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>&1 || true"
        said = self.says(attempt)
        return not said or "Connection refused" in said


def network_script(*roles: str, given: Mapping[str, str] | None = None) -> Script:
    facts = Facts(given=given or {})
    return render([step for role in roles or NETWORK_ROLES for step in steps_of(role, facts)])


@contextmanager
def machine(yard: NspawnMachines, way: Way, folder: Path) -> Iterator[NetworkNode]:
    """A machine that keeps its network in this way, after a restart; gone at the end."""
    identity = make_identity(folder)
    name = f"net-{way.name.lower()}"
    addresses = yard.prepare(name, "edge1", identity.user_data)
    try:
        yard.power_on(name)
        target = SshTarget(addresses.public_v4, 22, "root", identity.private_key, (identity.host_key,))
        node = NetworkNode(yard, name, target)
        node.says(_CABLES)
        if way.packages:
            node.says(
                "export DEBIAN_FRONTEND=noninteractive; { apt-get -q update && apt-get -qy --no-install-recommends"
                f" install {way.packages}; }} >/tmp/apt.log 2>&1 || {{ tail -n 5 /tmp/apt.log; exit 1; }}"
            )
            values = (
                f"address={addresses.public_v4}/24\nprivate={addresses.private_v4}/24\ngateway={addresses.gateway}\n"
            )
            node.says(values + way.convert)
            node.reboot()
        yield node
    finally:
        yard.destroy(name)
