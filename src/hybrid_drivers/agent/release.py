"""Giving machines back: one departure at a time, until it is gone for sure."""

from __future__ import annotations

import logging
from dataclasses import replace

from hybrid_drivers.agent import peers
from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.decision import Look
from hybrid_drivers.agent.departures import Departure
from hybrid_drivers.agent.leaving import Delete, Forget, Leaving, release_step
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.queue import Ask
from hybrid_drivers.errors import ConfigError, NoSuchObject, OutcomeUnknown
from hybrid_drivers.model import Machine, MachineState

NO_ACCOUNT_PAUSE = 60.0  # seconds until a provider entry that is missing is looked for again

log = logging.getLogger(__name__)


class Release:
    """Carries departures out."""

    def __init__(self, parts: Parts, ask: Ask) -> None:
        self._parts = parts
        self._ask = ask

    def host_is_gone(self, host_id: int) -> None:
        """Take note that oned no longer has the host: whatever carries its tag, at any account, is given back."""
        name, now = str(host_id), self._parts.clock.now()
        known = self._parts.memory(host_id)
        rented = known.rented
        accounts = [rented[0]] if rented else [account.name for account in self._parts.accounts.all()]
        gone = [
            Departure(
                account=account,
                host_id=host_id,
                name=name,
                since=now,
                cluster_id=known.cluster_id,
                price=known.price,
            )
            for account in accounts
        ]
        if rented:  # known by its id too: somebody may have changed the tags
            gone.append(replace(gone[0], machine_id=rented[1]))
        for departure in gone:
            self._note(departure)
        self._parts.forget(host_id)
        self._ask(peers.KEY, self._parts.peers.window)  # its cluster has one host less

    def machine(self, account: Account, machine: Machine, host_id: int, name: str) -> None:
        """Take note that one machine is to be given back."""
        now = self._parts.clock.now()
        self._note(Departure(account=account.name, host_id=host_id, name=name, machine_id=machine.id, since=now))

    def _note(self, departure: Departure) -> None:
        self._ask(("release", self._parts.departures.add(departure).key))

    def work(self, key: str) -> float | None:
        """Do one pass over a departure; returns seconds until the next, None when it is done.

        Raises:
            ProviderError: the provider could not be asked.
        """
        departure = self._parts.departures.get(key)
        if departure is None:
            return None
        if departure.since > self._parts.clock.now():  # the clock was set back
            departure = self._parts.departures.update(departure, since=self._parts.clock.now(), deleted_at=None)
        try:
            account = self._parts.accounts.named(departure.account)
        except ConfigError as exc:
            log.error("machine of host %s cannot be given back: %s", departure.name, exc)
            if not self._parts.accounts.knows(departure.account):
                self._parts.departures.drop(departure)  # renamed, perhaps: the collector finds it under the new name
                return None
            return NO_ACCOUNT_PAUSE
        return self._of_machine(departure, account) if departure.machine_id else self._of_host(departure, account)

    def _of_machine(self, departure: Departure, account: Account) -> float | None:
        departure, machine, looked_at = self._seen(departure, account)
        limits = account.provider.limits
        step = release_step(
            Leaving(
                now=self._parts.clock.now(),
                machine=machine,
                looked_at=looked_at,
                since=departure.since,
                settle=limits.settle,
                poll=limits.poll,
                limit=limits.delete,
                deleted_at=departure.deleted_at,
                missing=departure.missing,
            )
        )
        if isinstance(step, Delete) and self._is_used(departure):
            log.warning(
                "host %s works with machine %s, which was to be given back", departure.name, departure.machine_id
            )
            self._parts.departures.drop(departure)
            return None
        if isinstance(step, Delete):
            return self._delete(departure, account)
        if isinstance(step, Forget):
            log.info("host %s: machine %s is gone", departure.name, departure.machine_id)
            account.machines.forget(departure.machine_id)
            self._parts.departures.drop(departure)
            return None
        if isinstance(step, Look):
            return limits.poll  # `_seen` looks; time has not moved far enough yet
        if step.problem:
            log.error("host %s: %s", departure.name, step.problem)
        return step.seconds

    def _seen(self, departure: Departure, account: Account) -> tuple[Departure, Machine | None, float]:
        now, poll = self._parts.clock.now(), account.provider.limits.poll
        not_before = max(departure.since, now - 0.9 * poll, departure.deleted_at or 0.0)
        snapshot = account.machines.look(not_before)
        machine = snapshot.by_id.get(departure.machine_id)
        if machine is None and departure.deleted_at is None:
            machine = account.machines.confirm(departure.machine_id)  # lists lag: it may be too young for them
        elif machine is None and snapshot.asked_at > max(departure.last_missing, departure.deleted_at or 0.0):
            departure = self._parts.departures.update(
                departure, missing=departure.missing + 1, last_missing=snapshot.asked_at
            )
        elif machine is not None and machine.state is not MachineState.GONE and departure.missing:
            departure = self._parts.departures.update(departure, missing=0)
        return departure, machine, snapshot.asked_at

    def _is_used(self, departure: Departure) -> bool:
        """Tell whether a READY host has the machine: another front-end's agent may have kept what this one gave up.

        A note outlives the agent that wrote it, and that it acts again may take until its server leads the next time.

        Raises:
            OnedError: oned cannot be asked.
        """
        if departure.host_id < 0:
            return False  # a 5.12 tool's
        try:
            record = records.read(self._parts.oned.host(departure.host_id))
        except NoSuchObject:
            return False
        return record.ready and record.deploy_id == departure.machine_id

    def _delete(self, departure: Departure, account: Account) -> float:
        log.info("host %s: giving machine %s back to %s", departure.name, departure.machine_id, account.name)
        try:
            account.provider.delete(departure.machine_id)
        except OutcomeUnknown as exc:
            log.warning("host %s: no answer to the delete (%s): the lists will tell", departure.name, exc)
        account.machines.forget(departure.machine_id)
        self._parts.departures.update(departure, deleted_at=self._parts.clock.now(), missing=0)
        return account.provider.limits.poll

    def _of_host(self, departure: Departure, account: Account) -> float | None:
        now, limits = self._parts.clock.now(), account.provider.limits
        snapshot = account.machines.look(max(departure.since, now - 0.9 * limits.poll))
        leaving = self._parts.departures.machine_ids()
        for machine in account.machines.of_host(departure.host_id):
            if machine.id not in leaving and machine.state not in (MachineState.GONE, MachineState.DELETING):
                name = machine.tags.name if machine.tags and machine.tags.name else departure.name
                self._note(replace(departure, name=name, machine_id=machine.id, since=now, deleted_at=None))
        if snapshot.asked_at >= departure.since + limits.settle:
            self._parts.departures.drop(departure)
            return None
        return min(limits.poll, limits.settle)
