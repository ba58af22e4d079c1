"""What expressions of a template may see: the provision, its inputs, and the objects made so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hybrid_drivers.errors import NoSuchObject
from hybrid_drivers.model import Template
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.record import Record, Slot
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.expressions import Scope
from hybrid_drivers.provision.template.model import KINDS

Seen = Mapping[str, object]


class MadeObjects(Mapping[str, Sequence[Seen]]):
    """The provision's objects by kind, with their attributes; asked from oned when an expression looks at them."""

    def __init__(self, site: Site, record: Record) -> None:
        self._site, self._record = site, record
        self._seen: dict[tuple[str, int], Seen] = {}

    def __getitem__(self, kind: str) -> Sequence[Seen]:
        return [self._look(slot) for slot in self._record.exists(kind) if not slot.attached]

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)

    def _look(self, slot: Slot) -> Seen:
        key = (slot.kind, slot.number)
        if key not in self._seen:
            self._seen[key] = self._ask(slot)
        return self._seen[key]

    def _ask(self, slot: Slot) -> Seen:
        plain = {"ID": str(slot.id), "NAME": slot.name}
        kind = ONED.get(slot.kind)
        if kind is None or slot.id is None:
            return plain
        try:
            found = self._site.objects.get(kind, slot.id)
        except NoSuchObject:  # deleted behind our back: what needs more of it than id and name says so
            return plain
        return {**attributes(found.template), "ID": str(found.id), "NAME": found.name}


def attributes(template: Template) -> dict[str, object]:
    """Return a template as a mapping; of several attributes of one name, the list of them."""
    found: dict[str, object] = {}
    for name, value in template:
        one: object = value if isinstance(value, str) else dict(value)
        if name in found:
            known = found[name]
            found[name] = [*known, one] if isinstance(known, list) else [known, one]
        else:
            found[name] = one
    return found


def scope(record: Record, objects: Mapping[str, Sequence[Seen]], index: int | None = None) -> Scope:
    """Return what an expression of the provision sees."""
    return Scope(
        name=record.name,
        provision_id=record.id if record.id >= 0 else None,
        index=index,
        inputs=record.inputs,
        provider=record.provider.partition(",")[0],
        objects=objects,
    )
