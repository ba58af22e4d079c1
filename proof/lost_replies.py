"""A provider that loses replies, whose lists lag and tell of the past, and whose deletes lie and are slow.

One run: one or two front-ends, up to four hosts that come and go within some minutes, agents that are killed and
leaders that change; then the troubles of people end (not those of the provider's lists), and everything must come
right. Half of the runs use the packet driver with the simulator's API in one process, the others a provider in memory
that makes repeated creates one (tokens, as EC2 does), or does not.

What is right: ``tests/support/judge.py``. The lists are behind by less than the provider's ``settle`` limit.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from proof.rows import Outcome, Row, folder, main, seeded
from tests.support.agent_fakes import FakeProvider
from tests.support.busy_world import BusyWorld, opened
from tests.support.packet_site import PacketSite

from hybrid_drivers.providers.base import Limits

SETTLE, LONGEST_LAG = 180.0, 120.0  # seconds
CALM_LIMIT = 6 * 3600.0  # seconds until all is well


def story(seed: int) -> Outcome:
    """Play one run."""
    chance = random.Random(seed)
    kind = chance.choice(["packet", "packet", "tokens", "no tokens"])
    with folder() as path, opened(_world(path, seed, kind, chance)) as world:
        for _ in range(chance.randint(1, 3)):
            world.create_host()
        for _ in range(chance.randint(3, 8)):
            world.pass_time(chance.choice([0.5, 3, 10, 40, 150, 400]) * chance.random())
            _something_happens(world, chance)
        _people_are_done(world)
        took = world.calm_down(CALM_LIMIT)
        violations = [f"{name}: {what}" for name, found in world.judge.violations().items() for what in found]
        violations += [f"mistake: {one}" for one in world.mistakes]
        if took is None:
            violations.append("not well in the end: " + world.how_it_stands())
        figures = {
            "machines made": world.judge.created,
            "given back": world.judge.deleted,
            f"runs with {kind}": 1,
            "most seconds until all was well": took or 0.0,
        }
        trace = "\n".join([f"kind {kind}", *world.judge.trace]) if violations else ""
        return Outcome(seed=seed, violations=violations, figures=figures, trace=trace)


def _world(path: Path, seed: int, kind: str, chance: random.Random) -> BusyWorld:
    frontends = chance.randint(1, 2)
    lost, lag = chance.uniform(0.01, 0.3), chance.uniform(0, LONGEST_LAG)
    lying, slow = chance.choice([0, 0.3 * chance.random()]), chance.choice([0.0, 600 * chance.random()])
    limits = Limits(settle=SETTLE, deploy=3600, boot=1200, delete=1800, poll=10)
    refusing = chance.choice([0.0, 0.1 * chance.random()])
    if kind == "packet":

        def site(world: BusyWorld) -> PacketSite:
            site = PacketSite(world, settle=SETTLE)
            site.knobs.change({"lost_reply": lost, "list_lag": lag, "lying_delete": lying, "slow_delete": slow})
            site.knobs.change({"gone_is_403": chance.random() < 0.5, "error_rate": refusing})
            site.knobs.change({"provisioning": 60 * chance.random(), "error_status": chance.choice([429, 500, 503])})
            return site

        return BusyWorld(path, seed, frontends=frontends, site=site)
    world = BusyWorld(path, seed, frontends=frontends, idempotent=kind == "tokens", latency=chance.choice([0.1, 2, 20]))
    provider: FakeProvider = world.provider
    provider.limits = limits
    provider.lost, provider.lying, provider.slow_delete, provider.refusing = lost, lying, slow, refusing
    provider.list_lag, provider.stale = chance.choice([(lag, 0.0), (0.0, lag), (lag / 2, lag / 2)])
    provider.made_in = 60 * chance.random()
    return world


def _something_happens(world: BusyWorld, chance: random.Random) -> None:
    hosts = sorted(world.store.hosts)
    happens = chance.choice(["create", "delete", "delete", "kill", "lead", "crash", "blink"])
    if happens == "create" and len(hosts) < 4:
        world.create_host()
    elif happens == "delete" and hosts:
        world.delete_host(chance.choice(hosts), told=chance.random() < 0.7)
    elif happens == "kill":
        world.kill(chance.randrange(len(world.agents)))
    elif happens == "lead" and len(world.agents) > 1:
        world.lead(1 - world.leader)
    elif happens == "crash":
        world.crash_at(chance.randint(1, 6), before=chance.random() < 0.5)
    elif happens == "blink":
        world.oned_down_until = world.tasks.time + 30 * chance.random()


def _people_are_done(world: BusyWorld) -> None:
    world.fuse.left = 0
    if not isinstance(world.site, PacketSite):
        world.provider.lying = 0.0
    elif isinstance(world.site, PacketSite):
        world.site.knobs.change({"lying_delete": 0})


ROWS = (
    Row(
        name="lost-replies",
        what="replies lost 1-30 %, lists 0-120 s late, stale reads, 404 then 200, 403 on gone, lying and slow deletes",
        runs=10_000,
        run=seeded(story),
    ),
)

if __name__ == "__main__":
    sys.exit(main(ROWS))
