"""What the providers' lists say, asked for once for everybody: one list call serves all hosts of an account."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import MachineGone, ProviderError
from hybrid_drivers.model import Machine, MachineState
from hybrid_drivers.providers.base import Provider


@dataclass(frozen=True)
class Snapshot:
    """One complete answer of an account; ``asked_at`` is unix seconds, taken before the call was made."""

    asked_at: float
    machines: tuple[Machine, ...] = ()
    by_id: dict[str, Machine] = field(default_factory=dict)
    by_host: dict[int, list[Machine]] = field(default_factory=dict)
    steady: float = float("-inf")  # the same on the clock that is never set


def _snapshot(asked_at: float, steady: float, machines: Sequence[Machine]) -> Snapshot:
    made = Snapshot(asked_at, tuple(machines), steady=steady)
    for machine in machines:
        made.by_id[machine.id] = machine
        if machine.tags is not None:
            made.by_host.setdefault(machine.tags.host_id, []).append(machine)
    return made


class AccountMachines:
    """The machines of one account with our owner tag.

    A machine we were told of by its create call is shown until it is in the lists or the settle window is over:
    lists lag behind.
    """

    def __init__(self, provider: Provider, owner: str, clock: Clock) -> None:
        self._provider = provider
        self._owner = owner
        self._clock = clock
        self._asking = threading.Lock()
        self._snapshot = Snapshot(float("-inf"))
        self._failed_at = float("-inf")  # unix seconds, taken before the call that failed
        self._failure: ProviderError | None = None
        self._fresh: dict[str, tuple[float, Machine]] = {}
        self._guard = threading.Lock()

    def look(self, not_before: float) -> Snapshot:
        """Return an answer asked for at ``not_before`` (unix seconds) or later; callers at once share one call.

        They share its failure too, for half a poll: a provider that hangs must not hold up one thread after another.

        Raises:
            ProviderError: the provider could not be asked.
        """
        if self._serves(not_before):
            return self._snapshot
        with self._asking:
            if not self._serves(not_before):
                self._ask()
            return self._snapshot

    def _serves(self, not_before: float) -> bool:
        """Tell whether the last answer is new enough, and not of a time still to come: the clock was set back."""
        return not_before <= self._snapshot.asked_at <= self._clock.now()

    def _ask(self) -> None:
        asked_at, steady = self._clock.now(), self._clock.monotonic()
        if self._failure is not None and 0 <= asked_at - self._failed_at < self._provider.limits.poll / 2:
            raise self._failure
        try:
            self._snapshot = _snapshot(asked_at, steady, self._provider.list(self._owner))
        except ProviderError as exc:
            self._failure, self._failed_at = exc, self._clock.now()
            raise
        self._failure = None
        self._drop_listed()

    def latest(self) -> Snapshot:
        """Return the last answer without asking."""
        return self._snapshot

    def remember(self, machine: Machine) -> None:
        """Take note of a machine that a create call returned."""
        with self._guard:
            self._fresh[machine.id] = (self._clock.now(), machine)

    def forget(self, machine_id: str) -> None:
        """Drop the note: the machine was deleted."""
        with self._guard:
            self._fresh.pop(machine_id, None)

    def of_host(self, host_id: int, deploy_id: str = "") -> list[Machine]:
        """Return the machines tagged with this host, and the recorded one, oldest first."""
        found = {m.id: m for m in self._snapshot.by_host.get(host_id, ())}
        if deploy_id and deploy_id in self._snapshot.by_id:
            found[deploy_id] = self._snapshot.by_id[deploy_id]
        with self._guard:
            for _, machine in self._fresh.values():
                if machine.id == deploy_id or (machine.tags is not None and machine.tags.host_id == host_id):
                    found.setdefault(machine.id, machine)
        return sorted(found.values(), key=lambda m: (m.created or 0.0, m.id))

    def confirm(self, machine_id: str) -> Machine | None:
        """Ask for one machine that the lists lack; None when the provider does not know it either.

        One that ended by itself comes as GONE with the provider's reason.
        """
        try:
            machine = self._provider.get(machine_id)
        except MachineGone as exc:
            if not exc.failure:
                return None
            sold_out = exc.failure_is_capacity
            return Machine(id=machine_id, state=MachineState.GONE, failure=exc.failure, failure_is_capacity=sold_out)
        return machine if machine.state is not MachineState.GONE else None

    def _drop_listed(self) -> None:
        settled = self._clock.now() - self._provider.limits.settle
        with self._guard:
            for machine_id, (since, _) in list(self._fresh.items()):
                if machine_id in self._snapshot.by_id or since < settled:
                    del self._fresh[machine_id]
