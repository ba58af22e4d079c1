"""Provider and template as OneProvision 6.x has them, unchanged: a whole cluster on the sandbox, and away again."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.support.lab import quick_lab
from tests.support.oneprovision import created, oneprovision, shown

from hybrid_drivers.model import Host, OnedObject
from hybrid_drivers.provision.dialects import UBUNTU_AMI
from hybrid_drivers.sandbox.lab import Lab

FOLDER = Path(__file__).parents[1] / "data/provision/dialects/whole"
NIC = "eth0"  # of a light machine's default route
PROVIDERS: Mapping[str, tuple[str, list[dict[str, object]], str]] = {  # name -> driver, its inputs, their values
    "equinix": (
        "packet",
        [
            {"name": "equinix_plan", "type": "list", "options": ["c3.small.x86", "m3.small.x86"]},
            {"name": "equinix_os", "type": "list", "options": ["debian_12", "alma_9"], "default": "debian_12"},
        ],
        "equinix_plan=m3.small.x86",
    ),
    "aws": (
        "ec2",
        [{"name": "aws_instance_type", "type": "list", "options": ["c5.metal", "i3.metal"], "default": "c5.metal"}],
        "aws_instance_type=i3.metal",
    ),
}
RENTED = {
    "equinix": {"PLAN": "m3.small.x86", "OS": "debian_12", "PLAYBOOK": "equinix"},
    "aws": {
        "INSTANCETYPE": "i3.metal",
        "AMI": UBUNTU_AMI,
        "BLOCKDEVICEMAPPING": "/dev/sda1=:100",
        "CLOUD_INIT": "YES",
        "PLAYBOOK": "aws",
    },
}


def provider_of_6_x(lab: Lab, name: str) -> str:
    """Write the laboratory's account as ``oneprovider create`` of 6.x takes it, with what leads to the simulator."""
    entry = lab.entry()
    kept = {key: entry.pop(key) for key in ("remote_port", "limits", "endpoint")}
    entry.pop("driver")
    place = {"metro": "am"} if name == "equinix" else {}
    told = {
        "name": name,
        "description": "Somewhere else",
        "provider": name,
        "plain": {"image": "LOGO", "location_key": "region", "provision_type": "metal"},
        "connection": {**entry, **place},
        "inputs": PROVIDERS[name][1],
        **kept,
    }
    path = lab.folder / "provider.yml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(told))
    return str(path)


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_edge_cluster_from_a_provider_of_6_x_to_its_services(name: str) -> None:
    driver, _, inputs = PROVIDERS[name]
    with quick_lab(driver) as lab:
        assert lab.frontend.oneflow_url  # it runs from the first look on
        done = lab.run("oneprovider", "create", provider_of_6_x(lab, name))
        assert done.returncode == 0, done.stderr
        words = ("--user-inputs", f"number_hosts=2,number_ranges=3,{inputs}")
        file = str(FOLDER / f"{name}.yml")
        unknown = oneprovision(lab, "create", file, "--user-inputs", "aws_instance_type=t3.nano,equinix_plan=x")
        assert (unknown.returncode, lab.oned.documents(703)) == (255, [])
        assert "must be one of" in unknown.stderr
        number = created(lab, file, *words)
        found = shown(lab, number)
        assert (found["STATE"], found["PROBLEM"], found["NAME"]) == ("RUNNING", "", "whole")
        objects = {kind: _by_name(lab, kind) for kind in ("cluster", "datastore", "vnet", "image", "template")}
        cluster = objects["cluster"]["whole"]
        _hosts_are_right(lab, name, number, cluster.id)
        _datastores_and_networks_are_right(lab, name, number, objects)
        _guests_are_right(lab, number, objects)
        assert oneprovision(lab, "diff", number).stdout == "nothing differs\n"
        gone = oneprovision(lab, "delete", number, "--cleanup")
        assert gone.returncode == 0, gone.stderr
        assert (lab.oned.hosts(), lab.alive(), lab.oned.documents(703)) == ([], [], [])
        assert lab.oned.documents(101) == []
        assert {one.id for one in lab.objects.pool("datastore")} == {0, 1, 2}
        assert [pool for kind in ("vnet", "image", "template", "vntemplate") for pool in lab.objects.pool(kind)] == []


