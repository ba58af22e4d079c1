"""The sweep: compare oned's hosts with the providers' machines, so that nothing is forgotten.

It finds hosts that nobody is working on, and machines with our tag whose host is gone; the latter are watched for
the quarantine and then given back. Machines are listed **before** hosts are: a machine's host was in oned before the
machine was asked for, so a host missing from the later list was deleted, never "not yet made".
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.departures import Departure
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.observer import difference_of, drift_due
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reconciler import Reconciler
from hybrid_drivers.agent.record import IM_MAD, HostRecord, read
from hybrid_drivers.agent.spot import is_watched
from hybrid_drivers.errors import NoSuchObject, ProviderError
from hybrid_drivers.model import Host, HostState, Machine, MachineState

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A machine of ours that nobody needs; ``watched``: seconds it is watched before it is given back.

    ``created`` (by the provider's clock) and ``since`` (first seen without a host) are unix seconds.
    """

    provider: str
    machine: str
    name: str
    reason: str
    created: float | None
    since: float
    watched: float


class Collector:
    """Sweeps; ``hosts``, ``ready``, ``drifting`` and ``orphans`` are what the last sweep counted."""

    def __init__(self, parts: Parts, reconciler: Reconciler) -> None:
        self._parts = parts
        self._reconciler = reconciler
        self._orphans: dict[str, float] = {}  # account/machine -> when first seen without a host, clock.monotonic()
        self._strays: dict[str, Stray] = {}
        self._stopped: list[dict[str, object]] = []
        self._counted: list[dict[str, object]] = []  # of each account: its machines with our tag
        self._left: list[dict[str, object]] = []  # what has no host and is left alone, and why
        self._released: list[dict[str, object]] = []
        self.hosts = 0
        self.ready = 0
        self.drifting = 0
        self.spot = 0  # those that the provider may take back, with notice
        self.swept = False
        self.unasked: list[str] = []  # accounts that could not be asked in the last look: what they have is not known
        self._names: dict[tuple[str, int], str] = {}  # account and host -> its name, as tags have it

    @property
    def orphans(self) -> int:
        """Return how many machines without a host are in quarantine."""
        return len(self._orphans)

    def sweep(self, *, look_only: bool = False) -> None:
        """Do one sweep; ``look_only``: take note of what there is, nothing more.

        Raises:
            OnedError: oned cannot be asked; nothing is concluded.
        """
        listed = self._listed()
        hosts = self._parts.oned.hosts()
        if not look_only:
            self._hosts(hosts, listed)
        self._machines(hosts, listed, release=not look_only)
        self._stopped = [found for host in hosts if (found := stopped(read(host), listed))]
        self.swept = self.swept or not look_only

    def report(self) -> dict[str, Any]:
        """Return what the last look found, for ``onehybrid gc``; what is no unix time is in seconds."""
        now = self._parts.clock.now()
        strays = [
            {
                **asdict(found),
                "age": None if found.created is None else max(0, round(now - found.created)),
                "given_back_in": max(0, math.ceil(found.since + found.watched - now)),  # 0: it is due
            }
            for found in list(self._strays.values())
        ]
        leaving = [
            {"provider": one.account, "machine": one.machine_id, "name": self._name(one), "for": round(now - one.since)}
            for one in self._parts.departures.all()
        ]
        return {
            "accounts": list(self._counted),
            "strays": strays,
            "released": list(self._released),
            "leaving": leaving,
            "left": list(self._left),
            "stopped": list(self._stopped),
            "unasked": self.unasked,
            "held": self._parts.owner.held(),
        }

    def _name(self, one: Departure) -> str:
        """Return a host's name; when oned had forgotten it already, that in the tags of its machine."""
        if one.name != str(one.host_id):
            return one.name
        return self._names.get((one.account, one.host_id), f"host {one.host_id}")

    def _listed(self) -> list[tuple[Account, tuple[Machine, ...]]]:
        now = self._parts.clock.now()
        listed = []
        accounts = self._parts.accounts.all()
        unasked = self._parts.accounts.broken()
        for account in accounts:
            try:
                listed.append((account, account.machines.look(now).machines))
            except ProviderError as exc:
                unasked.append(account.name)
                log.warning("provider %s cannot be asked for its machines: %s", account.name, exc)
        self.unasked = unasked
        return listed

    def _hosts(self, hosts: list[Host], listed: list[tuple[Account, tuple[Machine, ...]]]) -> None:
        running = {m.id: m for _, machines in listed for m in machines if m.state is MachineState.RUNNING}
        ours = [read(host) for host in hosts if host.im_mad == IM_MAD]
        self.hosts, self.ready = len(ours), sum(record.ready for record in ours)
        self.spot = sum(map(is_watched, ours))
        self.drifting = sum(record.ready and record.drift + record.difference != "" for record in ours)
        self._reconciler.peers_of(hosts)
        waiting = self._reconciler.queue.keys()  # they have their own time, which may be a long one
        for record in ours:
            if ("host", str(record.host.id)) not in waiting and self._wants_attention(record, running):
                self._reconciler.ask(record.host.id)
        there = {host.id for host in hosts}
        for host_id in self._parts.renting():
            if host_id not in there:  # deleted without a word; its machine's tags may be gone, too
                self._reconciler.ask(host_id)

    def _wants_attention(self, record: HostRecord, running: Mapping[str, Machine]) -> bool:
        if record.failure is not None:
            shown = record.host.template.text("PROVISION_STATE")
            late = record.host.state in (HostState.INIT, HostState.MONITORING_INIT) or shown != Phase.ERROR.value
            return late or (record.failure.until_empty and not record.host.vm_ids)
        machine = running.get(record.deploy_id)
        if not record.ready or record.stopped or machine is None:
            return True
        unknown = record.noted.get("ID") != machine.id
        changed = unknown or difference_of(self._parts, record, machine) != record.difference
        told = record.host.template.text
        trouble = told("PROVISION_ERROR") != "" or told("PROVISION_STATE") != Phase.READY.value
        return changed or trouble or drift_due(self._parts, record)

    def _machines(self, hosts: list[Host], listed: list[tuple[Account, tuple[Machine, ...]]], *, release: bool) -> None:
        recorded = {host.id: host.template.vector("PROVISION").get("DEPLOY_ID", "") for host in hosts}
        leaving = self._parts.departures.machine_ids()
        alive = {machine.id for _, machines in listed for machine in machines}
        asked = {account.name for account, _ in listed}
        seen = {key for key in self._orphans if key.partition("/")[0] not in asked}  # nothing is known of those now
        self._names = {key: name for key, name in self._names.items() if key[0] not in asked}
        counted: list[dict[str, object]] = []
        left: list[dict[str, object]] = []
        known = set(recorded.values())
        self._released = []
        for account, machines in listed:
            of_hosts = sum(machine.id in known for machine in machines)
            counted.append({"provider": account.name, "machines": len(machines), "of_hosts": of_hosts})
            for machine in machines:
                if machine.tags and machine.tags.name:
                    self._names[account.name, machine.tags.host_id] = machine.tags.name
                if machine.id in leaving or machine.id in known:  # whatever its tags say by now
                    continue
                reason = stray(machine, recorded, alive)
                if reason:
                    seen.add(f"{account.name}/{machine.id}")
                    self._quarantine(account, machine, reason, release=release)
                elif why := left_alone(machine, recorded):
                    name = machine.tags.name if machine.tags else ""
                    left.append({"provider": account.name, "machine": machine.id, "name": name, "reason": why})
        self._counted, self._left = counted, left
        self._orphans = {key: since for key, since in self._orphans.items() if key in seen}
        self._strays = {key: found for key, found in self._strays.items() if key in seen}

    def _quarantine(self, account: Account, machine: Machine, reason: str, *, release: bool) -> None:
        now = self._parts.clock.monotonic()  # a clock that is set must not end the quarantine
        key = f"{account.name}/{machine.id}"
        waited = now - self._orphans.setdefault(key, now)
        if not waited:
            log.warning("machine %s at %s %s", machine.id, account.name, reason)
        wait = max(self._parts.settings.agent.quarantine, account.provider.limits.settle)
        name = machine.tags.name if machine.tags else ""
        self._strays[key] = Stray(
            provider=account.name,
            machine=machine.id,
            name=name,
            reason=reason,
            created=machine.created,
            since=self._parts.clock.now() - waited,
            watched=wait,
        )
        if not release or self._parts.owner.held():
            return
        if waited >= wait and machine.tags is not None and self._still_stray(machine, machine.tags.host_id):
            self._reconciler.release.machine(account, machine, machine.tags.host_id, machine.tags.name)
            self._released.append({"provider": account.name, "machine": machine.id, "name": name})
            del self._orphans[key], self._strays[key]

    def _still_stray(self, machine: Machine, host_id: int) -> bool:
        """Ask oned about this one host: a list may lack hosts that the user may not see."""
        try:
            host = self._parts.oned.host(host_id)
        except NoSuchObject:
            return True
        kept = host.template.vector("PROVISION").get("DEPLOY_ID", "")
        return bool(stray(machine, {host_id: kept}, {kept}))


