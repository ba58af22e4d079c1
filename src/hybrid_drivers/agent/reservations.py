"""Reserving the blocks of new address ranges, and releasing those of ranges that go.

oned has no range yet while one is registered, so the intent is in the tags of the reserve call: the token is the same
for the same request of oned, and a block that has it and that no range names is taken instead of another one. What
nobody takes is given back by the collector (``address_collector.py``). A network's own document is never asked for:
oned holds the network locked while it waits for us, but its pool can be read.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.range_accounts import RangeAccount, RangeAccounts
from hybrid_drivers.errors import HybridError, OutcomeUnknown, ProviderError, TransientError
from hybrid_drivers.model_addresses import AddressTags, Block, ReserveRequest
from hybrid_drivers.network import ipam, ranges
from hybrid_drivers.network.addresses import Span
from hybrid_drivers.oned.ipam_actions import OnRange
from hybrid_drivers.oned.objects import Objects

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Order:
    """One range being made: ``got`` are its blocks so far, ``taken`` what other ranges and blocks have."""

    at: RangeAccount
    wish: ipam.Wanted
    owner: str
    token: str
    still_wanted: Callable[[], bool]
    mine: list[Block] = field(default_factory=list)  # an earlier try of the same request reserved them
    got: list[Block] = field(default_factory=list)
    taken4: list[Span] = field(default_factory=list)
    taken6: list[str] = field(default_factory=list)


class Reservations:
    """Makes and ends the reservations of ranges.

    ``changes`` counts what was begun or ended, ``changed_at`` is when the last of it was (monotonic seconds).
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._accounts = RangeAccounts(parts.accounts, parts.oned)
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._running: list[str] = []
        self._fresh: dict[str, tuple[float, Block]] = {}  # lists lag: what was reserved of late, by id
        self.changes, self.changed_at = 0, parts.clock.monotonic()  # an agent before this one may just have reserved

    def running(self) -> set[str]:
        """Return the tokens of the registrations that are under way."""
        with self._guard:
            return set(self._running)

    def ranges(self) -> Sequence[Mapping[str, str]]:
        """Return all address ranges of oned."""
        return Objects(self._parts.oned).address_ranges()

    # --- a range comes --------------------------------------------------------------------------------------------

    def register(self, action: OnRange, still_wanted: Callable[[], bool]) -> dict[str, str]:
        """Reserve what a range asks for and return its attributes. ``still_wanted``: nobody has given up on it yet.

        Raises:
            HybridError: it cannot be had; what was reserved of it is released again.
        """
        wish = ipam.wanted(action.ar)
        at = self._accounts.of(action.driver, action.ar)
        owner = self._parts.owner()
        token = ipam.token_of(owner, action.driver, action.request_id, action.ar)
        order = _Order(at=at, wish=wish, owner=owner, token=token, still_wanted=still_wanted)
        with self._under_way(token), self._lock(at.account.name):
            got = self._reserved(order)
        log.info("address range of %d at %s: %s", wish.size, at.account.name, ", ".join(one.id for one in order.got))
        return ipam.described(at.attributes, wish, action.driver, at.account.name, got)

    def _reserved(self, order: _Order) -> ipam.Reserved:
        self._look_around(order)
        try:
            block6 = self._ipv6(order) if 6 in order.wish.families else None
            if 4 not in order.wish.families:
                return ipam.Reserved(block6=block6)
            prefix6 = block6.network if block6 is not None and block6.shared else ""
            return self._ipv4(order, block6, prefix6)
        except HybridError:
            self._undo(order)
            raise

    def _look_around(self, order: _Order) -> None:
        """Find what an earlier try left and what others have: first at the provider, then in oned."""
        listed = {one.id: one for one in order.at.addresses.blocks(order.owner)}
        blocks = {**self._recent(order.at.account.provider.limits.settle), **listed}
        known = self.ranges()
        named = ranges.named(known)
        order.taken4, order.taken6 = ranges.spans4(known), ranges.networks6(known)
        for one in blocks.values():
            if one.tags is None:
                continue
            if one.tags.token == order.token and one.id not in named:
                order.mine.append(one)
                continue
            if inside := one.tags.inside:
                at = int(ipaddress.IPv4Address(inside)) + one.tags.index
                order.taken4.append((at, at))
            order.taken6 += [one.tags.prefix6] if one.tags.prefix6 else []

    def _ipv6(self, order: _Order) -> Block:
        wish = order.wish
        tags = AddressTags(owner=order.owner, token=order.token)
        size = wish.size if wish.static6 else 0
        taken = tuple(order.taken6)
        request = ReserveRequest(tags=tags, family=6, size=size, attributes=order.at.where, taken=taken)
        return self._one(order, request)

    def _ipv4(self, order: _Order, block6: Block | None, prefix6: str) -> ipam.Reserved:
        inside = self._inside(order) if order.at.addresses.translates else ""
        count, size = (order.wish.size, 1) if order.at.addresses.one_by_one else (1, order.wish.size)
        blocks = []
        for index in range(count):
            tags = AddressTags(owner=order.owner, token=order.token, index=index, inside=inside, prefix6=prefix6)
            blocks.append(self._one(order, ReserveRequest(tags=tags, family=4, size=size, attributes=order.at.where)))
        return ipam.Reserved(blocks=blocks, block6=block6, inside=inside)

    def _inside(self, order: _Order) -> str:
        """Choose inside addresses, those of an earlier try if there was one."""
        for one in order.mine:
            if one.tags is not None and one.tags.inside:
                return one.tags.inside
        pool, used = order.at.addresses.inside(order.at.where)
        taken = [*order.taken4, *((int(ipaddress.IPv4Address(one)),) * 2 for one in used)]
        return ipam.inside_addresses(order.at.attributes.get("CIDR") or pool or ipam.INSIDE, taken, order.wish.size)

    def _one(self, order: _Order, request: ReserveRequest) -> Block:
        """Return a block that an earlier try of the same request reserved, or reserve it."""
        block = next((one for one in order.mine if _fits(one, request)), None)
        if block is None:
            block = self._reserve(order, request)
        else:
            order.mine.remove(block)
        order.got.append(block)
        return block

    def _reserve(self, order: _Order, request: ReserveRequest) -> Block:
        if not order.still_wanted():
            raise TransientError("the provider was too slow: nobody waits for this address range any more")
        try:
            block = order.at.addresses.reserve(request)
        except OutcomeUnknown as exc:
            block = self._found(order, request, exc)
        if not block.shared:
            with self._guard:
                self._fresh[block.id] = (self._parts.clock.now(), block)
        return block

    def _found(self, order: _Order, request: ReserveRequest, lost: OutcomeUnknown) -> Block:
        """Look for the block of a reservation without an answer, for as long as lists may lag."""
        limits, clock = order.at.account.provider.limits, self._parts.clock
        until, known = clock.now() + limits.settle, {one.id for one in (*order.got, *order.mine)}
        while True:
            for one in order.at.addresses.blocks(order.owner):
                if one.id not in known and _fits(one, request):
                    return one
            if clock.now() >= until or not order.still_wanted():
                raise TransientError(f"{lost}; it was not found: try again") from lost
            clock.sleep(min(limits.poll, 1.0))

    def _undo(self, order: _Order) -> None:
        for one in (*order.got, *order.mine):
            if not one.shared:
                with contextlib.suppress(ProviderError):  # the collector finds it by its tag
                    self._release(order.at, one.id)

    # --- a range goes ---------------------------------------------------------------------------------------------

    def unregister(self, action: OnRange) -> None:
        """Release the blocks a range names, but for those that another range names too.

        Raises:
            HybridError: one could not be released; repeating it is harmless.
        """
        blocks = ranges.blocks_of(action.ar)
        if not blocks:
            return
        at = self._accounts.of(action.driver, action.ar)
        others = [ar for ar in self.ranges() if not ranges.same_range(ar, action.ar) and ar.get("IPAM_MAD")]
        kept = ranges.named(others)
        self._changed()
        for block_id in blocks:
            if block_id in kept:
                log.warning("address block %s at %s stays: another address range has it", block_id, at.account.name)
                continue
            self._release(at, block_id)

    def _release(self, at: RangeAccount, block_id: str) -> None:
        at.addresses.release(block_id)
        with self._guard:
            self._fresh.pop(block_id, None)
        log.info("address block %s at %s is released", block_id, at.account.name)

    # --- who is at it ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _under_way(self, token: str) -> Iterator[None]:
        with self._guard:
            self._running.append(token)
        self._changed()
        try:
            yield
        finally:
            with self._guard:
                self._running.remove(token)
            self._changed()

    def _changed(self) -> None:
        with self._guard:
            self.changes, self.changed_at = self.changes + 1, self._parts.clock.monotonic()

    def _lock(self, account: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(account, threading.Lock())

    def _recent(self, settle: float) -> dict[str, Block]:
        """Return the blocks that lists may not show yet."""
        since = self._parts.clock.now() - settle
        with self._guard:
            self._fresh = {key: pair for key, pair in self._fresh.items() if pair[0] >= since}
            return {key: block for key, (_, block) in self._fresh.items()}


def _fits(block: Block, request: ReserveRequest) -> bool:
    """Tell whether a block is what a request asks for."""
    if block.tags is None or block.family != request.family or not block.network or block.size < request.size:
        return False
    mine, wished = block.tags, request.tags
    return (mine.token, mine.index, mine.inside) == (wished.token, wished.index, wished.inside)
