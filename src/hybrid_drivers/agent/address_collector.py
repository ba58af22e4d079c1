"""The sweep of addresses: blocks with our tag that no address range of oned names are watched, then released.

Such a block is what a registration left behind that was cut off or given up, or a range that was deleted without us.
Blocks are listed **before** ranges are: what a registration reserves in between is named by then, or is younger than
the quarantine. Blocks of other owners are never touched.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reservations import Reservations
from hybrid_drivers.errors import ProviderError
from hybrid_drivers.model_addresses import Block
from hybrid_drivers.network.ranges import named
from hybrid_drivers.providers.base import PublicAddresses

QUIET = 3600.0  # seconds between two looks when nothing is known to be left behind

log = logging.getLogger(__name__)


class AddressCollector:
    """Sweeps the accounts that have addresses, often while something may be left behind, else once an hour."""

    def __init__(self, parts: Parts, reservations: Reservations) -> None:
        self._parts, self._reservations = parts, reservations
        self._orphans: dict[str, float] = {}  # account/block -> when it was first seen without a range
        self._watched: dict[str, dict[str, object]] = {}  # the same -> what people are told of it
        self._released: list[dict[str, object]] = []
        self._unasked: list[str] = []
        self._settled = -1  # how many changes there had been at the last look that found nothing to do
        self._looked = float("-inf")  # monotonic seconds of that look

    @property
    def orphans(self) -> int:
        """Return how many blocks without a range are in quarantine."""
        return len(self._orphans)

    @property
    def busy(self) -> bool:
        """Tell whether something may be left behind that nobody has looked for."""
        return self._settled != self._reservations.changes or bool(self._orphans)

    def report(self) -> dict[str, Any]:
        """Return what the last look found, for ``onehybrid gc``; what is no unix time is in seconds."""
        clock, blocks = self._parts.clock, []
        for key, told in list(self._watched.items()):
            if (since := self._orphans.get(key)) is not None:
                waited = clock.monotonic() - since
                left = max(0, math.ceil(float(str(told["watched"])) - waited))
                blocks.append({**told, "since": clock.now() - waited, "released_in": left})
        return {"blocks": blocks, "released_blocks": list(self._released), "unasked": self._unasked}

    def sweep(self, *, now_due: bool = False, look_only: bool = False) -> None:
        """Do one sweep, if it is time for one, or (``now_due``) whether it is or not; ``look_only``: release nothing.

        Raises:
            OnedError: oned cannot be asked; nothing is concluded.
        """
        now = self._parts.clock.monotonic()
        if not (self.busy or now_due) and now - self._looked < QUIET:
            return
        changes, running = self._reservations.changes, self._reservations.running()
        since = now - self._reservations.changed_at
        listed, unasked = self._listed()
        running |= self._reservations.running()
        self._released, self._unasked = [], unasked
        released = self._compare(listed, running, release=not look_only) if listed else False
        shown = all(since >= account.provider.limits.settle for account, _, _ in listed.values())  # lists lag
        if not unasked and shown and not running and not released:
            self._settled, self._looked = changes, now

    def _listed(self) -> tuple[dict[str, tuple[Account, PublicAddresses, list[Block]]], list[str]]:
        """Return what accounts have, by name, and which could not be asked."""
        listed: dict[str, tuple[Account, PublicAddresses, list[Block]]] = {}
        owner, accounts = self._parts.owner(), self._parts.accounts.all()
        unasked = self._parts.accounts.broken()
        for account in accounts:
            provider = account.provider
            if not isinstance(provider, PublicAddresses):
                continue
            try:
                listed[account.name] = (account, provider, list(provider.blocks(owner)))
            except ProviderError as exc:
                unasked.append(account.name)
                log.warning("provider %s cannot be asked for its addresses: %s", account.name, exc)
        return listed, unasked

    def _compare(
        self, listed: dict[str, tuple[Account, PublicAddresses, list[Block]]], running: set[str], *, release: bool
    ) -> bool:
        """Watch the blocks that nobody has; tell whether some were released, which the lists may not show yet."""
        known = named(self._reservations.ranges())
        seen = {key for key in self._orphans if key.partition("/")[0] not in listed}  # nothing is known of those now
        due: list[tuple[PublicAddresses, str, Block]] = []
        for name, (account, provider, blocks) in listed.items():
            for block in blocks:
                if block.id in known or block.tags is None or block.tags.token in running:
                    continue
                key = f"{name}/{block.id}"
                seen.add(key)
                watched = max(self._parts.settings.agent.quarantine, account.provider.limits.settle)
                self._watched[key] = {
                    "provider": name,
                    "block": block.id,
                    "network": block.network,
                    "watched": watched,
                }
                if self._is_due(key, block, watched):
                    due.append((provider, key, block))
        self._orphans = {key: since for key, since in self._orphans.items() if key in seen}
        self._watched = {key: told for key, told in self._watched.items() if key in seen}
        return release and bool(due) and not self._parts.owner.held() and self._release(due)

    def _is_due(self, key: str, block: Block, watched: float) -> bool:
        now = self._parts.clock.monotonic()  # a clock that is set must not end the quarantine
        since = self._orphans.setdefault(key, now)
        if since == now:
            log.warning("address block %s (%s) has our tag but no address range in oned", key, block.network)
        return now - since >= watched

    def _release(self, due: list[tuple[PublicAddresses, str, Block]]) -> bool:
        """Release what still nobody has."""
        known, running = named(self._reservations.ranges()), self._reservations.running()
        released = False
        for provider, key, block in due:
            if block.id in known or (block.tags is not None and block.tags.token in running):
                continue
            try:
                provider.release(block.id)
            except ProviderError as exc:
                log.warning("address block %s cannot be released yet: %s", key, exc)
                continue
            log.info("address block %s is released", key)
            del self._orphans[key]
            self._released.append(self._watched.pop(key))
            released = True
        return released
