"""A datastore and its XML, as a real oned 7.4.0 writes it (recorded for a system datastore; ``Datastore.cc``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.sandbox.frontend.attributes import Attributes, cdata
from hybrid_drivers.sandbox.frontend.oned_conf import OnedConf
from hybrid_drivers.sandbox.frontend.owned import OwnedObject, ids

TYPES: Final[Mapping[str, int]] = {"IMAGE_DS": 0, "SYSTEM_DS": 1, "FILE_DS": 2, "BACKUP_DS": 3}
IMAGE, SYSTEM, FILE, BACKUP = TYPES.values()
LOCATION = "/var/lib/one/datastores"
MONITORED: Final = 200_000  # MiB a datastore of images is said to hold
_OF_SYSTEM: Final = ("DS_LIVE_MIGRATE", "DS_MIGRATE", "DS_MIGRATE_SNAP", "PERSISTENT_SNAPSHOTS")
_DISK_TYPES: Final = {"FILE": 0, "BLOCK": 2, "RBD": 3}  # OpenNebula Image.h, those the sandbox takes


class DatastoreFault(ValueError):
    """The template cannot be one of a datastore; ``str()`` is oned's sentence."""


@dataclass(kw_only=True)
class DatastoreObject(OwnedObject):
    """A datastore; its size is known at once."""

    permissions: list[int] = field(default_factory=lambda: [1, 1, 0, 1, 0, 0, 0, 0, 0])
    type: int = IMAGE
    ds_mad: str = ""
    tm_mad: str = ""
    clusters: set[int] = field(default_factory=set)
    images: set[int] = field(default_factory=set)

    def take(self, attributes: Attributes, conf: OnedConf) -> Attributes:
        """Set the fields from a template and return what stands in TEMPLATE then.

        Raises:
            DatastoreFault: an unknown driver, or an attribute is missing; nothing is changed.
        """
        kind = TYPES.get(attributes.text("TYPE").upper(), IMAGE)
        ds_mad, tm_mad = _ds_mad(kind, attributes, conf), attributes.text("TM_MAD")
        if kind == BACKUP:
            tm_mad = "-"
        else:
            self._transfer(kind, tm_mad, attributes, conf)
        if kind in (IMAGE, SYSTEM):
            attributes.set("DISK_TYPE", _disk_type(attributes))
        if not attributes.text("SAFE_DIRS") and not attributes.text("RESTRICTED_DIRS"):
            attributes.set("SAFE_DIRS", "/var/tmp")
            attributes.set("RESTRICTED_DIRS", "/")
        self.type, self.ds_mad, self.tm_mad = kind, ds_mad, tm_mad
        return attributes

    def _transfer(self, kind: int, name: str, attributes: Attributes, conf: OnedConf) -> None:
        if not name:
            raise DatastoreFault("No TM_MAD in template.")
        driver = conf.driver("TM_MAD", name)
        if driver is None:
            raise DatastoreFault(f'TM_MAD named "{name}" is not defined in oned.conf')
        if kind == SYSTEM:
            attributes.remove("LN_TARGET", "CLONE_TARGET")
            attributes.set("SHARED", driver.get("SHARED", "NO"))
            for key in _OF_SYSTEM:
                attributes.set(key, driver.get(key, "YES"))
        else:
            attributes.remove("SHARED")
            for key in ("LN_TARGET", "CLONE_TARGET"):
                attributes.set(key, driver.get(key, "SYSTEM"))
        attributes.set("ALLOW_ORPHANS", driver.get("ALLOW_ORPHANS", "NO"))

    @property
    def total(self) -> int:
        """Return its size in MiB; system datastores that are on the hosts are not measured as a whole."""
        return 0 if self.type == SYSTEM and self.template.text("SHARED") != "YES" else MONITORED

    def xml(self, used: int) -> str:
        """Return ``<DATASTORE>``; ``used`` is what its images take, MiB."""
        total = self.total
        return (
            f"<DATASTORE>{self.head()}{self.rights()}<DS_MAD>{cdata(self.ds_mad)}</DS_MAD>"
            f"<TM_MAD>{cdata(self.tm_mad)}</TM_MAD><BASE_PATH>{cdata(f'{LOCATION}/{self.id}')}</BASE_PATH>"
            f"<TYPE>{self.type}</TYPE><DISK_TYPE>{_DISK_TYPES.get(self.template.text('DISK_TYPE'), 0)}</DISK_TYPE>"
            f"<STATE>0</STATE>{ids('CLUSTERS', self.clusters)}<TOTAL_MB>{total}</TOTAL_MB>"
            f"<FREE_MB>{max(0, total - used)}</FREE_MB><USED_MB>{used if total else 0}</USED_MB>"
            f"{ids('IMAGES', self.images)}{self.template.xml()}</DATASTORE>"
        )


def _ds_mad(kind: int, attributes: Attributes, conf: OnedConf) -> str:
    name = attributes.text("DS_MAD")
    if kind == SYSTEM:
        if name:
            raise DatastoreFault("SYSTEM datastores cannot have DS_MAD defined.")
        return "-"
    if not name:
        raise DatastoreFault("No DS_MAD in template.")
    driver = conf.driver("DS_MAD", name)
    if driver is None:
        raise DatastoreFault(f'DS_MAD named "{name}" is not defined in oned.conf')
    for key in filter(None, driver.get("REQUIRED_ATTRS", "").split(",")):
        if not attributes.text(key.strip().upper()):
            raise DatastoreFault(f'Datastore template is missing the "{key.strip().upper()}" attribute or it\'s empty.')
    return name


def _disk_type(attributes: Attributes) -> str:
    name = attributes.text("DISK_TYPE").upper() or "FILE"
    if name not in _DISK_TYPES:
        raise DatastoreFault("Unknown DISK_TYPE in template.")
    return name
