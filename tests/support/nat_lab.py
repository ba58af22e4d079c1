"""Hypervisors in network namespaces: a client outside, machines on their bridges, and drivers run as oned does.

    client (198.18.77.2, fd77::2) --- eth0, hypervisor, br0 (192.168.150.1, fd15::1) --- a (.5), b (.6), p
           (198.18.78.2, fd78::2) --- eth0, second,     br0 (the same)               --- a2 (.5), p2

The client sends 198.51.100.0/24 and fd51::/64, the aliases' addresses, to the first one. ``p`` and ``p2`` have a public
address alone (203.0.113.5, fd52::5), and a gateway that nobody has (203.0.113.1, fd52::1). All answer on the TCP ports
80 and 81 with the addresses they see: ``<peer> <own>``, on 82 with ``x`` over one connection that stays. Bridged
packets pass the firewall, as OpenNebula's security groups have it (net.bridge.bridge-nf-call-iptables).
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DRIVER = Path(__file__).parents[2] / "remotes/vnm/alias_sdnat"
MACHINES = {"a": "5", "b": "6", "a2": "5"}
FIRST, SECOND = ("a", "b", "p"), ("a2", "p2")
CLIENT = {4: "198.18.77.2", 6: "fd77::2"}
ALIASES = {4: "198.51.100.", 6: "fd51::"}
PRIVATE = {4: "192.168.150.", 6: "fd15::"}
_ELEMENTS = re.compile(r"elements = \{ (.*?) \}", re.DOTALL)
# One process a namespace: it answers, and asks others for us ("<address> <port> <seconds>", one line each).
_AGENT = """
import socket, sys, threading
def answer(port):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve, args=(server,), daemon=True).start()
def serve(server):
    while True:
        one, peer = server.accept()
        if server.getsockname()[1] == 82:
            threading.Thread(target=echo, args=(one,), daemon=True).start()
            continue
        seen = [name[0].replace("::ffff:", "") for name in (peer, one.getsockname())]
        one.sendall(" ".join(seen).encode())
        one.close()
def echo(one):
    while data := one.recv(1):
        one.sendall(data)
for port in (80, 81, 82):
    answer(port)
print("listens", flush=True)
kept = None
for line in sys.stdin:
    address, port, patience = line.split()
    try:
        if port == "82":
            kept = kept or socket.create_connection((address, 82), timeout=float(patience))
            kept.sendall(b"x")
            print(kept.recv(1).decode(), flush=True)
            continue
        with socket.create_connection((address, int(port)), timeout=float(patience)) as one:
            print(one.makefile().read(), flush=True)
    except OSError:
        print(flush=True)
