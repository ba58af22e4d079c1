"""What a driver says of itself before any of its code is loaded: names of keys, and where its class is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hybrid_drivers.clock import Clock
from hybrid_drivers.providers import plans
from hybrid_drivers.providers.base import Field, Provider, ProviderEntry, Setting


class Factory(Protocol):
    """How a driver's class is called. ``state_dir`` is a folder for what it must remember; most need none."""

    def __call__(self, entry: ProviderEntry, *, clock: Clock, state_dir: Path) -> Provider:
        """Return the provider of one entry; no network."""


def no_problems(_settings: Mapping[str, Setting]) -> Sequence[str]:
    """Check nothing beyond the field table."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One row of the registry. A package outside offers such an object as entry point ``hybrid_drivers.providers``.

    ``target`` is ``module:Class``, a :class:`Factory`. ``settings`` are the keys of an entry (lower case) and
    ``attributes`` the PROVISION attributes (upper case) it understands; ``aliases`` are other names of those.
    ``inline`` maps PROVISION attributes of 5.12, credentials among them, to settings. ``check`` returns sentences
    about settings that only together are wrong.
    """

    name: str
    target: str
    settings: tuple[Field, ...] = ()
    attributes: tuple[Field, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    inline: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Mapping[str, Setting]], Sequence[str]] = no_problems


# Keys that every driver's entry may have.
COMMON_SETTINGS = (
    Field(name="description", help="for people"),
    Field(name="prices", kind="amounts", help="PLAN or PLAN@PLACE: what a machine costs an hour"),
    Field(name="spot_prices", kind="amounts", help="the same for spot machines, where the provider does not tell"),
    Field(name="currency", help="of prices, default USD"),
    Field(
        name="plans", kind="mapping", help="PLAN: {cpu: cores, memory: MiB, pci: ..., numa: ...}, for growing on demand"
    ),
    Field(name="inputs", kind="list", help="inputs of OneProvision 6.x, for templates that use the provider"),
    Field(name="remote_port", kind="number", help="SSH port of the machines, where the host does not name one"),
    Field(name="remote_user", help="SSH user of the machines, where the host does not name one"),
    Field(name="trust_first_use", kind="boolean", help="take the host key a machine shows first, unseen"),
)
RATE_SETTINGS = (
    Field(name="rate", kind="number", help="API calls a second, in the long run"),
    Field(name="burst", kind="number", help="API calls at once"),
)


def common_problems(settings: Mapping[str, Setting]) -> Sequence[str]:
    """Return sentences about settings of :data:`COMMON_SETTINGS` that are well-formed and still wrong."""
    problems = []
    currency = str(settings.get("currency") or "USD")
    if not re.fullmatch("[A-Z]{3}", currency):
        problems.append(f"key 'currency' must be three capital letters like USD, not '{currency[:40]}'")
    problems += plans.problems(settings.get("plans"))
    inputs = settings.get("inputs", ())
    for number, one in enumerate(inputs if isinstance(inputs, Sequence) else (), start=1):
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str) or not one["name"]:
            problems.append(f"input {number} must be a mapping with the key 'name'")
    return problems
