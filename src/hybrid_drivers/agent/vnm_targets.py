"""Which public addresses the cards of a virtual machine stand for, and at whose account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hybrid_drivers.agent.range_accounts import RangeAccount, RangeAccounts
from hybrid_drivers.errors import ConfigError, HybridError
from hybrid_drivers.network import ranges
from hybrid_drivers.oned.read_objects import GATEWAYS
from hybrid_drivers.oned.vnm_actions import Card
from hybrid_drivers.providers import registry

Ranges = Mapping[tuple[int, int], Mapping[str, str]]  # by network and AR_ID


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """One address of a card. ``inside`` is the card's own, ``public`` what the world knows it by.

    ``holder`` is the virtual machine that oned has leased it to, None while it has nobody.
    """

    card: Card
    inside: str
    public: str
    block: str
    holder: int | None
    at: RangeAccount
    gateways: Mapping[str, str]  # oned does not copy them into cards (``INHERIT_VNET_ATTR`` does not name them)

    @property
    def key(self) -> str:
        """Return what its lock is called."""
        return f"{self.at.account.name}/{self.public}"

    @property
    def element(self) -> str:
        """Return the name of the element that tells the node where its traffic arrives."""
        return "HYBRID_ADDRESS6" if ":" in self.inside else "HYBRID_ADDRESS"


def targets_of(
    cards: Iterable[Card],
    known: Ranges,
    accounts: RangeAccounts,
    *,
    leaving: bool,
    failed: Callable[[Card, HybridError], None],
) -> list[Target]:
    """Return the addresses of ``cards`` that come from a provider; a card of another range has none.

    ``leaving``: a range that was deleted (by force) does not matter, for its addresses went with it. ``failed`` is told
    of each card whose range is not to be found, whose account is not, or whose address the range lacks: it raises that,
    or the others go on without the card.
    """
    found = []
    for card in cards:
        try:
            found += _of_card(card, known, accounts, leaving=leaving)
        except HybridError as exc:
            failed(card, exc)
    return found


def _of_card(card: Card, known: Ranges, accounts: RangeAccounts, *, leaving: bool) -> list[Target]:
    own = known.get((card.network_id, card.range_id))
    if own is None and leaving:
        return []
    if own is None:
        raise ConfigError(
            f"{shown(card)}: network {card.network_id} has no address range {card.range_id}: it was deleted"
        )
    ar = _whole(own, known)
    return _targets(card, own, ar, accounts.of(ar["IPAM_MAD"], ar)) if is_ours(ar) else []


def _targets(card: Card, own: Mapping[str, str], ar: Mapping[str, str], at: RangeAccount) -> list[Target]:
    found = []
    gateways = {key: own[key] for key in GATEWAYS if own.get(key)}
    number = ranges.number_of(own, card.ip, next(iter(card.ip6), ""), card.mac)
    holder = None if number is None else ranges.machine_at(own, number)
    for inside in ([card.ip] if card.ip else []) + list(card.ip6):
        outside = ranges.public_address(ar, inside)
        if outside is not None:
            public, block = outside
            found.append(
                Target(card=card, inside=inside, public=public, block=block, holder=holder, at=at, gateways=gateways)
            )
    if not found:
        address = card.ip or ", ".join(card.ip6) or card.mac
        raise ConfigError(f"{shown(card)}: its address range at {at.account.name} has no public address for {address}")
    return found


def is_ours(ar: Mapping[str, str]) -> bool:
    """Tell whether the addresses of a range come from a provider of ours."""
    try:
        registry.driver(ar.get("IPAM_MAD", ""))
    except ConfigError:
        return False
    return bool(ranges.blocks_of(ar))


def _whole(ar: Mapping[str, str], known: Ranges) -> Mapping[str, str]:
    """Return the range that a reservation's is a part of, which the provider knows; any other as it is."""
    for _ in range(8):  # reservations of reservations
        parent, number = ar.get("PARENT_NETWORK", ""), ar.get("PARENT_NETWORK_AR_ID", "")
        above = known.get((int(parent), int(number))) if parent.isdigit() and number.isdigit() else None
        if above is None:
            return ar
        ar = above
    return ar


def shown(card: Card) -> str:
    """Return how a sentence calls a card."""
    return f"{card.kind} {card.nic_id}"
