"""The sweep of assignments: a public address that goes to a machine though nobody has it in oned is taken away there.

That is left when a virtual machine ended in a way that has no ``clean``, or one that failed. oned's leases are the
truth: whoever has an address keeps it, wherever it goes. Nobody can get a lease and use it in between: ``post`` waits
for the lock of the address, and leases are read again under it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping

from hybrid_drivers.agent.address_locks import AddressLocks
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.range_accounts import RangeAccount, RangeAccounts
from hybrid_drivers.agent.vnm_targets import is_ours
from hybrid_drivers.errors import AddressGone, ConfigError, HybridError, OnedError, ProviderError
from hybrid_drivers.model_addresses import Assignment
from hybrid_drivers.network import ranges
from hybrid_drivers.oned.objects import Objects

LINGER = 30.0  # seconds in which a block is looked at again and again: leases are freed after drivers have answered
QUIET = 3600.0  # seconds between two looks at all blocks
_LOCK_LIMIT = 5.0  # seconds: whoever has the address now is at work, so it is not left behind

log = logging.getLogger(__name__)


class AssignmentCollector:
    """Sweeps address ranges that have free addresses: all at first and once an hour, those of noted blocks at once."""

    def __init__(self, parts: Parts, locks: AddressLocks) -> None:
        self._parts, self._locks = parts, locks
        self._accounts = RangeAccounts(parts.accounts, parts.oned)
        self._noted: dict[str, float] = {}  # block -> when it was noted, monotonic seconds
        self._looked = float("-inf")

    def note(self, block: str) -> None:
        """Have a block looked at: an address of it was given back, or an action on one failed."""
        self._noted[block] = self._parts.clock.monotonic()

    @property
    def busy(self) -> bool:
        """Tell whether something may be left behind that nobody has looked for."""
        return bool(self._noted) or self._looked == float("-inf")

    def sweep(self) -> None:
        """Do one sweep, if it is time for one.

        Raises:
            OnedError: oned cannot be asked; nothing is concluded.
        """
        now = self._parts.clock.monotonic()
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


def _assigned(at: RangeAccount, block: str) -> Mapping[str, Assignment]:
    try:
        return at.addresses.assignments(block)
    except AddressGone:
        return {}


def _is_free(ar: Mapping[str, str], address: str) -> bool:
    """Tell whether an address is of the range and nobody has it."""
    number = ranges.number_of_public(ar, address)
    return number is not None and number not in ranges.held(ar)
