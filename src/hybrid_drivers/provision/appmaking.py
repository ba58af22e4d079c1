"""Marketplace apps of a provision: exported, they become images and VM templates that are the provision's.

An export takes several calls of oned. All that it makes is tagged with the provision and the app from its first moment,
so that a run after a crash finds it: what came to its end is taken in, half an export is taken away and begun anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from hybrid_drivers.errors import NoSuchObject
from hybrid_drivers.model import OnedObject, Template
from hybrid_drivers.oned.market import Exported, export_app, is_whole
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.hostspec import as_attributes
from hybrid_drivers.provision.images import ERROR, ImageCare
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.meta import apply_meta
from hybrid_drivers.provision.record import Record, Slot, Stage, made
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ObjectSpec

APP = "APP"  # in the tag of what an export made, until it is taken in: the app's index
BROUGHT = ("images", "templates")


class AppMaker:
    """Exports the apps of one provision."""

    def __init__(self, site: Site, record: Record, images: ImageCare) -> None:
        self._site, self._record, self._images = site, record, images

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Export the app, or finish what an earlier run began, and return its slot.

        Raises:
            HybridError: oned refused, or an image does not become ready.
        """
        body = as_attributes(spec.body)
        self.find(slot, spec)
        if self._brought(slot) and not self._is_whole(slot, body):
            self._take_back(slot)
        if not self._brought(slot):
            self._take_in(slot, self._export(slot, body))
        self._site.store.save(self._record)
        for one in self._brought(slot):
            self._finish(one, spec)
        return self._record.put(replace(slot, name=_name(body), stage=Stage.MADE, problem=""))

    def find(self, slot: Slot, _spec: ObjectSpec) -> None:
        """Take in what an earlier run exported and could not write down.

        An app has no object of its own: what it brought gets slots of its own.
        """
        if slot.stage is Stage.MAKING and not self._brought(slot):
            found = {
                kind: [one.id for one in self._site.objects.pool(ONED[kind]) if self._is_of(one, slot)]
                for kind in BROUGHT
            }
            self._take_in(slot, Exported(image_ids=tuple(found["images"]), template_ids=tuple(found["templates"])))

    # --- what the app brought ---------------------------------------------------------------------------------------

    def _brought(self, app: Slot) -> list[Slot]:
        return [one for one in self._record.of_kind(*BROUGHT) if one.made_by == app.kind and one.spec == app.index]

    def _is_of(self, one: OnedObject, app: Slot) -> bool:
        number = one.template.vector(tags.ATTRIBUTE).get(APP)
        return tags.provision_id(one.template) == self._record.id and number == str(app.index)

    def _is_whole(self, app: Slot, body: Mapping[str, str]) -> bool:
        """Tell whether all that the export was to bring is there and of use."""
        ids = {kind: tuple(one.number for one in self._brought(app) if one.kind == kind) for kind in BROUGHT}
        try:
            for number in ids["templates"]:
                self._site.objects.get("template", number)
            if any(self._site.objects.get("image", number).state == ERROR for number in ids["images"]):
                return False
            exported = Exported(image_ids=ids["images"], template_ids=ids["templates"])
            return is_whole(self._site.objects, _app(body), exported)
        except NoSuchObject:
            return False

    def _export(self, app: Slot, body: Mapping[str, str]) -> Exported:
        tag = Template([(tags.ATTRIBUTE, {**tags.of_record(self._record), APP: str(app.index)})])
        return export_app(self._site.objects, _app(body), _name(body), int(body.get("DSID", "1")), tag)

    def _take_in(self, app: Slot, exported: Exported) -> None:
        for kind, ids in (("images", exported.image_ids), ("templates", exported.template_ids)):
            for object_id in sorted(ids):
                new = Slot(kind=kind, index=self._record.next_index(kind), spec=app.index, made_by=app.kind)
                self._record.put(made(new, object_id, self._site.objects.get(ONED[kind], object_id).name))

    def _take_back(self, app: Slot) -> None:
        """Delete what half an export, or one that failed, has left."""
        for one in reversed(self._brought(app)):
            with suppress(NoSuchObject):
                if one.kind == "images":
                    self._images.delete(self._site.objects.get("image", one.number))
                else:
                    self._site.objects.delete(ONED[one.kind], one.number)
            self._record.drop(one)
        self._site.store.save(self._record)

    def _finish(self, one: Slot, spec: ObjectSpec) -> None:
        """Give an object its own tag, its owner and mode, and wait for an image; a second time changes nothing."""
        tag = Template([(tags.ATTRIBUTE, tags.of_slot(self._record, one))])
        self._site.objects.update(ONED[one.kind], one.number, tag)
        apply_meta(self._site.objects, ONED[one.kind], one.number, spec.meta)
        if one.kind == "images":
            self._images.wait(one, spec)


def _app(body: Mapping[str, str]) -> str:
    return body.get("APPID") or body.get("APPNAME", "")


def _name(body: Mapping[str, str]) -> str:
    return body.get("NAME") or _app(body)
