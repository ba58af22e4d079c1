"""One decision about growing: how long does it take with many hosts and many waiting VMs?

    .venv/bin/python bench/growth.py [--hosts 1000] [--vms 10000] [--runs 3]

Timed: everything between oned's answers and the actions: stages of hosts, requirements of each VM against each host and
plan, packing. Four mixes of VMs: a few flavours with the requirements oned makes by itself, the same with a PCI device
for every tenth, many flavours with requirements of their own, and every VM with another size. Printed: seconds of the
fastest run, orders, and the cost over the lower bound (all CPU or all memory, whichever is dearer, at the best price).
Fails above a second, of flavours.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hybrid_drivers.agent.growth import stock
from hybrid_drivers.agent.growth.decide import decide
from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.agent.growth.model import Order, State
from hybrid_drivers.agent.growth.packing import Offer, Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.schedule import Moment
from hybrid_drivers.agent.growth.view import Cloud, view_host, waiting
from hybrid_drivers.model import Cluster, Host, HostState, OnedObject, Template, Value, Vm
from hybrid_drivers.model_shares import HostShare, PciDevice

NOW, GIB = 1_764_000_000.0, 1024 * 1024
OFFERS = (
    Offer("small", Size(1600, 64 * GIB), 0.75),
    Offer("large", Size(4800, 256 * GIB), 2.1),
    Offer("fat", Size(3200, 512 * GIB), 2.4),
)
LIMIT = 1.0  # seconds


DEVICES = tuple(
    PciDevice(address=f"{number:02}", short_address=f"81:00.{number}", vendor="15b3", device="1016", class_="0200")
    for number in range(8)
)


def a_cloud(hosts: int, vms: int, flavours: int, expressions: int, *, devices: bool = False) -> Cloud:
    """Make a cloud whose hosts are mostly full."""
    chance = random.Random(1)
    sizes = [(chance.choice([1, 2, 4, 8]) + chance.random() / 4, chance.randint(512, 32768)) for _ in range(flavours)]
    return Cloud(
        now=NOW,
        hosts=[_host(number, chance) for number in range(hosts)],
        clusters={100: Cluster(id=100, name="edge", host_ids=(), template=Template(), datastore_ids=(100,))},
        datastores=[OnedObject(kind="datastore", id=100, name="sys", template=Template(), type=1, cluster_ids=(100,))],
        vms=[
            _vm(number, *sizes[number % flavours], number % expressions, device=devices and number % 10 == 0)
            for number in range(vms)
        ],
        shares={number: HostShare(devices=DEVICES) for number in range(hosts)} if devices else {},
    )


def _host(number: int, chance: random.Random) -> Host:
    grown = {
        "CLUSTER_ID": "100",
        "PLAN": "small",
        "CPU": "1600",
        "MEMORY": str(64 * GIB),
        "ORDERED_AT": f"{NOW - 9000}",
    }
    told: list[tuple[str, Value]] = [
        ("GROWTH", grown),
        ("PROVISION_READY", f"{NOW - 8000:.0f}"),
        ("HYPERVISOR", "kvm"),
        ("COST_HOUR", "0.75"),
    ]
    return Host(
        id=number,
        name=f"10.0.{number // 256}.{number % 256}",
        state=HostState.MONITORED,
        im_mad="provision",
        vm_mad="kvm",
        cluster_id=100,
        template=Template(told),
        running_vms=8,
        max_cpu=1600,
        max_memory=64 * GIB,
        used_cpu=chance.randint(1000, 1600),
        used_memory=chance.randint(32, 64) * GIB,
    )


def _vm(number: int, cpu: float, memory: int, expression: int, *, device: bool) -> Vm:
    own = [("SCHED_REQUIREMENTS", f'HYPERVISOR = "k*" & ID != {expression}')] if expression else []
    automatic: list[tuple[str, Value]] = [("AUTOMATIC_REQUIREMENTS", "(CLUSTER_ID = 100) & !(PIN_POLICY = PINNED)")]
    return Vm(
        id=number,
        name="vm",
        state=1,
        lcm_state=0,
        cpu=cpu,
        memory=memory,
        host_id=None,
        template=Template([*automatic, *([("PCI", {"CLASS": "0200"})] if device else ())]),
        user_template=Template(own),
        started=int(NOW - 100 - number / 1000),
    )


def one_decision(cloud: Cloud) -> tuple[float, list[Order], State]:
    """Return the seconds it took, what is ordered, and the state."""
    fresh = replace(cloud, _facts={}, _read={}, _siblings={})
    told = stock.all_of(HostShare(devices=DEVICES)) if cloud.shares else stock.EMPTY
    offers = tuple(replace(one, stock=told) for one in OFFERS)
    begin = time.perf_counter()
    state = State(
        now=NOW,
        moment=Moment(weekday=0, minute=0),
        month="2025-11",
        month_left=1e6,
        policy=Policy(max_hosts=10_000, max_orders_hour=10_000),
        policy_digest="",
        memory=Memory(),
        hosts=tuple(view_host(one, 100, NOW, fresh.shares.get(one.id)) for one in fresh.hosts),
        waiting=waiting(fresh, fresh.clusters[100], offers, "kvm"),
        offers=offers,
    )
    actions = decide(state).actions
    return time.perf_counter() - begin, [one for one in actions if isinstance(one, Order)], state


def over_the_bound(orders: Sequence[Order], state: State) -> float:
    """Return the cost of the orders over the least that any set of hosts could cost."""
    served = {vm for one in orders for vm in one.vms}
    sizes = [one.size for one in state.waiting if one.id in served]
    by_cpu = sum(one.cpu for one in sizes) * min(one.cost / one.size.cpu for one in OFFERS)
    by_memory = sum(one.memory for one in sizes) * min(one.cost / one.size.memory for one in OFFERS)
    return sum(one.price or 0.0 for one in orders) / max(by_cpu, by_memory, 1e-9)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--vms", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    slow = 0.0
    for name, flavours, expressions, devices in (
        ("20 flavours", 20, 1, False),
        ("20 flavours, devices", 20, 1, True),
        ("200, own requirements", 200, 50, False),
        ("all differ", chosen.vms, 1, False),
    ):
        cloud = a_cloud(chosen.hosts, chosen.vms, flavours, expressions, devices=devices)
        seconds, orders, state = min((one_decision(cloud) for _ in range(chosen.runs)), key=lambda one: one[0])
        slow = max(slow, seconds if flavours < chosen.vms else 0.0)
        print(
            f"{chosen.hosts} hosts, {chosen.vms} waiting VMs, {name}: {seconds:.2f} s, {len(orders)} orders, "
            f"cost {over_the_bound(orders, state):.2f} times the lower bound"
        )
    return int(slow > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
