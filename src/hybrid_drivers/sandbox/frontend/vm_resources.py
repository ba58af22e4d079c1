"""What a machine takes and gives back: images, addresses, a place on a host.

Facts: OpenNebula ``ImageManagerActions.cc``, ``VirtualNetworkPool.cc``, ``Datastore.cc`` (disk_attribute) and
``VirtualMachine.cc`` (automatic_requirements).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from hybrid_drivers.sandbox.frontend.address_ranges import AddressRange
from hybrid_drivers.sandbox.frontend.family import CALLER
from hybrid_drivers.sandbox.frontend.image_objects import ImageObject
from hybrid_drivers.sandbox.frontend.ipam import held
from hybrid_drivers.sandbox.frontend.objects import HostObject
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.vm_objects import Record, VmObject
from hybrid_drivers.sandbox.frontend.vmgroup_objects import roles_of
from hybrid_drivers.sandbox.frontend.vnet_objects import VnetObject


class ResourceFault(ValueError):
    """A machine cannot have what it asks for; ``str()`` is oned's sentence."""


def take(store: Store, vm: VmObject) -> None:
    """Give a new machine images, addresses and a role in its VM group. Raises: ResourceFault; then nothing is taken."""
    try:
        vm.put_vectors("DISK", [_disk(store, vm, number, one) for number, one in enumerate(vm.vectors("DISK"))])
        vm.put_vectors("NIC", [take_card(store, vm, number, one) for number, one in enumerate(vm.vectors("NIC"))])
        asked = vm.vectors("NIC_ALIAS")
        vm.put_vectors("NIC_ALIAS", [])
        for number, one in enumerate(asked, len(vm.vectors("NIC"))):
            parent = parent_of(vm, one, f"NIC named {one.get('PARENT', '')} not found for alias")
            others = len(list(filter(None, parent.get("ALIAS_IDS", "").split(","))))
            card = take_card(store, vm, number, alias_of(parent, one, number, others))
            vm.put_vectors("NIC_ALIAS", [*vm.vectors("NIC_ALIAS"), card])
            note_alias(vm, card)
        vm.put_vectors("VMGROUP", [_join(store, vm, one) for one in vm.vectors("VMGROUP")[:1]])
        vm.template.set("AUTOMATIC_REQUIREMENTS", requirements(clusters_of(store, vm)))
    except ResourceFault:
        give_back(store, vm)
        raise


def give_back(store: Store, vm: VmObject) -> None:
    """Take everything from a machine."""
    for image in store.images.values():
        if vm.id in image.vms:
            image.release(vm.id)
    for vnet in store.vnets.values():
        _free(store, vnet, vm.id)
    for host in store.hosts.values():
        host.vms.discard(vm.id)
    for role in roles_of(store.vm_groups, vm.id):
        role.vms.discard(vm.id)


def _join(store: Store, vm: VmObject, asked: dict[str, str]) -> dict[str, str]:
    """Put a new machine into a role of its VM group (``VMGroupPool.cc``, vmgroup_attribute). Raises: ResourceFault."""
    if not asked.get("ROLE"):
        raise ResourceFault("Missing role name in VM Group definition")
    name, number = asked.get("VMGROUP_NAME", ""), asked.get("VMGROUP_ID", "")
    found = store.vm_groups.holder(name, CALLER) if name else int(number) if number.isdecimal() else None
    group = None if found is None else store.vm_groups.get(found)
    if group is None:
        raise ResourceFault("Cannot find VM Group to associate the VM")
    role = next((one for one in group.roles if one.told["NAME"] == asked["ROLE"]), None)
    if role is None:
        raise ResourceFault("Role does not exist in VM Group")
    role.vms.add(vm.id)
    return {**asked, "VMGROUP_ID": str(group.id)}


def give_back_card(store: Store, vm: VmObject, card: dict[str, str]) -> None:
    """Take back the address of a card."""
    vnet = store.vnets.get(int(card.get("NETWORK_ID", "-1")))
    if vnet is not None:
        ranges = [vnet.ranges[int(card["AR_ID"])]]
        _beside(store, vnet, ranges, lambda: ranges[0].free(vm.id, card.get("IP") or card.get("IP6", "")))


