"""Growing on demand against other ways to have enough hosts, on traces of arriving VMs under a virtual clock.

    .venv/bin/python bench/growth_trace.py [--seed 1] [--ready 300]

Traces are made here (tests/support/growth_world.py): bursts, days with a peak at 14:00, and waves of an hour that tempt
a scaler into giving back what the next wave needs. One plan, so that only the number of hosts differs; hosts are ready
``--ready`` seconds after their order.

Compared: growing, alone and with CONSOLIDATE (a move takes up to ten minutes, one VM in eleven stays where it is);
(a) a fixed pool of the peak's size; (b) a threshold scaler as OneFlow's ``elasticity_policies`` are written
(``flow/lib/models/vmrole.rb``, ``scale?``): CPU above 80 % in 3 periods of 60 s adds a quarter of the hosts, below 30 %
takes an empty one away, cooldown 300 s; it also counts VMs that wait as load, which OneFlow's own metric cannot;
(c) the offline optimum: the hosts needed at each moment if every VM ran at once and moved freely; none can reach it.

Printed for each: host-hours paid over those of the optimum, median and p95 wait in seconds. Rules of growing are
asserted on the way. A VM that was never served counts with its wait until the end.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.consolidation_world import ConsolidatingWorld
from tests.support.growth_world import OFFERS, GrowthWorld, Machine, Provider, Vm, burst, diurnal, offer, sawtooth

from hybrid_drivers.agent.growth.memory import HOUR
from hybrid_drivers.agent.growth.model import Stage
from hybrid_drivers.agent.growth.policy import Policy

PLAN = OFFERS[1]
STEP = 30.0
POLICY = Policy(max_hosts=1000, max_orders_hour=1000, grow_after=60, shrink_after=600, cooldown=300)
TRACES: dict[str, Callable[[int], list[Vm]]] = {"burst": burst, "diurnal": diurnal, "sawtooth": sawtooth}


def consolidating(policy: Policy, vms: list[Vm], *, provider: Provider, step: float) -> GrowthWorld:
    """Return a world like the others whose hosts are emptied when they are little used."""
    return ConsolidatingWorld(replace(policy, consolidate="yes"), vms, provider=provider, step=step)


class FixedPool(GrowthWorld):
    """As many hosts as the peak needs, all the time."""

    count = 0

    def _pass(self) -> None:
        if not self.hosts:
            self.hosts = {number: Machine(number, PLAN.plan, 0.0, 0.0) for number in range(self.count)}


class Threshold(GrowthWorld):
    """Looks at the mean load; knows neither sizes of VMs nor hosts on their way."""

    loads: deque[float]
    last = -math.inf

    def _pass(self) -> None:
        if not hasattr(self, "loads"):
            self.loads = deque(maxlen=3)
        if self.now % 60:
            return
        there = [one for one in self.hosts.values() if self.stage(one) is Stage.USABLE]
        whole = sum(offer(one.plan).size.cpu for one in there)
        used = whole - sum(self.room(one).cpu for one in there) + sum(one.size.cpu for one in self.waiting())
        self.loads.append(used / whole if whole else math.inf if used else 0.0)
        if len(self.loads) < 3 or self.now - self.last < 300:
            return
        if min(self.loads) > 0.8:
            for _ in range(max(1, len(self.hosts) // 4)):
                number = next(self.ids)
                self.hosts[number] = Machine(
                    number, PLAN.plan, self.now, self.now + self.provider.ready_after(self.random)
                )
            self.last = self.now
        elif max(self.loads) < 0.3 and (empty := [one for one in there if not one.vms]):
            del self.hosts[empty[0].id]
            self.last = self.now


def needed(vms: Sequence[Vm], until: float) -> list[int]:
    """Return how many hosts each step needs if every VM ran at once and could move."""
    found = []
    for step in range(int(until / STEP)):
        now = step * STEP
        running = [one.size for one in vms if one.arrives <= now < one.arrives + one.lifetime]
        cpu = sum(one.cpu for one in running) / PLAN.size.cpu
        memory = sum(one.memory for one in running) / PLAN.size.memory
        found.append(math.ceil(max(cpu, memory)))
    return found


def run(world: GrowthWorld, until: float) -> tuple[float, list[float]]:
    """Return the host-hours paid, and the wait of every VM."""
    world.offers = (PLAN,)
    world.run(until)
    unserved = [until - one.arrives for one in world.waiting()]
    return world.host_seconds / HOUR, world.waits + unserved


def main() -> int:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ready", type=float, default=300.0)
    chosen = parser.parse_args()
    provider = Provider(ready_after=lambda _: chosen.ready)
    for name, trace in TRACES.items():
        until = max(one.arrives + one.lifetime for one in trace(chosen.seed)) + 2 * HOUR
        optimum = needed(trace(chosen.seed), until)
        least = sum(optimum) * STEP / HOUR
        FixedPool.count = math.ceil(max(optimum) * 1.1)  # whole VMs do not move freely
        kinds: dict[str, Callable[..., GrowthWorld]]
        kinds = {"growing": GrowthWorld, "with moves": consolidating, "fixed pool": FixedPool, "threshold": Threshold}
        for kind, world in kinds.items():
            ran = world(POLICY, trace(chosen.seed), provider=provider, step=STEP)
            paid, waits = run(ran, until)
            moves = f", {len(ran.moves)} moves" if isinstance(ran, ConsolidatingWorld) else ""
            p95 = statistics.quantiles(waits, n=20)[-1]
            print(
                f"{name:9} {kind:10} host-hours {paid:7.1f} = {paid / least:5.2f} x optimum, "
                f"wait median {statistics.median(waits):5.0f} s, p95 {p95:5.0f} s{moves}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
