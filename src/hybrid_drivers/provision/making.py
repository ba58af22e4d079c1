"""Making the objects of a provision in oned, one at a time, each so that a killed run finds it again.

Before oned is asked the object's slot says MAKING (docs/decisions/007). How an object of a kind is made, and found
again, is the work of one maker for each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import OnedObject, Template
from hybrid_drivers.provision.appmaking import AppMaker
from hybrid_drivers.provision.clustermaking import ClusterMaker
from hybrid_drivers.provision.flowmaking import FlowMaker
from hybrid_drivers.provision.hostfacts import facts
from hybrid_drivers.provision.hostmaking import HostMaker
from hybrid_drivers.provision.images import ImageCare
from hybrid_drivers.provision.kinds import ONED, SERVICE_TEMPLATES
from hybrid_drivers.provision.objectmaking import ObjectMaker
from hybrid_drivers.provision.plan import BEFORE_HOSTS, Specs, label
from hybrid_drivers.provision.record import Record, Slot, Stage, made
from hybrid_drivers.provision.scope import MadeObjects, scope
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.grammar import UPDATES
from hybrid_drivers.provision.template.merge import with_defaults
from hybrid_drivers.provision.template.model import KINDS, ObjectSpec, ProvisionTemplate
from hybrid_drivers.provision.template.render import resolve


class KindMaker(Protocol):
    """Makes the objects of one kind, or of several that are made alike."""

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Make one, or finish what an earlier run began, and return its slot with the object's id."""

    def find(self, slot: Slot, spec: ObjectSpec) -> tuple[int, str] | None:
        """Return id and name of what an earlier run made and could not write down; nothing is made."""


class Maker:
    """Makes the objects of one provision."""

    def __init__(self, site: Site, record: Record, template: ProvisionTemplate) -> None:
        self._site, self._record, self._template = site, record, template
        self._specs = Specs.of(template)
        self._objects = MadeObjects(site, record)
        self._facts: dict[str, str] = {}  # of the hosts, when the template asks for them
        images = ImageCare(site, record)
        self._common = ObjectMaker(site, record, images)
        hosts = HostMaker(site, record, template)
        self._makers: Mapping[str, KindMaker] = {
            **dict.fromkeys(("datastores", "networks", "images", "templates", "vntemplates"), self._common),
            "clusters": ClusterMaker(site, record, self._common, template.cluster_datastores),
            "hosts": hosts,
            "marketplaceapps": AppMaker(site, record, images),
            "flowtemplates": FlowMaker(site, record),
        }

    def begin(self, slots: Sequence[Slot]) -> None:
        """Write down, in one go, that these (of one kind) are being made, and which objects there were before."""
        new = [slot for slot in slots if slot.stage is Stage.PLANNED]
        if new:
            after = max((one.id for one in self._pool(new[0].kind)), default=-1)
            for slot in new:
                self._record.put(replace(slot, stage=Stage.MAKING, after=after))
            self._site.store.save(self._record)

    def _pool(self, kind: str) -> list[OnedObject]:
        """Return the objects of oned among which one of this kind would be found."""
        if kind == "flowtemplates":
            return self._site.objects.pool("document", SERVICE_TEMPLATES)
        return self._site.objects.pool(ONED.get(kind, "image"))

    def make(self, slot: Slot) -> Slot:
        """Make one object, or find what an earlier run made, and return its slot; the caller saves the record.

        Raises:
            HybridError: oned refused, a value is wrong, or a wait took too long.
        """
        spec = self._resolved(self._specs.of_slot(slot), slot)
        done = self._makers[slot.kind].make(slot, spec)
        done = self._record.put(replace(done, stage=Stage.MADE, problem="", spec_hash=done.spec_hash or digest(spec)))
        self._site.store.note(self._record, f"{label(done)} made")
        return done

    def adopt(self) -> None:
        """Find what an earlier run made and could not write down, without making anything; the caller saves."""
        for slot in self._record.of_kind(*KINDS):
            self.adopt_one(slot)

    def adopt_one(self, slot: Slot) -> None:
        """Do so for one object; nothing when it was not begun, or is known."""
        slot = self._record.current(slot)
        if slot.stage is Stage.MAKING and slot.id is None:
            with suppress(ConfigError):  # the name is another's by now, or depends on what is not there: not made
                found = self._makers[slot.kind].find(slot, self._resolved(self._specs.of_slot(slot), slot))
                if found is not None:
                    self._record.put(made(slot, *found))

    def content(self, slot: Slot, spec: ObjectSpec) -> Template:
        """Return the attributes of an object that is no host, its tag and name among them."""
        return self._common.content(slot, spec)

    def resolved(self, kind: str, at: int, slot: Slot) -> ObjectSpec:
        """Return what an object would be made from now, were it made from the template's spec ``at`` of its kind."""
        return self._resolved(self._specs.by_kind[kind][at], slot)

    def _resolved(self, spec: ObjectSpec, slot: Slot) -> ObjectSpec:
        if slot.own:
            spec = replace(spec, provision={**spec.provision, **slot.own})
        seen = scope(self._record, self._objects, self._index(slot))
        return resolve(with_defaults(self._template, spec), replace(seen, updates=self._facts))

    def learn_from_hosts(self) -> list[Slot]:
        """Ask the hosts what the template wants to know of them; return the objects made before that need it.

        Raises:
            HybridError: a host cannot be asked.
        """
        asked = {kind: _asked(spec) for kind in KINDS for spec in self._specs.by_kind[kind] if _asked(spec)}
        names = frozenset().union(*asked.values()) if asked else frozenset()
        if not names or self._facts:
            return []
        self._facts = facts(self._site, self._record, names)
        early = [slot for slot in self._record.exists(*BEFORE_HOSTS) if slot.spec >= 0]
        return [slot for slot in early if self._facts and _asked(self._specs.of_slot(slot))]

    def write_again(self, slot: Slot) -> None:
        """Write the attributes of an object anew, with all that is known now."""
        content = self.content(slot, self._resolved(self._specs.of_slot(slot), slot))
        rest = Template(pair for pair in content if pair[0] not in ("NAME", "AR"))
        self._site.objects.update(ONED[slot.kind], slot.number, rest)
        self._site.store.note(self._record, f"{label(slot)} updated with what its hosts tell")

    @staticmethod
    def _index(slot: Slot) -> int:
        """Return what ${index} is: of a host its number in the provision, of others their place in the template."""
        return slot.index if slot.kind == "hosts" else slot.spec


def _asked(spec: ObjectSpec) -> frozenset[str]:
    """Return the facts of hosts that an object's expressions ask for."""
    parts = (spec.body, spec.provision, spec.connection, spec.configuration)
    return frozenset(name for name in UPDATES if any(f"updates.{name}" in str(part) for part in parts))


def digest(spec: ObjectSpec) -> str:
    """Return a digest of what an object was made from."""
    what = [spec.body, spec.provision, spec.connection, spec.configuration]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