def parent_of(vm: VmObject, asked: dict[str, str], missing: str) -> dict[str, str]:
    """Return the NIC that an alias names by its NAME. Raises: ResourceFault (``missing``)."""
    name = asked.get("PARENT", "")
    found = [one for one in vm.vectors("NIC") if one.get("NAME", f"NIC{one['NIC_ID']}") == name]
    if not found:
        raise ResourceFault(missing)
    return found[0]


def alias_of(parent: dict[str, str], asked: dict[str, str], number: int, alias_id: int) -> dict[str, str]:
    """Return an alias with what it is told of its parent."""
    name = f"NIC{parent['NIC_ID']}_ALIAS{number}"
    return {"NAME": name, **asked, "ALIAS_ID": str(alias_id), "PARENT_ID": parent["NIC_ID"]}


def note_alias(vm: VmObject, card: dict[str, str]) -> None:
    """Have the parent of an alias know of it."""
    nics = vm.vectors("NIC")
    for one in nics:
        if one["NIC_ID"] == card.get("PARENT_ID"):
            one["ALIAS_IDS"] = ",".join([*filter(None, one.get("ALIAS_IDS", "").split(",")), card["NIC_ID"]])
    vm.put_vectors("NIC", nics)


def clusters_of(store: Store, vm: VmObject) -> set[int]:
    """Return the clusters its images and networks are in; empty: anywhere. Raises: ResourceFault."""
    wanted: set[int] | None = None
    for one in (*vm.vectors("DISK"), *vm.vectors("NIC")):
        there = _clusters_now(store, one)
        if there is not None:
            wanted = there if wanted is None else wanted & there
    if wanted is not None and not wanted:
        raise ResourceFault("Incompatible cluster IDs.")
    return wanted or set()


def _clusters_now(store: Store, resource: dict[str, str]) -> set[int] | None:
    if "IMAGE_ID" in resource:
        image = store.images.get(int(resource["IMAGE_ID"]))
        return set(store.datastores[image.datastore_id].clusters) if image else None
    if "NETWORK_ID" in resource:
        vnet = store.vnets.get(int(resource["NETWORK_ID"]))
        return set(vnet.clusters) if vnet else None
    return None


def requirements(clusters: set[int]) -> str:
    """Return AUTOMATIC_REQUIREMENTS (recorded without clusters)."""
    pinned = "!(PIN_POLICY = PINNED)"
    places = " | ".join(f"CLUSTER_ID = {one}" for one in sorted(clusters))
    return f"({places}) & {pinned}" if places else pinned


def put_on(vm: VmObject, host: HostObject, datastore_id: int, tm_mad: str) -> None:
    """Begin a record of its history on a host, where its disks are to come; the capacity is taken there at once."""
    now = int(time.time())
    host.vms.add(vm.id)
    vm.history.append(
        Record(
            sequence=len(vm.history),
            host_id=host.id,
            host_name=host.name,
            cluster_id=host.cluster_id,
            datastore_id=datastore_id,
            vm_mad=host.vm_mad,
            tm_mad=tm_mad,
            transfer=(now, 0),
        )
    )


def put_on_again(vm: VmObject, old: Record) -> None:
    """Begin a record like ``old``: it goes on running there, without any transfer."""
    again = replace(old, sequence=len(vm.history), started=int(time.time()), ended=0, action=0, transfer=(0, 0), ran=0)
    vm.history.append(again)


def close_record(vm: VmObject, action: int) -> None:
    """End the last record of its history."""
    if vm.history:
        vm.history[-1].ended, vm.history[-1].action = int(time.time()), action


