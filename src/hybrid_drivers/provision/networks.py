"""Networks of a provision: waiting until their drivers have made them.

oned answers before a network is made: its driver and the address ranges come after, and may fail. OneProvision waits,
too: OpenNebula ``src/oneprovision/lib/provision/resources/physical/network.rb``.
"""

from __future__ import annotations

from contextlib import suppress

from hybrid_drivers.errors import HybridError, NoSuchObject
from hybrid_drivers.model import OnedObject
from hybrid_drivers.provision.plan import label
from hybrid_drivers.provision.record import Slot
from hybrid_drivers.provision.site import Site

READY, LOCKED, ERROR = 1, 2, 5  # OpenNebula VirtualNetwork.h; locked: its driver works
LIMIT = 300.0  # seconds for a driver; OneProvision's
GONE_LIMIT = 60.0  # seconds for a network to go after its deletion
PAUSE = 0.2  # seconds between two looks


class NetworkCare:
    """Looks after the networks of one provision."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def wait(self, slot: Slot) -> None:
        """Wait until a network is made.

        Raises:
            HybridError: it ended in error, with what oned says of that, or it takes too long.
        """
        until = self._site.clock.monotonic() + LIMIT
        while (found := self._site.objects.get("vnet", slot.number)).state == LOCKED:
            if self._site.clock.monotonic() > until:
                raise HybridError(f"{label(slot)} is not made after {LIMIT:.0f} s: see oned.log for its driver")
            self._site.clock.sleep(PAUSE)
        if found.state == ERROR:
            why = found.template.text("ERROR") or f"'onevnet show {slot.id}' may say why"
            raise HybridError(f"{label(slot)} is in error: {why.rstrip('.')}")

    def delete(self, network: OnedObject) -> None:
        """Delete a network of ours that is of no use, and wait until it is gone. Raises: HybridError."""
        until = self._site.clock.monotonic() + GONE_LIMIT
        with suppress(NoSuchObject):
            self._site.objects.delete("vnet", network.id)
            while self._site.clock.monotonic() < until:
                self._site.objects.get("vnet", network.id)
                self._site.clock.sleep(PAUSE)
            raise HybridError(f"network {network.name} (id {network.id}) does not go: delete it, then try again")
