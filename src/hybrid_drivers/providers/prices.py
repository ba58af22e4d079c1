"""What a machine costs an hour: the operator's own figure, else what the provider tells."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from hybrid_drivers.errors import ProviderError
from hybrid_drivers.model import Placement
from hybrid_drivers.providers.base import Price, Prices, Provider, ProviderEntry, SpotPrices

log = logging.getLogger(__name__)


def price_of(provider: Provider, placement: Placement) -> Price | None:
    """Return the price of one machine there; None when nobody tells, or the provider does not answer.

    A provider that does not answer is no reason to stop: the price is for people, nothing depends on it.
    """
    own = own_price(provider.entry, placement)
    if own is not None or not isinstance(provider, Prices):
        return own
    try:
        return provider.price_hour(placement.plan, placement.place)
    except ProviderError as exc:
        log.info("the price of %s in %s is not known: %s", placement.plan, placement.place, exc)
        return None


def own_price(entry: ProviderEntry, placement: Placement, key: str = "prices") -> Price | None:
    """Return the price in ``prices`` (or ``key``) of the entry: of ``PLAN@PLACE`` first, then of ``PLAN``."""
    prices = entry.settings.get(key)
    if not isinstance(prices, Mapping):
        return None
    amount = prices.get(f"{placement.plan}@{placement.place}", prices.get(placement.plan))
    return None if amount is None else Price(amount=float(str(amount)), currency=entry.text("currency") or "USD")


def spot_price_of(provider: Provider, placement: Placement) -> Price | None:
    """Return what a spot machine costs there now: as the provider tells, else as the entry's ``spot_prices`` says.

    Unlike prices on demand it changes by the hour, so the provider's own word comes first. None when nobody tells, or
    the provider does not answer.
    """
    try:
        told = provider.spot_price_hour(placement.plan, placement.place) if isinstance(provider, SpotPrices) else None
    except ProviderError as exc:
        log.info("the spot price of %s in %s is not known: %s", placement.plan, placement.place, exc)
        told = None
    return told or own_price(provider.entry, placement, "spot_prices")
