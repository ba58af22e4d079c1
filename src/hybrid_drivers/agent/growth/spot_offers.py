"""Spot offers: what of the plans may be ordered as spot machines.

A spot offer has two prices. ``price`` is its cap: what it may cost, which every limit counts and the order carries as
SPOT_PRICE_MAX, so that no limit is passed when the market moves. ``expected`` is what it costs now, which decides what
is cheapest. Sold out is a spot offer by itself: its plan on demand takes over at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent import spot
from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.growth.packing import SPOT_SUFFIX, Offer
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.record import number
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Value
from hybrid_drivers.providers.prices import spot_price_of

_KEYS: Final = ("SPOT_INSTANCE", "SPOT_PRICE_MAX")


def with_spot(
    policy: Policy, offers: Sequence[Offer], account: Account, attributes: Mapping[str, str], key: str
) -> tuple[list[Offer], list[str]]:
    """Return the offers on demand and as spot that a policy wants, and what is missing for some, as sentences.

    A cluster whose PROVISION asks for spot machines by itself has spot offers only, as with ``SPOT="only"``.

    Raises:
        ConfigError: PROVISION and ELASTIC both say something, or the provider has no spot machines.
    """
    wanted, cap = policy.spot, policy.spot_max_price
    if wanted != "no" and any(one in attributes for one in _KEYS):
        raise ConfigError(f"take {' and '.join(_KEYS)} out of PROVISION: SPOT of ELASTIC says what is rented")
    if wanted == "no" and spot.wants_spot(attributes):
        wanted, cap = "only", number(attributes.get("SPOT_PRICE_MAX", ""))
    if wanted == "no":
        return list(offers), []
    found: list[Offer] = []
    problems: list[str] = []
    for offer in offers:
        caps = [one for one in (cap, offer.price) if one is not None]
        if not caps:
            problems.append(
                f"{offer.plan} has no spot offer: set SPOT_MAX_PRICE, or its price in 'prices:' of {account.name}"
            )
            continue
        as_spot = replace(offer, plan=offer.plan + SPOT_SUFFIX, price=min(caps))
        prices = _prices_now(account, {**attributes, **order(as_spot), key: offer.plan})
        within = [one for one in prices if one <= as_spot.cap]
        if prices and not within:
            problems.append(f"{offer.plan} has no spot offer: it costs more than {as_spot.cap:g} now")
        else:
            found.append(replace(as_spot, expected=max(within, default=None)))
    return [*found, *(offers if wanted == "yes" else ())], problems  # where nobody tells the price, spot comes first


def order(offer: Offer) -> dict[str, str]:
    """Return what an order of this offer has in PROVISION besides its plan."""
    return {"SPOT_INSTANCE": "YES", "SPOT_PRICE_MAX": f"{offer.cap:g}"} if offer.spot else {}


def marks(offer: Offer) -> list[tuple[str, Value]]:
    """Return what a host has that is ordered by this offer."""
    return [(spot.SPOT, "YES")] if offer.spot else []


def _prices_now(account: Account, attributes: Mapping[str, str]) -> list[float]:
    """Return what it costs in each place where somebody tells."""
    told = [spot_price_of(account.provider, one) for one in account.provider.placements(attributes)]
    return [one.amount for one in told if one is not None]
