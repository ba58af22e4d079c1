"""A hypervisor in network namespaces: a client outside, machines on its bridge, and the driver run on it as oned does.

    client (198.18.77.2, fd77::2) --- eth0, hypervisor, br0 (192.168.150.1, fd15::1) --- a (.5), b (.6)

The client sends 198.51.100.0/24 and fd51::/64, the aliases' addresses, to the hypervisor. Client and machines answer on
TCP port 80 with the addresses they see: ``<peer> <own>``. Bridged packets pass the firewall, as OpenNebula's security
groups have it (net.bridge.bridge-nf-call-iptables).
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DRIVER = Path(__file__).parents[2] / "remotes/vnm/alias_sdnat"
MACHINES = {"a": "5", "b": "6"}
CLIENT = {4: "198.18.77.2", 6: "fd77::2"}
ALIASES = {4: "198.51.100.", 6: "fd51::"}
PRIVATE = {4: "192.168.150.", 6: "fd15::"}
_ANSWER = """
import socket
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("listens", flush=True)
while True:
    one, peer = server.accept()
    seen = [name[0].replace("::ffff:", "") for name in (peer, one.getsockname())]
    one.sendall(" ".join(seen).encode())
    one.close()
"""
_ASK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 80), timeout=float(sys.argv[2])) as one:
        print(one.makefile().read())
except OSError as exc:
    print("unreachable", exc, file=sys.stderr)
"""
_BUILD = """
ip link add eth0 type veth peer name eth0 netns {client}
ip address add 198.18.77.1/24 dev eth0; ip address add fd77::1/64 dev eth0 nodad; ip link set eth0 up
ip link add br0 type bridge
ip address add 192.168.150.1/24 dev br0; ip address add fd15::1/64 dev br0 nodad; ip link set br0 up
cd /proc/sys/net; echo 1 | tee ipv4/ip_forward ipv6/conf/all/forwarding bridge/bridge-nf-call-ip*tables >/dev/null
"""
_MACHINE = """
ip link add one-{name} type veth peer name eth0 netns {space}
ip link set one-{name} master br0 up
ip -n {space} address add 192.168.150.{last}/24 dev eth0; ip -n {space} address add fd15::{last}/64 dev eth0 nodad
ip -n {space} link set eth0 up; ip -n {space} link set lo up
ip -n {space} route add default via 192.168.150.1; ip -n {space} route add default via fd15::1
"""
_CLIENT = """
ip address add 198.18.77.2/24 dev eth0; ip address add fd77::2/64 dev eth0 nodad; ip link set eth0 up; ip link set lo up
ip route add 198.51.100.0/24 via 198.18.77.1; ip route add fd51::/64 via fd77::1
"""
# What a host has: programs are hidden or replaced in a mount namespace of the one command.
_LEGACY = 'mount --bind "$(readlink -f "$(command -v iptables-legacy)")" "$(readlink -f "$(command -v iptables)")"'
_HIDDEN = 'mount --bind /dev/null "$(readlink -f "$(command -v %s)")"'
BACKENDS: Mapping[str, str] = {
    "iptables-nft": _HIDDEN % "nft",
    "iptables-legacy": f"{_HIDDEN % 'nft'}; {_LEGACY}",
    "nft": "true",  # nft is used where it is there
}


