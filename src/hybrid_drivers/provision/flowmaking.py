"""Making service templates of a provision, over OneFlow."""

from __future__ import annotations

from hybrid_drivers.provision.meta import apply_meta
from hybrid_drivers.provision.record import Record, Slot, Stage, begun, ids
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ObjectSpec
from hybrid_drivers.provision.template.render import to_plain


class FlowMaker:
    """Makes service templates; each carries the provision's id from its first moment."""

    def __init__(self, site: Site, record: Record) -> None:
        self._site, self._record = site, record

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Make one, or find what an earlier run made, and return its slot. Raises: OnedError."""
        found = self.find(slot, spec) if slot.stage is Stage.MAKING else None
        name = self._name(slot, spec)
        number = found[0] if found else self._create(name, spec)
        slot = self._record.put(begun(slot, number, name))
        apply_meta(self._site.objects, "document", number, spec.meta)
        return slot

    def find(self, slot: Slot, spec: ObjectSpec) -> tuple[int, str] | None:
        """Return id and name of what an earlier run made and could not write down."""
        name, taken = self._name(slot, spec), ids(one for one in self._record.of_kind(slot.kind) if one != slot)
        there = self._site.flow().service_templates()
        mine = (one for one in there if one.name == name and one.provision == self._record.id and one.id not in taken)
        return next(((one.id, one.name) for one in mine), None)

    def _create(self, name: str, spec: ObjectSpec) -> int:
        body = {key: to_plain(value) for key, value in spec.body.items()}
        return self._site.flow().create_service_template(name, body, provision_id=self._record.id)

    def _name(self, slot: Slot, spec: ObjectSpec) -> str:
        return spec.name or f"{self._record.name}-service-{slot.index}"
