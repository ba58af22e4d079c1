"""The objects of all provisions, other than hosts: lists of them, and deleting single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import OnedObject
from hybrid_drivers.provision import plan, tags
from hybrid_drivers.provision.deleting import Deleter
from hybrid_drivers.provision.kinds import ONED, SERVICE_TEMPLATES
from hybrid_drivers.provision.lock import Lock
from hybrid_drivers.provision.progress import Teller
from hybrid_drivers.provision.site import Site


@dataclass(frozen=True, kw_only=True)
class ObjectRow:
    """An object of a provision in a list."""

    id: int
    name: str
    provision: int
    uname: str
    gname: str
    mode: str


def object_rows(site: Site, kind: str) -> list[ObjectRow]:
    """Return the objects of a kind that belong to a provision: one call of oned, but for service templates."""
    if kind == "flowtemplates":
        return _service_templates(site)
    pool = site.objects.pool(ONED[kind])
    found = [_row(one, owner) for one in pool if (owner := tags.provision_id(one.template)) is not None]
    return sorted(found, key=lambda row: row.id)


def delete_objects(site: Site, kind: str, words: Sequence[str], teller: Teller) -> None:
    """Delete objects of provisions, by id or name; their provisions go on without them.

    Raises:
        ConfigError: one is no provision's, several have the name, or somebody works on the provision.
        OnedError: oned refused one (in use, not empty); those before it are deleted.
    """
    rows = object_rows(site, kind)
    for row in [_find(rows, kind, word) for word in words]:
        with Lock(site.oned, row.provision, site.clock, f"{plan.WORDS[kind]} delete"):
            record = site.store.read(row.provision)
            slots = [slot for slot in record.of_kind(kind) if slot.id == row.id]
            if not slots:
                raise ConfigError(f"{plan.WORDS[kind]} {row.id} is not one that provision {record.id} made")
            deleter = Deleter(site, record, teller.say)
            for slot in slots:
                deleter.delete(slot)
            site.store.note(record, f"{plan.label(slots[0])} deleted")
            site.store.save(record)


def _find(rows: Sequence[ObjectRow], kind: str, word: str) -> ObjectRow:
    found = [row for row in rows if word.isdecimal() and row.id == int(word)]
    found = found or [row for row in rows if row.name == word]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(row.id) for row in found)
        raise ConfigError(f"several are called '{word}' (ids {ids}): name one by its id")
    raise ConfigError(f"no provision has a {plan.WORDS[kind]} '{word[:60]}'")


def _service_templates(site: Site) -> list[ObjectRow]:
    """Find them by the provisions' own records: whose they are stands in a body that only OneFlow reads."""
    there = {one.id: one for one in site.objects.pool("document", SERVICE_TEMPLATES)}
    found = []
    for known in site.store.known():
        record = site.store.read(known.id)
        found += [_row(there[slot.id], record.id) for slot in record.exists("flowtemplates") if slot.id in there]
    return sorted(found, key=lambda row: row.id)


def _row(one: OnedObject, provision: int) -> ObjectRow:
    mode = "" if one.mode < 0 else "".join(_bits(one.mode >> shift & 7) for shift in (6, 3, 0))
    return ObjectRow(id=one.id, name=one.name, provision=provision, uname=one.uname, gname=one.gname, mode=mode)


def _bits(bits: int) -> str:
    return "".join(letter if bits & bit else "-" for letter, bit in (("u", 4), ("m", 2), ("a", 1)))
