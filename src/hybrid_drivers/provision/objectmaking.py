"""Making objects whose call to oned takes a template: datastores, networks, images, VM and network templates.

Their tag is part of that call, so one that was made just before a crash is found by it.
"""

from __future__ import annotations

from hybrid_drivers.errors import ConfigError, NoSuchObject
from hybrid_drivers.model import OnedObject, Template, Value
from hybrid_drivers.provision import images as image_states
from hybrid_drivers.provision import networks as network_states
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.dialects import machine_attributes, network_attributes
from hybrid_drivers.provision.hostspec import as_attributes
from hybrid_drivers.provision.images import ImageCare
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.meta import apply_meta
from hybrid_drivers.provision.networks import NetworkCare
from hybrid_drivers.provision.plan import WORDS
from hybrid_drivers.provision.record import Record, Slot, Stage, begun
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.expand import expand_ranges
from hybrid_drivers.provision.template.inline import without_credentials
from hybrid_drivers.provision.template.model import ObjectSpec
from hybrid_drivers.provision.template.render import to_template

NOT_IN_TEMPLATE = frozenset({"name", "ds_id", "datastore", "datastores"})  # arguments of calls
HOST_KEYS = frozenset({"COUNT", "HOSTNAME", "INDEX"})


class ObjectMaker:
    """Makes such objects of one provision."""

    def __init__(self, site: Site, record: Record, images: ImageCare) -> None:
        self._site, self._record, self._images = site, record, images
        self._networks = NetworkCare(site)

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Make one, or find what an earlier run made, and return its slot.

        Raises:
            HybridError: oned refused, or an image or a network is not ready in time.
        """
        kind = ONED[slot.kind]
        found = self._usable(self._made_before(slot))
        name = spec.name or f"{self._record.name}-{WORDS[slot.kind].replace(' ', '-')}-{slot.index}"
        if found is None:
            object_id = self._site.objects.allocate(kind, self.content(slot, spec, name), **self._place(slot, spec))
        else:
            object_id, name = found.id, found.name
        slot = self._record.put(begun(slot, object_id, name))
        apply_meta(self._site.objects, kind, object_id, spec.meta)
        if kind == "image":
            self._images.wait(slot, spec)
        elif kind == "vnet":
            self._networks.wait(slot)
        return slot

    def _usable(self, found: OnedObject | None) -> OnedObject | None:
        """Return what an earlier run made, unless it is in error for good: then it is deleted, to be made anew."""
        if found is None:
            return None
        if found.kind == "image" and found.state == image_states.ERROR:
            self._images.delete(found)
        elif found.kind == "vnet" and found.state == network_states.ERROR:
            self._networks.delete(found)
        else:
            return found
        return None

    def find(self, slot: Slot, _spec: ObjectSpec) -> tuple[int, str] | None:
        """Return id and name of what an earlier run made and could not write down."""
        found = self._made_before(slot)
        return (found.id, found.name) if found else None

    def content(self, slot: Slot, spec: ObjectSpec, name: str = "") -> Template:
        """Return the attributes of an object, its tag and name among them."""
        if slot.kind == "networks":
            spec = expand_ranges(spec)
        body = {key: value for key, value in spec.body.items() if key.lower() not in NOT_IN_TEMPLATE}
        own = to_template(body)
        if slot.kind in ("networks", "vntemplates"):
            own = Template(network_attributes(own))
        pairs: list[tuple[str, Value]] = [("NAME", name or slot.name), *own]
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

    def _place(self, slot: Slot, spec: ObjectSpec) -> dict[str, int]:
        """Return what the call takes besides the template: where the object goes."""
        if slot.kind == "images":
            return {"datastore_id": self._images.datastore(spec)}
        if slot.kind not in ("datastores", "networks"):
            return {}
        if self._record.cluster_id is None:
            raise ConfigError("the provision has no cluster, so nothing can be put into it: it must be made first")
        return {"cluster_id": self._record.cluster_id}

    def _made_before(self, slot: Slot) -> OnedObject | None:
        kind = ONED[slot.kind]
        if slot.id is not None:
            try:
                return self._site.objects.get(kind, slot.id)
            except NoSuchObject:
                return None
        if slot.stage is not Stage.MAKING:
            return None
        pool = self._site.objects.pool(kind)
        return next((one for one in pool if tags.is_of(one.template, self._record, slot)), None)
