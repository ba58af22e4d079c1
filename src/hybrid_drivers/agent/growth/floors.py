"""MIN_HOSTS and WARM_HOSTS: what holds them and what is ordered for them. A floor that may be taken away is none."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_drivers.agent.growth.model import HostView
from hybrid_drivers.agent.growth.packing import Offer


def lasting(found: Iterable[Offer], offers: Iterable[Offer]) -> list[Offer]:
    """Return those for a floor: on demand, unless a cluster rents spot machines only; ``offers`` are all it has."""
    spot_only = all(one.spot for one in offers)
    return [one for one in found if spot_only or not one.spot]


def holds_floor(host: HostView, offers: Iterable[Offer]) -> bool:
    """Tell whether a host counts for MIN_HOSTS and WARM_HOSTS, which a spot host does in such a cluster only."""
    return not host.spot or all(one.spot for one in offers)
