"""Front-ends with the agent's real code (reconciler, release, collector, monitoring) on fakes, driven by hand."""

from __future__ import annotations

import functools
import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from unittest import mock

from tests.support.agent_fakes import READY, Crash, FakeMonitord, FakeOned, FakeProvider, Fuse, OnedStore, VirtualClock

from hybrid_drivers.agent import keys, node
from hybrid_drivers.agent.accounts import Account, Accounts
from hybrid_drivers.agent.collector import Collector
from hybrid_drivers.agent.departures import Departures
from hybrid_drivers.agent.executor import Executor
from hybrid_drivers.agent.im import Monitoring
from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.agent.leadership import Leadership
from hybrid_drivers.agent.monitor_file import MonitorFile
from hybrid_drivers.agent.owner import Owner
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.queue import Key, WorkQueue
from hybrid_drivers.agent.reconciler import Reconciler
from hybrid_drivers.agent.release import Release
from hybrid_drivers.agent.reporter import Reporter
from hybrid_drivers.agent.settings import AgentSettings, Settings
from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import HostKeyMismatch, HybridError
from hybrid_drivers.hostconfig.configuration import Configuration
from hybrid_drivers.hostconfig.hostkeys import HostKey, generate
from hybrid_drivers.hostconfig.report import RunReport
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.hostconfig.script import Script
from hybrid_drivers.model import CreateRequest, HostState, Machine, RaftState
from hybrid_drivers.oned.actions import StartMonitor, StopMonitor
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.monitord import Monitord
from hybrid_drivers.oned.process import failure
from hybrid_drivers.oned.xml import MonitorConfiguration
from hybrid_drivers.providers.base import Provider

SWEEP = 60.0
MOMENT = 0.001  # seconds: so much passes at least between two looks
SETTINGS = AgentSettings(claim_delay=4.0, quarantine=120.0, sweep=SWEEP)
PROBES = b"<MONITOR_MESSAGES><SYSTEM_HOST>VE9UQUxDUFU9IjgwMCIK</SYSTEM_HOST></MONITOR_MESSAGES>"  # TOTALCPU="800"


class Appointments:
    """The work queue without threads: what is due, and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []

    def ask(self, key: Key, delay: float = 0.0) -> None:
        when = self.clock.monotonic() + delay
        if when < self.due.get(key, float("inf")):
            self.due[key] = when
            heapq.heappush(self._heap, (when, key))

    def keys(self) -> set[Key]:
        return set(self.due)

    def next(self) -> float:
        """Return when the next key is due."""
        while self._heap and self.due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def take(self) -> Key | None:
        """Return a key whose time has come, the earliest first."""
        if self.next() > self.clock.monotonic():
            return None
        key = heapq.heappop(self._heap)[1]
        del self.due[key]
        return key


class Door:
    """The provider as one front-end's agent reaches it: who acts is known there."""

    def __init__(self, provider: FakeProvider, agent: str) -> None:
        self._provider, self._agent = provider, agent
        self.entry, self.limits = provider.entry, provider.limits
        self.idempotent_create, self.takes_user_data = provider.idempotent_create, provider.takes_user_data
        self.placements, self.get, self.list = provider.placements, provider.get, provider.list
        self.delete, self.power_on, self.power_off = provider.delete, provider.power_on, provider.power_off
        self.reboot, self.reset = provider.reboot, provider.reset

    def create(self, request: CreateRequest) -> Machine:
        request.last_look()
        self._provider.agent = self._agent
        return self._provider.create(request)


