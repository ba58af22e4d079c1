"""Making the objects of a provision in oned, one at a time, each so that a killed run finds it again.

Before oned is asked the object's slot says MAKING. Objects that are made with a template carry their tag from the
first moment; a cluster or a host has none in that call, so it is known by a name that was free just before and by
being empty (docs/decisions/007).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from hybrid_drivers.errors import ConfigError, HybridError, NoSuchObject
from hybrid_drivers.model import OnedObject, Template, Value
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.appmaking import AppMaker
from hybrid_drivers.provision.dialects import machine_attributes
from hybrid_drivers.provision.hostfacts import facts
from hybrid_drivers.provision.hostmaking import HostMaker
from hybrid_drivers.provision.hostspec import as_attributes
from hybrid_drivers.provision.kinds import ONED, SERVICE_TEMPLATES
from hybrid_drivers.provision.meta import apply_meta
from hybrid_drivers.provision.plan import BEFORE_HOSTS, WORDS, Specs, label
from hybrid_drivers.provision.record import Record, Slot, Stage, begun, ids, made
from hybrid_drivers.provision.scope import MadeObjects, scope
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.expand import expand_ranges
from hybrid_drivers.provision.template.grammar import UPDATES
from hybrid_drivers.provision.template.inline import without_credentials
from hybrid_drivers.provision.template.merge import with_defaults
from hybrid_drivers.provision.template.model import KINDS, ObjectSpec, ProvisionTemplate
from hybrid_drivers.provision.template.render import resolve, to_plain, to_template

IMAGE_READY, IMAGE_ERROR = 1, 5  # OpenNebula Image.h
DELETED_LIMIT = 60.0  # seconds for an image in error to go
WAIT_PAUSE = 0.5  # seconds between two looks at an image
NOT_IN_TEMPLATE = frozenset({"name", "ds_id", "datastore", "datastores"})  # arguments of calls
HOST_KEYS = frozenset({"COUNT", "HOSTNAME", "INDEX"})


class Maker:
    """Makes the objects of one provision."""

    def __init__(self, site: Site, record: Record, template: ProvisionTemplate) -> None:
        self._site, self._record, self._template = site, record, template
        self._specs = Specs.of(template)
        self._objects = MadeObjects(site, record)
        self._facts: dict[str, str] = {}  # of the hosts, when the template asks for them
        self._hosts = HostMaker(site, record, template)
        self._apps = AppMaker(site, record, self._wait_image)
        self._ways: Mapping[str, Callable[[Slot, ObjectSpec], Slot]] = {
            "clusters": self._cluster,
            "hosts": self._hosts.make,
            "marketplaceapps": self._apps.make,
            "flowtemplates": self._flow,
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
        done = self._ways.get(slot.kind, self._common)(slot, spec)
        done = self._record.put(replace(done, stage=Stage.MADE, problem="", spec_hash=done.spec_hash or digest(spec)))
        self._site.store.note(self._record, f"{label(done)} made")
        return done

    def adopt(self) -> None:
        """Find what an earlier run made and could not write down, without making anything; the caller saves."""
        for slot in self._record.of_kind(*KINDS):
            if slot.stage is Stage.MAKING and slot.id is None:
                with suppress(ConfigError):  # the name is another's by now, or depends on what is not there: not made
                    self._adopt(slot)

    def _adopt(self, slot: Slot) -> None:
        spec = self._resolved(self._specs.of_slot(slot), slot)
        found: tuple[int, str] | None = None
        if slot.kind == "hosts":
            found = self._hosts.begun(slot, spec)
        elif slot.kind == "clusters":
            name = spec.name or self._record.name
            number = self._find_cluster(slot, name)
            found = None if number is None else (number, name)
        elif slot.kind == "flowtemplates":
            found = self._flow_made(slot, self._flow_name(slot, spec))
        elif slot.kind == "marketplaceapps":
            self._apps.take_in(slot, spec)
        elif (one := self._made_before(slot)) is not None:
            found = one.id, one.name
        if found is not None:
            self._record.put(made(slot, *found))

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

    # --- kinds that are made in one call, with their template -------------------------------------------------------

    def _common(self, slot: Slot, spec: ObjectSpec) -> Slot:
        kind = ONED[slot.kind]
        found = self._without_error(self._made_before(slot))
        name = str(spec.body.get("name") or f"{self._record.name}-{WORDS[slot.kind].replace(' ', '-')}-{slot.index}")
        if found is None:
            content = self.content(slot, spec, name)
            place = {"cluster_id": self._cluster_id()} if slot.kind in ("datastores", "networks") else {}
            if slot.kind == "images":
                place = {"datastore_id": self._datastore(spec)}
            object_id = self._site.objects.allocate(kind, content, **place)
        else:
            object_id, name = found.id, found.name
        slot = self._record.put(begun(slot, object_id, name))
        apply_meta(self._site.objects, kind, object_id, spec.meta)
        if slot.kind == "images":
            self._wait_image(slot, spec)
        return slot

    def _without_error(self, found: OnedObject | None) -> OnedObject | None:
        """Delete an image of an earlier run that ended in error, so that it is made anew. Raises: HybridError."""
        if found is None or found.kind != "image" or found.state != IMAGE_ERROR:
            return found
        until = self._site.clock.monotonic() + DELETED_LIMIT
        with suppress(NoSuchObject):
            self._site.objects.delete("image", found.id)
            while self._site.clock.monotonic() < until:
                self._site.objects.get("image", found.id)
                self._site.clock.sleep(WAIT_PAUSE)
            raise HybridError(f"image {found.name} (id {found.id}), which is in error, does not go: delete it")
        return None

    def content(self, slot: Slot, spec: ObjectSpec, name: str = "") -> Template:
        """Return the attributes of an object, its tag and name among them."""
        if slot.kind == "networks":
            spec = expand_ranges(spec)
        body = {key: value for key, value in spec.body.items() if key.lower() not in NOT_IN_TEMPLATE}
        pairs: list[tuple[str, Value]] = [("NAME", name or slot.name), *to_template(body)]
        pairs.append((tags.ATTRIBUTE, tags.with_tag(self._shared(slot, spec), self._record, slot)))
        return Template(pairs)

    def _shared(self, slot: Slot, spec: ObjectSpec) -> dict[str, str]:
        """Return PROVISION of an object that is no host, with no credential and nothing that only names a host.

        The agent takes a cluster's for its hosts, so it is in the words of our drivers.
        """
        found = as_attributes(without_credentials(spec.provision))
        if slot.kind == "clusters":
            name = self._record.wishes.provider or found.get("PROVIDER") or found.get("PROVIDER_NAME", "")
            found = machine_attributes(self._site.directory.entry(name).driver if name else "", found)
            found |= {"PROVIDER": name} if name else {}
        return {key: text for key, text in found.items() if key not in HOST_KEYS}

    def _cluster_id(self) -> int:
        cluster_id = self._record.cluster_id
        if cluster_id is None:
            raise ConfigError("the provision has no cluster, so nothing can be put into it: it must be made first")
        return cluster_id

    def _datastore(self, spec: ObjectSpec) -> int:
        """Return the datastore of an image: named by id, or else the provision's own image datastore."""
        named = str(spec.body.get("ds_id") or spec.body.get("datastore") or "")
        if named.isdecimal():
            return int(named)
        own = [slot for slot in self._record.exists("datastores") if slot.name == named or not named]
        for slot in own:
            datastore = self._site.objects.get("datastore", slot.number)
            if datastore.template.text("TYPE", "IMAGE_DS") == "IMAGE_DS":
                return datastore.id
        raise ConfigError(f"{spec.file}:{spec.line}: the image names no datastore: add ds_id")

    def _wait_image(self, slot: Slot, spec: ObjectSpec) -> None:
        wishes = self._record.wishes
        wanted = spec.meta.get("wait", wishes.wait_ready)
        if wanted in (False, None, "") or slot.id is None:
            return
        limit = float(str(spec.meta.get("wait_timeout") or wishes.wait_timeout))
        until = self._site.clock.monotonic() + limit
        while (state := self._site.objects.get("image", slot.id).state) != IMAGE_READY:
            if state == IMAGE_ERROR:
                raise HybridError(f"{label(slot)} is in error: 'oneimage show {slot.id}' says why")
            if self._site.clock.monotonic() > until:
                raise HybridError(f"{label(slot)} is not ready after {limit:.0f} s: wait longer (--wait-timeout)")
            self._site.clock.sleep(WAIT_PAUSE)

    def _made_before(self, slot: Slot) -> OnedObject | None:
        """Return the object that an earlier run made and could not write down."""
        if slot.id is not None:
            try:
                return self._site.objects.get(ONED[slot.kind], slot.id)
            except NoSuchObject:
                return None
        if slot.stage is not Stage.MAKING:
            return None
        return next((one for one in self._pool(slot.kind) if tags.is_of(one.template, self._record, slot)), None)

    # --- the others -------------------------------------------------------------------------------------------------

    def _cluster(self, slot: Slot, spec: ObjectSpec) -> Slot:
        name = str(spec.body.get("name") or self._record.name)
        cluster_id = self._find_cluster(slot, name)
        if cluster_id is None:
            cluster_id = self._site.oned.allocate_cluster(name)
        slot = self._record.put(begun(slot, cluster_id, name))
        content = self.content(slot, spec)
        self._site.oned.update_cluster(cluster_id, Template(pair for pair in content if pair[0] != "NAME"))
        for datastore_id in self._template.cluster_datastores:
            self._attach(cluster_id, datastore_id)
        return slot

    def _find_cluster(self, slot: Slot, name: str) -> int | None:
        """Return the cluster an earlier run made: it has the tag, or it is new, blank and has the name."""
        for one in self._site.oned.clusters():
            if tags.is_of(one.template, self._record, slot):
                return one.id
            if one.name == name and one.id > slot.after and not one.host_ids and not one.template.vector("PROVISION"):
                return one.id
            if one.name == name:
                raise ConfigError(
                    f"cluster {one.id} is already called '{name}': choose another name, or delete it if it is not used"
                )
        return None

    def _attach(self, cluster_id: int, datastore_id: int) -> None:
        self._site.objects.add_to_cluster(cluster_id, "datastore", datastore_id)
        lent = [slot for slot in self._record.of_kind("datastores") if slot.attached and slot.id == datastore_id]
        if not lent:
            index = self._record.next_index("datastores")
            name = self._site.objects.get("datastore", datastore_id).name
            new = Slot(kind="datastores", index=index, spec=-1, attached=True, made_by="clusters")
            self._record.put(made(new, datastore_id, name))

    def _flow(self, slot: Slot, spec: ObjectSpec) -> Slot:
        name = self._flow_name(slot, spec)
        found = self._flow_made(slot, name) if slot.stage is Stage.MAKING else None
        flow = self._site.flow()
        number = found[0] if found else flow.create_service_template(name, _plain(spec), provision_id=self._record.id)
        slot = self._record.put(begun(slot, number, name))
        apply_meta(self._site.objects, "document", number, spec.meta)
        return slot

    def _flow_name(self, slot: Slot, spec: ObjectSpec) -> str:
        return str(spec.body.get("name") or f"{self._record.name}-service-{slot.index}")

    def _flow_made(self, slot: Slot, name: str) -> tuple[int, str] | None:
        """Return the service template an earlier run made."""
        taken = ids(self._record.of_kind(slot.kind))
        there = self._site.flow().service_templates()
        mine = (one for one in there if one.name == name and one.provision == self._record.id and one.id not in taken)
        return next(((one.id, one.name) for one in mine), None)


def _plain(spec: ObjectSpec) -> dict[str, object]:
    """Return the body as JSON has it."""
    return {key: to_plain(value) for key, value in spec.body.items()}


def _asked(spec: ObjectSpec) -> frozenset[str]:
    """Return the facts of hosts that an object's expressions ask for."""
    parts = (spec.body, spec.provision, spec.connection, spec.configuration)
    return frozenset(name for name in UPDATES if any(f"updates.{name}" in str(part) for part in parts))


def digest(spec: ObjectSpec) -> str:
    """Return a digest of what an object was made from."""
    import hashlib
    import json

    what = [spec.body, spec.provision, spec.connection, spec.configuration]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