@dataclass
class Hypervisor:
    """The namespaces, and one way to keep NAT rules."""

    prefix: str
    backend: str
    stack: ExitStack = field(repr=False)

    def space(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def run(self, space: str, script: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run shell text in a namespace."""
        command = ["ip", "netns", "exec", self.space(space), "sh", "-ec", script]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=30)

    def says(self, space: str, script: str) -> str:
        done = self.run(space, script)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def drive(self, action: str, document: bytes, *, backend: str = "") -> tuple[int, str]:
        """Run an action as vmm_exec does; return exit code and standard error."""
        script = f'{BACKENDS[backend or self.backend]}; exec "{DRIVER}/{action}"'
        done = self.run("hypervisor", script, base64.b64encode(document) + b"\n")
        assert done.stdout == b""
        return done.returncode, done.stderr.decode()

    def start(self, action: str, document: bytes) -> subprocess.Popen[bytes]:
        """Begin an action and do not wait for it."""
        script = f'{BACKENDS[self.backend]}; exec "{DRIVER}/{action}"'
        command = ["ip", "netns", "exec", self.space("hypervisor"), "sh", "-ec", script]
        begun = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert begun.stdin is not None
        begun.stdin.write(base64.b64encode(document))
        begun.stdin.close()
        return begun

    def ask(self, space: str, address: str, *, patience: float = 0.3) -> str:
        """Return what answers at an address, ``<peer> <own>`` as seen there; empty when nothing does."""
        command = ["ip", "netns", "exec", self.space(space), sys.executable, "-ISc", _ASK, address, str(patience)]
        return subprocess.run(command, capture_output=True, timeout=30).stdout.decode().strip()

    def rules(self) -> str:
        """Return all rules of the hypervisor, whatever keeps them, without counters and handles."""
        return self.says(
            "hypervisor",
            "nft -s list ruleset 2>&1; iptables-legacy-save -t nat | grep -v '^[#:]'; ip6tables-legacy-save -t nat |"
            " grep -v '^[#:]'",
        )

    def serve(self, name: str) -> None:
        command = ["ip", "netns", "exec", self.space(name), sys.executable, "-ISuc", _ANSWER]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.stack.callback(server.wait)
        self.stack.callback(server.kill)
        assert server.stdout is not None
        assert server.stdout.readline() == b"listens\n"
        self.stack.callback(server.stdout.close)


@contextmanager
def hypervisor(backend: str) -> Iterator[Hypervisor]:
    """Make the namespaces; gone at the end."""
    with ExitStack() as stack:
        made = Hypervisor(f"nat{os.getpid()}", backend, stack)
        for name in ("hypervisor", "client", *MACHINES):
            subprocess.run(["ip", "netns", "add", made.space(name)], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", made.space(name)], check=True)
        made.says("hypervisor", _BUILD.format(client=made.space("client")))
        for name, last in MACHINES.items():
            made.says("hypervisor", _MACHINE.format(name=name, space=made.space(name), last=last))
        made.says("client", _CLIENT)
        for name in ("client", *MACHINES):
            made.serve(name)
        until = time.monotonic() + 10  # the kernel learns neighbours and leaves addresses tentative for a moment
        paths = [("hypervisor", one + last) for one in PRIVATE.values() for last in MACHINES.values()]
        while not all(made.ask(*path) for path in [*paths, *(("hypervisor", one) for one in CLIENT.values())]):
            assert time.monotonic() < until
        yield made


def document(
    vm: int,
    nics: Sequence[Mapping[str, str]],
    aliases: Sequence[Mapping[str, str]],
    rules: Sequence[Mapping[str, str]] = (),
) -> bytes:
    """Write ``<VM>`` as vmm_exec does: each element in a ``<TEMPLATE>`` of its own."""
    kinds = [("SECURITY_GROUP_RULE", one) for one in rules]
    kinds += [("NIC", one) for one in nics] + [("NIC_ALIAS", one) for one in aliases]
    cards = "".join(f"<TEMPLATE><{kind}>{_elements(one)}</{kind}></TEMPLATE>" for kind, one in kinds)
    return f"<VM><ID>{vm}</ID><DEPLOY_ID/>{cards}</VM>".encode()


def _elements(card: Mapping[str, str]) -> str:
    return "".join(f"<{key}><![CDATA[{value}]]></{key}>" for key, value in card.items())


def missing() -> str:
    """Return what keeps this from running here; empty when nothing does."""
    absent = [name for name in ("ip", "nft", "iptables", "iptables-legacy") if not shutil.which(name)]
    return f"needs {', '.join(absent)}" if absent else "" if os.geteuid() == 0 else "needs root"