"""
_BUILD = """
ip link add eth0 type veth peer name eth{n} netns {client}
ip address add 198.18.{net}.1/24 dev eth0; ip address add fd{net}::1/64 dev eth0 nodad; ip link set eth0 up
ip link set lo up
ip link add br0 type bridge
ip address add 192.168.150.1/24 dev br0; ip address add fd15::1/64 dev br0 nodad; ip link set br0 up
cd /proc/sys/net; echo 1 | tee ipv4/ip_forward ipv6/conf/all/forwarding bridge/bridge-nf-call-ip*tables >/dev/null
"""
_CARD = """
ip link add one-{name} type veth peer name eth0 netns {space}
ip link set one-{name} master br0 up
ip -n {space} link set eth0 up; ip -n {space} link set lo up
"""
_MACHINE = """
ip -n {space} address add 192.168.150.{last}/24 dev eth0; ip -n {space} address add fd15::{last}/64 dev eth0 nodad
ip -n {space} route add default via 192.168.150.1; ip -n {space} route add default via fd15::1
"""
_BRIDGE = """
ip link add br9 type bridge
echo 0 | tee /proc/sys/net/ipv4/conf/br9/rp_filter /proc/sys/net/ipv4/conf/all/rp_filter >/dev/null
ip address add 10.9.0.1/24 dev br9; ip address add fd09::1/64 dev br9 nodad; ip link set br9 up
"""
_STRANGER = """
ip -n {space} address add 192.168.150.{last}/24 dev eth0; ip -n {space} address add fd15::{last}/64 dev eth0 nodad
ip -n {space} route add 10.9.0.1 dev eth0; ip -n {space} route add default via 10.9.0.1
ip -n {space} route add fd09::1 dev eth0; ip -n {space} route add default via fd09::1
"""
_PUBLIC = """
ip -n {space} address add 203.0.113.5/32 dev eth0; ip -n {space} address add fd52::5/128 dev eth0 nodad
ip -n {space} route add 203.0.113.1 dev eth0; ip -n {space} route add default via 203.0.113.1
ip -n {space} route add fd52::1 dev eth0; ip -n {space} route add default via fd52::1
"""
_CLIENT = """
ip address add 198.18.{net}.2/24 dev eth{n}; ip address add fd{net}::2/64 dev eth{n} nodad; ip link set eth{n} up
ip link set lo up
"""
_ALIASES = "ip route add 198.51.100.0/24 via 198.18.77.1; ip route add fd51::/64 via fd77::1"
# What a host has: programs are hidden or replaced in a mount namespace of the drivers.
_LEGACY = 'mount --bind "$(readlink -f "$(command -v iptables-legacy)")" "$(readlink -f "$(command -v iptables)")"'
_HIDDEN = 'mount --bind /dev/null "$(readlink -f "$(command -v %s)")"'
BACKENDS: Mapping[str, str] = {
    "iptables-nft": _HIDDEN % "nft",
    "iptables-legacy": f"{_HIDDEN % 'nft'}; {_LEGACY}",
    "nft": "true",  # nft is used where it is there
}
# None of the supported systems has legacy iptables unless somebody chose it: `make long` tries it, too.
TRIED = [pytest.param(one, marks=pytest.mark.long) if "legacy" in one else one for one in BACKENDS]


@dataclass
class Hypervisor:
    """The namespaces, and one way to keep NAT rules."""

    prefix: str
    backend: str
    stack: ExitStack = field(repr=False)
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    hosts: dict[str, list[str]] = field(
        default_factory=dict, repr=False
    )  # what enters a node with a backend's programs
    used: set[str] = field(default_factory=set, repr=False)  # machines that a test's drivers were run for

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

    def drive(
        self, action: str, document: bytes, *, backend: str = "", driver: Path = DRIVER, on: str = "hypervisor"
    ) -> tuple[int, str]:
        """Run an action as vmm_exec does; return exit code and standard error."""
        command = [*self.inside(on, backend or self.backend), f"{driver}/{action}"]
        done = subprocess.run(command, input=base64.b64encode(document) + b"\n", capture_output=True, timeout=30)
        assert done.stdout == b""
        return done.returncode, done.stderr.decode()

    def start(self, action: str, document: bytes) -> subprocess.Popen[bytes]:
        """Begin an action and do not wait for it."""
        command = [*self.inside("hypervisor", self.backend), f"{DRIVER}/{action}"]
        begun = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert begun.stdin is not None
        begun.stdin.write(base64.b64encode(document))
        begun.stdin.close()
        return begun

    def inside(self, node: str, backend: str) -> list[str]:
        """Return what runs a command on a node that has a backend's programs; made once, of several processes."""
        name = f"{node} {backend}"
        if name not in self.hosts:
            script = f"{BACKENDS[backend]}; echo made; exec sleep infinity"
            command = ["ip", "netns", "exec", self.space(node), "sh", "-ec", script]
            holder = self.stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            self.stack.callback(holder.kill)
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"made\n"
            python = Path(sys.executable).resolve().parent  # what is called python3 may be a script that looks for one
            path = f"PATH={python}{os.pathsep}{os.environ['PATH']}"
            self.hosts[name] = ["nsenter", "-t", str(holder.pid), "-n", "-m", "env", path]
        return self.hosts[name]

    def ask(self, space: str, address: str, *, patience: float = 0.3, port: int = 80) -> str:
        """Return what answers at an address, ``<peer> <own>`` as seen there; empty when nothing does."""
        agent = self.agents[space]
        assert agent.stdin is not None
        assert agent.stdout is not None
        agent.stdin.write(f"{address} {port} {patience}\n".encode())
        agent.stdin.flush()
        return agent.stdout.readline().decode().strip()

    @contextmanager
    def arriving(self) -> Iterator[Callable[[], set[str]]]:
        """Yield what tells from which addresses the client was asked for something."""
        sets = "".join(
            f"add set inet t {name} {{ type {name}_addr; flags dynamic; }}\n"
            f"add rule inet t p tcp dport 80 update @{name} {{ {kind} saddr }}\n"
            for name, kind in (("ipv4", "ip"), ("ipv6", "ip6"))
        )
        chain = "add table inet t\nadd chain inet t p { type filter hook prerouting priority 0; }\n"
        done = self.run("client", "nft -f -", (chain + sets).encode())
        assert done.returncode == 0, done.stderr

        def seen() -> set[str]:
            texts = [self.says("client", f"nft list set inet t {name}") for name in ("ipv4", "ipv6")]
            return {one.strip() for text in texts for one in _ELEMENTS.findall(text) for one in one.split(",")}

        try:
            yield seen
        finally:
            self.says("client", "nft delete table inet t")

    def rules(self, on: str = "hypervisor") -> str:
        """Return all rules of a hypervisor, whatever keeps them, without counters and handles."""
        legacy = "; ".join(
            f"{program}-legacy-save -t {table} | grep -v '^[#:]'"
            for program in ("iptables", "ip6tables")
            for table in ("nat", "filter")
            if self.backend == "iptables-legacy"
        )
        return self.says(on, f"nft -s list ruleset; {legacy or 'true'}")

    def begin(self, name: str) -> None:
        """Have a namespace answer and ask."""
        command = ["ip", "netns", "exec", self.space(name), sys.executable, "-ISuc", _AGENT]
        agent = self.stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.stack.callback(agent.kill)
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"listens\n"
        self.agents[name] = agent

    def add(self, name: str) -> None:
        """Make a namespace; gone at the end."""
        subprocess.run(["ip", "netns", "add", self.space(name)], check=True)
        self.stack.callback(subprocess.run, ["ip", "netns", "delete", self.space(name)], check=True)

    def build(self, number: int, node: str, machines: Sequence[str]) -> None:
        """Make a hypervisor and its machines, connected to the client."""
        self.add(node)
        self.says(node, _BUILD.format(n=number, net=77 + number, client=self.space("client")))
        self.says("client", _CLIENT.format(n=number, net=77 + number))
        self.says(node, f"ip route add default via 198.18.{77 + number}.2; ip route add default via fd{77 + number}::2")
        for name in machines:
            self.add(name)
            addresses = _PUBLIC if name.startswith("p") else _MACHINE
            text = (_CARD + addresses).format(name=name, space=self.space(name), last=MACHINES.get(name))
            self.says(node, text)
        for name in (node, *machines):
            self.begin(name)

    @contextmanager
    def strangers(self) -> Iterator[None]:
        """Have machines c and e on br9 of the first hypervisor, which routes for them; c has the addresses of a."""
        self.says("hypervisor", _BRIDGE)
        try:
            for name, last in (("c", MACHINES["a"]), ("e", "9")):
                if name not in self.agents:
                    self.add(name)
                    self.begin(name)
                text = _CARD.replace("br0", "br9") + _STRANGER
                self.says("hypervisor", text.format(name=name, space=self.space(name), last=last))
            yield
        finally:
            self.says("hypervisor", "for one in br9 one-c one-e; do ip link delete $one; done")

    def settle(self, node: str, machines: Sequence[str], number: int) -> None:
        """Wait until all is found: the kernel learns neighbours and leaves addresses tentative for a moment."""
        until = time.monotonic() + 10
        ends = [one + MACHINES[name] for one in PRIVATE.values() for name in machines if name in MACHINES]
        ends += [f"198.18.{77 + number}.2", f"fd{77 + number}::2"]
        while not all(self.ask(node, one) for one in ends):
            assert time.monotonic() < until
            time.sleep(0.05)


@contextmanager
def hypervisor(backend: str, *, two: bool = False) -> Iterator[Hypervisor]:
    """Make the namespaces; gone at the end."""
    with ExitStack() as stack:
        made = Hypervisor(f"nat{os.getpid()}", backend, stack)
        made.add("client")
        nodes = [("hypervisor", FIRST if two else FIRST[:2]), ("second", SECOND)][: 1 + two]
        for number, (node, machines) in enumerate(nodes):
            made.build(number, node, machines)
        made.says("client", _ALIASES)
        made.begin("client")
        for number, (node, machines) in enumerate(nodes):
            made.settle(node, machines, number)
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
