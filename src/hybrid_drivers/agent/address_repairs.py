"""Sending addresses again after an action failed for a machine that runs: oned only logs a ``post`` after a migration.

What is to be done again is kept in memory only: another agent does not know of it (docs/addresses.md).
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.errors import HybridError, NoSuchObject
from hybrid_drivers.model_vms import ACTIVE, RUNNING
from hybrid_drivers.oned.hook_actions import Machine, read_machine
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.vnm_actions import Post, parse_vnm
from hybrid_drivers.oned.xml import as_drivers_get_it

REPAIRS = 3600.0  # seconds in which a failed action is made up for
_FIRST_WAIT, _LONGEST_WAIT = 5.0, 300.0  # seconds between two tries

log = logging.getLogger(__name__)


@dataclass
class _Repair:
    """When the action failed, and when it is tried again, monotonic seconds."""

    since: float
    due: float
    wait: float = _FIRST_WAIT


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="repairs", daemon=True).start()


class AddressRepairs:
    """Does what failed again, with ``repair``: ``vnm.Networks.repair``."""

    def __init__(
        self,
        parts: Parts,
        repair: Callable[[Post, Callable[[], bool]], bool],
        begin: Callable[[Callable[[], None]], None] = _in_background,
    ) -> None:
        self._parts, self._repair, self._begin = parts, repair, begin
        self._failed: dict[int, _Repair] = {}  # by virtual machine
        self._at_it = threading.Lock()

    def note(self, vm_id: int) -> None:
        """Have a machine looked after: an action on its addresses failed."""
        now = self._parts.clock.monotonic()
        self._failed[vm_id] = _Repair(now, now)

    @property
    def busy(self) -> bool:
        """Tell whether something is still to be done again."""
        return bool(self._failed)

    def sweep(self) -> None:
        """Begin what is due, in a thread: nodes may take minutes to answer, and nobody else waits for that."""
        now = self._parts.clock.monotonic()
        if any(one.due <= now for one in list(self._failed.values())) and self._at_it.acquire(blocking=False):
            self._begin(self._all)

    def _all(self) -> None:
        try:
            now = self._parts.clock.monotonic()
            for vm_id, one in list(self._failed.items()):
                if one.due <= now:
                    self._try(vm_id, one, now)
        except Exception:  # the thread's boundary
            log.exception("repairing addresses failed unexpectedly")
        finally:
            self._at_it.release()

    def _try(self, vm_id: int, one: _Repair, now: float) -> None:
        one.due, one.wait = now + one.wait, min(2 * one.wait, _LONGEST_WAIT)
        if now - one.since < REPAIRS:
            try:
                if not self._repaired(vm_id):
                    return
            except HybridError as exc:
                log.warning("the addresses of VM %s cannot be sent to it yet: %s", vm_id, exc)
                return
        if self._failed.get(vm_id) is one:  # no other action has failed meanwhile
            del self._failed[vm_id]

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
        return self._repair(found, still)

    def _machine(self, vm_id: int) -> Machine:
        what = f"virtual machine {vm_id}"
        document = self._parts.oned.read("vm.info", what, vm_id, False)
        return read_machine(document.encode("utf-8", "surrogatepass"), what)


def _post_of(machine: Machine) -> Post | None:
    """Return the ``post`` of a machine as oned would ask for it; None: it does not run, or is being changed."""
    if (machine.state, machine.lcm_state) != (ACTIVE, RUNNING):
        return None
    stdin = base64.b64encode(as_drivers_get_it(machine.document, ()))
    made = parse_vnm(Call(family="vnm", driver="hybrid", action="post", argv=("-", machine.host), stdin=stdin))
    return made if isinstance(made, Post) else None
