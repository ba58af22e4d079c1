"""Which drivers there are. Nothing of a driver but its field table is loaded until a provider is made."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from pathlib import Path
from typing import cast

from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import dummy_fields, static_fields
from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.providers.base import Provider, ProviderEntry
from hybrid_drivers.providers.driver import Driver, Factory
from hybrid_drivers.providers.ec2 import fields as ec2_fields
from hybrid_drivers.providers.packet import fields as packet_fields

GROUP = "hybrid_drivers.providers"
_BUILT_IN = {
    one.name: one for one in (dummy_fields.DRIVER, ec2_fields.DRIVER, packet_fields.DRIVER, static_fields.DRIVER)
}


def built_in() -> tuple[Driver, ...]:
    """Return the drivers of this package, by name."""
    return tuple(_BUILT_IN.values())


def driver(name: str) -> Driver:
    """Return the driver called ``name``; other packages are asked only when it is none of ours.

    Raises:
        ConfigError: there is no such driver; the text names the known ones.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    outside = {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}
    if name in outside:
        return _loaded(outside[name])
    known = sorted({*_BUILT_IN, *outside})
    raise ConfigError(f"unknown driver '{name[:60]}' (known: {', '.join(known)}){did_you_mean(name, known)}")


def make_provider(entry: ProviderEntry, clock: Clock, *, state_dir: Path | None = None) -> Provider:
    """Return the provider of ``entry``; no network. ``state_dir`` defaults to this front-end's state folder.

    Raises:
        ConfigError: the driver is unknown, or a library it needs is not installed.
    """
    row = driver(entry.driver)
    module, _, name = row.target.partition(":")
    try:
        factory = cast(Factory, getattr(importlib.import_module(module), name))
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"driver {row.name} cannot be loaded: {exc}") from exc
    return factory(entry, clock=clock, state_dir=state_dir or Location.from_environment(os.environ).state)


def _loaded(point: importlib.metadata.EntryPoint) -> Driver:
    try:
        found = point.load()
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"driver {point.name} of package {point.value} cannot be loaded: {exc}") from exc
    if not isinstance(found, Driver):
        raise ConfigError(f"driver {point.name}: {point.value} is not a hybrid_drivers.providers.driver.Driver")
    return found
