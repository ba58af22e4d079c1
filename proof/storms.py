"""Storms: a provider or an oned that refuses for ten minutes, and many hosts at once.

The packet driver with its limits of calls (20 a second, 50 at once) on the simulator's API; two front-ends on one
store. Looked at: calls stay within the account's budget also in the second after the storm, nothing is made twice,
and all hosts become READY in a time that is limited.
"""

from __future__ import annotations

import random
import sys
from bisect import bisect_left
from collections.abc import Sequence

from proof.rows import Ask, Outcome, Result, Row, folder, main, seeded
from tests.support.agent_fakes import READY
from tests.support.busy_world import BusyWorld, opened
from tests.support.packet_site import PacketSite

from hybrid_drivers.model import HostState
from hybrid_drivers.providers.packet.provider import BURST, RATE

STORM = 600.0  # seconds
LISTS_A_MINUTE = 40  # at most, in a storm: four tries a look, failures shared for half a poll
CALM_LIMIT = 3600.0  # seconds
BACK = 0.2  # seconds, the most that a message to the provider takes


def story(seed: int, hosts: int = 40) -> Outcome:
    """Play one storm: of refusals at the provider, or of oned, with a leader that changes in the middle of some."""
    chance = random.Random(seed)
    kind = chance.choice(["429", "500", "503", "oned down", "oned restarts", "oned slow"])
    with folder() as path, opened(BusyWorld(path, seed, frontends=2, site=_site)) as world:
        site = world.site
        assert isinstance(site, PacketSite)
        for _ in range(hosts):
            world.create_host()
        world.pass_time(chance.uniform(0, 120))
        begin, calls, changes = world.tasks.time, len(site.times), dict(world.oned_calls)
        _begin(world, site, kind, chance)
        world.pass_time(STORM / 2)
        if chance.random() < 0.5:
            world.lead(1)
        for host_id in list(world.store.hosts)[: hosts // 10]:
            world.delete_host(host_id)
        world.pass_time(STORM / 2)
        in_storm = len(site.times) - calls
        oned_calls = sum(world.oned_calls.values()) - sum(changes.values())
        site.knobs.change({"error_rate": 0.0})
        world.oned_latency = 0.02
        end = world.tasks.time
        took = world.calm_down(CALM_LIMIT)
        violations = [f"{name}: {what}" for name, found in world.judge.violations().items() for what in found]
        violations += [f"mistake: {one}" for one in world.mistakes]
        if took is None:
            violations.append("not well in the end: " + world.how_it_stands())
        violations += _over_budget(site.times, begin)
        if kind.isdigit() and in_storm > STORM / 60 * (LISTS_A_MINUTE + hosts):
            violations.append(f"too many calls in the storm: {in_storm} for {hosts} hosts")
        after = most_within(1.0, site.times, end, end + 600)
        figures: dict[str, float] = {
            f"storms of {kind}": 1,
            "most calls to the provider in a storm": in_storm,
            "most calls to oned in a storm": oned_calls,
            "most calls within a second afterwards": after,
            "most seconds until all was well": took or 0.0,
            "machines made": world.judge.created,
        }
        trace = "\n".join([f"kind {kind}", *world.judge.trace]) if violations else ""
        return Outcome(seed=seed, violations=violations, figures=figures, trace=trace)


def _site(world: BusyWorld) -> PacketSite:
    site = PacketSite(world, settle=60.0, latency=BACK)
    site.knobs.change({"provisioning": "lognormal:120,0.3"})
    return site


def _begin(world: BusyWorld, site: PacketSite, kind: str, chance: random.Random) -> None:
    world.judge.note(f"the storm begins: {kind}")
    if kind.isdigit():
        wait = chance.choice([0.0, 1.0, 30.0, 120.0])
        site.knobs.change({"error_status": int(kind), "error_rate": chance.choice([0.9, 0.999999])})
        site.knobs.change({"retry_after": wait})
    elif kind == "oned down":
        world.oned_down_until = world.tasks.time + STORM
    elif kind == "oned restarts":
        world.oned_down_until = world.tasks.time + 30
        world.forget_all()
        world.kill(world.leader)  # PartOf=opennebula.service
    else:
        world.oned_latency = 10.0


def _over_budget(times: Sequence[float], since: float) -> list[str]:
    for length in (1.0, 10.0, 60.0):
        allowed = BURST + RATE * (length + 2 * BACK) + 1
        if (most := most_within(length, times, since)) > allowed:
            return [f"over budget: {most} calls within {length:g} s, {allowed:g} are allowed"]
    return []


def most_within(length: float, times: Sequence[float], since: float, until: float = float("inf")) -> int:
    """Return the largest number of ``times`` (sorted) that lie within ``length`` seconds of each other."""
    kept = sorted(one for one in times if since <= one < until)
    return max((number + 1 - bisect_left(kept, one - length) for number, one in enumerate(kept)), default=0)


# --- many at once -----------------------------------------------------------------------------------------------------


def starts(ask: Ask) -> Result:
    """START_MONITOR for all hosts at once."""
    with folder() as path, opened(BusyWorld(path, ask.seed, site=_site)) as world:
        for _ in range(ask.runs):
            world.create_host()
        took = world.calm_down(2 * 3600.0)
        return _many(ask, world, took, f"{ask.runs} START_MONITOR at once", {})


def restarts(ask: Ask) -> Result:
    """oned restarts with all hosts READY: monitord calls START_MONITOR for each, the agent is started anew."""
    with folder() as path, opened(BusyWorld(path, ask.seed, site=_site)) as world:
        for _ in range(ask.runs):
            world.create_host()
        took = world.calm_down(2 * 3600.0)
        site = world.site
        assert isinstance(site, PacketSite)
        calls, oned = len(site.times), sum(world.oned_calls.values())
        world.kill(0)
        world.forget_all()
        world.pass_time(300)
        lost = [one.id for one in world.store.hosts.values() if one.state is not HostState.MONITORED]
        more = {
            "calls to the provider": len(site.times) - calls,
            "calls to oned a host": round((sum(world.oned_calls.values()) - oned) / ask.runs, 2),
        }
        found = _many(ask, world, took, f"{ask.runs} hosts restart monitoring", more)
        wrong = [f"hosts not monitored afterwards: {lost[:5]}"] if lost else []
        wrong += (
            [f"{more['calls to the provider']} calls to the provider"] if more["calls to the provider"] > 60 else []
        )
        not_ready = [one for one in world.store.hosts if world.store.phase(one) != READY]
        wrong += [f"hosts not READY afterwards: {not_ready[:5]}"] if not_ready else []
        return Result(done=found.done, figures=found.figures, violations=[*found.violations, *wrong])


def _many(ask: Ask, world: BusyWorld, took: float | None, done: str, more: dict[str, float]) -> Result:
    site = world.site
    assert isinstance(site, PacketSite)
    violations = [f"{name}: {what}" for name, found in world.judge.violations().items() for what in found]
    violations += [*world.mistakes, *_over_budget(site.times, 0.0)]
    if took is None:
        violations.append("not well in the end")
    if world.judge.created != ask.runs:
        violations.append(f"{world.judge.created} machines made for {ask.runs} hosts")
    figures: dict[str, float] = {
        "seconds until all were READY": took or 0.0,
        "calls to the provider in all": len(site.times),
        "most within a second": most_within(1.0, site.times, 0.0),
        **more,
    }
    return Result(done=done, figures=figures, violations=violations)


ROWS: tuple[Row, ...] = (
    Row(
        name="storms",
        what="10 minutes of 429, 500, 503 (Retry-After or none), oned down, restarting or slow, the leader changes",
        runs=300,
        run=seeded(story, "storms, 40 hosts each"),
    ),
    Row(name="start-herd", what="many START_MONITOR at once", runs=500, run=starts),
    Row(name="restart-herd", what="all READY hosts restart monitoring at once", runs=1000, run=restarts),
)

if __name__ == "__main__":
    sys.exit(main(ROWS))