def _disk(store: Store, vm: VmObject, number: int, asked: dict[str, str]) -> dict[str, str]:
    if "IMAGE" not in asked and "IMAGE_ID" not in asked:
        if asked.get("TYPE", "").upper() not in ("FS", "SWAP"):
            raise ResourceFault(f"Unknown disk type {asked.get('TYPE', '')}")
        return {**asked, "DISK_ID": str(number)}
    image = _image(store, asked)
    if why := image.refusal():
        raise ResourceFault(why)
    image.use(vm.id)
    datastore = store.datastores[image.datastore_id]
    return {
        **asked,
        "DISK_ID": str(number),
        "IMAGE": image.name,
        "IMAGE_ID": str(image.id),
        "SIZE": str(image.size),
        "DATASTORE": datastore.name,
        "DATASTORE_ID": str(datastore.id),
        "TM_MAD": datastore.tm_mad,
        "CLUSTER_ID": ",".join(str(one) for one in sorted(datastore.clusters)),
        "CLONE": "NO" if image.persistent else "YES",
    }


def _image(store: Store, asked: dict[str, str]) -> ImageObject:
    if number := asked.get("IMAGE_ID", ""):
        found = store.images.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise ResourceFault(f"Image with ID: {number} does not exist")
        return found
    name = asked["IMAGE"]
    held = store.images.holder(name, CALLER)
    if held is None:
        raise ResourceFault(
            f"User {CALLER} does not own an image with name: {name} . Set IMAGE_UNAME or IMAGE_UID of owner in DISK."
        )
    return store.images[held]


def take_card(store: Store, vm: VmObject, number: int, asked: dict[str, str]) -> dict[str, str]:
    """Return a card with its number and an address. Raises: ResourceFault."""
    if "NETWORK" not in asked and "NETWORK_ID" not in asked:  # NETWORK_MODE="auto": chosen when it is deployed
        return {**asked, "NIC_ID": str(number)}
    vnet = _vnet(store, asked)
    with held(store.ipam, vnet):
        for one in list(vnet.ranges.values()):
            if address := one.lease(vm.id, asked.get("IP") or asked.get("IP6", "")):
                vnet.updated_vms.add(vm.id)
                name = f"one-{vm.id}-{number}"
                return {**asked, **_of_network(vnet), **address, "NIC_ID": str(number), "TARGET": name}
    raise ResourceFault(f"Cannot get IP/MAC lease from virtual network {vnet.id}.")


def _free(store: Store, vnet: VnetObject, vm_id: int) -> None:
    """Take back a machine's addresses; where a driver must be asked, that is done beside the calls."""
    ranges = [one for one in vnet.ranges.values() if vm_id in one.leases.values()]
    _beside(store, vnet, ranges, lambda: vnet.free(vm_id))


def _beside(store: Store, vnet: VnetObject, ranges: list[AddressRange], work: Callable[[], None]) -> None:
    """Do it at once, or, where a driver must be asked, beside the calls."""
    if store.ipam is None or all(one.internal for one in ranges):
        work()
        return

    def ask() -> None:
        with store.lock, held(store.ipam, vnet):
            work()

    threading.Thread(target=ask, name="free-address", daemon=True).start()


def _vnet(store: Store, asked: dict[str, str]) -> VnetObject:
    if number := asked.get("NETWORK_ID", ""):
        found = store.vnets.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise ResourceFault(f"Virtual network with ID: {number} does not exist")
        return found
    name = asked.get("NETWORK", "")
    held = store.vnets.holder(name, CALLER)
    if held is None:
        raise ResourceFault(
            f"User {CALLER} does not own a network with name: {name} . "
            "Set NETWORK_UNAME or NETWORK_UID of owner in NIC."
        )
    return store.vnets[held]


def _of_network(vnet: VnetObject) -> dict[str, str]:
    told = {
        "NETWORK": vnet.name,
        "NETWORK_ID": str(vnet.id),
        "BRIDGE": vnet.bridge,
        "BRIDGE_TYPE": vnet.bridge_type,
        "VN_MAD": vnet.vn_mad,
        "PHYDEV": vnet.phydev,
        "VLAN_ID": vnet.vlan_id,
        "CLUSTER_ID": ",".join(str(one) for one in sorted(vnet.clusters)),
        "SECURITY_GROUPS": vnet.template.text("SECURITY_GROUPS", "0"),
    }
    return {key: value for key, value in told.items() if value}
