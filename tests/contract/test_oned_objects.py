"""What we rely on in the pools of oned: against the stand-in, and a real one when ONE_XMLRPC and ONE_AUTH name it.

On a real front-end they make a cluster, datastores, networks, images of one MiB, templates, a machine on hold and
documents of type 799, all named ``contract-...``, and delete them again. No host is needed; the drivers ``bridge`` and
``fs`` are those every front-end has.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.support.oned_contract import Undo

from hybrid_drivers.errors import ActionRefused, AllocateRefused, InternalFailure, NoSuchObject, OnedError
from hybrid_drivers.model import Kind, OnedObject, Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms

ABSENT = 999_999
DOCUMENT_TYPE = 799
READY, LOCKED = 1, (2, 3, 4, 7)  # states of networks and images; locked ones, or on their way out
DRIVER_LIMIT = 30.0  # seconds a real front-end's drivers get


@pytest.fixture
def objects(oned: Oned) -> Objects:
    return Objects(oned)


@pytest.fixture
def transfer(objects: Objects) -> str:
    """The front-end's local transfer driver: ``local`` since 7.0, ``ssh`` before."""
    return objects.get("datastore", 0).tm_mad


@pytest.fixture
def cluster_id(objects: Objects, name: str, undo: Undo) -> int:
    made = objects.allocate("cluster", Template([("NAME", name), ("NOTE", "contract")]))
    undo(lambda: objects.delete("cluster", made))
    return made


def settled(objects: Objects, kind: Kind, object_id: int) -> OnedObject:
    """Return an object when its driver has finished."""
    until = time.monotonic() + DRIVER_LIMIT
    while (found := objects.get(kind, object_id)).state in LOCKED and time.monotonic() < until:
        time.sleep(0.02)
    return found


def gone(objects: Objects, kind: Kind, object_id: int) -> None:
    """Delete an object and wait until its driver has taken it away."""
    objects.delete(kind, object_id)
    until = time.monotonic() + DRIVER_LIMIT
    while any(one.id == object_id for one in objects.pool(kind, DOCUMENT_TYPE if kind == "document" else None)):
        assert time.monotonic() < until
        time.sleep(0.02)


def bridge(name: str, *more: tuple[str, str | dict[str, str]]) -> Template:
    return Template([("NAME", name), ("VN_MAD", "bridge"), ("BRIDGE", "contract0"), *more])


# --- what all kinds share ---------------------------------------------------------------------------------------------


def make_datastore(objects: Objects, name: str) -> int:
    tm_mad = objects.get("datastore", 0).tm_mad
    return objects.allocate("datastore", Template([("NAME", name), ("TYPE", "SYSTEM_DS"), ("TM_MAD", tm_mad)]))


def make_vnet(objects: Objects, name: str) -> int:
    made = objects.allocate("vnet", bridge(name))
    settled(objects, "vnet", made)
    return made


def make_template(objects: Objects, name: str) -> int:
    return objects.allocate("template", Template([("NAME", name), ("CPU", "1"), ("MEMORY", "64")]))


def make_vntemplate(objects: Objects, name: str) -> int:
    return objects.allocate("vntemplate", bridge(name))


def make_image(objects: Objects, name: str) -> int:
    told = [("NAME", name), ("TYPE", "DATABLOCK"), ("SIZE", "1")]
    made = objects.allocate("image", Template(told), datastore_id=1)
    settled(objects, "image", made)
    return made


def make_document(objects: Objects, name: str) -> int:
    return objects.oned.allocate_document(name, "body", DOCUMENT_TYPE)


MAKERS: dict[Kind, Callable[[Objects, str], int]] = {
    "datastore": make_datastore,
    "vnet": make_vnet,
    "image": make_image,
    "template": make_template,
    "vntemplate": make_vntemplate,
    "document": make_document,
}
NAMED_ONCE = [kind for kind in MAKERS if kind != "document"]


@pytest.fixture(params=list(MAKERS))
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def object_id(objects: Objects, kind: Kind, name: str, undo: Undo) -> int:
    made = MAKERS[kind](objects, name)
    undo(lambda: gone(objects, kind, made))
    return made


