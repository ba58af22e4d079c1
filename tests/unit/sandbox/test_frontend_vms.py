"""Virtual machines of the stand-in, through our client: their life, what they take, where they may go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.standin import call

from hybrid_drivers.config import Location
from hybrid_drivers.errors import ActionRefused, AllocateRefused, NoSuchObject
from hybrid_drivers.model import Template, Value
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.frontend import Frontend, Knobs

LEAST: list[tuple[str, Value]] = [("CPU", "1"), ("MEMORY", "64")]


class Site:
    """A cloud with hosts 0 and 1 in the default cluster and 2 in cluster 100, which has system datastore 100."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.oned = Oned.from_location(Location.from_environment(frontend.environment))
        self.objects, self.vms = Objects(self.oned), Vms(self.oned)
        self.edge = self.oned.allocate_cluster("edge")
        for name, cluster_id in (("local0", 0), ("local1", 0), ("rented", self.edge)):
            self.oned.allocate_host(name, "provision", "kvm", cluster_id)
        self.system = self.datastore("edge-system", "local")

    def datastore(self, name: str, tm_mad: str) -> int:
        told = Template([("NAME", name), ("TYPE", "SYSTEM_DS"), ("TM_MAD", tm_mad)])
        return self.objects.allocate("datastore", told, cluster_id=self.edge)

    def image(self, name: str, *more: tuple[str, str]) -> int:
        told = Template([("NAME", name), ("TYPE", "DATABLOCK"), ("SIZE", "5"), *more])
        return self.objects.allocate("image", told, datastore_id=1)

    def vnet(self, name: str, size: int = 2, **more: str) -> int:
        ar = {"TYPE": "IP4", "IP": "192.0.2.10", "SIZE": str(size), **more}
        told = Template([("NAME", name), ("VN_MAD", "bridge"), ("BRIDGE", "br0"), ("AR", ar)])
        return self.objects.allocate("vnet", told)

    def vm(self, *more: tuple[str, Value], name: str = "vm") -> int:
        return self.objects.allocate("vm", Template([("NAME", name), *LEAST, *more]))

    def running(self, *more: tuple[str, Value], host: int = 0) -> int:
        made = self.vm(*more)
        self.vms.deploy(made, host)
        assert self.vms.get(made).runs
        return made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    knobs = Knobs(image_seconds=0, vnet_seconds=0, vm_seconds=0)
    with Frontend(tmp_path / "one", repository=None, knobs=knobs) as frontend:
        yield Site(frontend)


# --- their life -------------------------------------------------------------------------------------------------------


def test_a_machine_waits_runs_stops_and_ends(site: Site) -> None:
    made = site.vm(("LABELS", "web"))
    vm = site.vms.get(made)
    assert (vm.state, vm.place, vm.cpu, vm.memory, vm.name) == (1, None, 1.0, 64, "vm")
    assert (vm.user_template.text("LABELS"), "CPU" in vm.user_template) == ("web", False)
    assert [one.id for one in site.vms.pool(1)] == [made]

    site.vms.deploy(made, 0)
    vm = site.vms.get(made)
    assert vm.runs
    assert vm.place
    assert (vm.place.host_id, vm.place.cluster_id, vm.place.datastore_id, vm.place.tm_mad) == (0, 0, 0, "local")
    assert site.objects.get("host", 0).running_vms == 1
    [listed] = site.vms.pool()
    assert (listed.id, listed.state, listed.host_id) == (made, 3, 0)

    site.vms.action(made, "poweroff")
    assert site.vms.get(made).powered_off
    assert site.objects.get("host", 0).running_vms == 1, "it keeps its place"
    site.vms.action(made, "resume")
    assert site.vms.get(made).runs

    site.vms.action(made, "terminate")
    assert site.vms.get(made).state == 6
    assert (site.vms.pool(), site.objects.get("host", 0).running_vms) == ([], 0)
    assert [one.id for one in site.vms.pool(6)] == [made]


def test_while_something_goes_on_it_is_not_settled(site: Site) -> None:
    site.frontend.set_knobs({"vm_seconds": 3600})
    made = site.vm()
    site.vms.deploy(made, 0)
    vm = site.vms.get(made)
    assert (vm.state, vm.settled, vm.runs) == (3, False, False)
    for action in ("poweroff", "resume"):
        with pytest.raises(ActionRefused, match=f'action "{action}": This action is not available for state PROLOG'):
            site.vms.action(made, action)
    with pytest.raises(ActionRefused, match="Migrate action is not available for state PROLOG"):
        site.vms.migrate(made, 1)


