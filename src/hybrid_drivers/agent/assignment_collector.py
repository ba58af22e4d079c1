"""The sweep of assignments: a public address that goes to a machine though nobody has it in oned is taken away there.

That is left when a virtual machine ended in a way that has no ``clean``, or one that failed. oned's leases are the
truth: whoever has an address keeps it, wherever it goes. Nobody can get a lease and use it in between: ``post`` waits
for the lock of the address, and leases are read again under it.

It also does again what failed for machines that run: oned only logs a ``post`` that fails after a live migration.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.address_locks import AddressLocks
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.range_accounts import RangeAccount, RangeAccounts
from hybrid_drivers.agent.vnm import Networks
from hybrid_drivers.agent.vnm_node import NodePart, Nodes
from hybrid_drivers.agent.vnm_targets import is_ours
from hybrid_drivers.errors import AddressGone, ConfigError, HybridError, NoSuchObject, OnedError, ProviderError
from hybrid_drivers.model_addresses import Assignment
from hybrid_drivers.model_vms import ACTIVE, RUNNING
from hybrid_drivers.network import ranges
from hybrid_drivers.oned.hook_actions import Machine, read_machine
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.vnm_actions import Post, parse_vnm
from hybrid_drivers.oned.xml import as_drivers_get_it

LINGER = 30.0  # seconds in which a block is looked at again and again: leases are freed after drivers have answered
QUIET = 3600.0  # seconds between two looks at all blocks
REPAIRS = 3600.0  # seconds in which a failed action is made up for
_FIRST_WAIT, _LONGEST_WAIT = 5.0, 300.0  # seconds between two tries
_LOCK_LIMIT = 5.0  # seconds: whoever has the address now is at work, so it is not left behind

log = logging.getLogger(__name__)


@dataclass
class _Repair:
    """When the action failed, and when it is tried again, monotonic seconds."""

    since: float
    due: float
    wait: float = _FIRST_WAIT


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="repairs", daemon=True).start()


class AssignmentCollector:
    """Sweeps address ranges that have free addresses: all at first and once an hour, those of noted blocks at once."""

    def __init__(
        self,
        parts: Parts,
        locks: AddressLocks,
        node: NodePart | None = None,
        begin: Callable[[Callable[[], None]], None] = _in_background,
    ) -> None:
        self._parts, self._locks, self._begin = parts, locks, begin
        self._networks = Networks(parts, node or Nodes(parts), locks, self.note)
        self._repairs: dict[int, _Repair] = {}  # by virtual machine
        self._repairing = threading.Lock()
        self._accounts = RangeAccounts(parts.accounts, parts.oned)
        self._noted: dict[str, float] = {}  # block -> when it was noted, monotonic seconds
        self._looked = float("-inf")

    def note(self, block: str, vm_id: int | None = None) -> None:
        """Have a block looked at: an address of it was given back, or an action on one failed, for this machine."""
        now = self._parts.clock.monotonic()
        if block:
            self._noted[block] = now
        if vm_id is not None:
            self._repairs[vm_id] = _Repair(now, now)

    @property
    def busy(self) -> bool:
        """Tell whether something may be left behind that nobody has looked for."""
        return bool(self._noted or self._repairs) or self._looked == float("-inf")

    def sweep(self) -> None:
        """Do one sweep, if it is time for one.

        Raises:
            OnedError: oned cannot be asked; nothing is concluded.
        """
        now = self._parts.clock.monotonic()
        if any(one.due <= now for one in list(self._repairs.values())) and self._repairing.acquire(blocking=False):
            self._begin(self._repair_all)  # nodes may take minutes to answer: nobody else waits for that
        whole, noted = now - self._looked >= QUIET, dict(self._noted)
        if not (whole or noted):
            return
        if not self._parts.owner.held():
            for key, at, address, block, found in list(self._left_behind(None if whole else noted)):
                self._take(key, at, address, block, found)
        self._looked = now if whole else self._looked
        for block, since in noted.items():
            if now - since >= LINGER and self._noted.get(block) == since:
                del self._noted[block]

    # --- what failed ----------------------------------------------------------------------------------------------

    def _repair_all(self) -> None:
        try:
            now = self._parts.clock.monotonic()
            for vm_id, one in list(self._repairs.items()):
                if one.due <= now:
                    self._try(vm_id, one, now)
        except Exception:  # the thread's boundary
            log.exception("repairing addresses failed unexpectedly")
        finally:
            self._repairing.release()

    def _try(self, vm_id: int, one: _Repair, now: float) -> None:
        one.due, one.wait = now + one.wait, min(2 * one.wait, _LONGEST_WAIT)
        if now - one.since < REPAIRS:
            try:
                if not self._repaired(vm_id):
                    return
            except HybridError as exc:
                log.warning("the addresses of VM %s cannot be sent to it yet: %s", vm_id, exc)
                return
        if self._repairs.get(vm_id) is one:  # no other action has failed meanwhile
            del self._repairs[vm_id]

    def _repaired(self, vm_id: int) -> bool:
        """Do ``post`` for a machine that runs; tell whether there is nothing more to do. Raises: HybridError.

        One that is off has a ``post`` when it comes again; of one that is being changed nobody knows yet.
        """
        try:
            machine = self._machine(vm_id)
        except NoSuchObject:
            return True
        if machine.state != ACTIVE:
            return True
        found = _post_of(machine)
        if found is None:
            return False

        def still() -> bool:
            now = _post_of(self._machine(vm_id))
            return now is not None and (now.host_id, now.cards) == (found.host_id, found.cards)

        record = records.read(self._parts.oned.host(found.host_id)) if found.host_id is not None else None
        if record is None or not record.deploy_id:
            return False  # not one of ours
        return self._networks.repair(found, still)

    def _machine(self, vm_id: int) -> Machine:
        what = f"virtual machine {vm_id}"
        document = self._parts.oned.read("vm.info", what, vm_id, False)
        return read_machine(document.encode("utf-8", "surrogatepass"), what)

    # --- what is left behind --------------------------------------------------------------------------------------

    def _left_behind(
        self, only: Collection[str] | None
    ) -> Iterator[tuple[tuple[int, int], RangeAccount, str, str, Assignment]]:
        for key, ar in Objects(self._parts.oned).network_ranges().items():
            blocks = [one for one in ranges.blocks_of(ar) if only is None or one in only]
            if not blocks or "PARENT_NETWORK" in ar or not is_ours(ar) or str(len(ranges.held(ar))) == ar.get("SIZE"):
                continue
            try:
                at = self._accounts.of(ar["IPAM_MAD"], ar)
                for block in blocks:
                    for address, found in _assigned(at, block).items():
                        if _is_free(ar, address):
                            yield key, at, address, block, found
            except (ConfigError, ProviderError) as exc:
                log.warning("the addresses of network %s cannot be looked at: %s", key[0], exc)

    def _take(self, key: tuple[int, int], at: RangeAccount, address: str, block: str, found: Assignment) -> None:
        try:
            with self._locks.hold([f"{at.account.name}/{address}"], _LOCK_LIMIT):
                ar = Objects(self._parts.oned).network_ranges().get(key)
                now = at.addresses.assignment(address, block)
                if ar is None or not _is_free(ar, address) or now is None or now.machine_id != found.machine_id:
                    return
                at.addresses.unassign(address, block)
        except OnedError:
            raise
        except HybridError as exc:
            log.warning("%s goes to machine %s though nobody has it: %s", address, found.machine_id, exc)
            return
        log.info("%s no longer goes to machine %s: nobody has it", address, found.machine_id)


def _post_of(machine: Machine) -> Post | None:
    """Return the ``post`` of a machine as oned would ask for it; None: it does not run, or is being changed."""
    if (machine.state, machine.lcm_state) != (ACTIVE, RUNNING):
        return None
    stdin = base64.b64encode(as_drivers_get_it(machine.document, ()))
    made = parse_vnm(Call(family="vnm", driver="hybrid", action="post", argv=("-", machine.host), stdin=stdin))
    return made if isinstance(made, Post) else None


def _assigned(at: RangeAccount, block: str) -> Mapping[str, Assignment]:
    try:
        return at.addresses.assignments(block)
    except AddressGone:
        return {}


def _is_free(ar: Mapping[str, str], address: str) -> bool:
    """Tell whether an address is of the range and nobody has it."""
    number = ranges.number_of_public(ar, address)
    return number is not None and number not in ranges.held(ar)
