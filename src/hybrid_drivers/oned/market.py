"""Apps of a marketplace, made into images and templates of virtual machines.

oned has no call for that; its clients make several (OpenNebula ``marketplaceapp_ext.rb``, from where the names, the
order and the attributes of apps are): an image with FROM_APP, which oned fetches by itself, and for most apps a
template with that image as its disk.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from hybrid_drivers.errors import AllocateRefused, ConfigError, NoSuchObject, OnedError
from hybrid_drivers.model import OnedObject, Template
from hybrid_drivers.oned.api import NOTHING
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.template import render

_READY: Final = 1  # OpenNebula MarketPlaceApp.h
_IMAGE, _VM_TEMPLATE, _SERVICE = 1, 2, 3
_FILES: Final = 2  # the type of datastores for kernels and context files
_OF_DATASTORE: Final = ("FORMAT", "DRIVER")  # what an image does not take over from its app
_IS_FILE: Final = re.compile(r"^\s*TYPE\s*=\s*\"?(KERNEL|CONTEXT)\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export made; images go on being fetched for a while."""

    image_ids: tuple[int, ...]
    template_ids: tuple[int, ...]


def export_app(objects: Objects, app: str | int, name: str, datastore_id: int, extra: Template = NOTHING) -> Exported:
    """Export an app, named by its id or its name, as ``name``; images go into ``datastore_id``.

    ``extra`` is part of all that is made, from its first moment. When a step fails what was made is deleted again.

    Raises:
        NoSuchObject: there is no such app.
        ConfigError: the app cannot be exported: not ready, a service, or not as apps are.
        OnedError: oned refused a step.
    """
    found = find_app(objects, app)
    if found.state != _READY:
        raise ConfigError(f"{_named(found)} is not ready (state {found.state}): wait until its marketplace has it")
    if found.type == _IMAGE:
        return _Export(objects, name, datastore_id, extra).image(found)
    if found.type == _VM_TEMPLATE:
        return _Export(objects, name, datastore_id, extra).vm_template(found)
    if found.type == _SERVICE:
        raise ConfigError(
            f"{_named(found)} is a service, which is not exported from here: do 'onemarketapp export {found.id} NAME' "
            "and use the templates that makes"
        )
    raise ConfigError(f"{_named(found)} is of the unknown type {found.type}: only images and VM templates are exported")


def is_whole(objects: Objects, app: str | int, exported: Exported) -> bool:
    """Tell whether an export that may have been killed has come to its end: the template is made last.

    Raises:
        OnedError: the app or an image is gone.
    """
    if exported.template_ids:
        return True
    found = find_app(objects, app)
    images = [objects.get("image", one).template for one in exported.image_ids]
    tidy = not any(key in template for template in images for key in _OF_DATASTORE)
    return bool(images) and tidy and found.type == _IMAGE and not found.template.text("VMTEMPLATE64")


def find_app(objects: Objects, app: str | int) -> OnedObject:
    """Return an app by its id or name. Raises: NoSuchObject, ConfigError (several have the name)."""
    if isinstance(app, int) or app.isdecimal():
        return objects.get("marketapp", int(app))
    found = [one for one in objects.pool("marketapp") if one.name == app]
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise ConfigError(f"several marketplace apps are called '{app}' (ids {ids}): name one by its id")
    if not found:
        raise NoSuchObject(f"there is no marketplace app called '{app[:80]}': 'onemarketapp list' shows them")
    return found[0]


class _Export:
    """One export, which knows what it has made so far."""

    def __init__(self, objects: Objects, name: str, datastore_id: int, extra: Template) -> None:
        self._objects, self._name, self._datastore_id, self._extra = objects, name, datastore_id, extra
        self._images: list[int] = []

    def image(self, app: OnedObject) -> Exported:
        try:
            image_id = self._image(app, self._name)
            text = _text(app, "VMTEMPLATE64")
            templates = (self._template(text, [image_id]),) if text else ()
        except (OnedError, ConfigError) as exc:
            raise self._undone(exc) from exc
        return Exported(image_ids=(image_id,), template_ids=templates)

    def vm_template(self, app: OnedObject) -> Exported:
        text = _text(app, "APPTEMPLATE64")
        if not text:
            raise ConfigError(f"{_named(app)} has no APPTEMPLATE64, so there is nothing to make a template of")
        disks = [(disk.get("NAME", ""), disk.get("APP", "")) for disk in app.template.vectors("DISK")]
        made: dict[str, int] = {}
        try:
            for disk_name, source in disks:
                if source not in made:
                    made[source] = self._image(self._disk(app, source), f"{self._name}-{disk_name}-{len(made)}")
            template_id = self._template(text, [made[source] for source in made])
        except (OnedError, ConfigError) as exc:
            raise self._undone(exc) from exc
        return Exported(image_ids=tuple(self._images), template_ids=(template_id,))

    def _disk(self, app: OnedObject, source: str) -> OnedObject:
        found = find_app(self._objects, source)
        if found.type != _IMAGE or _IS_FILE.search(_text(found, "APPTEMPLATE64")):
            raise ConfigError(
                f"{_named(app)} needs the app '{source}', which is no disk image: kernels and context files of "
                f"templates are not exported from here, do 'onemarketapp export {app.id} {self._name}'"
            )
        return found

    def _image(self, app: OnedObject, name: str) -> int:
        what = f"image {name} of {_named(app)}"
        text = _text(app, "APPTEMPLATE64")
        told = f"{text}\n{render(Template([('NAME', name), ('FROM_APP', str(app.id)), *self._extra]), what)}"
        datastore_id = self._files() if _IS_FILE.search(text) else self._datastore_id
        made = self._objects.oned.write("image.allocate", what, told, datastore_id, False)
        self._images.append(made)
        template = self._objects.get("image", made).template
        kept = [(key, value) for key, value in template if key not in _OF_DATASTORE]
        if len(kept) != len(list(template)):  # the datastore decides on them
            self._objects.update("image", made, Template(kept), append=False)
        return made

    def _files(self) -> int:
        found = [one.id for one in self._objects.pool("datastore") if one.type == _FILES]
        if not found:
            raise ConfigError("there is no datastore for files, which kernels and context files need")
        return min(found)

    def _template(self, text: str, image_ids: list[int]) -> int:
        what = f"template {self._name}"
        disks = [("DISK", {"IMAGE_ID": str(one)}) for one in image_ids]
        told = f"{text}\n{render(Template([('NAME', self._name), *disks, *self._extra]), what)}"
        try:
            return self._objects.oned.write("template.allocate", what, told)
        except OnedError as exc:
            if "already taken" in str(exc):
                raise AllocateRefused(str(exc)) from exc
            raise

    def _undone(self, exc: OnedError | ConfigError) -> OnedError | ConfigError:
        """Delete the images that were made; those that stay are named in the error returned."""
        left = []
        for one in self._images:
            try:
                self._objects.delete("image", one, force=True)  # it is still being fetched
            except OnedError:
                left.append(str(one))
        return type(exc)(f"{exc} (images {', '.join(left)} were made and are left)") if left else exc


def _text(app: OnedObject, attribute: str) -> str:
    try:
        return base64.b64decode(app.template.text(attribute), validate=False).decode("utf-8").replace("\r\n", "\n")
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise ConfigError(f"{_named(app)}: its {attribute} is not base64 of text") from exc


def _named(app: OnedObject) -> str:
    return f"marketplace app {app.id} '{app.name}'"