def test_a_machine_of_a_template(site: Site) -> None:
    template = site.objects.allocate("template", Template([("NAME", "small"), *LEAST, ("NOTE", "a")]))
    made = site.vms.instantiate(template, "", Template([("MEMORY", "128")]))
    vm = site.vms.get(made)
    assert (vm.name, vm.memory, vm.user_template.text("NOTE")) == (f"small-{made}", 128, "a")
    held = site.vms.instantiate(template, "held", hold=True)
    assert site.vms.get(held).state == 2
    site.vms.action(held, "release")
    assert site.vms.get(held).state == 1
    with pytest.raises(NoSuchObject, match=r"Error getting virtual machine template \[9\]"):
        site.vms.instantiate(9, "x")


def test_the_users_part_is_changed_alone(site: Site) -> None:
    made = site.vm(("NOTE", "a"))
    site.vms.update(made, Template([("NOTE", "b"), ("OTHER", "c")]))
    vm = site.vms.get(made)
    assert (vm.user_template.text("NOTE"), vm.user_template.text("OTHER"), vm.cpu) == ("b", "c", 1.0)


# --- what they take ---------------------------------------------------------------------------------------------------


def test_images_and_addresses_are_taken_and_given_back(site: Site) -> None:
    image, vnet = site.image("data"), site.vnet("net")
    made = site.vm(("DISK", {"IMAGE_ID": str(image)}), ("NIC", {"NETWORK": "net"}))
    vm = site.vms.get(made)
    [disk] = vm.disks
    assert (disk.image_id, disk.datastore_id, disk.cluster_ids, disk.size) == (image, 1, (0,), 5)
    assert vm.network_ids == (vnet,)
    assert vm.template.vector("NIC")["IP"] == "192.0.2.10"
    found = site.objects.get("image", image)
    assert (found.state, found.running_vms) == (2, 1)
    assert site.objects.get("vnet", vnet).used_leases == 1
    with pytest.raises(ActionRefused, match=r"Cannot delete image\. There are 1 VMs using it\."):
        site.objects.delete("image", image)
    with pytest.raises(ActionRefused, match="Can not remove a virtual network with leases in use"):
        site.objects.delete("vnet", vnet)

    site.vms.action(made, "terminate-hard")
    found = site.objects.get("image", image)
    assert (found.state, found.running_vms) == (1, 0)
    site.objects.delete("image", image)
    site.objects.delete("vnet", vnet)
    assert (site.objects.pool("image"), site.objects.pool("vnet")) == ([], [])


def test_addresses_follow_one_another(site: Site) -> None:
    site.vnet("net", 3)
    ips = []
    for _ in range(2):
        made = site.vm(("NIC", {"NETWORK": "net"}))
        ips.append(site.vms.get(made).template.vector("NIC")["IP"])
        site.vms.action(made, "terminate")
    wanted = site.vm(("NIC", {"NETWORK": "net", "IP": "192.0.2.10"}))
    assert [*ips, site.vms.get(wanted).template.vector("NIC")["IP"]] == ["192.0.2.10", "192.0.2.11", "192.0.2.10"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("DISK", {"IMAGE_ID": "9"}), "Image with ID: 9 does not exist"),
        (("DISK", {"IMAGE": "none"}), "User 0 does not own an image with name: none"),
        (("DISK", {"IMAGE": "broken"}), "Cannot acquire image 1, it is in state: ERROR"),
        (("DISK", {"IMAGE": "mine"}), "Cannot acquire image 0, it is persistent and already in use"),
        (("NIC", {"NETWORK_ID": "9"}), "Virtual network with ID: 9 does not exist"),
        (("NIC", {"NETWORK": "full"}), "Cannot get IP/MAC lease from virtual network 0"),
        (("CPU", "many"), "CPU attribute must be a positive float"),
    ],
)
def test_machines_that_cannot_be_made(site: Site, more: tuple[str, Value], words: str) -> None:
    site.image("mine", ("PERSISTENT", "YES"))
    site.frontend.set_knobs({"image_error": "no space left"})
    site.image("broken")
    site.vnet("full", 1)
    site.vm(("DISK", {"IMAGE": "mine"}), ("NIC", {"NETWORK": "full"}))
    told = Template([("NAME", "x"), *(pair for pair in LEAST if pair[0] != more[0]), more])
    with pytest.raises(AllocateRefused, match=rf"^new vm x: Error allocating a new virtual machine\. {words}"):
        site.objects.allocate("vm", told)
    assert len(site.vms.pool()) == 1


