"""A cloud where everything takes its time: front-ends whose workers run at once, monitord, a provider that is slow.

The agents' code is the real one, in tasks under a virtual clock (``tests/support/tasks.py``): between two calls of oned
or the provider anything else may happen, and an agent that is killed stops where it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.agent_fakes import READY, Crash, FakeProvider, Fuse, OnedStore, Truth
from tests.support.agent_world import Nodes
from tests.support.busy_agent import BusyAgent, SkewedClock
from tests.support.fake_site import FakeSite, Site
from tests.support.judge import Judge
from tests.support.tasks import Tasks

from hybrid_drivers.agent.reconciler import RELEASE_WORKERS
from hybrid_drivers.agent.settings import AgentSettings
from hybrid_drivers.errors import HybridError
from hybrid_drivers.model import Host, HostState, MachineState, RaftState, Template

SETTINGS = AgentSettings(claim_delay=1.0, quarantine=300.0, sweep=60.0, workers=128)
SILENCE, MONITOR = 180.0, 20.0  # seconds: monitord calls for a host not heard of for so long, looks so often
BEACONS = 5.0  # seconds between two looks of the agent at which beacons are due
RESTART = 5.0  # seconds until systemd starts an agent again


class BusyWorld:
    """Everything together; ``chance`` decides all that is left to it."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        frontends: int = 1,
        settings: AgentSettings = SETTINGS,
        site: Callable[[BusyWorld], Site] | None = None,
        idempotent: bool = False,
        latency: float = 1.0,
    ) -> None:
        self.folder, self.seed, self.settings = folder, seed, settings
        self.chance = random.Random(seed)
        random.seed(seed)  # the jitter of what waits
        self.tasks = self.clock = Tasks(self.chance)
        self.store, self.fuse = OnedStore(), Fuse()
        self.store.zone = Template([*self.store.zone, ("HYBRID_OWNER", "ours")])
        self.judge = Judge(self.store, self.tasks)
        self.site = site(self) if site else self._fake_site(idempotent, latency)
        self.judge.truths, self.judge.owner = self.site.truths, "ours"
        self.judge.quarantine, self.judge.leaving = settings.quarantine, self.leaving
        self.nodes = Nodes(self.site.host_keys)
        self.raft = [RaftState.SOLO if frontends == 1 else RaftState.LEADER] + [RaftState.FOLLOWER] * (frontends - 1)
        self.clocks = [SkewedClock(self.tasks) for _ in range(frontends)]
        self.agents: list[BusyAgent | None] = [None] * frontends
        self.dead: list[tuple[float, int]] = []  # agents that systemd starts again, and when
        self.oned_down_until, self.oned_latency = 0.0, 0.02
        self.oned_calls = {"host": 0, "hosts": 0, "change": 0}
        self.heard: dict[int, float] = {}
        self.called: set[int] = set()  # START_MONITOR is on its way
        self.next_monitor = 0.0
        self.mistakes: list[str] = []  # errors that are nobody's but the program's
        self._patches = self.nodes.patch()

    def _fake_site(self, idempotent: bool, latency: float) -> Site:
        provider = FakeProvider(self.tasks, self.fuse, self.store, idempotent=idempotent)
        provider.chance, provider.witness = self.chance, self.judge
        self.provider = provider
        return FakeSite(provider, self.tasks, latency)

    def close(self) -> None:
        for patch in self._patches:
            patch.stop()

    # --- front-ends ---

    @property
    def leader(self) -> int:
        return next(number for number, state in enumerate(self.raft) if state.leads)

    def lead(self, number: int) -> None:
        """Make another front-end the leader: its monitord calls for every host."""
        self.judge.note(f"front-end {number} leads")
        self.raft = [RaftState.FOLLOWER] * len(self.raft)
        self.raft[number] = RaftState.LEADER
        self.agent(number)
        self.forget_all()

    def forget_all(self) -> None:
        """Let monitord know of no host, as after a restart of oned or an election."""
        self.heard, self.called, self.next_monitor = {}, set(), self.tasks.time

    def agent(self, number: int) -> BusyAgent:
        """Return the agent of a front-end, started when it was dead."""
        made = self.agents[number]
        if made is None:
            made = self.agents[number] = BusyAgent(self, number, self.settings)
            self.judge.note(f"agent {number} started")
        return made

    def kill(self, number: int) -> None:
        """End an agent where it stands; systemd starts it again."""
        agent = self.agents[number]
        if agent is None:
            return
        self.judge.note(f"agent {number} killed")
        for task in agent.tasks():
            self.tasks.kill(task)
        self.agents[number] = None
        self.called = set()
        self.dead.append((self.tasks.time + RESTART, number))

    def crash_at(self, effects: int, *, before: bool) -> None:
        """Kill the agent that makes the change so many changes from now, just before it or just after."""
        self.fuse.left, self.fuse.before = effects, before

    def leaving(self) -> set[str]:
        """Return the machines that agents have noted to give back."""
        return {one for agent in self.agents if agent for one in agent.parts.departures.machine_ids()}

    # --- what people do ---

    def create_host(self) -> int:
        host_id = self.store.add()
        self.judge.note(f"host {host_id} created")
        self.call(host_id)
        return host_id

    def delete_host(self, host_id: int, *, told: bool = True) -> None:
        self.judge.note(f"host {host_id} deleted")
        del self.store.hosts[host_id]
        if told:
            agent = self.agent(self.leader)
            agent.others.append(self.tasks.start(lambda: self._guarded(agent, lambda: agent.stop_monitor(host_id))))

    def enable_failed(self) -> None:
        """Enable every host that is in ERROR."""
        for host in list(self.store.hosts.values()):
            if host.state is HostState.ERROR:
                self.store.put(host.id, HostState.INIT)
                self.call(host.id)

    def call(self, host_id: int) -> None:
        """Let monitord call START_MONITOR for a host."""
        if host_id in self.called:
            return
        self.called.add(host_id)
        agent = self.agent(self.leader)

        def start() -> None:
            self.oned_calls["start"] = self.oned_calls.get("start", 0) + 1
            try:
                agent.start_monitor(host_id)
            except HybridError as exc:
                self.judge.note(f"START_MONITOR of host {host_id}: {exc}")
            self.called.discard(host_id)
            self.heard[host_id] = self.tasks.time

        agent.others.append(self.tasks.start(lambda: self._guarded(agent, start)))

    # --- time ---

    def pass_time(self, seconds: float) -> None:
        """Let time pass: tasks run, workers take what is due, monitord calls."""
        until = self.tasks.time + seconds
        while True:
            self._look_after()
            if self.tasks.step():
                while self.tasks.step():
                    pass
                continue
            when = max(self.tasks.time + 0.001, self._next())
            if when > until:
                self.tasks.time = until
                return
            self.tasks.time = when

    def _next(self) -> float:
        agents = [one for one in self.agents if one is not None]
        queues = [one.queue.next() for one in agents if len(one.busy) < self.settings.workers]
        own = [min(one.next_sweep, one.next_beacons) for one in agents]
        deaths = [when for when, _ in self.dead]
        return min([self.tasks.next(), self.site.next(), self.next_monitor, *queues, *own, *deaths])

    def _look_after(self) -> None:
        self.site.happen()
        now = self.tasks.time
        for when, number in list(self.dead):
            if when <= now:
                self.dead.remove((when, number))
                self.agent(number)
        if now >= self.next_monitor:
            self.next_monitor = now + MONITOR
            self._monitor()
        for agent in self.agents:
            if agent is not None:
                self._attend(agent)

    def _monitor(self) -> None:
        now = self.tasks.time
        if now < self.oned_down_until:
            return
        running = {one.id for one in self.site.truths() if one.state is MachineState.RUNNING}
        for host in self.store.hosts.values():
            if host.state is HostState.OFFLINE:
                continue
            beacons = host.template.text("TOTALCPU") == "800" and deploy_id(host) in running
            if host.id not in self.heard or (not beacons and now - self.heard[host.id] > SILENCE):
                self.call(host.id)

    def _attend(self, agent: BusyAgent) -> None:
        now = self.tasks.time
        if now >= agent.next_beacons:
            agent.next_beacons = now + BEACONS
            agent.parts.reporter.beacon()
        if now >= agent.next_sweep:
            agent.next_sweep = now + self.settings.sweep
            if not agent.sweeping:
                agent.sweeping = True
                agent.others.append(self.tasks.start(lambda: self._guarded(agent, lambda: self._sweep(agent))))
        while len(agent.busy) < self.settings.workers + RELEASE_WORKERS:
            key = agent.queue.take()
            if key is None:
                break
            if key in agent.busy:
                agent.parked.add(key)  # asked for again meanwhile: once more when it is done
                continue
            agent.busy[key] = self.tasks.start(lambda key=key: self._work(agent, key))  # type: ignore[misc]

    def _work(self, agent: BusyAgent, key: tuple[str, str]) -> None:
        again: float | None = 30.0
        try:
            again = agent.reconciler.work(key)
        except Crash:
            self.kill(agent.number)
            return
        except Exception as exc:  # noqa: BLE001 - a worker's boundary, as the queue's
            self.mistakes.append(f"{key}: {type(exc).__name__}: {exc}")
        finally:
            agent.busy.pop(key, None)
        if key in agent.parked:
            agent.parked.discard(key)
            agent.queue.ask(key)
        if again is not None:
            agent.queue.ask(key, again)

    def _sweep(self, agent: BusyAgent) -> None:
        try:
            if agent.leadership.leads():
                agent.collector.sweep()
        except HybridError as exc:
            self.judge.note(f"the sweep of agent {agent.number} is put off: {exc}")
        finally:
            agent.sweeping = False

    def _guarded(self, agent: BusyAgent, work: Callable[[], object]) -> None:
        try:
            work()
        except Crash:
            self.kill(agent.number)
        except Exception as exc:  # noqa: BLE001 - a worker's boundary, as the queue's
            self.mistakes.append(f"{type(exc).__name__}: {exc}")

    # --- how it stands ---

    def well(self) -> bool:
        """Tell whether each host has its one working machine, there are no others of ours, and no work is left."""
        alive = {one.id: one for one in self.ours() if one.state is not MachineState.GONE}
        hosts, leads = self.store.hosts.values(), self.agents[self.leader]
        ready = all(self.store.phase(one.id) == READY and one.template.text("TOTALCPU") == "800" for one in hosts)
        return (
            ready
            and {deploy_id(one) for one in hosts} == set(alive)
            and all(one.usable for one in alive.values())
            and leads is not None
            and not leads.parts.departures.all()
        )

    def ours(self) -> list[Truth]:
        return [one for one in self.site.truths() if one.owner == "ours" and one.host_id >= 0]

    def calm_down(self, limit: float) -> float | None:
        """Let time pass until all is well, enabling what is in ERROR; returns the seconds, None: it never was."""
        begin = self.tasks.time
        while self.tasks.time - begin < limit:
            if self.well():
                return self.tasks.time - begin
            self.enable_failed()
            self.pass_time(60)
        return None

    def how_it_stands(self) -> str:
        hosts = {one.id: (one.state.name, dict(one.template)) for one in self.store.hosts.values()}
        alive = [one for one in self.site.truths() if one.state is not MachineState.GONE]
        notes = [agent.parts.departures.all() for agent in self.agents if agent]
        return f"hosts {hosts}\nmachines {alive}\nnotes {notes}"


def deploy_id(host: Host) -> str:
    return host.template.vector("PROVISION").get("DEPLOY_ID", "")


@contextmanager
def opened(world: BusyWorld) -> Iterator[BusyWorld]:
    """Close the world at the end."""
    try:
        yield world
    finally:
        world.close()
