"""What people run on a provision: virtual machines on its hosts and images in its datastores."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_drivers.errors import HybridError, NoSuchObject
from hybrid_drivers.model import OnedObject, Vm
from hybrid_drivers.provision.progress import Teller
from hybrid_drivers.provision.record import Record, ids
from hybrid_drivers.provision.site import Site

PAUSE = 0.5  # seconds between two looks
SHOWN = 10  # ids named in a sentence


class Workloads:
    """The virtual machines and images of one provision. ``timeout``: seconds for each to go."""

    def __init__(self, site: Site, record: Record, teller: Teller, timeout: float) -> None:
        self._site, self._record, self._teller, self._timeout = site, record, teller, timeout

    def virtual_machines(self) -> list[Vm]:
        """Return the virtual machines on the provision's hosts, in any state but done."""
        hosts = ids(self._record.exists("hosts"))
        return [vm for vm in self._site.oned.vms() if vm.host_id in hosts] if hosts else []

    def images(self) -> list[OnedObject]:
        """Return the images in the provision's own datastores that it did not make."""
        own = {slot.id for slot in self._record.exists("datastores") if not slot.attached}
        ours = ids(self._record.exists("images"))
        if not own:
            return []
        return [one for one in self._site.objects.pool("image") if one.datastore_id in own and one.id not in ours]

    def problems(self) -> list[str]:
        """Say what people would lose."""
        machines, images = self.virtual_machines(), self.images()
        found = []
        if machines:
            found.append(f"virtual machines are on its hosts: {_named([one.id for one in machines])}")
        if images:
            found.append(f"images are in its datastores: {_named([one.id for one in images])}")
        return [f"{one} (--cleanup deletes them)" for one in found]

    def terminate(self) -> None:
        """End all virtual machines, at once, and wait until they are gone.

        Raises:
            HybridError: one is still there after the time.
        """
        machines = self.virtual_machines()
        from hybrid_drivers.oned.vms import Vms

        vms = Vms(self._site.oned)
        for vm in machines:
            self._teller.say(f"terminating virtual machine {vm.id} {vm.name}")
            vms.action(vm.id, "terminate-hard")
        self._wait("virtual machines", lambda: [vm.id for vm in self.virtual_machines()], len(machines))

    def delete_images(self) -> None:
        """Delete all images that others put into the provision's datastores, and wait until they are gone.

        Raises:
            HybridError: one is still there after the time.
        """
        images = self.images()
        for image in images:
            self._teller.say(f"deleting image {image.id} {image.name}")
            try:
                self._site.objects.delete("image", image.id)
            except NoSuchObject:
                continue
        self._wait("images", lambda: [one.id for one in self.images()], len(images))

    def _wait(self, what: str, left: Callable[[], list[int]], count: int) -> None:
        until = self._site.clock.monotonic() + self._timeout * max(1, count)
        while found := left():
            if self._site.clock.monotonic() > until:
                raise HybridError(
                    f"{what} {_named(found)} are still there after {self._timeout * max(1, count):.0f} s: "
                    "look at them, then run delete again (--cleanup-timeout gives them longer)"
                )
            self._site.clock.sleep(PAUSE)


def _named(numbers: list[int]) -> str:
    shown = ", ".join(str(one) for one in sorted(numbers)[:SHOWN])
    return shown if len(numbers) <= SHOWN else f"{shown} and {len(numbers) - SHOWN} more"