def test_hosts_with_machines_stay(site: Site) -> None:
    made = site.running()
    site.vms.action(made, "poweroff")
    with pytest.raises(ActionRefused, match="Can not remove a host with running VMs"):
        site.oned.delete_host(0)
    assert f"<VMS><ID>{made}</ID></VMS>" in site.frontend.host_xml(0)
    site.vms.action(made, "terminate")
    site.oned.delete_host(0)


# --- where they may go ------------------------------------------------------------------------------------------------


def test_a_machine_moves_within_its_cluster(site: Site) -> None:
    made = site.running(("DISK", {"IMAGE_ID": str(site.image("data"))}))
    site.vms.migrate(made, 1, live=True)
    vm = site.vms.get(made)
    assert vm.runs
    assert [(one.sequence, one.host_id, one.datastore_id) for one in vm.history] == [(0, 0, 0), (1, 1, 0)]
    assert [site.objects.get("host", one).running_vms for one in (0, 1)] == [0, 1]
    with pytest.raises(ActionRefused, match=r"VM is already running on host \[1\] and datastore \[0\]"):
        site.vms.migrate(made, 1)


def test_a_machine_that_is_off_moves_to_another_cluster_with_its_datastore(site: Site) -> None:
    made = site.running()
    site.vms.action(made, "poweroff-hard")
    sentence = (
        rf"Cannot migrate VM \[{made}\] to host \[2\] and system datastore \[0\]\. "
        rf"Host is in cluster \[{site.edge}\], and the datastore is in cluster \[0\]"
    )
    with pytest.raises(ActionRefused, match=rf"^virtual machine {made} to host 2: {sentence}$"):
        site.vms.migrate(made, 2)
    site.vms.migrate(made, 2, datastore_id=site.system)
    vm = site.vms.get(made)
    assert vm.powered_off
    assert vm.place
    assert (vm.place.host_id, vm.place.cluster_id, vm.place.datastore_id) == (2, site.edge, site.system)
    site.vms.action(made, "resume")
    assert site.vms.get(made).runs


def test_images_bind_a_machine_to_their_clusters(site: Site) -> None:
    image = site.image("data")
    made = site.running(("DISK", {"IMAGE_ID": str(image)}))
    site.vms.action(made, "poweroff")
    sentence = rf"Host is in cluster \[{site.edge}\], and VM requires to be placed on cluster \[0\]"
    with pytest.raises(ActionRefused, match=sentence):
        site.vms.migrate(made, 2, datastore_id=site.system)
    site.objects.add_to_cluster(site.edge, "datastore", 1)
    site.vms.migrate(made, 2, datastore_id=site.system)
    assert site.vms.get(made).powered_off


def test_moves_that_drivers_do_not_allow(site: Site) -> None:
    made = site.running()
    other = site.datastore("edge-shared", "shared")
    with pytest.raises(ActionRefused, match="to a different system datastore cannot be performed live"):
        site.vms.migrate(made, 2, live=True, datastore_id=site.system)
    with pytest.raises(ActionRefused, match="Cannot migrate to a system datastore with a different driver"):
        site.vms.migrate(made, 2, datastore_id=other)
    with pytest.raises(NoSuchObject, match=r"Error getting host \[9\]"):
        site.vms.migrate(made, 9)
    with pytest.raises(NoSuchObject, match=r"Error getting datastore \[999\]"):
        site.vms.migrate(made, 2, datastore_id=999)
    site.oned.set_host_status(2, "offline")
    with pytest.raises(ActionRefused, match="Host is offline, cannot use it to deploy VM"):
        site.vms.migrate(made, 2, datastore_id=site.system)
    assert site.vms.get(made).runs


def test_a_machine_that_waits_is_started_with_a_datastore_of_the_cluster(site: Site) -> None:
    made = site.vm()
    with pytest.raises(ActionRefused, match=r"datastore \[0\] and host \[2\] are not in the same cluster"):
        site.vms.deploy(made, 2, 0)
    site.vms.deploy(made, 2)
    vm = site.vms.get(made)
    assert vm.place
    assert vm.place.datastore_id == site.system
    with pytest.raises(ActionRefused, match="Deploy action is not available for state RUNNING"):
        site.vms.deploy(made, 2)


def test_documents_of_tests_stand_beside_machines(site: Site) -> None:
    site.vm()
    site.frontend.store.vms.append((6, "<VM><ID>77</ID></VM>"))
    assert "<ID>77</ID>" not in call(site.frontend, "one.vmpool.info", -2, -1, -1, -1)[1]
    assert call(site.frontend, "one.vmpool.info", -2, -1, -1, -2)[1].count("<VM>") == 2
