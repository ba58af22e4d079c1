"""A driver's limits with the operator's own on top."""

from __future__ import annotations

import dataclasses

from hybrid_drivers.providers.base import Limits, ProviderEntry

LIMIT_NAMES = tuple(one.name for one in dataclasses.fields(Limits))


def limits_of(entry: ProviderEntry, default: Limits) -> Limits:
    """Return ``default`` with the ``limits`` of the entry replacing single values (seconds)."""
    return dataclasses.replace(default, **entry.limits)
