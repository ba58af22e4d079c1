"""How large the machines of a plan are, as the provider entry's ``plans`` says: ``PLAN: {cpu: 8, memory: 32768}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_drivers.providers.base import ProviderEntry

_LEAST, _MOST = 0.01, 1e9


@dataclass(frozen=True, kw_only=True)
class PlanSize:
    """What a host of the plan has for virtual machines: cores (as oned counts them) and MiB."""

    cpu: float
    memory: float


def size_of(entry: ProviderEntry, plan: str) -> PlanSize | None:
    """Return how large a plan is, None when the entry does not tell."""
    table = entry.settings.get("plans")
    one = table.get(plan) if isinstance(table, Mapping) else None
    if not isinstance(one, Mapping):
        return None
    return PlanSize(cpu=float(str(one["cpu"])), memory=float(str(one["memory"])))


def problems(table: object) -> Sequence[str]:
    """Return sentences about a ``plans`` table that is wrong."""
    found = []
    for plan, one in table.items() if isinstance(table, Mapping) else ():
        fits = isinstance(one, Mapping) and set(one) == {"cpu", "memory"} and all(map(_is_amount, one.values()))
        if not fits:
            found.append(
                f"plan '{str(plan)[:60]}' of key 'plans' must be like {{cpu: 8, memory: 32768}}: cores and MiB"
            )
    return found


def _is_amount(value: object) -> bool:
    try:
        return not isinstance(value, bool) and _LEAST <= float(str(value)) < _MOST
    except ValueError:
        return False
