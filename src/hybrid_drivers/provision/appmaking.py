"""Marketplace apps of a provision: exported, they become images and VM templates that are the provision's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hybrid_drivers.model import Template
from hybrid_drivers.oned.market import export_app
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.hostspec import as_attributes
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.meta import apply_meta
from hybrid_drivers.provision.record import Record, Slot, Stage, made
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ObjectSpec


class AppMaker:
    """Exports the apps of one provision; ``wait`` waits for an image as the template says."""

    def __init__(self, site: Site, record: Record, wait: Callable[[Slot, ObjectSpec], None]) -> None:
        self._site, self._record, self._wait_image = site, record, wait

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Export the app, or take in what an earlier run exported, and return its slot.

        Raises:
            HybridError: oned refused, or an image does not become ready.
        """
        body = as_attributes(spec.body)
        app = body.get("APPID") or body.get("APPNAME", "")
        name = body.get("NAME") or app
        if not self._take_in_again(slot, spec, name):
            exported = export_app(self._site.objects, app, name, int(body.get("DSID", "1")))
            for kind, brought in (("images", exported.image_ids), ("templates", exported.template_ids)):
                for object_id in brought:
                    self._brought(slot, spec, kind, object_id)
        return self._record.put(replace(slot, name=name, stage=Stage.MADE, problem=""))

    def take_in(self, slot: Slot, spec: ObjectSpec) -> None:
        """Take in what an earlier run exported and could not write down, without making anything."""
        body = as_attributes(spec.body)
        self._take_in_again(slot, spec, body.get("NAME") or body.get("APPID") or body.get("APPNAME", ""))

    def _take_in_again(self, slot: Slot, spec: ObjectSpec, name: str) -> bool:
        """Take in what an earlier run exported and could not write down; tell whether there was anything."""
        if any(one.made_by == slot.kind and one.spec == slot.index for one in self._record.slots):
            return True
        images = [one for one in self._site.objects.pool("image") if one.name.startswith(name) and one.id > slot.after]
        mine = [one for one in images if one.template.text("FROM_APP") and not one.template.vector(tags.ATTRIBUTE)]
        for image in mine if slot.stage is Stage.MAKING else ():
            self._brought(slot, spec, "images", image.id)
            for one in self._site.objects.pool("template"):
                if one.name == name and one.id >= 0 and f'IMAGE_ID="{image.id}"' in one.template.render():
                    self._brought(slot, spec, "templates", one.id)
        return bool(mine) and slot.stage is Stage.MAKING

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
            self._wait_image(new, spec)
