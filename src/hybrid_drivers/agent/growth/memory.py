"""What growing remembers of a cluster: the vector ELASTIC_STATE, written before anything is done, read on every pass.

It is kept in oned because the agent may be killed at any time and on an HA front-end another one goes on. Times are
unix seconds. A damaged part counts as nothing remembered: waits begin anew, which costs time and never a machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar
from urllib.parse import quote, unquote

NAME: Final = "ELASTIC_STATE"
HOUR: Final = 3600.0
SETTLE_EVERY: Final = 600.0  # seconds until costs are written though nothing else is new
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What is remembered; host ids and names of plans are the keys."""

    orders: tuple[float, ...] = ()  # times of those of the last hour
    ordered_at: float = 0.0  # the last one
    deleted_at: float = 0.0  # the last host that was not needed any more
    failures: int = 0  # creations that failed, in a row
    failed_at: float = 0.0
    why_failed: str = ""  # what the last one of them said
    failed: frozenset[int] = frozenset()  # hosts whose failure is counted already
    sold_out: Mapping[str, float] = field(default_factory=dict)  # plan -> until when it is left alone
    idle: Mapping[int, float] = field(default_factory=dict)  # host -> since when it has had no VM
    silent: Mapping[int, float] = field(default_factory=dict)  # READY host -> since when it takes no VMs
    spared: frozenset[int] = frozenset()  # hosts that take VMs again after a notice that came to nothing
    disabled: Mapping[int, float] = field(default_factory=dict)  # host -> when we disabled it
    retiring: frozenset[int] = frozenset()  # those of them that are too old: never taken back
    emptying: Mapping[int, float] = field(default_factory=dict)  # those of them whose VMs are moved -> since when
    little: Mapping[int, float] = field(default_factory=dict)  # host -> since when it is little used; see consolidate
    moves: tuple[tuple[int, float], ...] = ()  # VM and time of those of the last hour
    sent: Mapping[int, int] = field(default_factory=dict)  # VM -> host it was moved off and may still need
    hoped: frozenset[int] = frozenset()  # waiting VMs for which a host was ordered or taken back
    refused: Mapping[int, tuple[float, str]] = field(default_factory=dict)  # VM -> until when it brings none, and why
    month: str = ""  # of ``spent``: 2026-11
    spent: float = 0.0  # in that month, until ``settled_at``
    settled_at: float = 0.0
    policy: str = ""  # ELASTIC as it was when the failures were counted

    def orders_since(self, when: float) -> int:
        """Return how many hosts were ordered after ``when``."""
        return sum(one > when for one in self.orders)


def is_changed(before: Memory, after: Memory, actions: Iterable[object]) -> bool:
    """Tell whether there is something worth writing: costs alone are written now and then."""
    same = replace(after, spent=before.spent, settled_at=before.settled_at)
    return bool(list(actions)) or same != before or after.settled_at - before.settled_at >= SETTLE_EVERY


def render(memory: Memory) -> dict[str, str]:
    """Return the vector."""
    return {
        "ORDERS": ",".join(f"{one:.0f}" for one in memory.orders),
        "ORDERED_AT": f"{memory.ordered_at:.0f}",
        "DELETED_AT": f"{memory.deleted_at:.0f}",
        "FAILURES": str(memory.failures),
        "FAILED_AT": f"{memory.failed_at:.0f}",
        "WHY_FAILED": _quoted(memory.why_failed),
        "FAILED": _ids(memory.failed),
        "SOLD_OUT": _times(memory.sold_out),
        "IDLE": _times(memory.idle),
        "SILENT": _times(memory.silent),
        "SPARED": _ids(memory.spared),
        "DISABLED": _times(memory.disabled),
        "RETIRING": _ids(memory.retiring),
        "EMPTYING": _times(memory.emptying),
        "LITTLE": _times(memory.little),
        "MOVES": ",".join(f"{vm}:{when:.0f}" for vm, when in memory.moves),
        "SENT": _times(memory.sent),
        "HOPED": _ids(memory.hoped),
        "REFUSED": ",".join(f"{vm}:{until:.0f}:{_quoted(why)}" for vm, (until, why) in sorted(memory.refused.items())),
        "MONTH": memory.month,
        "SPENT": f"{memory.spent:.4f}",
        "SETTLED_AT": f"{memory.settled_at:.0f}",
        "POLICY": memory.policy,
    }


def read(vector: Mapping[str, str]) -> Memory:
    """Read the vector; what is missing or damaged is its default."""

    def get(key: str, adapt: Callable[[str], T], default: T) -> T:
        try:
            return adapt(vector[key])
        except (KeyError, ValueError):
            return default

    return Memory(
        orders=get("ORDERS", lambda text: tuple(float(one) for one in text.split(",") if one), ()),
        ordered_at=get("ORDERED_AT", float, 0.0),
        deleted_at=get("DELETED_AT", float, 0.0),
        failures=get("FAILURES", int, 0),
        failed_at=get("FAILED_AT", float, 0.0),
        why_failed=get("WHY_FAILED", unquote, ""),
        failed=get("FAILED", _read_ids, frozenset()),
        sold_out=get("SOLD_OUT", lambda text: dict(_pairs(text)), {}),
        idle=get("IDLE", _read_times, {}),
        silent=get("SILENT", _read_times, {}),
        spared=get("SPARED", _read_ids, frozenset()),
        disabled=get("DISABLED", _read_times, {}),
        retiring=get("RETIRING", _read_ids, frozenset()),
        emptying=get("EMPTYING", _read_times, {}),
        little=get("LITTLE", _read_times, {}),
        moves=get("MOVES", lambda text: tuple((int(key), when) for key, when in _pairs(text)), ()),
        sent=get("SENT", lambda text: {int(key): int(host) for key, host in _pairs(text)}, {}),
        hoped=get("HOPED", _read_ids, frozenset()),
        refused=get("REFUSED", _read_refused, {}),
        month=get("MONTH", str, ""),
        spent=get("SPENT", _amount, 0.0),
        settled_at=get("SETTLED_AT", float, 0.0),
        policy=get("POLICY", str, ""),
    )


def _ids(ids: frozenset[int]) -> str:
    return ",".join(str(one) for one in sorted(ids))


def _read_ids(text: str) -> frozenset[int]:
    return frozenset(int(one) for one in text.split(",") if one)


def _times(times: Mapping[str, float] | Mapping[int, float]) -> str:
    return ",".join(f"{key}:{when:.0f}" for key, when in sorted(times.items()))


def _read_times(text: str) -> dict[int, float]:
    return {int(key): when for key, when in _pairs(text)}


def _quoted(text: str) -> str:
    return quote(text, safe=" ")


def _read_refused(text: str) -> dict[int, tuple[float, str]]:
    found = [one.split(":", 2) for one in text.split(",") if one]
    return {int(vm): (float(until), unquote(why)) for vm, until, why in found}


def _amount(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _pairs(text: str) -> list[tuple[str, float]]:
    found = [one.rpartition(":") for one in text.split(",") if one]
    return [(key, float(when)) for key, _, when in found]
