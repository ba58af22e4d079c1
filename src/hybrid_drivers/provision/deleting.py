"""Deleting single objects of a provision: only what it made, and only while it does not say that it is another's."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_drivers.errors import ActionRefused, NoSuchObject
from hybrid_drivers.provision import plan, tags
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.record import Record, Slot
from hybrid_drivers.provision.site import Site

PAUSE = 0.5  # seconds between two looks whether an object is gone
GONE_LIMIT = 60.0  # seconds for images and networks, which go after the call
LOCKED = {"images": (4,), "networks": (2, 3)}  # states in which drivers still make or delete them (OnedObject.state)


class Deleter:
    """Deletes objects of one provision, hosts excepted (``returning``); ``say`` hears of each."""

    def __init__(self, site: Site, record: Record, say: Callable[[str], None]) -> None:
        self._site, self._record, self._say = site, record, say

    def delete_kinds(self, *kinds: str) -> None:
        """Delete all objects of these kinds, the last made first, and save the record after each kind.

        Raises:
            OnedError: oned refused one; those before it are deleted.
            ActionRefused: one is still there long after.
        """
        for kind in kinds:
            for slot in reversed(self._record.of_kind(kind)):
                self.delete(slot)
            self._site.store.save(self._record)

    def delete(self, slot: Slot) -> None:
        """Delete one object, or take it out of the cluster when it was only lent, and forget its slot."""
        if slot.attached:
            self._detach(slot)
        elif slot.id is not None and self._is_ours(slot):
            self._call(slot, slot.id)
            self._say(f"{plan.label(slot)} deleted")
        self._record.drop(slot)

    def _detach(self, slot: Slot) -> None:
        cluster_id = self._record.cluster_id
        if cluster_id is None or slot.id is None:
            return
        try:
            self._site.objects.remove_from_cluster(cluster_id, "datastore", slot.id)
        except NoSuchObject:
            return

    def _is_ours(self, slot: Slot) -> bool:
        try:
            found = self._site.objects.get(ONED[slot.kind], slot.number)
        except NoSuchObject:
            return False
        owner = tags.provision_id(found.template)
        if owner is not None and owner != self._record.id:
            self._say(f"{plan.label(slot)} carries the tag of provision {owner}: left alone")
            return False
        return True

    def _call(self, slot: Slot, object_id: int) -> None:
        try:
            locked = slot.kind in LOCKED and self._stays_locked(slot, object_id)
            if slot.kind == "flowtemplates":
                self._site.flow().delete_service_template(object_id)
            else:
                self._site.objects.delete(ONED[slot.kind], object_id, force=locked)
        except NoSuchObject:
            return
        if slot.kind in ("images", "networks"):
            self._wait_gone(slot, object_id)

    def _stays_locked(self, slot: Slot, object_id: int) -> bool:
        """Wait until the drivers are done with an object that was made a moment ago: before, oned refuses to delete it.

        Tell whether it took too long: an image that is fetched for hours is of no use any more.

        Raises:
            NoSuchObject: it is gone.
        """
        until = self._site.clock.monotonic() + GONE_LIMIT
        while self._site.objects.get(ONED[slot.kind], object_id).state in LOCKED[slot.kind]:
            if self._site.clock.monotonic() > until:
                return True
            self._site.clock.sleep(PAUSE)
        return False

    def _wait_gone(self, slot: Slot, object_id: int) -> None:
        until = self._site.clock.monotonic() + GONE_LIMIT
        while self._site.clock.monotonic() < until:
            try:
                self._site.objects.get(ONED[slot.kind], object_id)
            except NoSuchObject:
                return
            self._site.clock.sleep(PAUSE)
        raise ActionRefused(f"{plan.label(slot)} is still there {GONE_LIMIT:.0f} s after its deletion: try again")
