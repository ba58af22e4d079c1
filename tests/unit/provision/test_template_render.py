"""From a template to oned's attributes: inputs, expressions, counts, defaults; and the dump."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.template.dump import dump
from hybrid_drivers.provision.template.expand import expand_hosts, expand_ranges
from hybrid_drivers.provision.template.expressions import Scope
from hybrid_drivers.provision.template.inline import split_credentials
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.merge import with_defaults
from hybrid_drivers.provision.template.model import Data, Number, ObjectSpec, ProvisionTemplate, TemplateError
from hybrid_drivers.provision.template.render import resolve, to_plain, to_template, with_inputs


def template_of(text: str, name: str = "x") -> ProvisionTemplate:
    return parse_template(f"name: {name}\n{text}", "t")


def hostnames(text: str) -> list[object]:
    return [one.provision.get("hostname") for one in expand_hosts(template_of(text))]


def host(**provision: str) -> str:
    return "- {im_mad: kvm, vm_mad: kvm, provision: " + json.dumps(provision) + "}\n"


# --- hosts and networks that stand for several ---


def test_a_host_with_a_count_or_a_list_of_names_is_several() -> None:
    text = (
        "hosts:\n" + host(hostname="a") + host(hostname="b", count="2") + host(hostname="c${index}", count="2")
        + "- {im_mad: kvm, vm_mad: kvm, provision: {hostname: [d, e]}}\n- {im_mad: kvm, vm_mad: kvm}\n"
    )  # fmt: skip
    assert hostnames(text) == ["a", "b-0", "b-1", "c${index}", "c${index}", "d", "e", None]
    hosts = expand_hosts(template_of(text))
    assert [one.index for one in hosts] == list(range(8))
    assert resolve(hosts[4], Scope(name="x")).provision["hostname"] == "c4"
    assert "count" not in hosts[1].provision


def test_the_count_may_be_in_the_defaults() -> None:
    assert hostnames("defaults: {provision: {count: 3}}\nhosts:\n" + host(hostname="a")) == ["a-0", "a-1", "a-2"]


def test_ceph_counts_make_hosts_with_their_groups() -> None:
    text = "hosts:\n" + host(ceph_full_count="2", ceph_osd_count="0", ceph_client_count="1", hostname="h${index}")
    hosts = expand_hosts(template_of(text))
    assert [one.provision["ceph_group"] for one in hosts] == ["osd,mon", "osd,mon", "clients"]
    assert "ceph_full_count" not in hosts[0].provision


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5", "10001", "9" * 5000, "${input.n}", "²"])
def test_a_wrong_count_is_said_with_its_place(count: str) -> None:
    with pytest.raises(TemplateError, match=r"t:3: hosts.0.provision.count: must be a whole number from 1 to 10000"):
        expand_hosts(template_of("hosts:\n" + host(hostname="a", count=count)))


def test_all_hosts_together_are_bounded() -> None:
    text = "hosts:\n" + host(count="10000") * 2
    with pytest.raises(TemplateError, match="more than 10000 hosts in all"):
        expand_hosts(template_of(text))


def test_the_first_address_range_is_repeated() -> None:
    network = template_of(
        "networks: [{vn_mad: elastic, ar: [{size: 1}, {size: 9}], provision: {count: 3, a: b}}]"
    ).networks[0]
    done = expand_ranges(network)
    assert done.body["ar"] == [{"size": "1"}, {"size": "9"}, {"size": "1"}, {"size": "1"}]
    assert done.provision == {"a": "b"}
    assert expand_ranges(ObjectSpec(kind="networks", body={"vn_mad": "x"})).body == {"vn_mad": "x"}
    with pytest.raises(TemplateError, match="must be a list of address ranges"):
        expand_ranges(ObjectSpec(kind="networks", body={"ar": ["x"]}))


# --- defaults ---


def test_defaults_are_below_the_object_and_credentials_stay_with_hosts() -> None:
    template = template_of(
        "defaults:\n  provision: {driver: packet, packet_token: T, packet_project: P, plan: a, os: b}\n"
        "  configuration: {tuntap_name: t}\n"
        "hosts: [{im_mad: kvm, vm_mad: kvm, provision: {OS: c}}]\n"
        "networks: [{vn_mad: dummy, provision: {plan: own}}]\ndatastores: [{tm_mad: ssh}]\nimages: [{name: i}]\n"
    )
    one = with_defaults(template, template.hosts[0])
    assert one.provision == {"driver": "packet", "packet_token": "T", "packet_project": "P", "plan": "a", "OS": "c"}
    assert one.configuration == {"tuntap_name": "t"}
    assert with_defaults(template, template.networks[0]).provision == {"plan": "own", "os": "b"}
    assert with_defaults(template, template.cluster).provision == {"plan": "a", "os": "b"}
    assert with_defaults(template, template.images[0]) == template.images[0]


def test_credentials_are_split_from_the_rest() -> None:
    account, rest = split_credentials(
        {"driver": "ec2", "ec2_access": "A", "ec2_secret": "S", "region_name": "eu-central-1", "ami": "ami-1"}
    )
    assert account == {"DRIVER": "ec2", "EC2_ACCESS": "A", "EC2_SECRET": "S", "REGION_NAME": "eu-central-1"}
    assert rest == {"region_name": "eu-central-1", "ami": "ami-1"}
    assert split_credentials({"PLAN": "x", "REGION_NAME": "r"}) == ({}, {"PLAN": "x", "REGION_NAME": "r"})


# --- inputs and expressions ---

INPUTS = "inputs: [{name: n}, {name: l, type: array}]\n"


def test_inputs_are_replaced_everywhere_and_other_expressions_left() -> None:
    template = template_of(
        INPUTS + "description: with ${input.n}\nplaybook: ['${input.n}']\n"
        "defaults: {provision: {plan: '${input.n}', tags: '${provision}-${input.n}'}}\n"
        "cluster: {name: 'c${input.n}'}\nceph_vars: {devices: '${input.l}'}\n"
        "hosts: [{im_mad: kvm, vm_mad: kvm, provision: {hostname: '${input.l}'}}]\n"
        "images: [{name: i, ds_id: '${datastore.0.id}', x: ['${input.l}', z]}]\n"
    )
    done = with_inputs(template, {"n": "7", "l": "a; b;"})
    assert done.description == "with 7"
    assert done.playbooks == ("7",)
    assert done.defaults_provision == {"plan": "7", "tags": "${provision}-7"}
    assert done.cluster.body == {"name": "c7"}
    assert done.extra == {"ceph_vars": {"devices": ["a", "b"]}}
    assert [one.provision["hostname"] for one in expand_hosts(done)] == ["a", "b"]
    assert done.images[0].body == {"name": "i", "ds_id": "${datastore.0.id}", "x": ["a", "b", "z"]}


def test_an_empty_list_of_names_makes_no_host() -> None:
    template = template_of(INPUTS + "hosts: [{im_mad: kvm, vm_mad: kvm, provision: {hostname: '${input.l}'}}]\n")
    assert expand_hosts(with_inputs(template, {"n": "", "l": ""})) == ()


def test_inputs_without_a_value_are_all_said() -> None:
    template = template_of(INPUTS + "cluster: {a: '${input.n}'}\ntemplates: [{name: '${input.n}', b: '<% x %>'}]\n")
    with pytest.raises(TemplateError) as caught:
        with_inputs(template, {})
    assert [one.key for one in caught.value.problems] == ["templates.0.name", "templates.0.b", "cluster.a"]


def test_resolving_says_all_that_is_wrong() -> None:
    spec = template_of("images: [{name: '${x}', meta: {uid: '${image.9.id}'}, a: [{b: '<% %>'}]}]").images[0]
    with pytest.raises(TemplateError) as caught:
        resolve(spec, Scope(name="p"))
    assert [one.key for one in caught.value.problems] == ["images.0.name", "images.0.a.0.b", "images.0.meta.uid"]


def test_numbers_stay_numbers_where_types_count() -> None:
    spec = template_of("flowtemplates: [{name: f, roles: [{cardinality: 2, t: '${template.0.id}', q: '2', b: yes}]}]")
    done = resolve(spec.flowtemplates[0], Scope(name="p", objects={"templates": [{"ID": "31", "NAME": "t"}]}))
    assert to_plain(done.body) == {"name": "f", "roles": [{"cardinality": 2, "t": 31, "q": "2", "b": True}]}
    assert yaml.safe_load(yaml.safe_dump(dict(done.body))) == to_plain(done.body)


# --- attributes ---


def test_yaml_becomes_attributes() -> None:
    body = template_of(
        "templates: [{name: t, memory: 512, hot: yes, cold: off, none: ~, nic: [{network: a}, {network: b, x: ~}],"
        " graphics: {type: VNC, keys: [a, 1]}, sched: [a, b, ~]}]"
    ).templates[0].body  # fmt: skip
    assert list(to_template(body)) == [
        ("NAME", "t"),
        ("MEMORY", "512"),
        ("HOT", "YES"),
        ("COLD", "NO"),
        ("NIC", {"NETWORK": "a"}),
        ("NIC", {"NETWORK": "b"}),
        ("GRAPHICS", {"TYPE": "VNC", "KEYS": "a,1"}),
        ("SCHED", "a,b"),
    ]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"a": {"b": {"c": "d"}}}, "a/b: oned has no mapping inside a mapping"),
        ({"a": {"b": [["c"]]}}, "a/b: oned has no list inside a list"),
        ({"a": [["c"]]}, "a: oned has no list inside a list"),
        ({"a": [{"b": "c"}, "d"]}, "a: a list must be of mappings only"),
    ],
)
def test_what_oned_cannot_hold_is_refused(body: Mapping[str, Data], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        to_template(body)


# --- dump ---

SECRETS = """
defaults:
  provision: {driver: packet, packet_token: TOPSECRET, packet_project: TOPSECRET, plan: seen}
  connection: {private_key: TOPSECRET, public_key: seen}
  configuration: {opennebula_ssh_deploy_private_key: true, my_password: TOPSECRET, list: [{api_key: TOPSECRET}]}
