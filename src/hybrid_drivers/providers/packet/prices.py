"""What plans cost an hour, as ``GET /plans`` tells it.

Source: the published OpenAPI 1.0.0 description: ``pricing.hour`` is a plan's price; an element of
``available_in_metros`` (or ``available_in``, for facilities) has a ``price.hour`` of its own where it differs, and
names the place by ``href``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from hybrid_drivers.clock import Clock
from hybrid_drivers.providers.base import Price
from hybrid_drivers.providers.packet.client import PacketClient

AGE = 3600.0  # seconds a price list is used before it is asked for again
_PLACES: Final[Mapping[str, Literal["metros", "facilities"]]] = {  # key of a plan -> what the list there is of
    "available_in_metros": "metros",
    "available_in": "facilities",
}


class PriceList:
    """The prices of one account, asked for when one is needed, and again after an hour."""

    def __init__(self, client: PacketClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._lock = threading.Lock()
        self._known: Mapping[tuple[str, str], float] = {}
        self._read_at = float("-inf")

    def price(self, plan: str, place: str) -> Price | None:
        """Return the price of a plan in a metro or facility, None when the list has none."""
        with self._lock:
            if self._clock.monotonic() - self._read_at > AGE:
                self._known = self._read()
                self._read_at = self._clock.monotonic()
            amount = self._known.get((plan, place), self._known.get((plan, "")))
        return None if amount is None else Price(amount=amount)

    def _read(self) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        special: dict[str, dict[tuple[str, str], float]] = {key: {} for key in _PLACES}
        for plan in self._client.plans():
            slug = str(plan.get("slug") or "")
            if (amount := _hour(plan.get("pricing"))) is not None:
                found[slug, ""] = amount
            for key, prices in special.items():
                prices.update({(slug, place): amount for place, amount in _differing(plan.get(key))})
        for key, prices in special.items():
            codes = self._client.places(_PLACES[key]) if prices else {}
            found.update({(slug, codes.get(place, place)): amount for (slug, place), amount in prices.items()})
        return found


def _differing(places: object) -> Iterable[tuple[str, float]]:
    """Yield the places with a price of their own: by code where it is there, else by the id their link ends in."""
    for one in places if isinstance(places, list) else ():
        if isinstance(one, Mapping) and (amount := _hour(one.get("price"))) is not None:
            yield str(one.get("code") or str(one.get("href") or "").rpartition("/")[2]), amount


def _hour(pricing: object) -> float | None:
    hour = pricing.get("hour") if isinstance(pricing, Mapping) else None
    return float(hour) if isinstance(hour, (int, float)) and not isinstance(hour, bool) and hour >= 0 else None
