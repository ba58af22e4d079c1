"""Images of a provision: where they go, and waiting until they are ready."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from hybrid_drivers.errors import ConfigError, HybridError, NoSuchObject
from hybrid_drivers.model import OnedObject
from hybrid_drivers.provision.plan import label
from hybrid_drivers.provision.record import Record, Slot
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ObjectSpec

READY, ERROR = 1, 5  # OpenNebula Image.h
IMAGES: Final = 0  # the type of image datastores (OpenNebula Datastore.h)
GONE_LIMIT = 60.0  # seconds for an image to go after its deletion
PAUSE = 0.5  # seconds between two looks


class ImageCare:
    """Looks after the images of one provision."""

    def __init__(self, site: Site, record: Record) -> None:
        self._site, self._record = site, record

    def datastore(self, spec: ObjectSpec) -> int:
        """Return the datastore of an image: named by id or name, or else the provision's own image datastore.

        Raises:
            ConfigError: there is none.
        """
        named = str(spec.body.get("ds_id") or spec.body.get("datastore") or "")
        if named.isdecimal():
            return int(named)
        for slot in self._record.exists("datastores"):
            if slot.name == named or not named:
                datastore = self._site.objects.get("datastore", slot.number)
                if datastore.type == IMAGES:
                    return datastore.id
        raise ConfigError(f"{spec.file}:{spec.line}: the image names no datastore: add ds_id")

    def wait(self, slot: Slot, spec: ObjectSpec) -> None:
        """Wait until an image is ready, where the template or the command line asks for that.

        Raises:
            HybridError: it ended in error, or is not ready in time.
        """
        wishes = self._record.wishes
        wanted = spec.meta.get("wait", wishes.wait_ready)
        if wanted in (False, None, "") or slot.id is None:
            return
        limit = float(str(spec.meta.get("wait_timeout") or wishes.wait_timeout))
        until = self._site.clock.monotonic() + limit
        while (state := self._site.objects.get("image", slot.id).state) != READY:
            if state == ERROR:
                raise HybridError(f"{label(slot)} is in error: 'oneimage show {slot.id}' says why")
            if self._site.clock.monotonic() > until:
                raise HybridError(f"{label(slot)} is not ready after {limit:.0f} s: wait longer (--wait-timeout)")
            self._site.clock.sleep(PAUSE)

    def delete(self, image: OnedObject) -> None:
        """Delete an image of ours that is of no use, ready or not, and wait until it is gone. Raises: HybridError."""
        until = self._site.clock.monotonic() + GONE_LIMIT
        with suppress(NoSuchObject):
            self._site.objects.delete("image", image.id, force=True)
            while self._site.clock.monotonic() < until:
                self._site.objects.get("image", image.id)
                self._site.clock.sleep(PAUSE)
            raise HybridError(f"image {image.name} (id {image.id}) does not go: delete it, then try again")
