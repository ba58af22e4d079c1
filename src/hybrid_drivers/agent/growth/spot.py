"""Spot machines in growing: what of them may be ordered, and which hosts hold a floor.

A spot offer has two prices. ``price`` is its cap: what it may cost, which every limit counts and the order carries as
SPOT_PRICE_MAX, so that no limit is passed when the market moves. ``expected`` is what it costs now, which decides what
is cheapest. Sold out is a spot offer by itself: its plan on demand takes over at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent import spot
from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.growth.model import HostView
from hybrid_drivers.agent.growth.packing import SPOT_SUFFIX, Offer
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.record import IM_MAD, read
from hybrid_drivers.errors import ConfigError, NoSuchObject
from hybrid_drivers.model import Host, Value, Vm
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.providers.prices import spot_price_of

_KEYS: Final = ("SPOT_INSTANCE", "SPOT_PRICE_MAX")
COUNTED_FOR: Final = 7200.0  # seconds after the notice that VMs which stay behind are rented for
_ON_A_HOST: Final = (3, 8)  # states ACTIVE and POWEROFF (``VirtualMachine.h``)


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
        wanted, cap = "only", _amount(attributes.get("SPOT_PRICE_MAX", ""))
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
        expected = _expected(account, {**attributes, **order(as_spot), key: offer.plan})
        if expected is not None and expected > min(caps):
            problems.append(f"{offer.plan} has no spot offer: it costs more than {min(caps):g} now")
        else:
            found.append(replace(as_spot, expected=expected))
    return [*found, *(offers if wanted == "yes" else ())], problems  # where nobody tells the price, spot comes first


def order(offer: Offer) -> dict[str, str]:
    """Return what an order of this offer has in PROVISION besides its plan."""
    return {"SPOT_INSTANCE": "YES", "SPOT_PRICE_MAX": f"{offer.cap:g}"} if offer.spot else {}


def marks(offer: Offer) -> list[tuple[str, Value]]:
    """Return what a host has that is ordered by this offer."""
    return [(spot.SPOT, "YES")] if offer.spot else []


def lasting(found: Iterable[Offer], offers: Iterable[Offer]) -> list[Offer]:
    """Return those for a floor: on demand, unless a cluster rents spot machines only; ``offers`` are all it has."""
    spot_only = all(one.spot for one in offers)
    return [one for one in found if spot_only or not one.spot]


def holds_floor(host: HostView, offers: Iterable[Offer]) -> bool:
    """Tell whether a host counts for MIN_HOSTS and WARM_HOSTS: a floor that may be taken away is none."""
    return not host.spot or all(one.spot for one in offers)


def displaced(oned: Oned, hosts: Iterable[Host], now: float) -> list[Vm]:
    """Return the VMs on hosts whose machine is taken back: they need room elsewhere, as those that wait.

    One that is on its way to another host has that as its last, and takes its room there. One that did not get away
    until the machine was gone counts on: its disks may be where the scheduler can start it from.
    """
    found = []
    for host in hosts:
        known = spot.interruption_of(read(host)) if host.im_mad == IM_MAD else None
        if known is None or now - known.noticed > COUNTED_FOR:
            continue
        for vm_id in host.vm_ids:
            with suppress(NoSuchObject):
                vm = oned.vm(vm_id)
                if vm.host_id == host.id and vm.state in _ON_A_HOST:
                    found.append(vm)
    return found


def events(before: str, hosts: Iterable[Host], cluster_id: int) -> list[str]:
    """Return what ELASTIC_EVENTS lacks about machines that are taken back; each is told once, by its id."""
    found = []
    for host in hosts:
        known = spot.interruption_of(read(host)) if host.im_mad == IM_MAD and host.cluster_id == cluster_id else None
        if known is not None and f"machine {known.machine} back" not in before:
            found.append(f"host {host.id}: the provider takes spot machine {known.machine} back, its VMs are to move")
    return found


def _expected(account: Account, attributes: Mapping[str, str]) -> float | None:
    told = [spot_price_of(account.provider, one) for one in account.provider.placements(attributes)]
    amounts = [one.amount for one in told if one is not None]
    return max(amounts) if amounts and len(amounts) == len(told) else None


def _amount(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