hosts: [{im_mad: kvm, vm_mad: kvm, provision: {ec2_access: TOPSECRET, EC2_SECRET: TOPSECRET, ami: seen}}]
networks: [{vn_mad: x, ar: [{packet_token: TOPSECRET, size: 1}]}]
datastores: [{tm_mad: ceph, ceph_secret: TOPSECRET}]
plain: {connection: {token: TOPSECRET}}
inputs: [{name: a, type: password, default: TOPSECRET}, {name: my_token, default: TOPSECRET}, {name: b, default: seen}]
"""


def test_the_masked_dump_hides_credentials_only() -> None:
    template = template_of(SECRETS)
    assert dump(template, masked=False).count("TOPSECRET") == SECRETS.count("TOPSECRET")
    masked = dump(template, masked=True)
    assert "TOPSECRET" not in masked
    assert masked.count("seen") == SECRETS.count("seen")
    assert "opennebula_ssh_deploy_private_key: true" in masked


text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
word = st.text("abcdefghij_-", min_size=1, max_size=8)
scalars = st.one_of(st.none(), st.booleans(), text, st.sampled_from(["yes", "012", "1.5", "null", "~", "${provision}"]))
scalars = st.one_of(scalars, st.integers(0, 10**6).map(lambda number: Number(str(number))))
data = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(word, inner, max_size=3))
flat = st.dictionaries(word, scalars, max_size=3)
sections = ("provision", "connection", "configuration", "meta")
body = st.dictionaries(word.filter(lambda key: key not in sections), data, max_size=4)


@st.composite
def templates(draw: st.DrawFn) -> ProvisionTemplate:
    mads = {"im_mad": "kvm", "vm_mad": "kvm", "tm_mad": "ssh", "vn_mad": "dummy"}

    def specs(kind: str) -> tuple[ObjectSpec, ...]:
        return tuple(
            ObjectSpec(kind=kind, body={**one, **mads}, provision=draw(flat), configuration=draw(body))
            for one in draw(st.lists(body, max_size=2))
        )

    return ProvisionTemplate(
        name=draw(word),
        description=draw(text.filter(lambda one: one == "" or one.strip() != "")),
        playbooks=tuple(dict.fromkeys(draw(st.lists(word, max_size=2)))),
        defaults_provision=draw(flat.map(lambda one: {k: v for k, v in one.items() if k not in ("provider", "x")})),
        cluster=ObjectSpec(kind="clusters", body={"name": draw(word), **draw(body)}, provision=draw(flat)),
        cluster_datastores=tuple(dict.fromkeys(draw(st.lists(st.integers(0, 999), max_size=3)))),
        hosts=specs("hosts"),
        images=specs("images"),
        flowtemplates=specs("flowtemplates"),
    )


@settings(deadline=None)
@given(templates())
def test_a_dump_reads_back_the_same(template: ProvisionTemplate) -> None:
    assert parse_template(dump(template, masked=False), "t") == template


def test_examples_read_back_the_same() -> None:
    template = template_of(SECRETS + "version: 1\nprovider: packet\nansible: {ver_min: 2.8}\nprovision_type: edge\n")
    again = parse_template(dump(template, masked=False), "t")
    assert again == template
    assert again.inputs[0].default == "TOPSECRET"
