"""The documents of oned's pools as objects of the model: one reader a kind, all through the declared fields.

Element names are those of recorded replies (7.4) and of OpenNebula's ``to_xml`` of each kind; images and marketplace
apps are not recorded (``Image.cc``, ``MarketPlaceApp.cc``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from hybrid_drivers.errors import OnedError
from hybrid_drivers.model import Kind, OnedObject, Template
from hybrid_drivers.oned.fields import Node, filled, whole
from hybrid_drivers.oned.xml import parse

ROOTS: Final[Mapping[Kind, str]] = {
    "cluster": "CLUSTER",
    "datastore": "DATASTORE",
    "vnet": "VNET",
    "image": "IMAGE",
    "template": "VMTEMPLATE",
    "vntemplate": "VNTEMPLATE",
    "marketapp": "MARKETPLACEAPP",
    "document": "DOCUMENT",
    "host": "HOST",
    "vm": "VM",
}

GATEWAYS: Final = ("GATEWAY", "IP6_GATEWAY", "GATEWAY6")  # the last one is what the second was before 6.0


def read_object(kind: Kind, data: str, what: str) -> OnedObject:
    """Read the document of one object; ``what`` names it in errors. Raises: OnedError."""
    return _read(kind, parse(data, ROOTS[kind], what, OnedError))


def read_pool(kind: Kind, data: str, what: str) -> list[OnedObject]:
    """Read the document of a pool, in oned's order. Raises: OnedError."""
    root = ROOTS[kind]
    return [_read(kind, one) for one in parse(data, f"{root}_POOL", what, OnedError).nodes(root)]


def read_templates(kind: Kind, data: str, what: str, only: Collection[str]) -> list[Template]:
    """Read some attributes of all objects of a pool, and nothing else of them. Raises: OnedError."""
    root = ROOTS[kind]
    return [one.template(only=only) for one in parse(data, f"{root}_POOL", what, OnedError).nodes(root)]


def read_address_ranges(data: str, what: str) -> list[dict[str, str]]:
    """Read the address ranges of all networks of a pool, and nothing else of them. Raises: OnedError."""
    pool = parse(data, f"{ROOTS['vnet']}_POOL", what, OnedError)
    return [_plain(one) for one in pool.nodes(f"{ROOTS['vnet']}/AR_POOL/AR")]


def read_network_ranges(data: str, what: str) -> dict[tuple[int, int], dict[str, str]]:
    """Read the address ranges of all networks of a pool by network and AR_ID. Raises: OnedError.

    A reservation's range is a part of another one, whose attributes tell of the provider: it has PARENT_NETWORK beside.
    Gateways are the network's where the range names none.
    """
    found = {}
    for vnet in parse(data, f"{ROOTS['vnet']}_POOL", what, OnedError).nodes(ROOTS["vnet"]):
        parent = vnet.get("PARENT_NETWORK_ID", str, "")
        gateways = {key: text for key in GATEWAYS if (text := vnet.get(f"TEMPLATE/{key}", str, ""))}
        for one in vnet.nodes("AR_POOL/AR"):
            told = {**gateways, **_plain(one), **({"PARENT_NETWORK": parent} if parent else {})}
            found[vnet.need("ID", whole), one.need("AR_ID", whole)] = told
    return found


def read_names(data: str, root: str, what: str) -> dict[str, int]:
    """Read the names and ids of the pool of users or groups. Raises: OnedError."""
    pool = parse(data, f"{root}_POOL", what, OnedError)
    return {one.need("NAME", filled): one.need("ID", whole) for one in pool.nodes(root)}


def _read(kind: Kind, node: Node) -> OnedObject:
    plain = OnedObject(
        kind=kind, id=node.need("ID", whole), name=node.need("NAME", filled), template=node.template("TEMPLATE")
    )
    owned = plain if kind in ("cluster", "host") else _owned(plain, node)
    more = _MORE.get(kind)
    return more(owned, node) if more else owned


def _owned(found: OnedObject, node: Node) -> OnedObject:
    return replace(
        found,
        uid=node.need("UID", whole),
        gid=node.need("GID", whole),
        uname=node.need("UNAME", str),
        gname=node.need("GNAME", str),
        mode=-1 if found.kind == "vm" and not node.nodes("PERMISSIONS") else node.mode(),  # left out in their pool
    )


def _cluster(found: OnedObject, node: Node) -> OnedObject:
    return replace(
        found, host_ids=node.ids("HOSTS/ID"), datastore_ids=node.ids("DATASTORES/ID"), vnet_ids=node.ids("VNETS/ID")
    )


def _datastore(found: OnedObject, node: Node) -> OnedObject:
    return replace(
        found,
        type=node.need("TYPE", whole),
        state=node.need("STATE", whole),
        tm_mad=node.need("TM_MAD", str),
        ds_mad=node.need("DS_MAD", str),
        cluster_ids=node.ids("CLUSTERS/ID"),
        total=node.get("TOTAL_MB", whole, 0),
        free=node.get("FREE_MB", whole, 0),
        image_ids=node.ids("IMAGES/ID"),
    )


def _vnet(found: OnedObject, node: Node) -> OnedObject:
    return replace(
        found,
        state=node.get("STATE", whole, None),  # since 6.4
        vn_mad=node.need("VN_MAD", str),
        cluster_ids=node.ids("CLUSTERS/ID"),
        used_leases=node.get("USED_LEASES", whole, 0),
        address_ranges=tuple(_plain(one) for one in node.nodes("AR_POOL/AR")),
    )


def _plain(node: Node) -> dict[str, str]:
    """An address range without its list of leases."""
    return {one.tag: one.text for one in node.children() if one.tag != "LEASES"}


def _image(found: OnedObject, node: Node) -> OnedObject:
    return replace(
        found,
        type=node.need("TYPE", whole),
        state=node.need("STATE", whole),
        size=node.need("SIZE", whole),
        datastore_id=node.need("DATASTORE_ID", whole),
        running_vms=node.need("RUNNING_VMS", whole),
        vm_ids=node.ids("VMS/ID"),
    )


def _app(found: OnedObject, node: Node) -> OnedObject:
    return replace(
        found, type=node.need("TYPE", whole), state=node.need("STATE", whole), size=node.get("SIZE", whole, 0)
    )


def _document(found: OnedObject, node: Node) -> OnedObject:
    return replace(found, type=node.need("TYPE", whole))


def _host(found: OnedObject, node: Node) -> OnedObject:
    return replace(
        found,
        state=node.need("STATE", whole),
        cluster_ids=(node.need("CLUSTER_ID", whole),),
        running_vms=node.get("HOST_SHARE/RUNNING_VMS", whole, 0),
    )


def _vm(found: OnedObject, node: Node) -> OnedObject:
    return replace(found, state=node.need("STATE", whole))


_MORE: Final[Mapping[Kind, Callable[[OnedObject, Node], OnedObject]]] = {
    "cluster": _cluster,
    "datastore": _datastore,
    "vnet": _vnet,
    "image": _image,
    "marketapp": _app,
    "document": _document,
    "host": _host,
    "vm": _vm,
}