class OneAccount:
    """Stands for ``Accounts``: one account, with what its provider's lists said."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def for_attributes(self, attributes: Mapping[str, str], where: str) -> tuple[Account, dict[str, str]]:
        return self.account, {k: v for k, v in attributes.items() if k not in ("PROVIDER", "RENTED_FROM")}

    def named(self, name: str) -> Account:
        return self.account

    def all(self) -> Sequence[Account]:
        return [self.account]

    def broken(self) -> list[str]:
        return []

    def knows(self, name: str) -> bool:
        return name == self.account.name


class Agent:
    """One front-end's agent: the real pieces on the fakes. A new one on the same ``state`` is the agent restarted."""

    def __init__(
        self,
        store: OnedStore,
        provider: Provider,
        clock: Clock,
        state: Path,
        *,
        oned: FakeOned,
        settings: AgentSettings = SETTINGS,
        queue: Appointments | None = None,
    ) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.name = state.name
        self.oned = oned
        self.monitord = FakeMonitord(store)
        door = cast(Oned, oned)
        owner = Owner(door, 0, state / "owner.id", clock)
        account = Account(provider.entry, provider, owner(), clock)
        root = state / "one"
        reporter = Reporter(clock)
        reporter.use(cast(Monitord, self.monitord))
        self.parts = Parts(
            agent_id=self.name,
            started=clock.now(),
            location=Location.from_environment({"ONE_LOCATION": str(root), "HOME": str(state)}),
            settings=Settings(agent=settings),
            clock=clock,
            oned=door,
            owner=owner,
            accounts=cast(Accounts, OneAccount(account)),
            departures=Departures(state / "departures"),
            reporter=reporter,
            keys=FrontEndKeys(state, state),
            configuration=b"<MONITOR_CONFIGURATION/>",
        )
        self.account, self.leadership = account, Leadership(door, clock)
        self.queue = queue or Appointments(clock)
        self.reconciler = Reconciler(self.parts, self.leadership)
        self.reconciler.queue = cast(WorkQueue, self.queue)
        self.reconciler.release = Release(self.parts, self.queue.ask)
        self.reconciler._executor = Executor(self.parts, self.reconciler.node, self.queue.ask)
        self.collector = Collector(self.parts, self.reconciler)
        self.monitoring = Monitoring(self.parts, self.reconciler, cast(MonitorFile, mock.Mock(spec=["learn"])))
        for departure in self.parts.departures.load():
            self.queue.ask(("release", departure.key))
        self.next_sweep = clock.now()

    def work(self) -> bool:
        """Do what is due, one key; tell whether there was one."""
        key = self.queue.take()
        if key is None:
            return False
        again = self.reconciler.work(key)
        if again is not None:
            assert 0 <= again <= 3600, f"{key} waits {again} s"
            self.queue.ask(key, again)
        return True

    def sweep(self) -> None:
        try:
            self.collector.sweep()
        except HybridError:
            return

    def start_monitor(self, host_id: int) -> None:
        """Be called by oned for a host, and give oned the answer."""
        host = self.oned.host(host_id)
        call = StartMonitor(host_id=host_id, host_name=host.name, configuration=_configuration(host_id))
        try:
            answer = self.monitoring.start(call)
        except HybridError as exc:
            answer = failure(str(exc))
        self.monitord.answered(host_id, answer.code, answer.stdout)

    def stop_monitor(self, host_id: int) -> None:
        """Be told that a host is offline or gone."""
        try:
            self.monitoring.stop(StopMonitor(host_id=host_id, host_name="edge", configuration=_configuration(host_id)))
        except HybridError:
            return


def _configuration(host_id: int) -> MonitorConfiguration:
    return MonitorConfiguration(
        host_id=host_id,
        address="127.0.0.1",
        port=4124,
        public_key="",
        beacon_period=30,
        interval=180,
        raw=b"",
        xml=b"<MONITOR_CONFIGURATION/>",
    )


LOGIN = generate(bytes(32)).public


_generated = functools.lru_cache(maxsize=10_000)(generate)  # the same for the same seed


def _generate(seed: bytes) -> HostKey:
    return _generated(seed)


def _login_line(_: Path) -> str:
    return LOGIN


def _nothing(_: int) -> None:
    """Do nothing."""


class Nodes:
    """What happens on machines: everything works, unless it is told to be unreachable or to fail."""

    def __init__(self, host_keys: dict[str, str]) -> None:
        self.host_keys = host_keys  # address -> the key its machine shows
        self.trouble: list[HybridError] = []
        self.runs: list[tuple[str, bool, int]] = []  # address, whether it was only a look, number of steps

    def patch(self) -> list[Any]:
        """Return started patches of the functions that speak SSH."""
        changes = {
            "configure": self.configure,
            "run": self.run,
            "sync_remotes": lambda *_: None,
            "start_probes": self.start_probes,
            "stop_probes": lambda *_: None,
        }
        patches = [mock.patch.object(node, name, function) for name, function in changes.items()]
        patches += [
            mock.patch("os.fsync", _nothing),  # no power is lost here, and a disk takes its time
            mock.patch.object(keys, "generate", _generate),
            mock.patch.object(keys, "_public_line", _login_line),
        ]
        for patch in patches:
            patch.start()
        return patches

    def run(
        self, target: SshTarget, configuration: Configuration, on_step: object, *, check_only: bool, limit: float
    ) -> RunReport:
        if self.trouble:
            raise self.trouble.pop()
        if self.host_keys[target.address] not in target.host_keys:
            raise HostKeyMismatch(f"{target.address} shows another host key")
        steps = [part.steps for part in configuration.parts if isinstance(part, Script)]
        self.runs.append((target.address, check_only, sum(map(len, steps))))
        return RunReport(steps=(), seconds=0.0)

    def configure(
        self, target: SshTarget, delivered: node.Delivered, prepare: Callable[[], Configuration], **hooks: Any
    ) -> RunReport:
        if self.trouble:
            raise self.trouble.pop()
        if self.host_keys[target.address] not in delivered.pinned:
            raise HostKeyMismatch(f"{target.address} shows another host key")
        hooks["on_contact"]()
        fresh = f"ssh-ed25519 fresh{target.address}"
        hooks["pin"]((self.host_keys[target.address], fresh))
        self.host_keys[target.address] = fresh
        hooks["pin"]((fresh,))
        prepare()
        return RunReport(steps=(), seconds=0.0)

    def start_probes(self, *_: object) -> bytes:
        if self.trouble:
            raise self.trouble.pop()
        return PROBES


