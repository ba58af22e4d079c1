"""From a template to slots and hosts: pure parts of a provision's life."""

from __future__ import annotations

import base64
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Host, HostState, Template, Value
from hybrid_drivers.provision import plan, scaling
from hybrid_drivers.provision.experience import Experience
from hybrid_drivers.provision.hostspec import HostSpec, host_spec, host_template
from hybrid_drivers.provision.plan import Specs, lay_out
from hybrid_drivers.provision.progress import view
from hybrid_drivers.provision.record import Record, Slot, Stage, Wishes, made
from hybrid_drivers.provision.template.expressions import Scope
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.model import ProvisionTemplate
from hybrid_drivers.provision.template.render import resolve

THREE = """
name: edge
playbook: [default, /etc/site.yml]
defaults:
  provision: {provider: aws-eu, ami: ami-1, instance_type: c5.metal, cidr: 10.0.0.0/16}
  connection: {remote_user: admin}
  configuration: {tuntap_name: tap5, iptables_masquerade_enabled: no}
datastores: [{name: a, type: IMAGE_DS, tm_mad: ssh}]
hosts:
  - {im_mad: kvm, vm_mad: qemu, reserved_cpu: 100, provision: {hostname: "h${index}", count: 2}}
  - {im_mad: kvm, vm_mad: kvm, provision: {hostname: [x, y], instance_type: m5.metal}}
"""


def template(text: str = THREE) -> ProvisionTemplate:
    return parse_template(textwrap.dedent(text), "t.yaml")


def spec(at: int, text: str = THREE, **wishes: Any) -> HostSpec:
    found = template(text)
    one = resolve(Specs.of(found).by_kind["hosts"][at], Scope(name="edge", provision_id=3, index=at))
    return host_spec(found, one, Wishes(**wishes), lambda name: "packet" if "packet" in name else "ec2")


def record() -> Record:
    made_of = Record(name="edge", template=THREE, id=3)
    lay_out(made_of, Specs.of(template()))
    return made_of


def test_every_object_gets_a_slot_once() -> None:
    found = record()
    lay_out(found, Specs.of(template()))
    assert [(slot.kind, slot.index) for slot in found.slots] == [
        ("clusters", 0),
        ("datastores", 0),
        *[("hosts", number) for number in range(4)],
    ]
    assert [slot.kind for slot in plan.unfinished(found, "hosts")] == ["hosts"] * 4


def test_a_host_is_what_its_own_section_says_over_the_defaults() -> None:
    first, last = spec(0), spec(3)
    assert (first.hostname, last.hostname) == ("h0", "y")
    assert first.attributes == {
        "PROVIDER": "aws-eu",
        "AMI": "ami-1",
        "INSTANCE_TYPE": "c5.metal",
        "PLAYBOOK": "default,/etc/site.yml",
    }
    assert last.attributes["INSTANCE_TYPE"] == "m5.metal"
    assert (first.vm_mad, last.vm_mad) == ("qemu", "kvm")
    assert first.extra == Template([("RESERVED_CPU", "100")])


def test_what_is_said_on_the_command_line_wins() -> None:
    assert spec(0, provider="other").attributes["PROVIDER"] == "other"
    assert spec(0, skip_config=True).attributes["PLAYBOOK"] == "dummy"


@pytest.mark.parametrize("wishes", [{}, {"provider": "packet-ams"}])
def test_inline_credentials_never_get_into_a_host(wishes: dict[str, str]) -> None:
    text = THREE.replace(
        "provider: aws-eu", "driver: ec2, ec2_access: AKIAXX, ec2_secret: s3cret, region_name: eu-west-1"
    )
    found = spec(0, text, **wishes)
    written = host_template(found, {"INDEX": "0"}, Path("/nowhere")).render()
    assert "s3cret" not in written
    assert "AKIAXX" not in written
    if wishes:
        assert (found.account, found.provider) == (None, "packet-ams")
    else:
        assert found.account is not None
        assert found.provider == found.account.name
        assert found.provider.startswith("inline-")


def test_the_host_carries_connection_configuration_and_tag(tmp_path: Path) -> None:
    written = host_template(spec(0), {"PROVISION_ID": "3", "INDEX": "0"}, tmp_path)
    assert written.vector("PROVISION")["INDEX"] == "0"
    assert written.vector("PROVISION")["HOSTNAME"] == "h0"
    assert written.vector("PROVISION_CONNECTION") == {"REMOTE_USER": "admin"}
    parameters = yaml.safe_load(base64.b64decode(written.text("PROVISION_CONFIGURATION_BASE64")))
    assert parameters == {"tuntap_name": "tap5", "iptables_masquerade_enabled": False}


def test_a_private_key_given_as_text_becomes_a_file_of_its_own(tmp_path: Path) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\\nabc\\n-----END OPENSSH PRIVATE KEY-----"
    text = THREE.replace("remote_user: admin", f'private_key: "{key}"')
    written = host_template(spec(0, text), {}, tmp_path / "ssh").vector("PROVISION_CONNECTION")
    path = Path(written["PRIVATE_KEY"])
    assert path.read_text().splitlines()[1] == "abc"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="cannot be kept in"):
        host_template(spec(0, text), {}, Path("/proc/nowhere"))


