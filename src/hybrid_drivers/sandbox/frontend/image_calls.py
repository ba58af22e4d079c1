"""The calls of images. Nothing of them is recorded; facts from OpenNebula ``ImageAPI.cc``, ``Image.cc``,
``ImageManagerActions.cc``: an image is locked until its driver has made it, and is being deleted for a while."""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, no_such
from hybrid_drivers.sandbox.frontend.datastore_objects import BACKUP, FILE, LOCATION, SYSTEM, DatastoreObject
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.image_objects import FILES, TYPES, ImageFault, ImageObject, ImageState
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store

_BEFORE = "Error allocating a new image. "


class Images(Family[ImageObject]):
    """Images; names are unique per owner."""

    call = word = "image"
    taken = root = "IMAGE"

    def pool(self, store: Store) -> Pool[ImageObject]:
        """Return the images."""
        return store.images

    def xml(self, context: Context, one: ImageObject, decrypt: bool) -> str:
        """Return the document."""
        return one.xml()

    def allocate(self, context: Context, text: str, datastore_id: int, skip_check: bool = False) -> int:
        """one.image.allocate: into a datastore of images or files."""
        attributes = self.read(text)
        datastore = self._datastore(context, datastore_id)
        name = attributes.text("NAME").rstrip()
        attributes.remove("NAME")
        made = ImageObject(id=-1, name=name, datastore_id=datastore_id, datastore=datastore.name)
        self._begin(made, attributes, self._from_app(context, attributes))
        self._check(context, made, datastore, skip_check)
        datastore.images.add(context.store.images.put(made).id)
        error = context.knobs.image_error  # as it is now: it is about this image
        context.later(context.knobs.image_seconds, lambda: made.settle(LOCATION, error))
        return made.id

    def _datastore(self, context: Context, datastore_id: int) -> DatastoreObject:
        found = context.store.datastores.get(datastore_id)
        if found is None:
            raise no_such("datastore", datastore_id)
        if found.type in (SYSTEM, BACKUP):
            sentence = "New images can only be allocated in a files or image datastore."
            raise Refused(Code.ALLOCATE, _BEFORE + sentence)
        return found

    def _from_app(self, context: Context, attributes: Attributes) -> int | None:
        """Take over what an app says of its image and return its size (``MarketPlaceApp::to_template``)."""
        number = attributes.text("FROM_APP")
        if not number:
            return None
        app = context.store.apps.get(int(number)) if number.isdecimal() else None
        if app is None:
            raise Refused(Code.INTERNAL, "Cannot determine image SIZE.")
        for name, value in (("FROM_APP_NAME", app.name), ("PATH", app.source), ("FROM_APP_MD5", app.md5)):
            attributes.set(name, value)
        attributes.set("FORMAT", "qcow2")
        return app.size

    def _begin(self, made: ImageObject, attributes: Attributes, app_size: int | None) -> None:
        try:
            made.begin(attributes, app_size)
        except ImageFault as exc:
            if "SIZE" in str(exc):  # found before anything is allocated
                raise Refused(Code.INTERNAL, str(exc)) from exc
            raise Refused(Code.ALLOCATE, _BEFORE + str(exc)) from exc

    def _check(self, context: Context, made: ImageObject, datastore: DatastoreObject, skip_check: bool) -> None:
        used = sum(context.store.images[one].size for one in datastore.images)
        if not skip_check and made.size > datastore.total - used:
            raise Refused(Code.ACTION, "Not enough space in datastore")
        kind = TYPES[made.type]
        if (kind in FILES) is not (datastore.type == FILE):
            place = "file" if datastore.type == FILE else "image"
            raise Refused(Code.ALLOCATE, f"{_BEFORE}{kind} images cannot be registered in {place} datastores.")
        if fault := self.name_fault(context, made.name):
            raise Refused(Code.ALLOCATE, _BEFORE + fault)

    def remove(self, context: Context, image_id: int, force: bool = False) -> int:
        """one.image.delete: not while it is used, nor, without ``force``, while its driver works on it."""
        one = self.get(context, image_id)
        if one.vms:
            raise Refused(Code.ACTION, f"Cannot delete image. There are {len(one.vms)} VMs using it.")
        if one.state.locked and not force:
            sentence = (
                "Image locked, use --force flag to remove the image. Force delete may leave some files on Datastore"
            )
            raise Refused(Code.INTERNAL, sentence)
        one.enter(ImageState.DELETE)
        context.later(context.knobs.image_seconds, lambda: _gone(context.store, one))
        return image_id

    def methods(self) -> dict[str, Method]:
        """Add the calls only images have."""
        return {
            **super().methods(),
            "one.image.allocate": Method(self.allocate, "si|b", writes=True),
            "one.image.delete": Method(self.remove, "i|b", writes=True),
        }


def _gone(store: Store, one: ImageObject) -> None:
    if store.images.pop(one.id, None) is not None:
        store.datastores[one.datastore_id].images.discard(one.id)
