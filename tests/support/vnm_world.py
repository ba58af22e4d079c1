"""The agent's network actions in this process, over a real simulator: an oned with a few hosts, networks and VMs."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from tests.support.addresses import BENCHES, Bench
from tests.support.providers import OWNER

from hybrid_drivers.agent import assignment_collector, vnm
from hybrid_drivers.agent.address_locks import AddressLocks
from hybrid_drivers.agent.address_repairs import AddressRepairs
from hybrid_drivers.agent.assignment_collector import AssignmentCollector
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.vnm import Networks
from hybrid_drivers.errors import HybridError, NoSuchObject
from hybrid_drivers.model import Host, HostState, Template
from hybrid_drivers.model_addresses import AddressTags, ReserveRequest
from hybrid_drivers.oned.vnm_actions import Card, Clean, CreateNetwork, Post

HOLDS = 1 << 36  # PoolObjectSQL::VM


class Cut(BaseException):
    """The agent's process ends here."""


class Nodes:
    """The nodes' parts: what was run where, and which of them fail."""

    def __init__(self) -> None:
        self.ran: list[tuple[int, str, str]] = []  # host, program, document
        self.failing: dict[str, HybridError] = {}
        self.meanwhile: Callable[[], object] = lambda: None

    def run(self, record: HostRecord, program: str, document: bytes) -> None:
        self.meanwhile()
        if program in self.failing:
            raise self.failing[program]
        self.ran.append((record.host.id, program, document.decode()))