def test_every_kind_is_made_listed_changed_and_deleted(objects: Objects, kind: Kind, object_id: int, name: str) -> None:
    found = objects.get(kind, object_id)
    assert (found.kind, found.id, found.name, found.uname, found.uid) == (kind, object_id, name, "oneadmin", 0)
    pool = objects.pool(kind, DOCUMENT_TYPE if kind == "document" else None)
    assert next(one for one in pool if one.id == object_id).name == name

    objects.update(kind, object_id, Template([("PROVISION", {"PROVISION_ID": "7", "NAME": "p"}), ("NOTE", "x")]))
    objects.update(kind, object_id, Template([("NOTE", "y")]))
    template = objects.get(kind, object_id).template
    assert (template.vector("PROVISION"), template.text("NOTE")) == ({"PROVISION_ID": "7", "NAME": "p"}, "y")
    if kind != "document":  # the pool shows it, too, and what was not asked for is left out
        assert Template([("NOTE", "y")]) in objects.templates(kind, ["NOTE"])

    objects.rename(kind, object_id, f"{name}-new")
    assert objects.get(kind, object_id).name == f"{name}-new"

    objects.chmod(kind, object_id, 0o640)
    assert objects.get(kind, object_id).mode == 0o640
    objects.chmod(kind, object_id, 0o604)
    assert objects.get(kind, object_id).mode == 0o604

    gone(objects, kind, object_id)
    for call in (objects.get, objects.delete):
        with pytest.raises(NoSuchObject, match=rf"^{kind} {object_id}: Error getting [a-z ]+ \[{object_id}\]\.$"):
            call(kind, object_id)


def test_owners_change_one_by_one(objects: Objects, kind: Kind, object_id: int) -> None:
    users = objects.group_id("users")
    objects.chown(kind, object_id, -1, users)
    found = objects.get(kind, object_id)
    assert (found.uid, found.gid, found.gname) == (0, users, "users")
    other = objects.user_id("serveradmin")
    objects.chown(kind, object_id, other, -1)
    found = objects.get(kind, object_id)
    assert (found.uid, found.uname, found.gid) == (other, "serveradmin", users)
    objects.chown(kind, object_id, 0, 0)
    with pytest.raises(NoSuchObject, match=rf"Error getting group \[{ABSENT}\]"):
        objects.chown(kind, object_id, -1, ABSENT)


def test_names_are_taken_once(objects: Objects, kind: Kind, object_id: int, name: str, undo: Undo) -> None:
    if kind not in NAMED_ONCE:
        pytest.skip("names of documents are unique on some releases only")
    with pytest.raises(AllocateRefused, match=rf"new {kind} {name}: .*NAME is already taken by [A-Z]+ {object_id}\.$"):
        MAKERS[kind](objects, name)
    other = MAKERS[kind](objects, f"{name}-other")
    undo(lambda: gone(objects, kind, other))
    with pytest.raises(ActionRefused, match=rf"collides with [a-z ]+ {object_id}"):
        objects.rename(kind, other, name)


def test_names_nobody_has(objects: Objects) -> None:
    with pytest.raises(NoSuchObject, match="there is no user called 'contract-nobody'"):
        objects.user_id("contract-nobody")
    with pytest.raises(NoSuchObject, match="there is no group called"):
        objects.group_id("contract-nobody")
    assert objects.user_id("oneadmin") == objects.group_id("oneadmin") == 0


# --- datastores and clusters ------------------------------------------------------------------------------------------


def test_datastores_every_front_end_has(objects: Objects) -> None:
    found = {one.id: one for one in objects.pool("datastore")}
    assert [(found[one].name, found[one].type) for one in range(3)] == [("system", 1), ("default", 0), ("files", 2)]
    assert found[1].ds_mad == "fs"
    assert 0 in found[0].cluster_ids


def test_a_datastore_joins_and_leaves_clusters(
    objects: Objects, cluster_id: int, transfer: str, name: str, undo: Undo
) -> None:
    told = Template([("NAME", name), ("TYPE", "SYSTEM_DS"), ("TM_MAD", transfer)])
    made = objects.allocate("datastore", told, cluster_id=cluster_id)
    undo(lambda: objects.delete("datastore", made))
    found = objects.get("datastore", made)
    assert (found.cluster_ids, found.tm_mad, found.type, found.ds_mad) == ((cluster_id,), transfer, 1, "-")
    assert objects.get("cluster", cluster_id).datastore_ids == (made,)
    with pytest.raises(ActionRefused, match=rf"Cluster {cluster_id} is not empty, it contains 1 datastores"):
        objects.delete("cluster", cluster_id)

    objects.add_to_cluster(0, "datastore", made)
    objects.add_to_cluster(0, "datastore", made)
    assert set(objects.get("datastore", made).cluster_ids) == {0, cluster_id}
    objects.remove_from_cluster(cluster_id, "datastore", made)
    assert objects.get("datastore", made).cluster_ids == (0,)
    assert objects.get("cluster", cluster_id).datastore_ids == ()
    with pytest.raises(NoSuchObject, match=rf"Error getting datastore \[{ABSENT}\]"):
        objects.add_to_cluster(cluster_id, "datastore", ABSENT)


