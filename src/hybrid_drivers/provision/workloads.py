"""What people run on a provision: virtual machines on its hosts and images in its datastores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from hybrid_drivers.errors import ActionRefused, HybridError, NoSuchObject
from hybrid_drivers.model import OnedObject, Vm
from hybrid_drivers.model_vms import ACTIVE, FAILURES, RUNNING, UNKNOWN
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.provision.progress import Teller
from hybrid_drivers.provision.record import Record, ids
from hybrid_drivers.provision.site import Site

PAUSE = 0.5  # seconds between two looks
AGAIN = 5.0  # seconds after which a machine that does not go is told once more
LOCKED = 4  # an image that is still being made (OpenNebula Image.h)
SHOWN = 10  # ids named in a sentence


class Workloads:
    """The virtual machines and images of one provision. ``timeout``: seconds for each to go."""

    def __init__(self, site: Site, record: Record, teller: Teller, timeout: float) -> None:
        self._site, self._record, self._teller, self._timeout = site, record, teller, timeout
        self._vms, self._refused = Vms(site.oned), dict[int, str]()

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
            shown = _named([one.id for one in machines])
            ways = "'oneprovision vm-move' moves them, --cleanup deletes them"
            found.append(f"virtual machines are on its hosts: {shown} ({ways})")
        if images:
            found.append(f"images are in its datastores: {_named([one.id for one in images])} (--cleanup deletes them)")
        return found

    def elsewhere(self) -> list[str]:
        """Say which machines on other hosts use what the provision made: oned would delete nothing of that."""
        networks = {str(one) for one in ids(self._record.exists("networks"))}
        images = ids(self._record.exists("images")) | {one.id for one in self.images()}
        if not networks and not images:
            return []
        here = ids(self._record.exists("hosts"))
        others = {vm.id: vm for vm in self._site.oned.vms() if vm.host_id not in here or vm.host_id is None}
        users = {one for one, vm in others.items() if _networks(vm) & networks}
        for image in self._site.objects.pool("image") if images else ():
            users |= set(image.vm_ids) & others.keys() if image.id in images else set()
        if not users:
            return []
        return [
            f"virtual machines elsewhere use its images or networks: {_named(list(users))}: take those from them first"
        ]

    def terminate(self) -> None:
        """End all virtual machines, at once, and wait until they are gone.

        Raises:
            HybridError: one is still there after the time.
        """
        tried: dict[int, float] = {}

        def left() -> list[int]:
            found = self.virtual_machines()
            for vm in found:
                now = self._site.clock.monotonic()
                due = vm.id in self._refused or now - tried.get(vm.id, 0.0) > AGAIN
                if vm.id not in tried or (_rests(vm) and due):
                    tried[vm.id] = now
                    self._end(vm)
            return [vm.id for vm in found]

        self._wait("virtual machines", left, len(left()))

    def _end(self, vm: Vm) -> None:
        """Have oned end a machine, or note why it does not; it may do so a little later."""
        self._teller.say(f"terminating virtual machine {vm.id} {vm.name}")
        self._refused.pop(vm.id, None)
        try:
            if vm.state == ACTIVE and vm.lcm_state in FAILURES:  # nothing of it runs that could be ended
                self._vms.delete(vm.id)
            else:
                self._vms.action(vm.id, "terminate-hard")
        except NoSuchObject:
            return
        except ActionRefused as exc:
            self._refused[vm.id] = str(exc)

    def delete_images(self) -> None:
        """Delete all images that others put into the provision's datastores, and wait until they are gone.

        Raises:
            HybridError: one is still there after the time.
        """
        images = self.images()
        for image in images:
            self._teller.say(f"deleting image {image.id} {image.name}")
            with suppress(NoSuchObject):
                self._site.objects.delete("image", image.id, force=image.state == LOCKED)
        self._wait("images", lambda: [one.id for one in self.images()], len(images))

    def _wait(self, what: str, left: Callable[[], list[int]], count: int) -> None:
        limit = self._timeout * max(1, count)
        until = self._site.clock.monotonic() + limit
        while found := left():
            if self._site.clock.monotonic() > until:
                why = "".join(f"; {self._refused[one]}" for one in sorted(found)[:SHOWN] if one in self._refused)
                raise HybridError(
                    f"{what} {_named(found)} are still there after {limit:.0f} s{why}: look at them, then run delete "
                    "again (--cleanup-timeout gives them longer)"
                )
            self._site.clock.sleep(PAUSE)


def _rests(vm: Vm) -> bool:
    """Tell whether nothing is going on with a machine."""
    return vm.state != ACTIVE or vm.lcm_state in (RUNNING, UNKNOWN, *FAILURES)


def _networks(vm: Vm) -> set[str]:
    return {card.get("NETWORK_ID", "") for card in vm.template.vectors("NIC")}


def _named(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    shown = ", ".join(str(one) for one in found[:SHOWN])
    return shown if len(found) <= SHOWN else f"{shown} and {len(found) - SHOWN} more"