def stopped(record: HostRecord, listed: Sequence[tuple[Account, Sequence[Machine]]]) -> dict[str, object] | None:
    """Return what is known of a READY host's machine that does not run, though nobody took the host offline."""
    if record.host.im_mad != IM_MAD or not record.ready or record.host.state is HostState.OFFLINE:
        return None
    for account, machines in listed:
        for one in machines:
            if one.id == record.deploy_id and one.state in (MachineState.STOPPED, MachineState.FAILED):
                told = {"provider": account.name, "machine": one.id, "state": one.state.value}
                return {"host": record.host.id, "name": record.friendly_name, **told}
    return None


def stray(machine: Machine, recorded: Mapping[int, str], alive: Set[str]) -> str:
    """Say why nobody needs this machine, nothing when somebody does; ``recorded`` are the machines of oned's hosts.

    A machine made outside of oned by a 5.12 tool (host -1) is that tool's business. One that oned's host does not
    name is given back only while the one it names is ``alive``: otherwise the record may be an old one, put back.
    """
    if machine.tags is None or machine.tags.host_id < 0:
        return ""
    if machine.state in (MachineState.GONE, MachineState.DELETING):
        return ""
    if machine.tags.host_id not in recorded:
        return "has our tag but no host in oned"
    kept = recorded[machine.tags.host_id]
    if kept and kept != machine.id and kept in alive:
        return f"was made for host {machine.tags.host_id}, which has machine {kept}"
    return ""


def left_alone(machine: Machine, recorded: Mapping[int, str]) -> str:
    """Say why a machine that no host names is no stray, nothing when it is about to get (or lose) its host's name."""
    if machine.tags is None or machine.state in (MachineState.GONE, MachineState.DELETING):
        return ""
    if machine.tags.host_id < 0:
        return "was made by a 5.12 tool, whose business it is"
    if kept := recorded.get(machine.tags.host_id, ""):
        return (
            f"was made for host {machine.tags.host_id}, whose machine {kept} is not in the lists: it may be the record"
        )
    return ""