# --- how hosts stand --------------------------------------------------------------------------------------------------


def host(number: int = 1, *, guests: int = 0, state: HostState = HostState.MONITORED, **told: str) -> Host:
    pairs: list[tuple[str, Value]] = [("PROVISION", {"PROVIDER": "p", "PLAN": "a,b"}), *told.items()]
    if "SINCE" in told:
        pairs.append(("PROVISION_INTENT", {"SINCE": told["SINCE"]}))
    return Host(
        id=number,
        name=f"10.0.0.{number}",
        state=state,
        im_mad="provision",
        vm_mad="kvm",
        cluster_id=100,
        template=Template(pairs),
        running_vms=guests,
    )


SLOT = made(Slot(kind="hosts", index=0, spec=0), 1, "edge-0")


def test_a_view_knows_how_long_it_took_and_what_is_left() -> None:
    hosts = [host(SINCE="100", PROVISION_READY="160"), host(SINCE="200", PROVISION_READY="300"), host()]
    usual = Experience(Path("/nowhere")).usual(hosts)
    assert usual == {("p", "a"): 80.0}
    going = view(SLOT, host(SINCE="1000", PROVISION_STATE="CONFIGURING", PROVISION_STEP="x 1/2"), 1030.0, usual)
    assert (going.elapsed, going.left, going.step, going.failed) == (30.0, 50.0, "x 1/2", False)
    done = view(SLOT, host(SINCE="1000", PROVISION_STATE="READY", PROVISION_READY="1042"), 5000.0, usual)
    assert (done.elapsed, done.left, done.ready) == (42.0, None, True)
    assert view(SLOT, host(SINCE="1000", PROVISION_STATE="DEPLOYING"), 1200.0, usual).left == 0.0
    assert view(SLOT, host(SINCE="1000", PROVISION_STATE="DEPLOYING"), 1200.0, {}).left is None


def test_estimates_outlive_the_hosts_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "durations.json"
    Experience(path).learn(host(SINCE="100", PROVISION_READY="160"))
    Experience(path).learn(host(SINCE="100", PROVISION_READY="180"))
    assert Experience(path).usual([]) == {("p", "a"): 70.0}
    for damaged in ("", "{}", "[[1]]", '[["a", "b", "c"]]'):
        path.write_text(damaged)
        assert Experience(path).usual([]) == {}
    Experience(Path("/proc/nowhere/x")).learn(host(SINCE="1", PROVISION_READY="2"))


def test_hosts_that_will_not_become_ready_by_themselves() -> None:
    assert view(SLOT, None, 0.0, {}).gone
    silent = view(SLOT, host(state=HostState.ERROR, ERROR="no driver"), 0.0, {})
    assert (silent.failed, silent.problem) == (True, "no driver")
    assert not view(SLOT, host(state=HostState.INIT), 0.0, {}).failed


# --- scale ------------------------------------------------------------------------------------------------------------


def test_those_that_go_are_without_guests_the_failed_first_then_the_youngest() -> None:
    found = record()
    states = ["READY", "ERROR", "READY", "READY"]
    for slot in found.of_kind("hosts"):
        found.put(made(slot, slot.index, f"h{slot.index}"))
    hosts = {at: host(at, guests=int(at == 3), PROVISION_STATE=state) for at, state in enumerate(states)}
    assert [slot.index for slot in scaling.to_remove(found, hosts, 2)] == [1, 2]
    assert [slot.index for slot in scaling.to_remove(found, {}, 1)] == [3]
    with pytest.raises(ConfigError, match=r"only 3 are without virtual machines: move those of h3 first"):
        scaling.to_remove(found, hosts, 4)


def test_added_hosts_are_like_the_last_one_with_their_own_parameters() -> None:
    found = record()
    specs = Specs.of(template())
    added = scaling.add_hosts(found, specs, amount=2, names=["big"], parameters={"PLAN": "z"})
    assert [(slot.index, slot.spec, dict(slot.own)) for slot in added] == [
        (4, 3, {"plan": "z", "hostname": "big"}),
        (5, 3, {"plan": "z"}),
    ]
    with pytest.raises(ConfigError, match="3 names are given for 2 hosts"):
        scaling.add_hosts(found, specs, amount=2, names=["a", "b", "c"])
    with pytest.raises(ConfigError, match="has no host"):
        scaling.add_hosts(found, Specs.of(template("name: x\n")), amount=1)


def test_labels_for_people() -> None:
    assert plan.label(Slot(kind="hosts", index=2, spec=0)) == "host 2"
    assert plan.label(SLOT) == "host edge-0 (id 1)"
    assert Slot(kind="x", index=0, spec=0).stage is Stage.PLANNED
