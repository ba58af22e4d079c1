"""The dummy driver: machines that exist only on paper, for trying things out and for tests of everything else."""

from __future__ import annotations

import hashlib
import ipaddress
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import (
    CapacityExhausted,
    ConfigError,
    CredentialsRejected,
    MachineGone,
    OutcomeUnknown,
    PermanentError,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    TransientError,
    WrongState,
)
from hybrid_drivers.model import Address, CreateRequest, Machine, MachineState, Placement
from hybrid_drivers.providers import attributes as attr
from hybrid_drivers.providers.base import Limits, ProviderEntry
from hybrid_drivers.providers.book import Book, FileBook, MemoryBook, Record, Records
from hybrid_drivers.providers.dummy_fields import DRIVER
from hybrid_drivers.providers.limits import limits_of

LIMITS = Limits(settle=1, deploy=120, boot=120, delete=120, poll=1)
NETWORK = "192.0.2.0/24"  # RFC 5737: reaches nobody
_ERRORS: Mapping[str, type[ProviderError]] = {
    "capacity": CapacityExhausted,
    "quota": QuotaExceeded,
    "permanent": PermanentError,
    "transient": TransientError,
    "credentials": CredentialsRejected,
    "throttled": RateLimited,
    "lost": OutcomeUnknown,
}


class DummyProvider:
    """Machines on paper: in memory, or in the file that ``state:`` names, so that they survive the process."""

    idempotent_create = True
    takes_user_data = True

    def __init__(self, entry: ProviderEntry, *, clock: Clock, state_dir: Path) -> None:
        self.entry = entry
        self.limits = limits_of(entry, LIMITS)
        self._clock = clock
        state = entry.text("state")
        self._book: Book = FileBook(state_dir / state) if state else MemoryBook()
        try:
            self._network = ipaddress.ip_network(entry.text("network") or NETWORK)
        except ValueError as exc:
            raise ConfigError(f"{entry.source}: key 'network' must be like {NETWORK}") from exc
        self._fails_left = float(entry.text("fail_times") or "inf")
        self._lock = threading.Lock()

    def placements(self, attributes: Mapping[str, str]) -> tuple[Placement, ...]:
        """Pair PLAN with METRO; both may be missing."""
        found = attr.canonical(attributes, DRIVER, self.entry.source)
        return attr.candidates(found.get("PLAN", "dummy"), found.get("METRO", "here"))

    def create(self, request: CreateRequest) -> Machine:
        """Write the machine down; the same token gives the same machine."""
        request.last_look()
        failure = self._failure(request)
        if failure and not isinstance(failure, OutcomeUnknown):
            raise failure
        with self._book.change() as records:
            record = next((one for one in records.values() if one.token == request.token), None)
            if record is None:
                record = self._new(request, records)
                records[record.id] = record
        if failure:
            raise failure
        return self._machine(record)

    def get(self, machine_id: str) -> Machine:
        """Return the machine as it is at this moment."""
        machine = self._machine(self._record(self._book.read(), machine_id))
        if machine.state is MachineState.GONE:
            raise self._gone(machine_id)
        return machine

    def list(self, owner: str) -> Sequence[Machine]:
        """Return the machines with this owner's tag that are not gone."""
        machines = [self._machine(one) for one in self._book.read().values() if one.owner == owner]
        return [one for one in machines if one.state.exists]

    def delete(self, machine_id: str) -> None:
        """Begin the end of the machine."""
        with self._book.change() as records:
            record = records.get(machine_id)
            if record and not record.deleted:
                self._keep(records, record, deleted=self._clock.now())
            for one in [one for one in records.values() if self._machine(one).state is MachineState.GONE]:
                del records[one.id]

    def power_on(self, machine_id: str) -> None:
        """Start it."""
        self._power(machine_id, stopped=False)

    def power_off(self, machine_id: str) -> None:
        """Stop it."""
        self._power(machine_id, stopped=True)

    def reboot(self, machine_id: str) -> None:
        """Restart it, which leaves nothing to see."""
        if self.get(machine_id).state is not MachineState.RUNNING:
            raise WrongState(f"dummy {self.entry.name}: {machine_id} does not run; power it on instead")

    def reset(self, machine_id: str) -> None:
        """Restart it hard."""
        self._power(machine_id, stopped=False)

    def _failure(self, request: CreateRequest) -> ProviderError | None:
        where = f"dummy {self.entry.name}: creating {request.hostname}"
        sold_out = self.entry.settings.get("sold_out", ())
        if isinstance(sold_out, Sequence) and request.placement.plan in sold_out:
            return CapacityExhausted(f"{where}: {request.placement.plan} is sold out in {request.placement.place}")
        kind = self.entry.text("fail")
        with self._lock:
            if not kind or self._fails_left <= 0:
                return None
            self._fails_left -= 1
        return _ERRORS[kind](f"{where}: fails with '{kind}', as key 'fail' of its entry says")

    def _new(self, request: CreateRequest, records: Records) -> Record:
        taken = {one.address for one in records.values()}
        address = next((str(one) for one in self._network.hosts() if str(one) not in taken), None)
        if address is None:
            raise CapacityExhausted(f"dummy {self.entry.name}: every address of {self._network} is taken")
        return Record(
            id=f"dummy-{hashlib.sha256(request.token.encode()).hexdigest()[:12]}",
            address=address,
            token=request.token,
            owner=request.tags.owner,
            host_id=request.tags.host_id,
            name=request.tags.name,
            hostname=request.hostname,
            plan=request.placement.plan,
            place=request.placement.place,
            created=self._clock.now(),
        )

    def _power(self, machine_id: str, *, stopped: bool) -> None:
        with self._book.change() as records:
            self._keep(records, self._record(records, machine_id), stopped=stopped)

    def _keep(self, records: Records, record: Record, *, deleted: float = 0.0, stopped: bool = False) -> None:
        records[record.id] = Record(**{**vars(record), "deleted": deleted, "stopped": stopped})

    def _record(self, records: Records, machine_id: str) -> Record:
        try:
            return records[machine_id]
        except KeyError:
            raise self._gone(machine_id) from None

    def _gone(self, machine_id: str) -> MachineGone:
        return MachineGone(f"dummy {self.entry.name}: there is no machine {machine_id}")

    def _machine(self, record: Record) -> Machine:
        return Machine(
            id=record.id,
            state=self._state(record),
            tags=record.tags,
            addresses=(Address(address=record.address, family=self._network.version, public=True),),
            hostname=record.hostname,
            plan=record.plan,
            place=record.place,
            created=record.created,
        )

    def _state(self, record: Record) -> MachineState:
        now = self._clock.now()
        if record.deleted:
            over = now >= record.deleted + float(self.entry.text("delete_seconds") or 0)
            return MachineState.GONE if over else MachineState.DELETING
        if now < record.created + float(self.entry.text("deploy_seconds") or 0):
            return MachineState.STARTING
        return MachineState.STOPPED if record.stopped else MachineState.RUNNING