@pytest.mark.parametrize(
    ("attributes", "error", "words"),
    [
        ({"TYPE": "SYSTEM_DS", "TM_MAD": "contract"}, InternalFailure, 'TM_MAD named "contract" is not defined'),
        ({"TYPE": "SYSTEM_DS"}, InternalFailure, "No TM_MAD in template"),
        ({"TM_MAD": "dummy"}, InternalFailure, "No DS_MAD in template"),
        ({"TM_MAD": "dummy", "DS_MAD": "contract"}, InternalFailure, 'DS_MAD named "contract" is not defined'),
        ({"TYPE": "SYSTEM_DS", "TM_MAD": "dummy", "DS_MAD": "fs"}, InternalFailure, "cannot have DS_MAD"),
    ],
)
def test_datastores_that_cannot_be_made(
    objects: Objects, name: str, attributes: dict[str, str], error: type[OnedError], words: str
) -> None:
    with pytest.raises(error, match=rf"^new datastore {name}: .*{words}"):
        objects.allocate("datastore", Template([("NAME", name), *attributes.items()]))
    assert all(one.name != name for one in objects.pool("datastore"))


def test_a_cluster_is_made_with_its_attributes(objects: Objects, cluster_id: int, name: str) -> None:
    found = objects.get("cluster", cluster_id)
    assert (found.name, found.template.text("NOTE"), found.mode) == (name, "contract", -1)
    assert found in objects.pool("cluster")
    objects.rename("cluster", cluster_id, f"{name}-new")
    assert objects.get("cluster", cluster_id).name == f"{name}-new"


# --- networks ---------------------------------------------------------------------------------------------------------


def test_a_network_with_its_addresses(objects: Objects, cluster_id: int, name: str, undo: Undo) -> None:
    first = {"TYPE": "IP4", "IP": "198.51.100.8", "SIZE": "2", "IPAM_NOTE": "kept"}
    made = objects.allocate("vnet", bridge(name, ("AR", first)), cluster_id=cluster_id)
    undo(lambda: gone(objects, "vnet", made))
    found = settled(objects, "vnet", made)
    assert (found.state, found.cluster_ids, found.vn_mad, found.used_leases) == (READY, (cluster_id,), "bridge", 0)
    [only] = found.address_ranges
    assert {key: only[key] for key in first} == first
    assert only["AR_ID"] == "0"
    assert only["MAC"].endswith("c6:33:64:08")

    objects.add_address_range(made, {"TYPE": "IP4", "IP": "198.51.100.16", "SIZE": "4"})
    assert [one["AR_ID"] for one in objects.get("vnet", made).address_ranges] == ["0", "1"]
    listed = next(one for one in objects.pool("vnet") if one.id == made)
    assert [one["IP"] for one in listed.address_ranges] == ["198.51.100.8", "198.51.100.16"]
    objects.remove_address_range(made, 0)
    assert [one["AR_ID"] for one in objects.get("vnet", made).address_ranges] == ["1"]
    with pytest.raises(InternalFailure, match="Address Range does not exist"):
        objects.remove_address_range(made, 0)
    with pytest.raises(InternalFailure, match="IP attribute"):
        objects.add_address_range(made, {"TYPE": "IP4", "SIZE": "4"})
    with pytest.raises(ActionRefused, match="it contains 1 vnets"):
        objects.delete("cluster", cluster_id)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"VN_MAD": "contract", "BRIDGE": "b"}, 'VN_MAD named "contract" is not defined in oned.conf'),
        ({"BRIDGE": "b"}, "No VN_MAD in template"),
        ({"VN_MAD": "vxlan", "AUTOMATIC_VLAN_ID": "YES"}, "PHYDEV is mandatory for driver vxlan"),
        ({"VN_MAD": "vxlan", "PHYDEV": "eth0"}, "VLAN_ID .* is mandatory for driver vxlan"),
    ],
)
def test_networks_that_cannot_be_made(objects: Objects, name: str, attributes: dict[str, str], words: str) -> None:
    with pytest.raises(InternalFailure, match=rf"^new vnet {name}: .*{words}"):
        objects.allocate("vnet", Template([("NAME", name), *attributes.items()]))


def test_a_network_gets_an_id_of_its_own(objects: Objects, name: str, undo: Undo) -> None:
    told = Template([("NAME", name), ("VN_MAD", "vxlan"), ("PHYDEV", "eth0"), ("AUTOMATIC_VLAN_ID", "YES")])
    made = objects.allocate("vnet", told)
    undo(lambda: gone(objects, "vnet", made))
    assert settled(objects, "vnet", made).state == READY
    assert "AUTOMATIC_VLAN_ID" not in objects.get("vnet", made).template


# --- images -----------------------------------------------------------------------------------------------------------


