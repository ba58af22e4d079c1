"""The tag on every object of a provision: ``PROVISION=[PROVISION_ID=..., NAME=..., INDEX=...]``.

The first two are OneProvision 5.12's. They are part of the call that makes the object where oned allows it, so that an
object made just before a crash is found again, and tell later that it is ours to delete.
"""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.model import Template
from hybrid_drivers.provision.record import Record, Slot

ATTRIBUTE = "PROVISION"
KEYS = ("PROVISION_ID", "NAME", "INDEX")


def of_slot(record: Record, slot: Slot) -> dict[str, str]:
    """Return the tag of an object."""
    return {**of_record(record), "INDEX": str(slot.index)}


def of_record(record: Record) -> dict[str, str]:
    """Return what the tags of all objects of a provision have in common."""
    return {"PROVISION_ID": str(record.id), "NAME": record.name}


def provision_id(template: Template) -> int | None:
    """Return the id of the provision an object belongs to; None: it names none, or one of OneProvision 5.12."""
    text = template.vector(ATTRIBUTE).get("PROVISION_ID", "")
    return int(text) if text.isdecimal() else None


def index(template: Template) -> int | None:
    """Return the index the object has among those of its kind in its provision."""
    text = template.vector(ATTRIBUTE).get("INDEX", "")
    return int(text) if text.isdecimal() else None


def is_of(template: Template, record: Record, slot: Slot) -> bool:
    """Tell whether an object carries the tag of this slot."""
    return (provision_id(template), index(template)) == (record.id, slot.index)


def with_tag(attributes: Mapping[str, str], record: Record, slot: Slot) -> dict[str, str]:
    """Return PROVISION attributes with the tag."""
    return {**attributes, **of_slot(record, slot)}
