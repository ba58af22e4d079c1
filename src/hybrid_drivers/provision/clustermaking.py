"""Making the cluster of a provision, and lending it datastores that are there."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.objectmaking import ObjectMaker
from hybrid_drivers.provision.record import Record, Slot, begun, made
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ObjectSpec


class ClusterMaker:
    """Makes the cluster; ``lent`` are the ids of datastores to be added to it."""

    def __init__(self, site: Site, record: Record, objects: ObjectMaker, lent: Sequence[int]) -> None:
        self._site, self._record, self._objects, self._lent = site, record, objects, lent

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Make the cluster, or finish what an earlier run began, and return its slot.

        Raises:
            ConfigError: its name is taken.
            OnedError: oned refused.
        """
        name = spec.name or self._record.name
        found = self.find(slot, spec)
        cluster_id = found[0] if found else self._site.oned.allocate_cluster(name)
        slot = self._record.put(begun(slot, cluster_id, name))
        content = self._objects.content(slot, spec)
        self._site.oned.update_cluster(cluster_id, Template(pair for pair in content if pair[0] != "NAME"))
        for datastore_id in self._lent:
            self._attach(cluster_id, datastore_id)
        return slot

    def find(self, slot: Slot, spec: ObjectSpec) -> tuple[int, str] | None:
        """Return the cluster an earlier run made: it has the tag, or it is new, blank and has the name.

        Raises:
            ConfigError: another one has the name.
        """
        name = spec.name or self._record.name
        for one in self._site.oned.clusters():
            blank = one.id > slot.after and not one.host_ids and not one.template.vector(tags.ATTRIBUTE)
            if tags.is_of(one.template, self._record, slot) or (one.name == name and blank):
                return one.id, one.name
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
