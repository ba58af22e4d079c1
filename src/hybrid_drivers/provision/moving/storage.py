"""What a virtual machine needs in the cluster it goes to: its images, its networks, a system datastore it may move to.

OpenNebula binds a machine to the clusters that all its image datastores and networks are in (``VirtualMachine.cc``,
``automatic_requirements``, which looks at what is so now), and moves disks only between system datastores of one
transfer driver that has DS_MIGRATE (``VirtualMachineAPI.cc``). Every host of a cluster is taken to reach all datastores
of it, as OpenNebula's documentation asks; of shared ones some host must reach both to carry disks over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid_drivers.model import OnedObject
from hybrid_drivers.model_vms import VmDetail, VmPlace
from hybrid_drivers.provision.moving.world import SYSTEM, World, word


def missing(vm: VmDetail, world: World, cluster: OnedObject) -> Iterator[str]:
    """Yield what a machine uses that is not in the cluster."""
    for datastore_id, use in _datastores(vm).items():
        datastore = world.datastores.get(datastore_id)
        if datastore is not None and cluster.id not in datastore.cluster_ids:
            yield (
                f"{word(datastore)}, which has {use}, is not in {word(cluster)}: 'onecluster adddatastore {cluster.id} "
                f"{datastore.id}' adds it, if the hosts there reach it"
            )
    for network_id in dict.fromkeys(_networks(vm)):
        network = world.networks.get(network_id)
        if network is not None and cluster.id not in network.cluster_ids:
            yield (
                f"{word(network)}, which it is in, is not in {word(cluster)}: 'onecluster addvnet {cluster.id} "
                f"{network.id}' adds it, if it reaches the hosts there"
            )


def choose(vm: VmDetail, world: World, cluster: OnedObject, wanted: int | None) -> tuple[int, list[str]]:
    """Return the system datastore a machine gets in a cluster, and what is wrong with it (then the id means nothing).

    ``wanted`` is the one asked for; None: the one it has where that is in the cluster, else the best of the cluster.
    """
    place = vm.place
    if place is None:
        return -1, []  # what never ran is refused for its state
    if wanted is not None:
        return wanted, list(_wrong(vm, world, cluster, place, wanted))
    systems = world.system_datastores(cluster.id)
    if place.datastore_id in [one.id for one in systems]:
        return place.datastore_id, []
    fitting = [one for one in systems if not any(_wrong(vm, world, cluster, place, one.id))]
    if fitting:
        return max(fitting, key=lambda one: (one.free, -one.id)).id, []
    return -1, [_none(vm, world, cluster, place, systems)]


def _wrong(vm: VmDetail, world: World, cluster: OnedObject, place: VmPlace, datastore_id: int) -> Iterator[str]:
    found = world.datastores.get(datastore_id)
    if found is None:
        yield f"there is no datastore {datastore_id}"
        return
    if found.type != SYSTEM:
        yield f"{word(found)} is not a system datastore"
        return
    if cluster.id not in found.cluster_ids:
        yield f"{word(found)} is not in {word(cluster)}: 'onecluster adddatastore {cluster.id} {found.id}' adds it"
    if datastore_id != place.datastore_id:
        yield from _unlike(vm, world, found, place)
    yield from _incompatible(vm, world, found)


def _unlike(vm: VmDetail, world: World, found: OnedObject, place: VmPlace) -> Iterator[str]:
    if found.tm_mad != place.tm_mad:
        yield f"{word(found)} has the driver {found.tm_mad}, its own {place.tm_mad}: disks move only between equal ones"
    if found.template.text("DS_MIGRATE").upper() != "YES":
        yield f"the driver of {word(found)}, {found.tm_mad}, moves no disks from one datastore to another"
    if vm.disk_snapshots and found.template.text("DS_MIGRATE_SNAP", "YES").upper() == "NO":
        yield f"its disks have snapshots, which the driver of {word(found)} does not move: delete them first"
    old = world.datastores.get(place.datastore_id)
    if old is None or old.template.text("SHARED") != "YES" or set(old.cluster_ids) & set(found.cluster_ids):
        return
    yield f"{word(old)} and {word(found)} are shared storage of different clusters: no host reaches both to move disks"


def _incompatible(vm: VmDetail, world: World, found: OnedObject) -> Iterator[str]:
    for one in {disk.datastore_id for disk in vm.disks if disk.datastore_id is not None}:
        images = world.datastores.get(one)
        only = images.template.text("COMPATIBLE_SYS_DS") if images else ""
        if images and only and str(found.id) not in [number.strip() for number in only.split(",")]:
            yield f"{word(images)} works with the system datastores {only} only (COMPATIBLE_SYS_DS), not {word(found)}"


def _none(vm: VmDetail, world: World, cluster: OnedObject, place: VmPlace, systems: Sequence[OnedObject]) -> str:
    make = f"make one with TYPE=SYSTEM_DS and TM_MAD={place.tm_mad} in it, or add one"
    if not systems:
        return f"{word(cluster)} has no system datastore: {make}"
    reasons = "; ".join(reason for one in systems for reason in _wrong(vm, world, cluster, place, one.id))
    return f"{word(cluster)} has no system datastore it can move to ({reasons}): {make}"


def _datastores(vm: VmDetail) -> dict[int, str]:
    """Return what of the machine is in which datastore of images or files."""
    found: dict[int, str] = {}
    for key, use in (("KERNEL_DS_DSID", "its kernel"), ("INITRD_DS_DSID", "its initrd")):
        if (number := vm.template.vector("OS").get(key, "")).isdecimal():
            found.setdefault(int(number), use)
    for disk in vm.disks:
        if disk.datastore_id is not None:
            found.setdefault(disk.datastore_id, f"the image of its disk {disk.id}")
    return found


def _networks(vm: VmDetail) -> Iterator[int]:
    yield from vm.network_ids
    for card in vm.template.vectors("PCI"):
        if card.get("TYPE") == "NIC" and card.get("NETWORK_ID", "").isdecimal():
            yield int(card["NETWORK_ID"])
