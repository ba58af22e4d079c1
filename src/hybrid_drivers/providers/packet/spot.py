"""What machines cost on the spot market now, as ``GET /market/spot/prices`` (facilities) and ``.../metros`` tell it.

Source: the published OpenAPI 1.0.0 description: ``spot_market_prices`` is place -> plan -> ``{"price": dollars}``.
Equinix's own spot market was shut down in June 2025 ("The Spot Market"); the calls stay for those who run this API.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, Literal

from hybrid_drivers.clock import Clock
from hybrid_drivers.providers.base import Price
from hybrid_drivers.providers.packet.client import PacketClient

AGE: Final = 300.0  # seconds the market's prices are used before they are asked for again
_KINDS: Final[tuple[Literal["metros", "facilities"], ...]] = ("metros", "facilities")


class SpotMarket:
    """The spot prices of one account."""

    def __init__(self, client: PacketClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, object]] = {}

    def price(self, plan: str, place: str) -> Price | None:
        """Return the present price of a plan in a metro or facility, None when there is none."""
        for kind in _KINDS:
            here = _inside(self._prices(kind), place)
            if isinstance(here, Mapping):
                amount = _inside(_inside(here, plan), "price")
                told = isinstance(amount, (int, float)) and not isinstance(amount, bool) and amount > 0
                return Price(amount=float(str(amount))) if told else None
        return None

    def _prices(self, kind: Literal["metros", "facilities"]) -> object:
        with self._lock:
            read_at, found = self._known.get(kind, (float("-inf"), None))
            if self._clock.monotonic() - read_at > AGE:
                found = self._client.spot_prices(kind)
                self._known[kind] = (self._clock.monotonic(), found)
            return found


def _inside(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None
