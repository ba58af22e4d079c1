"""The agent's work, put together: calls in, hosts and departures carried forward, sweeps and beacons in between."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

from hybrid_drivers.agent import logs, sweeps
from hybrid_drivers.agent.accounts import Accounts
from hybrid_drivers.agent.address_collector import AddressCollector
from hybrid_drivers.agent.address_locks import AddressLocks
from hybrid_drivers.agent.address_repairs import AddressRepairs
from hybrid_drivers.agent.assignment_collector import AssignmentCollector
from hybrid_drivers.agent.collector import Collector
from hybrid_drivers.agent.configuring import Configuring
from hybrid_drivers.agent.departures import Departures
from hybrid_drivers.agent.growth import answers as growth_answers
from hybrid_drivers.agent.growth.growing import Growing
from hybrid_drivers.agent.hook_addresses import HookAddresses, NoNodes
from hybrid_drivers.agent.hooks import AliasIp
from hybrid_drivers.agent.im import Monitoring
from hybrid_drivers.agent.interruptions import Interruptions
from hybrid_drivers.agent.ipam import Ipam
from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.agent.leadership import Leadership
from hybrid_drivers.agent.monitor_file import MonitorFile
from hybrid_drivers.agent.owner import Owner
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.pm import Machines5
from hybrid_drivers.agent.reconciler import Reconciler
from hybrid_drivers.agent.reporter import Reporter
from hybrid_drivers.agent.settings import read_settings
from hybrid_drivers.agent.sweeps import Sweeps
from hybrid_drivers.agent.vnm import Networks
from hybrid_drivers.agent.vnm_node import Nodes
from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import HybridError
from hybrid_drivers.oned import actions
from hybrid_drivers.oned.api import Oned, read_session
from hybrid_drivers.oned.hook_actions import parse_hook
from hybrid_drivers.oned.ipam_actions import parse_ipam
from hybrid_drivers.oned.process import Answer, Call
from hybrid_drivers.oned.vnm_actions import parse_vnm

TICK = 5.0  # seconds between two looks at what is due

log = logging.getLogger(__name__)


class HybridCore:
    """What ``agent/service.py`` runs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._leadership = Leadership(parts.oned, parts.clock)
        self.reconciler = Reconciler(parts, self._leadership)
        self.collector = Collector(parts, self.reconciler)
        locks = AddressLocks()
        self.assignments = AssignmentCollector(parts, locks)
        self._ipam = Ipam(parts, left=self.assignments.note)
        self.address_collector = AddressCollector(parts, self._ipam.reservations)
        self._sweeps = Sweeps(self._leadership, self.collector, self.address_collector)
        self._networks = Networks(parts, Nodes(parts), locks, self._left)
        self._repairs = AddressRepairs(parts, self._networks.repair)
        sdnat = Networks(parts, NoNodes(), locks, self._left)
        self._hooks = AliasIp(parts.oned, HookAddresses(self._networks, sdnat))
        self._monitor_file = MonitorFile(parts)
        self._monitoring = Monitoring(parts, self.reconciler, self._monitor_file)
        self._machines = Machines5(parts, self.reconciler)
        self._configuring = Configuring(parts, self.reconciler, self._leadership)
        self.growing = Growing(parts, self.reconciler.ask)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self.interruptions = Interruptions(parts, self._interrupted)
        self._grow_now = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="sweep", daemon=True)
        # Prices may take a provider a while to tell, and nobody else shall wait for that.
        self._growth = threading.Thread(target=self._grow, name="growth", daemon=True)
        # Two minutes are little: neither prices nor a long sweep may come before it.
        self._watch = threading.Thread(target=self._watch_spot, name="interruptions", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier run left to do goes on."""
        self._monitor_file.load()
        for departure in self._parts.departures.load():
            self.reconciler.queue.ask(("release", departure.key))
        self.reconciler.queue.start()
        self._thread.start()
        self._growth.start()
        self._watch.start()

    def stop(self, timeout: float) -> None:
        """End the background work; whatever is cut off goes on at the next start."""
        self._stop.set()
        self._wake.set()
        self._grow_now.set()
        self.reconciler.queue.stop(timeout)
        self.interruptions.stop()
        for thread in (self._thread, self._growth, self._watch):
            thread.join(timeout)

    def handle(self, call: Call) -> Answer:
        """Answer one call of oned or a 5.12 tool."""
        if call.family == "agent" and call.action == growth_answers.ACTION:
            return growth_answers.answer(self.growing.looking, call)
        if call.family == "agent" and call.action == sweeps.ACTION:
            return self._sweeps.answer(call)
        if call.family == "agent":
            return self._configuring.answer(call)
        if call.family == "ipam":
            return self._ipam.answer(parse_ipam(call))
        if call.family == "hooks":
            return self._hooks.answer(parse_hook(call))
        if call.family == "vnm":
            return self._networks.answer(parse_vnm(call))
        action = actions.parse(call)
        if isinstance(action, actions.StartMonitor):
            return self._monitoring.start(action)
        if isinstance(action, actions.StopMonitor):
            return self._monitoring.stop(action)
        return self._machines.answer(action)

    def has_work(self) -> bool:
        """Tell whether a host, a departure, or a machine or address block that nobody has needs the agent."""
        collector = self.collector
        if not collector.swept or collector.unasked or collector.hosts or collector.orphans:
            return True
        growing = self.growing.policies or not self.growing.looked
        if self.address_collector.busy or self.assignments.busy or self._repairs.busy or growing:
            return True
        return bool(self._parts.departures.all() or self.reconciler.queue.keys())

    def status(self) -> dict[str, object]:
        """Describe the state for people."""
        return {
            "agent_id": self._parts.agent_id,
            "hosts": self.collector.hosts,
            "ready": self.collector.ready,
            "drifting": self.collector.drifting,
            "departures": len(self._parts.departures.all()),
            "orphans": self.collector.orphans,
            "address_orphans": self.address_collector.orphans,
            "growing": self.growing.policies,
            "queue": len(self.reconciler.queue.keys()),
        }

    def reload(self) -> None:
        """Read ``hybrid.yaml`` and the provider entries again, and look at everything."""
        self._parts.settings = read_settings(self._parts.location.etc / "hybrid.yaml")
        self._parts.accounts.reload()
        self.reconciler.observer.reload()
        waiting = self.reconciler.queue.keys()
        for key in waiting:  # what they wait for may be mended now
            self.reconciler.queue.ask(key)
        self._wake.set()

    def _look_after(self) -> None:
        next_sweep = 0.0
        while not self._stop.is_set():
            self._parts.reporter.beacon()
            now = time.monotonic()
            if now >= next_sweep or self._wake.is_set():
                self._wake.clear()
                next_sweep = now + (self._parts.settings.agent.sweep if self._sweep() else TICK)
            self._wake.wait(min(TICK, max(0.1, next_sweep - now)))

    def _left(self, blocks: Collection[str], vm_id: int) -> None:
        """Have what a failed action left looked after."""
        for block in blocks:
            self.assignments.note(block)
        self._repairs.note(vm_id)

    def _sweep(self) -> bool:
        return self._leading("the sweep", self._sweeps.sweep, self.assignments.sweep, self._repairs.sweep)

    def _grow(self) -> None:
        while not self._stop.is_set():
            self._leading("growing", self.growing.sweep)
            self._grow_now.wait(self._parts.settings.agent.growth)
            self._grow_now.clear()

    def _watch_spot(self) -> None:
        while not self._stop.is_set():
            if self.collector.spot:
                self._leading("looking for interruptions", self.interruptions.sweep)
            self._stop.wait(self._parts.settings.agent.interruptions)

    def _interrupted(self, host_id: int) -> None:
        """Order new room for the VMs of a host that is taken back, and tell people."""
        self._grow_now.set()
        self.reconciler.ask(host_id)

    def _leading(self, what: str, *sweeps: Callable[[], None]) -> bool:
        """Do what only the leader does; tell whether it came to its end."""
        try:
            if self._leadership.leads():
                for sweep in sweeps:
                    sweep()
        except HybridError as exc:
            log.warning("%s is put off: %s", what, exc)
            return False
        except Exception:  # the boundary of background work: a bug there must not end its thread
            log.exception("%s failed unexpectedly", what)
            return False
        return True


def build(location: Location, clock: Clock) -> HybridCore:
    """Make the core of a front-end.

    Raises:
        ConfigError: ``hybrid.yaml`` or the ``one_auth`` file is wrong.
    """
    settings = read_settings(location.etc / "hybrid.yaml")
    logs.mask(read_session(location).reveal().partition(":")[2])
    oned = Oned.from_location(location)
    owner = Owner(oned, settings.zone_id, location.state / "owner.id", clock)
    parts = Parts(
        agent_id=_agent_id(location.state / "agent.id"),
        started=clock.now(),
        location=location,
        settings=settings,
        clock=clock,
        oned=oned,
        owner=owner,
        accounts=Accounts(location, oned, owner, clock),
        departures=Departures(location.state / "departures"),
        reporter=Reporter(clock),
        keys=FrontEndKeys(location.state, Path.home()),
    )
    return HybridCore(parts)


def _agent_id(path: Path) -> str:
    """Return this front-end's id: the agent of one front-end is the same one after a restart."""
    if not path.is_file():
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text().strip()
