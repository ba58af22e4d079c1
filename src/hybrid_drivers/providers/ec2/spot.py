"""Spot instances: what they cost now, and which of them Amazon takes back.

Source: EC2 API reference, DescribeSpotPriceHistory and DescribeSpotInstanceRequests; EC2 User Guide, "Get the status of
a Spot Instance request". What an interruption looks like there: a request that is interrupted for its price is
``marked-for-termination`` while the instance runs on for two minutes. One that is interrupted because Amazon needs the
capacity, and whose instance is to be terminated as ours are, becomes ``instance-terminated-no-capacity`` **at once**,
and its instance is ``running`` for these two minutes all the same. So both families of codes are a notice, as long as
the instance is there; when it goes is two minutes after the status was updated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Final

from hybrid_drivers.clock import Clock
from hybrid_drivers.providers.base import Price
from hybrid_drivers.providers.ec2.client import PAGE, Ec2Client

AGE: Final = 300.0  # seconds a price is used before it is asked for again
NOTICE: Final = 120.0  # seconds from the notice until the instance is taken ("Spot Instance interruption notices")
PRODUCTS: Final = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
TAKEN_BACK: Final = (  # not what a user did: ...-by-user, request-canceled-...
    *("marked-for-termination", "marked-for-stop"),
    *("instance-terminated-no-capacity", "instance-terminated-by-price", "instance-terminated-by-schedule"),
    *("instance-terminated-capacity-oversubscribed", "instance-terminated-launch-group-constraint"),
    *("instance-stopped-no-capacity", "instance-stopped-by-price"),
)


class Ec2Spot:
    """The spot market of one account in one region; thread-safe."""

    def __init__(self, client: Ec2Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, Price | None]] = {}

    def price(self, plan: str, zone: str) -> Price | None:
        """Return the present price in a zone; without one that of the dearest zone of the region."""
        with self._lock:
            read_at, found = self._known.get((plan, zone), (float("-inf"), None))
            if self._clock.monotonic() - read_at > AGE:
                found = self._ask(plan, zone)
                self._known[plan, zone] = (self._clock.monotonic(), found)
            return found

    def _ask(self, plan: str, zone: str) -> Price | None:
        """Ask for the prices from now on: the last change before that is among them (API reference)."""
        newest: dict[tuple[str, str], tuple[str, float]] = {}  # zone and product -> when, what
        query = {
            "StartTime": datetime.fromtimestamp(self._clock.now(), timezone.utc),
            "InstanceTypes": [plan],
            "ProductDescriptions": list(PRODUCTS),
            **({"AvailabilityZone": zone} if zone else {}),
        }
        what = f"asking for the spot price of {plan}"
        for row in self._rows("describe_spot_price_history", "SpotPriceHistory", what, query):
            try:
                amount, when = float(row["SpotPrice"]), str(row["Timestamp"])
            except (KeyError, ValueError):
                continue
            key = (str(row.get("AvailabilityZone")), str(row.get("ProductDescription")))
            newest[key] = max(newest.get(key, ("", 0.0)), (when, amount))
        return Price(amount=max(amount for _, amount in newest.values())) if newest else None

    def interruptions(self) -> dict[str, float | None]:
        """Return the instances whose requests say that Amazon takes them, and when; some are gone already."""
        query = {"Filters": [{"Name": "status-code", "Values": list(TAKEN_BACK)}], "MaxResults": PAGE}
        found: dict[str, float | None] = {}
        what = "asking for interrupted spot instances"
        for row in self._rows("describe_spot_instance_requests", "SpotInstanceRequests", what, query):
            instance, since = row.get("InstanceId"), (row.get("Status") or {}).get("UpdateTime")
            if instance:
                found[str(instance)] = since.timestamp() + NOTICE if isinstance(since, datetime) else None
        return found

    def _rows(self, operation: str, key: str, what: str, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        token = ""
        while True:
            reply = self._client.read(operation, what, **query, **({"NextToken": token} if token else {}))
            yield from reply.get(key, ())
            token = reply.get("NextToken") or ""
            if not token:
                return
