"""How large the machines of plans are, as ``GET /plans`` tells it.

Source: the published OpenAPI 1.0.0 description: ``specs.cpus`` is a list of ``{count, type}``, ``specs.memory.total`` a
text like ``32GB``. Cores are in the text of the type only (``AMD EPYC 7402P 24-Core Processor @ 2.80GHz``, as machines
of c3.medium.x86 are known to say); answers that were seen in use have ``cores`` and ``threads`` besides (c3.small.x86:
8 and 16). Whether these are of one processor or of all is not said, so they count once: too small a figure costs a
plan its turn, too large a one money.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from hybrid_drivers.providers.base import PlanSpecs

_CORES: Final = re.compile(r"(?i)\b(\d{1,4})[- ]cores?\b").search
_MEMORY: Final = re.compile(r"(?i)\s*(\d{1,6}(?:\.\d{1,3})?)\s*([GT])i?B\s*").fullmatch
_MIB: Final[Mapping[str, int]] = {"G": 1024, "T": 1024 * 1024}  # memory modules: powers of two, whatever it is called


def read_specs(plans: Iterable[Mapping[str, object]]) -> dict[str, PlanSpecs]:
    """Return what plans have by their slug; those whose processors or memory are not told are left out."""
    found = {}
    for plan in plans:
        specs = plan.get("specs")
        if isinstance(specs, Mapping):
            cpus, memory = _cpus(specs.get("cpus")), _memory(specs.get("memory"))
            if cpus and memory:
                found[str(plan.get("slug") or "")] = PlanSpecs(cpus=cpus, memory=memory)
    return found


def _cpus(told: object) -> int:
    rows = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    return sum(max(_whole(one.get("threads")), _whole(one.get("cores")), _cores(one)) for one in rows)


def _cores(one: Mapping[str, object]) -> int:
    found = _CORES(str(one.get("type") or ""))
    return int(found[1]) * (_whole(one.get("count")) or 1) if found else 0


def _whole(told: object) -> int:
    text = str(told).strip()
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0


def _memory(told: object) -> float:
    found = _MEMORY(str(told.get("total") or "")) if isinstance(told, Mapping) else None
    return float(found[1]) * _MIB[found[2].upper()] if found else 0.0
