"""What growing tells people, as sentences and lines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Final

from hybrid_drivers.agent.growth.model import Action, Delete, Disable, Enable, Migrate, Order
from hybrid_drivers.agent.growth.packing import SPOT_SUFFIX
from hybrid_drivers.oned.template import readable

ERROR, EVENT, NOTE = "ELASTIC_ERROR", "ELASTIC_EVENTS", "ELASTIC_NOTE"  # attributes of the cluster
EVENTS: Final = 20  # so many of the last are kept on the cluster
_RUNS: Final = re.compile(r"[0-9.]+(?= s\b| spent\b| h of\b)|(?<== )[0-9.]+(?= is more than MAX_COST_MONTH)")


def describe(action: Action) -> str:
    """Return an action as a sentence."""
    vms = ""
    if isinstance(action, Order) and action.vms:
        vms = f" (VM {', '.join(map(str, action.vms[:20]))})"
    return f"{heading(action)}: {action.reason}{vms}"


def heading(action: Action) -> str:
    """Return an action without its reason."""
    if isinstance(action, Order):
        price = "" if action.price is None else f" at {action.price:g} an hour"
        price = price.replace(" at", " at most") if action.plan.endswith(SPOT_SUFFIX) else price
        return f"order {action.plan}{price}"
    if isinstance(action, Migrate):
        how = "live " if action.live else ""
        return f"move VM {action.vm_id} {how}from host {action.host_id} to host {action.target}"
    word = {Disable: "disable", Enable: "enable", Delete: "delete"}[type(action)]
    return f"{word} host {action.host_id}"


def told_events(before: str, actions: Iterable[Action], now: float, happened: Iterable[str] = ()) -> str:
    """Return ELASTIC_EVENTS with what happened and these actions at its end."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    lines = [line for line in before.splitlines() if line]
    lines += [f"{stamp} {readable(one)}" for one in (*happened, *map(describe, actions))]
    return "\n".join(lines[-EVENTS:])


def shape(text: str) -> str:
    """Return a note without the numbers that run by themselves: seconds, and what a month has cost so far."""
    return _RUNS.sub("0", text)
