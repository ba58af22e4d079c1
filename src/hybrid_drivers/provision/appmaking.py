"""Marketplace apps of a provision: exported, they become images and VM templates that are the provision's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hybrid_drivers.model import OnedObject, Template
from hybrid_drivers.oned.market import export_app
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.hostspec import as_attributes
from hybrid_drivers.provision.images import ImageCare
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.meta import apply_meta
from hybrid_drivers.provision.record import Record, Slot, Stage, made
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ObjectSpec


class AppMaker:
    """Exports the apps of one provision."""

    def __init__(self, site: Site, record: Record, images: ImageCare) -> None:
        self._site, self._record, self._images = site, record, images

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Export the app, or take in what an earlier run exported, and return its slot.

        Raises:
            HybridError: oned refused, or an image does not become ready.
        """
        body = as_attributes(spec.body)
        self.find(slot, spec)
        if not self._has_brought(slot):
            exported = export_app(self._site.objects, _app(body), _name(body), int(body.get("DSID", "1")))
            for kind, brought in (("images", exported.image_ids), ("templates", exported.template_ids)):
                for object_id in brought:
                    self._brought(slot, spec, kind, object_id)
        return self._record.put(replace(slot, name=_name(body), stage=Stage.MADE, problem=""))

    def find(self, slot: Slot, spec: ObjectSpec) -> None:
        """Take in what an earlier run exported and could not write down; half an export is taken away.

        An app has no object of its own: what it brought gets slots of its own.
        """
        if slot.stage is not Stage.MAKING or self._has_brought(slot):
            return
        name = _name(as_attributes(spec.body))
        for image in self._site.objects.pool("image"):
            new = image.id > slot.after and image.name.startswith(name) and not image.template.vector(tags.ATTRIBUTE)
            if not new or not image.template.text("FROM_APP"):
                continue
            templates = self._templates_of(image, name)
            if not templates:  # it was killed between the two
                self._images.delete(image)
                continue
            self._brought(slot, spec, "images", image.id)
            for number in templates:
                self._brought(slot, spec, "templates", number)

    def _has_brought(self, slot: Slot) -> bool:
        return any(one.made_by == slot.kind and one.spec == slot.index for one in self._record.slots)

    def _templates_of(self, image: OnedObject, name: str) -> list[int]:
        """Return the VM templates an export made for an image."""
        named = [one for one in self._site.objects.pool("template") if one.name == name]
        return [one.id for one in named if any(_uses(disk, image) for disk in one.template.vectors("DISK"))]

    def _brought(self, app: Slot, spec: ObjectSpec, kind: str, object_id: int) -> None:
        """Take in an object that came with a marketplace app."""
        new = Slot(kind=kind, index=self._record.next_index(kind), spec=app.index, made_by=app.kind)
        name = self._site.objects.get(ONED[kind], object_id).name
        new = self._record.put(made(new, object_id, name))
        self._site.store.save(self._record)
        tag = Template([(tags.ATTRIBUTE, tags.of_slot(self._record, new))])
        self._site.objects.update(ONED[kind], object_id, tag)
        apply_meta(self._site.objects, ONED[kind], object_id, spec.meta)
        if kind == "images":
            self._images.wait(new, spec)


def _uses(disk: Mapping[str, str], image: OnedObject) -> bool:
    return disk.get("IMAGE_ID") == str(image.id) or disk.get("IMAGE") == image.name


def _app(body: Mapping[str, str]) -> str:
    return body.get("APPID") or body.get("APPNAME", "")


def _name(body: Mapping[str, str]) -> str:
    return body.get("NAME") or _app(body)
