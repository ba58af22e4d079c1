"""Garbage collection against everything it must not touch.

One run: two front-ends with clocks that differ and are set while hosts come and go; machines of strangers with the
tags, host ids and names of ours; machines of 5.12 tools; machines of ours whose host is not in oned. The collector
sweeps every minute while creates are on their way, and lists take long. No machine that is not ours is touched, none
that a host has or is about to get, none without a host before the quarantine is over, and nothing of ours is left
over.
"""

from __future__ import annotations

import random
import sys
from functools import partial

from proof.rows import Outcome, Row, folder, main, seeded
from tests.support.agent_fakes import LIMITS, FakeProvider, Unit
from tests.support.busy_world import SETTINGS, BusyWorld, opened
from tests.support.strangers import put

from hybrid_drivers.model import MachineTags

QUARANTINE = SETTINGS.quarantine
CALM_LIMIT = 6 * 3600.0  # seconds
NOT_THERE = 1000  # the first id of hosts that oned does not have


def story(seed: int) -> Outcome:
    """Play one run."""
    chance = random.Random(seed)
    latency = chance.choice([0.1, 2.0, 20.0])
    tokens = seed % 2 == 0
    made = partial(BusyWorld, frontends=2, settings=SETTINGS, idempotent=tokens, latency=latency)
    with folder() as path, opened(made(path, seed)) as world:
        world.judge.quarantine = QUARANTINE
        provider: FakeProvider = world.provider
        provider.list_lag = chance.uniform(0, LIMITS.settle - 2)
        provider.made_in, provider.clock_ahead = chance.uniform(0, 60), chance.choice([0, 3600, -3600])
        provider.lost = chance.choice([0.0, 0.2])
        for clock in world.clocks:
            clock.ahead = chance.uniform(-120, 120)
        theirs = {one.machine.id for one in _strangers(provider)}
        orphans: list[str] = []
        world.agent(0)
        for _ in range(chance.randint(4, 10)):
            _something_happens(world, chance, orphans)
            world.pass_time(chance.choice([0.5, 5, 30, 90, 300]) * chance.random())
        world.fuse.left = 0
        took = world.calm_down(CALM_LIMIT)
        violations = [f"{name}: {what}" for name, found in world.judge.violations().items() for what in found]
        violations += [f"mistake: {one}" for one in world.mistakes]
        if took is None:
            violations.append("not well in the end: " + world.how_it_stands())
        alive = {one.id for one in provider.alive()}
        if not theirs <= alive:
            violations.append(f"strangers' machines gone: {theirs - alive}")
        figures = {
            "machines made": world.judge.created,
            "of others beside them": len(theirs),
            "without a host, given back": len(orphans),
            "most seconds until all was well": took or 0.0,
        }
        return Outcome(seed=seed, violations=violations, figures=figures, trace="\n".join(world.judge.trace))


def _strangers(provider: FakeProvider) -> list[Unit]:
    tags = [MachineTags(owner="stranger", host_id=number, token="x", name=f"edge{number}") for number in range(3)]
    tags.append(MachineTags(owner="ours", host_id=-1, token="y", name="edge0"))  # a 5.12 tool's
    tags.append(MachineTags(owner="ours ", host_id=0, token="z", name="edge0"))
    return [put(provider, one) for one in tags]


def _something_happens(world: BusyWorld, chance: random.Random, orphans: list[str]) -> None:
    hosts = sorted(world.store.hosts)
    happens = chance.choice(["create", "create", "delete", "orphan", "lead", "kill", "clock", "crash"])
    if happens == "create" and len(hosts) < 4:
        world.create_host()
    elif happens == "delete" and hosts:
        world.delete_host(chance.choice(hosts), told=chance.random() < 0.5)
    elif happens == "orphan":
        tags = MachineTags(owner="ours", host_id=NOT_THERE + len(orphans), token="o", name="edge0")
        unit = put(world.provider, tags)
        orphans.append(unit.machine.id)
        world.judge.orphans[unit.machine.id] = world.tasks.time
        world.judge.note(f"machine {unit.machine.id} of host {tags.host_id}, which is not there")
    elif happens == "lead":
        world.lead(1 - world.leader)
    elif happens == "kill":
        world.kill(chance.randrange(2))
    elif happens == "clock":
        clock = chance.choice(world.clocks)
        clock.ahead += chance.choice([-30.0, 30.0, 400.0, 3600.0])
        world.judge.note(f"a clock is {clock.ahead:.0f} s ahead")
    elif happens == "crash":
        world.crash_at(chance.randint(1, 6), before=chance.random() < 0.5)


ROWS = (
    Row(
        name="collection-races",
        what="creates racing the collector, clocks that differ and jump, foreign tags, same names",
        runs=10_000,
        run=seeded(story),
    ),
)

if __name__ == "__main__":
    sys.exit(main(ROWS))
