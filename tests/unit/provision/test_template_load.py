"""Templates from files: both dialects, parents, aliases, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.template.load import find_template, load_template, parse_template, read_template
from hybrid_drivers.provision.template.model import Number, ProvisionTemplate, TemplateError

HOST = "{im_mad: kvm, vm_mad: kvm}"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "child.yaml"


def load(folder: Path, *search: Path, **files: str) -> ProvisionTemplate:
    return load_template(write(folder, **files), search)


def problems(folder: Path, **files: str) -> list[str]:
    with pytest.raises(TemplateError) as caught:
        load(folder, **files)
    assert str(caught.value).splitlines() == [str(one) for one in caught.value.problems]
    return [str(one).replace(f"{folder}/", "") for one in caught.value.problems]


def test_a_5_12_template_is_read() -> None:
    template = parse_template(
        """---
version: 1
name: metal
playbook: default
defaults:
  provision:
    driver: packet
    packet_token: a1b2
    packet_project: 6f
    facility: ams1
    plan: baremetal_0
  connection: {remote_port: 2222}
  configuration: {iptables_masquerade_enabled: no}
cluster: {name: metal, reserved_cpu: 10}
hosts:
  - reserved_cpu: "100"
    im_mad: kvm
    vm_mad: kvm
    provision: {hostname: one, os: debian_12}
datastores:
  - {name: images, ds_mad: fs, tm_mad: ssh}
networks:
  - name: nat
    vn_mad: dummy
    bridge: br0
    ar:
      - {ip: 192.168.150.2, size: 253, type: IP4}
images:
  - {name: small, ds_id: "<%= @datastores[0]['ID'] %>", meta: {mode: 640, wait: true}}
""",
        "t",
    )
    assert template.playbooks == ("default",)
    assert template.defaults_provision["packet_token"] == "a1b2"
    assert template.defaults_configuration == {"iptables_masquerade_enabled": False}
    assert template.hosts[0].body == {"reserved_cpu": "100", "im_mad": "kvm", "vm_mad": "kvm"}
    assert template.hosts[0].provision == {"hostname": "one", "os": "debian_12"}
    assert template.networks[0].body["ar"] == [{"ip": "192.168.150.2", "size": "253", "type": "IP4"}]
    assert template.images[0].meta == {"mode": "640", "wait": True}
    assert template.provider == ""


def test_a_6_x_template_of_several_files_is_read(tmp_path: Path) -> None:
    template = load(
        tmp_path,
        hosts="hosts:\n- im_mad: ${input.hv}\n  vm_mad: ${input.hv}\n  provision: {count: 2, hostname: 'h${index}'}\n",
        inputs="inputs:\n- {name: hv, type: list, options: [kvm, lxc], default: kvm}\n- {name: n, mandatory: no}\n",
        fireedge="image: LOGO\nprovider: aws\nprovision_type: edge\n",
        child="""
name: edge
description: An edge cluster
extends: [hosts.yaml, fireedge.yaml, inputs.yaml]
ansible: {ver_min: 2.12, ver_max: 2.13, playbook: [aws]}
defaults:
  provision: {provider_name: aws-frankfurt, cloud_init: true}
cluster:
  name: "${provision}"
  datastores: [1, 2]
  provision: {cidr: 10.0.0.0/16}
