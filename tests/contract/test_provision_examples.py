"""Every template of share/provisions, made on the sandbox as a person would make it, and taken away again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.lab import AGENT, LIMITS, no_secret_came_out, own_machines, quick_knobs
from tests.support.oneprovision import created, oneprovision, shown

from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.lab import Lab, LabOptions
from hybrid_drivers.sandbox.packet_api import PacketSimulator

FOLDER = Path(__file__).parents[2] / "share/provisions"
OF_EC2 = ("ec2-metal.yaml", "ec2-nested.yaml", "oneprovision-5.12-ec2.yaml")
OF_PACKET = ("packet.yaml", "evpn.yaml", "oneprovision-5.12-packet.yaml")
OF_OWN_MACHINES = ("static.yaml", "static-vxlan.yaml")
NETWORKS = {"evpn.yaml": "vxlan", "static-vxlan.yaml": "dummy", "packet.yaml": "dummy"}  # driver of the last one


def lab_of(provider: str) -> Lab:
    agent = {key: value for key, value in AGENT.items() if isinstance(value, (int, float))}
    return Lab(LabOptions(provider=provider, limits=LIMITS, agent=agent, knobs=quick_knobs(), step_delay=0.0))


@pytest.fixture(scope="module")
def packet() -> Iterator[Lab]:
    with lab_of("packet") as lab:
        lab.write_entry("packet", lab.entry())
        yield lab
        no_secret_came_out(lab)


@pytest.fixture(scope="module")
def ec2() -> Iterator[Lab]:
    with lab_of("ec2") as lab:
        lab.write_entry("ec2", lab.entry())
        yield lab
        no_secret_came_out(lab)


def test_every_example_is_tried() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.yaml")) == sorted([*OF_EC2, *OF_PACKET, *OF_OWN_MACHINES])


def made_and_taken_away(lab: Lab, name: str, *words: str) -> None:
    file = str(FOLDER / name)
    dry = oneprovision(lab, "create", file, "--dry-run", "--json", *words)
    assert dry.returncode == 0, dry.stderr
    planned = json.loads(dry.stdout)["objects"]
    number = created(lab, file, *words)
    found = shown(lab, number)
    assert (found["STATE"], found["PROBLEM"]) == ("RUNNING", "")
    assert {one["STATE"] for one in found["HOSTS"]} == {"READY"}
    for kind in ("clusters", "hosts", "networks", "images", "templates"):
        wanted = sorted(one["name"] for one in planned if one["kind"] == kind)
        assert sorted(one["NAME"] for one in found[kind.upper()]) == wanted, kind
    if name in NETWORKS:
        assert lab.objects.get("vnet", found["NETWORKS"][-1]["ID"]).vn_mad == NETWORKS[name]
    assert oneprovision(lab, "diff", number).stdout == "nothing differs\n"
    done = oneprovision(lab, "delete", number)
    assert done.returncode == 0, done.stderr
    assert (lab.oned.hosts(), lab.alive(), lab.oned.documents(703)) == ([], [], [])
    assert [one.name for one in lab.oned.clusters() if one.name not in ("default", "edge")] == []
    assert {one.id for one in lab.objects.pool("datastore")} == {0, 1, 2}


@pytest.mark.parametrize("name", ["packet.yaml", "evpn.yaml"])
def test_examples_for_packet(packet: Lab, name: str) -> None:
    made_and_taken_away(packet, name, "--user-inputs", "number_hosts=2")


@pytest.mark.parametrize("name", ["ec2-metal.yaml", "ec2-nested.yaml"])
def test_examples_for_ec2(ec2: Lab, name: str) -> None:
    assert isinstance(ec2.simulator, Ec2Simulator)
    made_and_taken_away(ec2, name, "--user-inputs", f"number_hosts=2,ami={ec2.simulator.image}")


def test_examples_for_machines_of_ones_own(packet: Lab) -> None:
    own_machines(packet, "static", 2)
    for name in OF_OWN_MACHINES:
        made_and_taken_away(packet, name, "--user-inputs", "number_hosts=2")


# --- 5.12: credentials inline, which have the limits of real providers, so they are not waited for at the end ---------


def filled(tmp_path: Path, name: str, lab: Lab, values: dict[str, str]) -> str:
    """Put the simulator's account in the place of the words to replace."""
    text = (FOLDER / name).read_text()
    for word, value in values.items():
        assert word in text, word
        text = text.replace(word, value)
    assert "REPLACE" not in text
    port = f"    remote_port: {lab.machines.ssh_port}\n"
    if "  connection:\n" in text:
        text = text.replace("  connection:\n", f"  connection:\n{port}")
    else:
        text = text.replace("defaults:\n", f"defaults:\n  connection:\n{port}")
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_the_example_of_5_12_for_packet(tmp_path: Path) -> None:
    with lab_of("packet") as lab:
        assert isinstance(lab.simulator, PacketSimulator)
        values = {"REPLACE-WITH-YOUR-API-TOKEN": lab.simulator.token}
        account = f"{lab.simulator.project}\n    packet_endpoint: {lab.simulator.url}"
        values["00000000-0000-0000-0000-000000000000"] = account
        number = created(lab, filled(tmp_path, "oneprovision-5.12-packet.yaml", lab, values))
        found = shown(lab, number)
        assert {one["STATE"] for one in found["HOSTS"]} == {"READY"}
        assert [one["NAME"] for one in found["NETWORKS"]] == ["legacy-nat"]
        no_secret_came_out(lab)


def test_the_example_of_5_12_for_ec2(tmp_path: Path) -> None:
    with lab_of("ec2") as lab:
        assert isinstance(lab.simulator, Ec2Simulator)
        secret = f"{lab.simulator.secret_access_key}\n    ec2_endpoint: {lab.simulator.url}"
        values = {
            "REPLACE-WITH-ACCESS-KEY-ID": lab.simulator.access_key_id,
            "REPLACE-WITH-SECRET-ACCESS-KEY": secret,
            "region_name: eu-central-1": f"region_name: {lab.simulator.region}",
            "ami-0123456789abcdef0": lab.simulator.image,
            "    securitygroupids: sg-0123456789abcdef0\n    subnetid: subnet-0123456789abcdef0\n": "",
            "/usr/share/one/oneprovision/templates/static_vxlan.yaml": str(FOLDER / "parents/static_vxlan.yaml"),
        }
        number = created(lab, filled(tmp_path, "oneprovision-5.12-ec2.yaml", lab, values))
        found = shown(lab, number)
        assert ([one["STATE"] for one in found["HOSTS"]], len(found["NETWORKS"])) == (["READY"], 2)
        no_secret_came_out(lab)
