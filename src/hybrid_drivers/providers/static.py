"""The static driver: machines the operator already owns. Creating takes a free one, deleting frees it.

Nothing is switched, installed or erased: the machines run, and take the front-end's SSH key already.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import CapacityExhausted, ConfigError, MachineGone, PermanentError
from hybrid_drivers.model import Address, CreateRequest, Machine, MachineState, Placement
from hybrid_drivers.providers import attributes as attr
from hybrid_drivers.providers.base import Limits, ProviderEntry
from hybrid_drivers.providers.book import FileBook, Record, Records
from hybrid_drivers.providers.limits import limits_of
from hybrid_drivers.providers.static_fields import DRIVER, OwnMachine, own_machines

LIMITS = Limits(settle=1, deploy=60, boot=1200, delete=60, poll=5)
_ANY = "any"
_INTERNAL = tuple(  # RFC 1918 and RFC 4193; documentation ranges count as public, unlike in ipaddress.is_private
    ipaddress.ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)


class StaticProvider:
    """The machines of one entry, and a durable file of who has which: ``<state>/static-<entry>.json``.

    With ``any_address`` the entry lists none: a host names its own, as with OneProvision's provider ``onprem``.

    The file belongs to one front-end. On an HA front-end ``state:`` must name a file on shared storage; otherwise a new
    leader does not know what the old one gave out.
    """

    idempotent_create = True
    takes_user_data = False

    def __init__(self, entry: ProviderEntry, *, clock: Clock, state_dir: Path) -> None:
        self.entry = entry
        self.limits = limits_of(entry, LIMITS)
        self._clock = clock
        self._any_address = bool(entry.settings.get("any_address"))
        self._machines, problems = own_machines(entry.settings)
        if problems:
            raise ConfigError("; ".join(f"{entry.source}: {one}" for one in problems))
        self._book = FileBook(state_dir / (entry.text("state") or f"static-{entry.name}.json"))

    def placements(self, attributes: Mapping[str, str]) -> tuple[Placement, ...]:
        """Return one candidate for each PLAN, or one that fits any machine; the place says nothing here."""
        found = attr.canonical(attributes, DRIVER, self.entry.source)
        wanted = attr.candidates(found.get("PLAN", _ANY), _ANY)
        known = {one.plan for one in self._machines if one.plan} | {_ANY}
        for one in wanted:
            if one.plan not in known:
                raise ConfigError(f"no machine of {self.entry.source} has plan '{one.plan}'; known: {', '.join(known)}")
        return wanted

    def create(self, request: CreateRequest) -> Machine:
        """Take a free machine; the same token gives the same one. The claim is on disk before this returns."""
        request.last_look()
        with self._book.change() as records:
            record = next((one for one in records.values() if one.token == request.token), None)
            if record is None:
                record = self._claim(request, self._free(request, records))
                records[record.id] = record
        return self._machine(record)

    def get(self, machine_id: str) -> Machine:
        """Return a taken machine, also one that is no longer in the list of the entry."""
        record = self._book.read().get(machine_id)
        if record is None:
            raise MachineGone(f"static {self.entry.name}: nobody has machine {machine_id}")
        return self._machine(record)

    def list(self, owner: str) -> Sequence[Machine]:
        """Return the machines this owner has taken."""
        return [self._machine(one) for one in self._book.read().values() if one.owner == owner]

    def delete(self, machine_id: str) -> None:
        """Free the machine; what is on it stays."""
        with self._book.change() as records:
            records.pop(machine_id, None)

    def host_keys(self, machine_id: str) -> Sequence[str]:
        """Return the host key the operator wrote into the entry, where they did."""
        record = self._book.read().get(machine_id)
        address = record.address if record else ""
        return [one.host_key for one in self._machines if one.address == address and one.host_key]

    def _free(self, request: CreateRequest, records: Records) -> OwnMachine:
        taken = {one.address for one in records.values()}
        if self._any_address:
            return self._named(request, taken)
        plan = request.placement.plan
        free = [one for one in self._machines if one.address not in taken and plan in {_ANY, one.plan}]
        if not free:
            kind = "" if plan == _ANY else f" of plan {plan}"
            raise CapacityExhausted(
                f"static {self.entry.name}: none of its machines{kind} is free ({len(self._machines)} in all); "
                f"add one to {self.entry.source}, or delete a host"
            )
        return free[0]

    def _named(self, request: CreateRequest, taken: set[str]) -> OwnMachine:
        """Return the machine whose address, or name in the DNS, the host was given as HOSTNAME."""
        what = f"static {self.entry.name}: {request.hostname}"
        try:
            found = socket.getaddrinfo(request.hostname, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            hint = "set HOSTNAME in PROVISION to the address of a machine"
            raise PermanentError(f"{what} is neither an address nor a name that is known: {hint}") from exc
        address = str(found[0][4][0])
        if address in taken:
            raise CapacityExhausted(f"{what}: another host has the machine at {address}; name another, or delete that")
        return OwnMachine(address=address, name=request.hostname)

    def _claim(self, request: CreateRequest, machine: OwnMachine) -> Record:
        # The id names the claim, not the machine: a late delete of the last claim must not free the next one.
        claim = hashlib.sha256(request.token.encode()).hexdigest()[:8]
        return Record(
            id=f"{machine.name}.{claim}",
            address=machine.address,
            token=request.token,
            owner=request.tags.owner,
            host_id=request.tags.host_id,
            name=request.tags.name,
            hostname=machine.name,
            plan=machine.plan,
            created=self._clock.now(),
        )

    def _machine(self, record: Record) -> Machine:
        ip = ipaddress.ip_address(record.address)
        internal = any(ip in network for network in _INTERNAL if network.version == ip.version)
        return Machine(
            id=record.id,
            state=MachineState.RUNNING,
            tags=record.tags,
            addresses=(Address(address=record.address, family=ip.version, public=not internal),),
            hostname=record.hostname,
            plan=record.plan,
            created=record.created,
        )