def _by_name(lab: Lab, kind: str) -> dict[str, OnedObject]:
    return {one.name: one for one in lab.objects.pool(kind)}  # type: ignore[arg-type] # a kind of the test's own


def _hosts_are_right(lab: Lab, name: str, number: str, cluster_id: int) -> None:
    hosts = _hosts(lab)
    names = [one.template.vector("PROVISION")["HOSTNAME"] for one in hosts]
    assert names == [f"whole-{number}-host0", f"whole-{number}-host1"]
    assert [one.name for one in hosts] == [one.template.text("PROVISION_ADDRESS") for one in hosts]  # as OneProvision
    for index, host in enumerate(hosts):
        assert (host.cluster_id, host.vm_mad, host.template.text("PROVISION_STATE")) == (cluster_id, "kvm", "READY")
        assert host.template.text("RESERVED_CPU") == "100"
        rented = host.template.vector("PROVISION")
        assert {key: rented.get(key) for key in RENTED[name]} == RENTED[name]
        tag = {"PROVISION_ID": number, "NAME": "whole", "INDEX": str(index), "PROVIDER": name}
        assert {key: rented.get(key) for key in tag} == tag
        assert not {"CIDR", "ROOT_SIZE", "COUNT", "PROVIDER_NAME"} & rented.keys()
        assert _configuration(host) == {"opennebula_ssh_deploy_private_key": True}


def _hosts(lab: Lab) -> list[Host]:
    return sorted(lab.oned.hosts(), key=lambda one: one.template.vector("PROVISION")["INDEX"])


def _configuration(host: Host) -> object:
    return yaml.safe_load(base64.b64decode(host.template.text("PROVISION_CONFIGURATION_BASE64")))


def _datastores_and_networks_are_right(
    lab: Lab, name: str, number: str, objects: Mapping[str, Mapping[str, OnedObject]]
) -> None:
    cluster = lab.objects.get("cluster", objects["cluster"]["whole"].id)
    images, system = objects["datastore"]["whole-image"], objects["datastore"]["whole-system"]
    assert set(cluster.datastore_ids) == {1, 2, images.id, system.id}
    first = _hosts(lab)[0]
    assert system.template.text("REPLICA_HOST") == first.template.text("PROVISION_ADDRESS")
    inside = lab.objects.get("vnet", objects["vnet"]["whole-inside"].id)
    between = lab.objects.get("vnet", objects["vnet"]["whole-between"].id)
    assert inside.template.text("BRIDGE") == f"br{cluster.id}"
    assert inside.template.text("MADE_FOR") == name
    assert [(one["TYPE"], one["SIZE"], one["PROVISION_ID"]) for one in inside.address_ranges] == [
        ("ETHER", "4", number)
    ] * 3
    assert [(one["IP"], one["SIZE"]) for one in between.address_ranges] == [("10.20.0.2", "10")]
    assert (between.template.text("PHYDEV"), between.state) == (NIC, 1)


def _guests_are_right(lab: Lab, number: str, objects: Mapping[str, Mapping[str, OnedObject]]) -> None:
    image, template = objects["image"]["whole-data"], objects["template"]["whole-guest"]
    assert (image.state, image.mode, image.datastore_id) == (1, 0o644, objects["datastore"]["whole-image"].id)
    cluster_id = str(objects["cluster"]["whole"].id)
    assert template.template.vector("DISK") == {"IMAGE_ID": str(image.id)}
    inside = str(objects["vnet"]["whole-inside"].id)
    assert template.template.vectors("NIC") == [{"NETWORK_ID": inside}, {"NETWORK": "whole-between"}]
    assert template.template.text("SCHED_REQUIREMENTS") == f'CLUSTER_ID = "{cluster_id}"'
    [private] = lab.objects.pool("vntemplate")
    assert (private.name, private.template.text("PHYDEV")) == ("whole-private", NIC)
    assert private.template.text("CLUSTER_IDS") == cluster_id
    [service] = lab.oned.documents(101)
    body = json.loads(lab.objects.get("document", service.id).template.text("BODY"))
    assert (service.name, body["deployment"]) == ("whole-service", "straight")
    assert [(one["cardinality"], one["template_id"]) for one in body["roles"]] == [(2, template.id)]