aws_configuration: {cidr: 10.0.0.0/16}
ceph_vars: {devices: [/dev/sdb]}
...
""",
    )
    assert (template.provider, template.provider_kind, template.playbooks) == ("aws-frankfurt", "aws", ("aws",))
    assert template.cluster_datastores == (1, 2)
    assert template.cluster.body == {"name": "${provision}"}
    assert [one.name for one in template.inputs] == ["hv", "n"]
    assert [one.mandatory for one in template.inputs] == [True, False]
    assert template.extra["ansible"] == {"ver_min": "2.12", "ver_max": "2.13"}
    assert template.hosts[0].file == str(tmp_path / "hosts.yaml")
    assert template.hosts[0].at("provision.hostname").line == 4


def test_parents_come_first_and_children_win(tmp_path: Path) -> None:
    template = load(
        tmp_path,
        grand=f"name: grand\nplaybook: default\nhosts: [{HOST[:-1]}, tag: grand}}]\ncluster: {{name: of-grand, a: 1}}\n"
        "defaults: {provision: {plan: a, os: a, metro: a}}\n",
        one=f"extends: grand.yaml\nhosts: [{HOST[:-1]}, tag: one}}]\ndefaults: {{provision: {{os: b, metro: b}}}}\n",
        two=f"hosts: [{HOST[:-1]}, tag: two}}]\nplaybook: two\n",
        child=f"name: child\nextends: [one.yaml, two.yaml]\nplaybook: [mine]\ncluster: {{name: own}}\n"
        f"hosts: [{HOST[:-1]}, tag: child}}]\ndefaults: {{provision: {{metro: c}}}}\n",
    )
    assert [host.body["tag"] for host in template.hosts] == ["grand", "one", "two", "child"]
    assert template.playbooks == ("default", "two", "mine")
    assert template.defaults_provision == {"plan": "a", "os": "b", "metro": "c"}
    assert (template.name, template.cluster.body) == ("child", {"name": "own"})


def test_a_child_may_replace_an_input_of_its_parent(tmp_path: Path) -> None:
    template = load(
        tmp_path,
        parent="inputs: [{name: n, default: 1}, {name: m}]\n",
        child="name: x\nextends: parent.yaml\ninputs: [{name: n, default: 5}]\n",
    )
    assert [(one.name, one.default) for one in template.inputs] == [("n", "5"), ("m", None)]


def test_parents_are_looked_for_beside_the_file_then_here_then_in_the_shared_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name for name in ("beside", "here", "shared")}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "parent.yaml").write_text(f"description: {name}\n")
    monkeypatch.chdir(folders["here"])
    child = write(folders["beside"], child="name: x\nextends: parent.yaml\n")
    for name, folder in folders.items():
        assert load_template(child, [folders["shared"]]).description == name
        (folder / "parent.yaml").unlink()
    with pytest.raises(TemplateError, match=r"child.yaml:2: extends: there is no template 'parent.yaml' in .*shared"):
        load_template(child, [folders["shared"]])


def test_oneprovisions_own_folder_stands_for_the_shared_ones(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "default.yaml").write_text("playbook: default\n")
    upstream = "/usr/share/one/oneprovision/templates/default.yaml"
    assert load(tmp_path, shared, child=f"name: x\nextends: {upstream}\n").playbooks == ("default",)


def test_a_template_that_extends_itself_names_the_chain(tmp_path: Path) -> None:
    found = problems(tmp_path, a="extends: b.yaml\n", b="extends: child.yaml\n", child="name: x\nextends: a.yaml\n")
    chain = " -> ".join(f"{name}.yaml" for name in ("child", "a", "b", "child"))
    assert found == [f"b.yaml:1: extends: the template extends itself: {chain}"]


def test_a_tree_of_parents_is_bounded(tmp_path: Path) -> None:
    doubling = {f"f{n}": f"extends: [f{n + 1}.yaml, f{n + 1}.yaml]\n" for n in range(40)}
    found = problems(tmp_path, child="name: x\nextends: f0.yaml\n", **doubling)
    assert any("more than 64 files are extended" in one for one in found)


def test_the_path_of_a_playbook_is_taken_from_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "mine.yml").write_text("- hosts: all\n")
    template = load(tmp_path, child="name: x\nplaybook: [default, books/mine, ./books/mine.yml, other/site]\n")
    mine = str(tmp_path / "books" / "mine.yml")
    assert template.playbooks == ("default", mine, "other/site")


def test_aliases_and_merge_keys_are_followed() -> None:
    template = parse_template(
        """
name: x
x-host: &host {im_mad: kvm, vm_mad: kvm, provision: &p {plan: a, os: b}}
hosts:
  - *host
  - <<: *host
    vm_mad: lxc
    provision: {<<: [{metro: am}, *p], plan: c}
