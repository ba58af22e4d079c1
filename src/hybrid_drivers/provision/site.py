"""What the parts of a provision's life work with: oned, OneFlow, the provider entries, the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.config import Location
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.oneflow import OneFlow
from hybrid_drivers.provision.directory import ProviderDirectory
from hybrid_drivers.provision.store import Store


@dataclass(frozen=True, kw_only=True)
class Site:
    """One front-end, seen by one user of it.

    ``state`` is our state folder, ``keys`` the folder for private keys given as text; ``templates`` are the folders of
    shared templates.
    """

    oned: Oned
    objects: Objects
    flow: Callable[[], OneFlow]  # made when it is needed: few templates have service templates
    directory: ProviderDirectory
    store: Store
    clock: Clock
    state: Path
    keys: Path
    templates: tuple[Path, ...]
    who: str
    look: Callable[[int], None] = lambda _: None  # has the agent here look at a host; it may be elsewhere, or not be

    def enable(self, host_id: int) -> None:
        """Enable a host: one that failed is tried again, at once where the agent can be told. Raises: OnedError."""
        self.oned.set_host_status(host_id, "enable")
        self.look(host_id)

    @classmethod
    def of(cls, location: Location, who: str, clock: Clock | None = None) -> Site:
        """Reach the front-end at ``location`` as the user of its ``one_auth`` file. Raises: ConfigError."""
        from hybrid_drivers.oned.oneflow import OneFlow

        clock = clock or SystemClock()
        oned = Oned.from_location(location)
        return cls(
            oned=oned,
            objects=Objects(oned),
            flow=lambda: OneFlow.from_location(location),
            directory=ProviderDirectory(oned, location, clock),
            store=Store(oned, clock, who),
            clock=clock,
            state=location.state,
            keys=location.state / "ssh",
            templates=location.templates,
            who=who,
        )