def test_an_image_becomes_ready(objects: Objects, name: str, undo: Undo) -> None:
    told = Template([("NAME", name), ("TYPE", "DATABLOCK"), ("SIZE", "1"), ("NOTE", "x")])
    made = objects.allocate("image", told, datastore_id=1)
    undo(lambda: gone(objects, "image", made))
    found = settled(objects, "image", made)
    assert (found.state, found.size, found.datastore_id, found.running_vms) == (READY, 1, 1, 0)
    assert made in objects.get("datastore", 1).image_ids
    with pytest.raises(ActionRefused, match="Datastore 1 is not empty"):
        objects.delete("datastore", 1)


def test_images_that_cannot_be_made(objects: Objects, name: str) -> None:
    told = Template([("NAME", name), ("TYPE", "DATABLOCK"), ("SIZE", "1")])
    with pytest.raises(NoSuchObject, match=rf"Error getting datastore \[{ABSENT}\]"):
        objects.allocate("image", told, datastore_id=ABSENT)
    with pytest.raises(AllocateRefused, match="can only be allocated in a files or image datastore"):
        objects.allocate("image", told, datastore_id=0)


# --- virtual machines -------------------------------------------------------------------------------------------------


def test_a_machine_on_hold_holds_its_image(objects: Objects, oned: Oned, name: str, undo: Undo) -> None:
    """Nothing is started: it is on hold, so no scheduler looks at it."""
    vms = Vms(oned)
    image_id = make_image(objects, name)
    undo(lambda: gone(objects, "image", image_id))
    disk_of = ("DISK", {"IMAGE_ID": str(image_id)})
    told = Template([("NAME", name), ("CPU", "1"), ("MEMORY", "64"), ("NOTE", "x"), disk_of])
    template_id = objects.allocate("template", told)
    undo(lambda: objects.delete("template", template_id))
    vm_id = vms.instantiate(template_id, name, Template([("MEMORY", "128")]), hold=True)
    undo(lambda: vms.action(vm_id, "terminate-hard"))

    vm = vms.get(vm_id)
    assert (vm.name, vm.state, vm.memory, vm.place, vm.settled) == (name, 2, 128, None, True)
    [disk] = vm.disks
    assert (disk.image_id, disk.datastore_id, disk.id) == (image_id, 1, 0)
    assert set(disk.cluster_ids) == set(objects.get("datastore", 1).cluster_ids)
    assert vm.user_template.text("NOTE") == "x"
    vms.update(vm_id, Template([("OTHER", "y")]))
    assert (vms.get(vm_id).user_template.text("OTHER"), vms.get(vm_id).user_template.text("NOTE")) == ("y", "x")
    with pytest.raises(ActionRefused, match=r"Cannot delete image\. There are 1 VMs using it\."):
        objects.delete("image", image_id)
    with pytest.raises(ActionRefused, match='action "resume": This action is not available for state HOLD'):
        vms.action(vm_id, "resume")
    with pytest.raises(NoSuchObject, match=rf"Error getting host \[{ABSENT}\]"):
        vms.deploy(vm_id, ABSENT)

    vms.action(vm_id, "terminate-hard")
    assert vms.get(vm_id).state == 6
    assert all(one.id != vm_id for one in vms.pool())
    assert objects.get("image", image_id).running_vms == 0
    with pytest.raises(NoSuchObject, match=rf"Error getting virtual machine \[{ABSENT}\]"):
        vms.get(ABSENT)


# --- documents --------------------------------------------------------------------------------------------------------


def test_documents_carry_plain_vectors_beside_the_secret_body(oned: Oned, name: str, undo: Undo) -> None:
    summary = Template([("PROVISION_SUMMARY", {"STATE": "RUNNING", "HOSTS": "2"})])
    made = oned.allocate_document(name, "s3cret", DOCUMENT_TYPE, summary)
    undo(lambda: oned.delete_document(made))
    oned.update_document(made, None, Template([("PROVISION_LOCK", {"TOKEN": "abc", "HOST": "one1"})]))
    [listed] = [one for one in oned.documents(DOCUMENT_TYPE) if one.id == made]
    assert (listed.summary, listed.lock) == ({"STATE": "RUNNING", "HOSTS": "2"}, {"TOKEN": "abc", "HOST": "one1"})
    assert listed.body != "s3cret"
    assert oned.document(made).body == "s3cret"
    oned.update_document(made, "second", Template([("PROVISION_SUMMARY", {"STATE": "ERROR"})]))
    found = oned.document(made)
    assert (found.body, found.summary, found.lock["TOKEN"]) == ("second", {"STATE": "ERROR"}, "abc")
    assert (found.uid, found.uname, found.mode) == (0, "oneadmin", 0o600)
    oned.rename_document(made, f"{name}-new")
    assert oned.document(made).name == f"{name}-new"