class World:
    """Everything together. Front-end 0 leads at first; ``agents`` holds None where the process is dead."""

    def __init__(self, folder: Path, *, idempotent: bool, frontends: int = 2) -> None:
        self.folder, self.clock, self.fuse = folder, VirtualClock(), Fuse()
        self.store = OnedStore()
        self.provider = FakeProvider(self.clock, self.fuse, self.store, idempotent=idempotent)
        self.nodes = Nodes(self.provider.host_keys)
        self.raft = [RaftState.SOLO if frontends == 1 else RaftState.LEADER] + [RaftState.FOLLOWER] * (frontends - 1)
        self.agents: list[Agent | None] = [None] * frontends
        self._patches = self.nodes.patch()

    def close(self) -> None:
        for patch in self._patches:
            patch.stop()

    @property
    def leader(self) -> int:
        return next(number for number, state in enumerate(self.raft) if state.leads)

    def lead(self, number: int) -> None:
        """Make another front-end the leader; agents notice when they ask."""
        self.raft = [RaftState.FOLLOWER] * len(self.raft)
        self.raft[number] = RaftState.LEADER
        self._tell()

    def _tell(self) -> None:
        for number, agent in enumerate(self.agents):
            if agent is not None:
                agent.oned.raft = self.raft[number]

    def agent(self, number: int) -> Agent:
        """Return the agent of a front-end, started when it was dead."""
        made = self.agents[number]
        if made is None:
            state = self.folder / f"agent{number}"
            door = cast(Provider, Door(self.provider, state.name))
            made = Agent(self.store, door, self.clock, state, oned=FakeOned(self.store, self.fuse))
            self.agents[number] = made
            self._tell()
        return made

    def pass_time(self, seconds: float) -> None:
        """Let time pass; agents that live work and sweep when it is time."""
        until = self.clock.now() + seconds
        while True:
            for number, agent in enumerate(self.agents):
                if agent is not None:
                    self.attend(number)
            if self.clock.now() >= until:
                return
            self.clock.sleep(max(MOMENT, min(self._next(), until) - self.clock.now()))

    def _next(self) -> float:
        """Return when an agent has something to do next."""
        times = [agent.queue.next() for agent in self.agents if agent is not None]
        leader = self.agents[self.leader]
        return min([*times, leader.next_sweep] if leader is not None else times, default=float("inf"))

    def attend(self, number: int) -> None:
        """Let one agent do all that is due now."""
        agent = self.agent(number)
        with self.may_crash(number):
            if self.raft[number].leads and self.clock.now() >= agent.next_sweep:
                agent.next_sweep = self.clock.now() + SWEEP
                agent.sweep()
            for _ in range(200 + 20 * len(self.store.hosts)):
                if not agent.work():
                    return
            raise AssertionError(f"agent {number} is busy without end: {agent.queue.due}")

    @contextmanager
    def may_crash(self, number: int) -> Iterator[None]:
        """End the agent of a front-end when the fuse blows."""
        try:
            yield
        except Crash:
            self.agents[number] = None

    def call_all(self) -> None:
        """Let monitord find that nothing was heard of any host."""
        for host_id, host in list(self.store.hosts.items()):
            if host_id in self.store.hosts and host.state is not HostState.OFFLINE:
                with self.may_crash(self.leader):
                    self.agent(self.leader).start_monitor(host_id)

    def leaving(self) -> set[str]:
        """Return the machines that an agent, dead or alive, has noted to give back."""
        notes = self.folder.glob("agent*/departures/*.json")
        return {json.loads(note.read_text())["machine_id"] for note in notes}

    def ready(self) -> bool:
        return all(self.store.phase(host_id) == READY for host_id in self.store.hosts)