class World:
    """Network 1 with one address range of a provider. Hosts are numbered from 0, their machines are real ones."""

    def __init__(self, bench: Bench, size: int, hosts: int) -> None:
        self.bench, self.size = bench, size
        self.time = 1000.0  # monotonic seconds
        self.driver = bench.provider.entry.driver
        self.hosts: dict[int, Host] = {}
        self.machines: dict[int, str] = {}
        for _ in range(hosts):
            self.add_host()
        self.add_host(rented=False)
        self.ranges = {(1, 0): self._range()}
        self.outside = [one for one in self.ranges[1, 0].get("EXTERNAL_IP", "").split(",") if one]
        self.first = ipaddress.IPv4Address(self.ranges[1, 0]["IP"])
        self.leases: dict[int, int] = {}
        self.running: dict[int, tuple[int, tuple[int, ...]]] = {}  # what oned has RUNNING: the host and the cards
        self.moving: set[int] = set()  # and in MIGRATE
        self.nodes, self.locks = Nodes(), AddressLocks()
        account = SimpleNamespace(name=bench.provider.entry.name, provider=bench.provider)
        accounts = SimpleNamespace(named=lambda _: account, all=lambda: [account])
        oned = SimpleNamespace(host=self.host, hosts=lambda: list(self.hosts.values()), read=self.read)
        parts = SimpleNamespace(
            clock=SimpleNamespace(monotonic=lambda: self.time),
            accounts=accounts,
            oned=oned,
            owner=SimpleNamespace(held=lambda: False),
        )
        self.parts = cast(Parts, parts)
        self.agent()

    def agent(self) -> None:
        """Begin a new agent: it remembers nothing."""
        self.locks = AddressLocks()
        self.collector = AssignmentCollector(self.parts, self.locks)
        self.networks = Networks(self.parts, self.nodes, self.locks, self.left)
        repair = Networks(self.parts, self.nodes, self.locks, self.left).repair  # never one that has no time
        self.repairs = AddressRepairs(self.parts, repair, begin=lambda work: work())

    def left(self, blocks: Collection[str], vm_id: int) -> None:
        for block in blocks:
            self.collector.note(block)
        self.repairs.note(vm_id)

    @property
    def busy(self) -> bool:
        return self.collector.busy or self.repairs.busy

    def _range(self) -> dict[str, str]:
        one_by_one = self.bench.addresses.one_by_one
        count, size = (self.size, 1) if one_by_one else (1, self.size)
        blocks = []
        for index in range(count):
            tags = AddressTags(owner=OWNER, token="range", index=index)
            request = ReserveRequest(tags=tags, family=4, size=size, attributes=self.bench.place)
            blocks.append(self.bench.addresses.reserve(request))
        outside = ",".join(one.first for one in blocks)
        own = {"IP": "100.64.0.8", "EXTERNAL_IP": outside} if one_by_one else {"IP": blocks[0].first}
        return {
            **own,
            **{"AR_ID": "0", "TYPE": "IP4", "SIZE": str(self.size), "IPAM_MAD": self.driver, "PROVIDER": "it"},
            "DEPLOY_ID": ",".join(one.id for one in blocks),
        }

    # --- oned -----------------------------------------------------------------------------------------------------

    def add_host(self, *, rented: bool = True) -> int:
        number = len(self.hosts)
        machine = self.bench.machine() if rented else ""
        self.machines[number] = machine
        pairs: list[tuple[str, Any]] = [("PROVISION_ADDRESS", f"192.0.2.{number}"), ("PROVISION_HOST_KEY", "k")]
        pairs += [("PROVISION", {"DEPLOY_ID": machine})] if rented else []
        self.hosts[number] = Host(
            id=number,
            name=f"host{number}",
            state=HostState.MONITORED,
            im_mad="provision",
            vm_mad="kvm",
            cluster_id=0,
            template=Template(pairs),
        )
        return number

    def other_machine(self, host_id: int, machine: str) -> None:
        """Let a host have this machine in its template."""
        old = self.hosts[host_id]
        pairs = [(key, value) for key, value in old.template if key != "PROVISION"]
        self.hosts[host_id] = replace(old, template=Template([*pairs, ("PROVISION", {"DEPLOY_ID": machine})]))

    def host(self, host_id: int) -> Host:
        if host_id not in self.hosts:
            raise NoSuchObject(f"host {host_id}: there is none")
        return self.hosts[host_id]

    def read(self, method: str, what: str, vm: int, decrypt: bool) -> str:
        """``one.vm.info``: with all records of the history; one that does not run is in POWEROFF."""
        assert (method, decrypt) == ("vm.info", False), what
        host, numbers = self.running.get(vm, (0, ()))
        now = (3, 3) if vm in self.running else (3, 4) if vm in self.moving else (8, 0)
        state = f"<STATE>{now[0]}</STATE><LCM_STATE>{now[1]}</LCM_STATE>"
        places = "".join(
            f"<HISTORY><SEQ>{seq}</SEQ><HOSTNAME>host{at}</HOSTNAME><HID>{at}</HID></HISTORY>"
            for seq, at in enumerate((2, host))
        )
        nics = "".join(element(one) for one in self.cards(*numbers))
        history = f"<HISTORY_RECORDS>{places}</HISTORY_RECORDS>"
        return f"<VM><ID>{vm}</ID>{state}<TEMPLATE>{nics}</TEMPLATE>{history}</VM>"

    def network_ranges(self) -> Mapping[tuple[int, int], Mapping[str, str]]:
        held = "".join(f" {number} {HOLDS | vm}" for number, vm in sorted(self.leases.items()))
        return {key: {**ar, "ALLOCATED": held} for key, ar in self.ranges.items()}

    def inside(self, number: int) -> str:
        return str(self.first + number)

    def public(self, number: int) -> str:
        return self.outside[number] if self.outside else self.inside(number)

    # --- what oned asks -------------------------------------------------------------------------------------------

    def cards(self, *numbers: int, attach: int | None = None) -> tuple[Card, ...]:
        return tuple(
            Card(kind="NIC", nic_id=one, network_id=1, range_id=0, ip=self.inside(one), attach=one == attach)
            for one in numbers
        )

    def action(self, kind: Any, vm: int, host: int, argv: int, cards: tuple[Card, ...]) -> Any:
        nics = "".join(f"<TEMPLATE>{element(one)}</TEMPLATE>" for one in cards)
        return kind(
            driver="hybrid",
            vm_id=vm,
            host=f"host{argv}",
            host_id=host,
            host_name=f"host{host}",
            cards=cards,
            hotplug=any(one.attach for one in cards),
            document=f"<VM><ID>{vm}</ID>{nics}</VM>".encode(),
        )

    def post(self, vm: int, host: int, *numbers: int, argv: int | None = None, attach: int | None = None) -> None:
        """``argv``: the host that argv names, during a live migration the old one."""
        named = host if argv is None else argv
        self.networks.answer(self.action(Post, vm, host, named, self.cards(*numbers, attach=attach)))

    def clean(self, vm: int, host: int, *numbers: int, now_on: int | None = None, attach: int | None = None) -> None:
        """``now_on``: the host of the last record, during a migration the new one."""
        last = host if now_on is None else now_on
        self.networks.answer(self.action(Clean, vm, last, host, self.cards(*numbers, attach=attach)))

    def pci(self, vm: int, host: int) -> None:
        cards = (replace(self.cards(0)[0], kind="PCI"),)
        self.networks.answer(self.action(Post, vm, host, host, cards))

    def slow(self) -> None:
        """Let no time be left for anything."""
        self.networks = Networks(self.parts, self.nodes, self.locks, self.left, limit=-1.0)

    def freed(self, number: int) -> None:
        """The lease is given back: the address driver is told (``free_address``)."""
        del self.leases[number]
        blocks = self.ranges[1, 0]["DEPLOY_ID"].split(",")
        self.collector.note(blocks[number] if len(blocks) > 1 else blocks[0])

    def vnet_created(self, *ranges: Mapping[str, str]) -> bytes:
        return self.networks.answer(CreateNetwork(vnet_id=1, ranges=ranges)).stderr

    def sweep(self) -> None:
        self.time += 1
        self.repairs.sweep()
        self.collector.sweep()

    # --- what is looked at ----------------------------------------------------------------------------------------

    def where(self) -> dict[int, int]:
        """Return which host each address goes to."""
        machines = {machine: host for host, machine in self.machines.items()}
        at = self.bench.assigned()
        return {n: machines[at[self.public(n)]] for n in range(self.size) if self.public(n) in at}


def element(card: Card) -> str:
    """Return a card as documents have it."""
    values = {"NIC_ID": card.nic_id, "NETWORK_ID": card.network_id, "AR_ID": card.range_id, "IP": card.ip}
    text = "".join(f"<{key}>{value}</{key}>" for key, value in values.items())
    mark = "<ATTACH>YES</ATTACH>" if card.attach else ""
    return f"<{card.kind}>{text}<BRIDGE>br0</BRIDGE><VN_MAD>hybrid</VN_MAD>{mark}</{card.kind}>"


@contextlib.contextmanager
def vnm_world(name: str, tmp_path: Path, *, size: int = 3, hosts: int = 3) -> Iterator[World]:
    with BENCHES[name](tmp_path) as bench:
        world = World(bench, size, hosts)
        objects = lambda _: SimpleNamespace(network_ranges=world.network_ranges)  # noqa: E731
        with mock.patch.object(vnm, "Objects", objects), mock.patch.object(assignment_collector, "Objects", objects):
            yield world
