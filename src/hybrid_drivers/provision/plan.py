"""From a template to the objects it stands for: pure, nothing is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_drivers.provision.record import Record, Slot, Stage
from hybrid_drivers.provision.template.expand import expand_hosts
from hybrid_drivers.provision.template.model import KINDS, ObjectSpec, ProvisionTemplate

BEFORE_HOSTS = ("clusters", "datastores", "networks")
AFTER_HOSTS = ("images", "marketplaceapps", "templates", "vntemplates", "flowtemplates")
WORDS: Mapping[str, str] = {  # for people
    "clusters": "cluster",
    "datastores": "datastore",
    "networks": "network",
    "hosts": "host",
    "images": "image",
    "marketplaceapps": "marketplace app",
    "templates": "VM template",
    "vntemplates": "network template",
    "flowtemplates": "service template",
}


@dataclass(frozen=True)
class Specs:
    """The template's objects by kind, hosts one by one."""

    by_kind: Mapping[str, Sequence[ObjectSpec]]

    @classmethod
    def of(cls, template: ProvisionTemplate) -> Specs:
        """Take them out of a template."""
        return cls(
            {kind: expand_hosts(template) if kind == "hosts" else tuple(template.objects(kind)) for kind in KINDS}
        )

    def of_slot(self, slot: Slot) -> ObjectSpec:
        """Return what a slot is made from; hosts beyond the template's are made like its last one."""
        specs = self.by_kind[slot.kind]
        return specs[min(slot.spec, len(specs) - 1)]


def lay_out(record: Record, specs: Specs, *, hosts: bool = True) -> None:
    """Give every object of the template a slot; those that are there stay. ``hosts``: with or without them."""
    for kind in KINDS:
        if kind == "hosts" and not hosts:
            continue
        taken = {slot.spec for slot in record.of_kind(kind) if not slot.made_by}
        for at in range(len(specs.by_kind[kind])):
            if at not in taken:
                add_slot(record, kind, at)


def add_slot(record: Record, kind: str, spec: int) -> Slot:
    """Plan one more object made from ``spec``."""
    return record.put(Slot(kind=kind, index=record.next_index(kind), spec=spec))


def unfinished(record: Record, *kinds: str) -> list[Slot]:
    """Return what is still to be made."""
    return [slot for slot in record.of_kind(*kinds) if slot.stage in (Stage.PLANNED, Stage.MAKING)]


def label(slot: Slot) -> str:
    """Name an object for people."""
    name = f" {slot.name}" if slot.name else ""
    number = f" (id {slot.id})" if slot.id is not None else ""
    return f"{WORDS[slot.kind]}{name}{number}" if name or number else f"{WORDS[slot.kind]} {slot.index}"
