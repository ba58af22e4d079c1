"""The ``ipam`` actions: oned's address ranges whose addresses come from a provider.

``one_ipam`` asks one thing after another and holds the network locked meanwhile, so every answer comes within a time,
whatever the provider does. Only making and deleting a range asks the provider: which addresses are free is known from
oned's own leases.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Union

from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reservations import Reservations
from hybrid_drivers.errors import ConfigError, TransientError
from hybrid_drivers.model import Template
from hybrid_drivers.network import ranges
from hybrid_drivers.oned import ipam_actions as actions
from hybrid_drivers.oned.process import Answer
from hybrid_drivers.oned.template import render

LIMIT = 45.0  # seconds for an answer; the thin client gives up after 60, oned after 90
_NOTHING = Answer()

log = logging.getLogger(__name__)


class Ipam:
    """Answers the ``ipam`` actions."""

    def __init__(self, parts: Parts, limit: float = LIMIT) -> None:
        self._parts, self._limit = parts, limit
        self.reservations = Reservations(parts)
        self.freed_at = float("-inf")  # monotonic seconds: when an address was last given back

    def answer(self, action: actions.RangeAction) -> Answer:
        """Carry out one action.

        Raises:
            HybridError: it could not be done, or not in time.
        """
        return _within(self._limit, lambda still_wanted: self._answer(action, still_wanted))

    def _answer(self, action: actions.RangeAction, still_wanted: Callable[[], bool]) -> Answer:
        if isinstance(action, actions.Register):
            return _said("AR", self.reservations.register(action, still_wanted))
        if isinstance(action, actions.Unregister):
            self.reservations.unregister(action)
            return _NOTHING
        if isinstance(action, actions.GetAddress):
            return self._free_address(action)
        self._check(action)
        if isinstance(action, actions.FreeAddress):
            self.freed_at = self._parts.clock.monotonic()
        return _NOTHING

    def _free_address(self, action: actions.GetAddress) -> Answer:
        """Offer the lowest free addresses in a row.

        oned takes only IPv4 of an offer (``AddressRangeIPAM.cc``, ``get_addr``): of a range without any, addresses can
        be had by name only.
        """
        known = [ar for ar in self.reservations.ranges() if ranges.same_range(ar, action.ar)]
        if not known:
            raise ConfigError("oned has no network with this address range: it was deleted, or is not stored yet")
        taken = {number for ar in known for number in ranges.held(ar)}
        offered = ranges.address_at(action.ar, ranges.choose(action.ar, taken, action.size))
        if "IP" not in offered:
            name = f'IP6="{offered["IP6"]}"' if "IP6" in offered else f'MAC="{offered.get("MAC", "")}"'
            raise ConfigError(
                f"OpenNebula takes only IPv4 addresses by itself: name a free one in the NIC, like {name}"
            )
        return _said("ADDRESS", {**offered, "SIZE": str(action.size)})

    def _check(self, action: actions.OnAddress) -> None:
        """Refuse addresses outside of the range; whether they are free oned knows best."""
        first = ranges.number_of(action.ar, action.ip, action.ip6, action.mac)
        size = action.ar.get("SIZE", "")
        if first is None or not size.isdigit() or first + action.size > int(size):
            shown = action.ip or action.ip6 or action.mac or "no address"
            raise ConfigError(f"{action.size} addresses from {shown} on are not in the address range")


def _said(name: str, attributes: dict[str, str]) -> Answer:
    return Answer(stdout=render(Template([(name, attributes)]), f"the answer {name}").encode())


def _within(limit: float, work: Callable[[Callable[[], bool]], Answer]) -> Answer:
    """Return what ``work`` returns, or give up on it; it is told whether somebody still waits."""
    given_up = threading.Event()
    done: SimpleQueue[Union[Answer, Exception]] = SimpleQueue()

    def run() -> None:
        try:
            done.put(work(lambda: not given_up.is_set()))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is raised where the caller waits
            if given_up.is_set():
                log.warning("an address call that was given up ended with: %s", exc)
            done.put(exc)

    threading.Thread(target=run, name="ipam", daemon=True).start()
    try:
        result = done.get(timeout=limit)
    except Empty:
        given_up.set()
        raise TransientError(
            f"the provider gave no answer within {limit:.0f} s: try again; addresses reserved meanwhile are given back"
        ) from None
    if isinstance(result, Exception):
        raise result
    return result
