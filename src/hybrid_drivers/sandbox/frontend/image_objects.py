"""An image and its XML. Not recorded: elements and their order are those of OpenNebula ``Image.cc``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from hybrid_drivers.sandbox.frontend.attributes import Attributes, cdata
from hybrid_drivers.sandbox.frontend.owned import OwnedObject, ids

TYPES: Final = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT", "BACKUP")
FILES: Final = ("KERNEL", "RAMDISK", "CONTEXT")  # kept in file datastores, never disks
_UNMEASURED: Final = 10  # MiB an image that comes from somewhere is said to have
_REST = (
    "<SNAPSHOTS><ALLOW_ORPHANS><![CDATA[NO]]></ALLOW_ORPHANS><CURRENT_BASE>-1</CURRENT_BASE><NEXT_SNAPSHOT>0"
    "</NEXT_SNAPSHOT></SNAPSHOTS><BACKUP_INCREMENTS></BACKUP_INCREMENTS><BACKUP_DISK_IDS></BACKUP_DISK_IDS>"
)


class ImageFault(ValueError):
    """The template cannot be one of an image; ``str()`` is oned's sentence."""


class ImageState(IntEnum):
    """The states of an image (OpenNebula ``Image.h``)."""

    INIT = 0
    READY = 1
    USED = 2
    DISABLED = 3
    LOCKED = 4
    ERROR = 5
    CLONE = 6
    DELETE = 7
    USED_PERS = 8
    LOCKED_USED = 9
    LOCKED_USED_PERS = 10

    @property
    def locked(self) -> bool:
        """Tell whether its driver still works on it."""
        return self in (ImageState.LOCKED, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS)


@dataclass(kw_only=True)
class ImageObject(OwnedObject):
    """An image; ``size`` in MiB, ``vms`` those that use it."""

    datastore_id: int
    datastore: str
    type: int = 0
    persistent: bool = False
    registered: int = field(default_factory=lambda: int(time.time()))
    source: str = ""
    path: str = ""
    format: str = ""
    fs: str = ""
    size: int = 0
    state: ImageState = ImageState.LOCKED
    previous: ImageState = ImageState.INIT
    vms: set[int] = field(default_factory=set)

    def begin(self, attributes: Attributes, app_size: int | None) -> None:
        """Set the fields of a new image from its template; ``app_size`` is that of the app it comes from.

        Raises:
            ImageFault: something is missing or wrong.
        """
        kind = attributes.text("TYPE").upper() or "OS"
        if kind not in TYPES:
            raise ImageFault(f"Unknown type {attributes.text('TYPE')}")
        self.type, self.persistent = TYPES.index(kind), attributes.text("PERSISTENT").upper() == "YES"
        self.path, self.source = attributes.text("PATH"), attributes.text("SOURCE")
        self.format, self.fs = attributes.text("FORMAT"), attributes.text("FS")
        self.size = _size(attributes, app_size)
        if self.path and self.source:
            raise ImageFault("PATH and SOURCE cannot be both set.")
        if self.source and not self.format:
            raise ImageFault("SOURCE needs FORMAT to be set.")
        if not self.path and not self.source and app_size is None and kind not in ("OS", "DATABLOCK"):
            raise ImageFault("No PATH nor SOURCE in template.")
        attributes.remove("TYPE", "PERSISTENT", "PATH", "SOURCE", "FORMAT", "FS", "SIZE", "DRIVER", "TM_MAD")
        if kind not in FILES and not attributes.text("DEV_PREFIX"):
            attributes.set("DEV_PREFIX", "hd" if kind == "CDROM" else "vd")
        self.template = attributes

    def enter(self, state: ImageState) -> None:
        """Change the state."""
        self.previous, self.state = self.state, state

    def settle(self, location: str, error: str) -> None:
        """End what the driver did: the image is ready, or failed with ``error``."""
        if error:
            now = time.strftime("%a %b %e %H:%M:%S %Y")
            self.template.set("ERROR", f"{now} : Error copying image in the datastore: {error}")
            self.enter(ImageState.ERROR)
            return
        self.source, self.format = self.source or f"{location}/{self.datastore_id}/{self.id:032x}", self.format or "raw"
        self.enter(self._state(locked=False))

    def use(self, vm_id: int) -> None:
        """Note a machine that uses it."""
        self.vms.add(vm_id)
        self.enter(self._state(locked=self.state.locked))

    def release(self, vm_id: int) -> None:
        """Forget a machine that used it."""
        self.vms.discard(vm_id)
        self.enter(self._state(locked=self.state.locked))

    def _state(self, *, locked: bool) -> ImageState:
        if not self.vms:
            return ImageState.LOCKED if locked else ImageState.READY
        if self.persistent:
            return ImageState.LOCKED_USED_PERS if locked else ImageState.USED_PERS
        return ImageState.LOCKED_USED if locked else ImageState.USED

    def refusal(self) -> str:
        """Say why no machine may use it now, in oned's words; empty when one may (``ImageManager::acquire_image``)."""
        if TYPES[self.type] in (*FILES, "BACKUP"):
            return f"Image {self.id} ({self.name}) of type {TYPES[self.type]} cannot be used as DISK."
        if self.state in (ImageState.USED_PERS, ImageState.LOCKED_USED_PERS):
            return f"Cannot acquire image {self.id}, it is persistent and already in use"
        if self.state in (ImageState.INIT, ImageState.DISABLED, ImageState.ERROR, ImageState.DELETE, ImageState.CLONE):
            return f"Cannot acquire image {self.id}, it is in state: {self.state.name}"
        return ""

    def xml(self) -> str:
        """Return ``<IMAGE>``."""
        return (
            f"<IMAGE>{self.head()}{self.rights()}<TYPE>{self.type}</TYPE><DISK_TYPE>0</DISK_TYPE>"
            f"<PERSISTENT>{int(self.persistent)}</PERSISTENT><REGTIME>{self.registered}</REGTIME>"
            f"<SOURCE>{cdata(self.source)}</SOURCE><PATH>{cdata(self.path)}</PATH><FORMAT>{cdata(self.format)}</FORMAT>"
            f"<FS>{cdata(self.fs)}</FS><SIZE>{self.size}</SIZE><STATE>{int(self.state)}</STATE>"
            f"<PREV_STATE>{int(self.previous)}</PREV_STATE><RUNNING_VMS>{len(self.vms)}</RUNNING_VMS>"
            "<CLONING_OPS>0</CLONING_OPS><CLONING_ID>-1</CLONING_ID><TARGET_SNAPSHOT>-1</TARGET_SNAPSHOT>"
            f"<DATASTORE_ID>{self.datastore_id}</DATASTORE_ID><DATASTORE>{self.datastore}</DATASTORE>"
            f"{ids('VMS', self.vms)}<CLONES></CLONES><APP_CLONES></APP_CLONES>{self.template.xml()}{_REST}</IMAGE>"
        )


def _size(attributes: Attributes, app_size: int | None) -> int:
    given = attributes.text("SIZE")
    if app_size is not None:
        return app_size
    if not given and (attributes.text("PATH") or attributes.text("SOURCE")):
        return _UNMEASURED
    if not given.isdecimal():
        raise ImageFault(f"Cannot parse image SIZE: {given}")
    return int(given)
