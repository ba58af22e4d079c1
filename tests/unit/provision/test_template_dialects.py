"""Templates in the shapes of OneProvision's own, of 5.12 and of 6.x, run unchanged; and the examples of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_drivers.clock import SystemClock
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import Provider, ProviderEntry
from hybrid_drivers.provision import dialects
from hybrid_drivers.provision.template.dump import dump
from hybrid_drivers.provision.template.expand import expand_hosts, expand_ranges
from hybrid_drivers.provision.template.expressions import Scope
from hybrid_drivers.provision.template.inputs import collect
from hybrid_drivers.provision.template.load import load_template, parse_template
from hybrid_drivers.provision.template.render import resolve, to_template, with_inputs
from hybrid_drivers.provision.template.validate import Environment, check_file, validate
from hybrid_drivers.secret import Secret

TOP = Path(__file__).parents[3]
DATA = TOP / "tests" / "data" / "provision" / "dialects"
EXAMPLES = TOP / "share" / "provisions"
ENTRIES = {
    "packet": ProviderEntry(name="packet", driver="packet", settings={"token": Secret("t"), "project": "p"}),
    "ec2": ProviderEntry(
        name="ec2",
        driver="ec2",
        settings={"region": "eu-central-1", "access_key": Secret("a"), "secret_key": Secret("s")},
    ),
    "static": ProviderEntry(
        name="static", driver="static", settings={"machines": ("192.0.2.1",), "trust_first_use": True}
    ),
}


def environment(tmp_path: Path, provider_name: str = "") -> Environment:
    def entry(name: str) -> ProviderEntry:
        if name not in ENTRIES:
            raise ConfigError(f"there is no provider '{name}'")
        return ENTRIES[name]

    def provider(entry: ProviderEntry) -> Provider:
        return registry.make_provider(entry, SystemClock(), state_dir=tmp_path)

    return Environment(entry=entry, provider=provider, provider_name=provider_name, files=False)


def test_5_12s_whole_example_is_right_as_it_is() -> None:
    path = DATA / "documented-5.12.yaml"
    assert check_file(path, [], None, {}) == []
    template = load_template(path, [])
    assert parse_template(dump(template, masked=False), "t") == template
    assert "abc" not in dump(template, masked=True)


def test_5_12s_keys_of_ec2_become_those_of_our_driver(tmp_path: Path) -> None:
    path = DATA / "documented-5.12-ec2.yaml"
    assert check_file(path, [], environment(tmp_path), {}) == []
    (host,) = expand_hosts(load_template(path, []))
    given = {key: str(value) for key, value in host.provision.items() if not key.startswith("ec2_")}
    assert dialects.machine_attributes("ec2", given)["SECURITYGROUPIDS"] == "sg-1"


def test_an_edge_cluster_of_6_x_on_aws(tmp_path: Path) -> None:
    path = DATA / "edge" / "aws.yml"
    assert check_file(path, [], None, {}) == []
    assert check_file(path, [], environment(tmp_path, "ec2"), {"number_hosts": "3"}) == []
    template = load_template(path, [])
    assert (template.provider, template.provider_kind, template.playbooks) == ("aws", "aws", ("aws",))
    template = with_inputs(template, collect(template.inputs, {"number_hosts": "2", "number_public_ips": "3"}, None))
    hosts = [resolve(host, Scope(name="e")) for host in expand_hosts(template)]
    assert [host.provision["hostname"] for host in hosts] == ["edge-host0", "edge-host1"]
    attributes = {key: str(value) for key, value in to_template(hosts[0].provision)}
    assert dialects.machine_attributes("ec2", attributes) == {
        "AMI": dialects.UBUNTU_AMI,
        "BLOCKDEVICEMAPPING": "/dev/sda1=:100",
        "INSTANCETYPE": "c5.metal",
        "CLOUD_INIT": "YES",
        "HOSTNAME": "edge-host0",
    }
    network = resolve(expand_ranges(template.networks[0]), Scope(name="e", provision_id=7))
    assert [dict(one) for one in to_template(network.body).vectors("AR")] == [
        {"PROVISION_ID": "7", "SIZE": "1", "IPAM_MAD": "aws"}
    ] * 3


def test_an_hci_cluster_of_6_x(tmp_path: Path) -> None:
    path = DATA / "edge" / "aws-hci.yml"
    assert check_file(path, [], environment(tmp_path, "ec2"), {}) == []
    template = load_template(path, [])
    hosts = expand_hosts(with_inputs(template, collect(template.inputs, {}, None)))
    assert [host.provision["ceph_group"] for host in hosts] == ["osd,mon"] * 3 + ["clients"]


def test_an_onprem_cluster_of_6_x() -> None:
    path = DATA / "edge" / "onprem.yml"
    assert check_file(path, [], None, {}) == []
    template = load_template(path, [])
    given = {"hosts_names": "a.example;192.0.2.7", "one_hypervisor": "lxc", "first_public_ip": "198.51.100.9"}
    values = collect(template.inputs, {**given, "public_phydev": "eth1"}, None)
    assert check_file(path, [], None, values) == []
    hosts = expand_hosts(with_inputs(template, values))
    assert [host.provision["hostname"] for host in hosts] == ["a.example", "192.0.2.7"]


def test_a_provider_that_has_no_driver_here_is_told() -> None:
    (problem,) = check_file(DATA / "edge" / "google.yml", [], None, {})
    assert str(problem).endswith(
        "google.yml:5: defaults.provision.provider_name: OneProvision's provider 'google' has no driver here; "
        "there are dummy, ec2, packet, static"
    )


def test_the_hypervisor_of_6_x_chooses_the_playbook() -> None:
    given = {"oneprovision_hypervisor": "lxc", "frr_as": "1"}
    assert dialects.host_configuration(["aws", "mine.yml"], given) == (("evpn_lxc", "mine.yml"), {"frr_as": "1"})
    assert dialects.host_configuration(["default"], {"oneprovision_hypervisor": "kvm"}) == (("default",), {})


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_examples_are_right(path: Path, tmp_path: Path) -> None:
    template = load_template(path, [EXAMPLES])
    assert validate(template, environment(tmp_path), {}) == []
    given = {"ami": "ami-0123456789abcdef0"} if any(one.name == "ami" for one in template.inputs) else {}
    values = collect(template.inputs, given, None)
    assert validate(template, environment(tmp_path), values) == []
    assert expand_hosts(with_inputs(template, values))
    assert parse_template(dump(template, masked=False), "t") == template


def test_there_is_an_example_for_everything_and_a_test_looks_at_each() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == {
        "packet", "ec2-metal", "ec2-nested", "static", "static-vxlan", "evpn",
        "oneprovision-5.12-packet", "oneprovision-5.12-ec2",
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted((EXAMPLES / "parents").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_parents_can_be_extended(path: Path, tmp_path: Path) -> None:
    child = tmp_path / "child.yaml"
    child.write_text(f"name: x\nextends: /usr/share/one/oneprovision/templates/{path.name}\n")
    assert check_file(child, [EXAMPLES], None, {}) == []
