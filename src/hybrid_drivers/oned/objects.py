"""The objects a provision is made of, whatever their kind: the same few verbs for all of them.

Hosts, clusters and documents have calls of their own in ``oned.api`` too; what only some kinds have (virtual machines,
marketplace apps) is in ``oned.vms`` and ``oned.market``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from hybrid_drivers.errors import AllocateRefused, ConfigError, InternalFailure, NoSuchObject, OnedError
from hybrid_drivers.model import Kind, OnedObject, Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.read_objects import (
    read_address_ranges,
    read_names,
    read_network_ranges,
    read_object,
    read_pool,
    read_templates,
)
from hybrid_drivers.oned.template import render

_CALLS: Final[Mapping[Kind, str]] = {"vnet": "vn"}  # where oned's call has another name than the kind
_WHOLE_POOLS: Final = ("cluster", "datastore", "host")  # their calls take no filter
_EVERYTHING: Final = (
    -2,
    -1,
    -1,
)  # of all owners, from the first to the last (OpenNebula ``RequestManagerPoolInfoFilter.h``)
_MEMBERS: Final = ("host", "datastore", "vnet")
_ANY_BUT_DONE: Final = -1


class Objects:
    """The pools of one oned. Every method raises an ``OnedError`` as ``Oned`` does; thread-safe."""

    def __init__(self, oned: Oned) -> None:
        self.oned = oned

    def pool(self, kind: Kind, document_type: int | None = None) -> list[OnedObject]:
        """Return all objects of a kind in one call, in oned's order (the newest first), secrets encrypted.

        Documents need their type; virtual machines that are done are left out.
        """
        what = f"the pool of {kind} objects"
        return read_pool(kind, self._pool(kind, what, document_type), what)

    def templates(self, kind: Kind, only: Collection[str]) -> list[Template]:
        """Return these attributes of all objects of a kind, in one call: quicker than :meth:`pool`."""
        what = f"the pool of {kind} objects"
        return read_templates(kind, self._pool(kind, what, None), what, only)

    def address_ranges(self) -> list[dict[str, str]]:
        """Return the address ranges of all networks, in one call that no lock of a network holds up.

        ``ALLOCATED`` has their leases: pairs of number and holder (OpenNebula ``AddressRange.cc``, allocated_to_attr).
        """
        what = "the pool of vnet objects"
        return read_address_ranges(self._pool("vnet", what, None), what)

    def network_ranges(self) -> dict[tuple[int, int], dict[str, str]]:
        """Return the same by network and AR_ID; a reservation's has PARENT_NETWORK and PARENT_NETWORK_AR_ID."""
        what = "the pool of vnet objects"
        return read_network_ranges(self._pool("vnet", what, None), what)

    def _pool(self, kind: Kind, what: str, document_type: int | None) -> str:
        arguments: tuple[int, ...] = () if kind in _WHOLE_POOLS else _EVERYTHING
        if kind == "document":
            if document_type is None:
                raise ConfigError("documents can only be listed by their type")
            arguments = (*_EVERYTHING, document_type)
        elif kind == "vm":
            arguments = (*_EVERYTHING, _ANY_BUT_DONE)
        return self.oned.read(f"{_call(kind)}pool.info", what, *arguments)

    def get(self, kind: Kind, object_id: int, decrypt: bool = False) -> OnedObject:
        """Return an object; ``decrypt`` asks for its secrets in clear. Raises: NoSuchObject."""
        what = f"{kind} {object_id}"
        arguments = (object_id, False, decrypt) if kind == "template" else (object_id, decrypt)
        return read_object(kind, self.oned.read(f"{_call(kind)}.info", what, *arguments), what)

    def allocate(self, kind: Kind, template: Template, *, cluster_id: int = -1, datastore_id: int = -1) -> int:
        """Make an object and return its id; its NAME is in ``template``.

        Datastores and networks go into ``cluster_id`` (-1: the default one), images into ``datastore_id``. What of a
        cluster's template is not its name is written by a second call; when that fails the cluster is deleted again.

        Raises:
            AllocateRefused: among others when the name is taken (oned has several codes for that).
            ConfigError: the kind has a call of its own (hosts, documents), or cannot be made.
        """
        name = template.text("NAME")
        what = f"new {kind} {name}"
        if kind == "cluster":
            return self._cluster(name, Template((key, value) for key, value in template if key != "NAME"))
        if kind in ("host", "document", "marketapp"):
            raise ConfigError(f"{what}: objects of this kind are not made from a template")
        place = {"datastore": (cluster_id,), "vnet": (cluster_id,), "image": (datastore_id,), "vm": (False,)}
        try:
            return self.oned.write(f"{_call(kind)}.allocate", what, render(template, what), *place.get(kind, ()))
        except InternalFailure as exc:
            if "already taken" in str(exc):
                raise AllocateRefused(str(exc)) from exc
            raise

    def update(self, kind: Kind, object_id: int, template: Template, append: bool = True) -> None:
        """Change an object's template: append replaces attributes of the same name whole and keeps all others."""
        self.oned.change(_call(kind), object_id, template, append)

    def delete(self, kind: Kind, object_id: int, *, force: bool = False) -> None:
        """Delete an object; images and networks may take a while to go after the call.

        ``force``: also an image that is still being made; files of it may stay in its datastore.

        Raises:
            NoSuchObject: it is gone already.
            ActionRefused: it is in use, or is not empty.
        """
        if kind == "vm":
            raise ConfigError(f"virtual machine {object_id} is not deleted but terminated")
        arguments: tuple[int | bool, ...] = (
            (object_id, False) if kind == "template" else (object_id,)
        )  # its images stay
        if kind == "image" and force:
            arguments = (object_id, True)
        self.oned.write(f"{_call(kind)}.delete", f"{kind} {object_id}", *arguments)

    def rename(self, kind: Kind, object_id: int, name: str) -> None:
        """Give an object another name. Raises: ActionRefused (taken, or not allowed)."""
        self.oned.write(f"{_call(kind)}.rename", f"{kind} {object_id}", object_id, name)

    def chmod(self, kind: Kind, object_id: int, mode: int) -> None:
        """Set an object's permissions: 0o640 is use and manage for the owner, use for the group."""
        if not 0 <= mode <= 0o777:
            raise ConfigError(f"{kind} {object_id}: the mode {mode:o} is not between 0 and 777")
        bits = [(mode >> shift) & 1 for shift in range(8, -1, -1)]
        self.oned.write(f"{_call(kind)}.chmod", f"{kind} {object_id}", object_id, *bits)

    def chown(self, kind: Kind, object_id: int, uid: int, gid: int) -> None:
        """Give an object to another user or group; -1 keeps what is. Raises: NoSuchObject (the user or group)."""
        self.oned.write(f"{_call(kind)}.chown", f"{kind} {object_id}", object_id, uid, gid)

    # --- users and groups ---

    def user_id(self, name: str) -> int:
        """Return a user's id. Raises: NoSuchObject."""
        return self._named("user", name)

    def group_id(self, name: str) -> int:
        """Return a group's id. Raises: NoSuchObject."""
        return self._named("group", name)

    def _named(self, kind: str, name: str) -> int:
        what = f"the {kind} pool"
        found = read_names(self.oned.read(f"{kind}pool.info", what), kind.upper(), what)
        if name not in found:
            raise NoSuchObject(f"there is no {kind} called '{name[:60]}'")
        return found[name]

    # --- membership of clusters, addresses of networks ---

    def add_to_cluster(self, cluster_id: int, kind: Kind, object_id: int) -> None:
        """Put a host, datastore or network into a cluster; a host leaves its old one. It may be in it already."""
        self._member("add", cluster_id, kind, object_id)

    def remove_from_cluster(self, cluster_id: int, kind: Kind, object_id: int) -> None:
        """Take a host, datastore or network out of a cluster; a host goes to the default one."""
        self._member("del", cluster_id, kind, object_id)

    def _member(self, verb: str, cluster_id: int, kind: Kind, object_id: int) -> None:
        if kind not in _MEMBERS:
            raise ConfigError(f"{kind} {object_id} cannot be in a cluster: only hosts, datastores and networks can")
        what = f"cluster {cluster_id} and {kind} {object_id}"
        self.oned.write(f"cluster.{verb}{kind}", what, cluster_id, object_id)

    def add_address_range(self, vnet_id: int, address_range: Mapping[str, str]) -> None:
        """Give a network one more address range: TYPE, SIZE and what the type needs."""
        what = f"vnet {vnet_id}"
        template = render(Template([("AR", address_range)]), f"the address range for {what}")
        self.oned.write("vn.add_ar", what, vnet_id, template)

    def remove_address_range(self, vnet_id: int, address_range_id: int) -> None:
        """Take an address range from a network. Raises: InternalFailure (leases in use, no such range)."""
        self.oned.write("vn.rm_ar", f"vnet {vnet_id}", vnet_id, address_range_id)

    def _cluster(self, name: str, rest: Template) -> int:
        made = self.oned.allocate_cluster(name)
        if list(rest):
            try:
                self.oned.update_cluster(made, rest)
            except (OnedError, ConfigError):
                self.oned.delete_cluster(made)
                raise
        return made


def _call(kind: Kind) -> str:
    return _CALLS.get(kind, kind)
