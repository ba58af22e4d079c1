"""The calls of datastores. Facts: recorded replies; OpenNebula ``DatastoreAPI.cc``, ``DatastorePool.cc``."""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, no_such
from hybrid_drivers.sandbox.frontend.datastore_objects import SYSTEM, DatastoreFault, DatastoreObject
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store


class Datastores(Family[DatastoreObject]):
    """Datastores: their names are unique in the whole cloud; bootstrapped ones are like others."""

    call = word = "datastore"
    taken = root = "DATASTORE"
    named_once = "all"

    def pool(self, store: Store) -> Pool[DatastoreObject]:
        """Return the datastores."""
        return store.datastores

    def xml(self, context: Context, one: DatastoreObject, decrypt: bool) -> str:
        """Return the document; what is used comes from the images."""
        images = context.store.images
        return one.xml(sum(images[image].size for image in one.images if image in images))

    def updated(self, context: Context, one: DatastoreObject, attributes: Attributes) -> Attributes:
        """Drivers and type stay when the new template does not name them (``Datastore::post_update_template``)."""
        if not attributes.text("TYPE"):
            attributes.set("TYPE", one.template.text("TYPE") or "IMAGE_DS")
        if not attributes.text("TM_MAD"):
            attributes.set("TM_MAD", one.tm_mad)
        if one.type != SYSTEM and not attributes.text("DS_MAD"):
            attributes.set("DS_MAD", one.ds_mad)
        try:
            return one.take(attributes, context.conf)
        except DatastoreFault as exc:
            raise Refused(Code.INTERNAL, f"Cannot update template. {exc}") from exc

    def drop(self, context: Context, one: DatastoreObject) -> None:
        """Forget an empty one."""
        if one.images:
            raise Refused(Code.ACTION, f"Cannot delete datastore. Datastore {one.id} is not empty.")
        super().drop(context, one)
        for cluster_id in one.clusters:
            context.store.clusters[cluster_id].datastores.discard(one.id)

    def allocate(self, context: Context, text: str, cluster_id: int = -1) -> int:
        """one.datastore.allocate: cluster -1 is the default one."""
        cluster = context.store.clusters.get(0 if cluster_id == -1 else cluster_id)
        attributes = self.read(text)
        if cluster is None:
            raise no_such("cluster", cluster_id)
        made = DatastoreObject(id=-1, name=self.take_name(context, attributes), clusters={cluster.id})
        try:
            made.template = made.take(attributes, context.conf)
        except DatastoreFault as exc:
            raise Refused(Code.INTERNAL, str(exc)) from exc
        context.store.datastores.put(made)
        cluster.datastores.add(made.id)
        return made.id

    def methods(self) -> dict[str, Method]:
        """The pool's call takes no filter."""
        return {
            **super().methods(),
            "one.datastore.allocate": Method(self.allocate, "s|i", writes=True),
            "one.datastorepool.info": Method(self.pool_info),
        }