""",
        "t",
    )
    first, second = template.hosts
    assert first.provision == {"plan": "a", "os": "b"}
    assert second.body == {"im_mad": "kvm", "vm_mad": "lxc"}
    assert second.provision == {"plan": "c", "metro": "am", "os": "b"}


def test_aliases_cannot_fill_the_memory() -> None:
    lines = ["a0: &a0 [x]"] + [f"x-a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(TemplateError, match=r"t:\d+: more than 50000 values, aliases \(\*name\) followed"):
        parse_template("name: x\n" + "\n".join(lines), "t")
    with pytest.raises(TemplateError, match="more than 64 levels"):
        parse_template("name: x\nx-a: &a [*a]\n", "t")


def test_a_file_full_of_values_is_left_early() -> None:
    with pytest.raises(TemplateError, match="t:2: not YAML: more than 50000 values"):
        parse_template("name: x\ncluster: {a: [" + "a," * 110_000 + "]}", "t")


def test_numbers_keep_their_text_and_booleans_are_rubys() -> None:
    body = parse_template(
        "name: x\ncluster: {a: 012345, b: 1.50, c: yes, d: Off, e: ~, f: 'yes', g: y, h: 1_0}", "t"
    ).cluster.body
    assert body == {
        "name": "x", "a": "012345", "b": "1.50", "c": True, "d": False, "e": None, "f": "yes", "g": "y", "h": "1_0"
    }  # fmt: skip
    assert [Number(text).plain for text in ("7", "-2", "1.5", "012345", "1_0", "1e3", "0x1f", ".inf")] == [
        7, -2, 1.5, "012345", "1_0", 1000.0, "0x1f", ".inf"
    ]  # fmt: skip


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        parent="hsots: []\nnetworks:\n  - name: a\n",
        child="""extends: parent.yaml
defaults:
  provisoin: {}
  connection: {user: root, remote_port: [22]}
hosts:
  - im_mad: kvm
    meta: {mod: 640}
datastores: {name: x}
""",
    )
    assert found == [
        "child.yaml:3: defaults.provisoin: unknown key; did you mean 'provision'?",
        "child.yaml:4: defaults.connection.user: unknown key; known are remote_user, remote_port, public_key, "
        "private_key, trust_first_use",
        "child.yaml:4: defaults.connection.remote_port: must be a single value",
        "child.yaml:6: hosts.0.vm_mad: is missing: hosts need it",
        "child.yaml:7: hosts.0.meta.mod: unknown key; did you mean 'mode'?",
        "child.yaml:8: datastores: must be a list (each item begins with '-')",
        "parent.yaml:1: hsots: unknown key; did you mean 'hosts'?",
        "parent.yaml:3: networks.0.vn_mad: is missing: networks need it",
        "child.yaml:1: name: is missing: a provision needs a name",
    ]


def test_whoever_wants_to_check_on_gets_what_is_right(tmp_path: Path) -> None:
    template, found = read_template(write(tmp_path, child=f"nam: x\nhosts: [{HOST}]\n"), [])
    assert template is not None
    assert len(template.hosts) == 1
    assert len(found) == 2


def test_secrets_are_not_in_the_repr() -> None:
    template = parse_template(
        f"name: x\ndefaults: {{provision: {{packet_token: TOPSECRET}}, connection: {{private_key: TOPSECRET}}}}\n"
        f"hosts: [{HOST[:-1]}, provision: {{ec2_secret: TOPSECRET}}}}]\n"
        "inputs: [{name: p, type: password, default: TOPSECRET}]\n",
        "t",
    )
    assert "TOPSECRET" not in repr(template)


def test_a_bare_name_is_looked_for_in_the_shared_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, own, ours = (tmp_path / name for name in ("here", "own", "ours"))
    for folder in (here, own, ours):
        folder.mkdir()
    monkeypatch.chdir(here)
    write(ours, packet="name: a\n", static="name: b\n")
    write(own, packet="name: c\n")
    search = (own, ours)
    assert find_template(Path("packet.yaml"), search) == own / "packet.yaml"
    assert find_template(Path("static.yaml"), search) == ours / "static.yaml"
    assert find_template(Path("sub/static.yaml"), search) == Path("sub/static.yaml")
    assert find_template(here / "static.yaml", search) == here / "static.yaml"
    write(here, static="name: d\n")
    assert find_template(Path("static.yaml"), search) == Path("static.yaml")
    for name in ("pakcet.yaml", "x" * 5000, "a\0b"):
        with pytest.raises(ConfigError, match=r"there is no template '.*', neither here nor in "):
            find_template(Path(name), search)
    with pytest.raises(ConfigError, match=r"; did you mean 'packet\.yaml'\?$"):
        find_template(Path("pakcet.yaml"), search)
