"""What is checked with a front-end at hand, and how all of it is told."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_drivers.clock import SystemClock
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import Provider, ProviderEntry
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.validate import Environment, check_file, validate
from hybrid_drivers.secret import Secret

HOST = "{im_mad: kvm, vm_mad: kvm, provision: %s}"
PACKET = ProviderEntry(
    name="metal",
    driver="packet",
    settings={"token": Secret("t"), "project": "p"},
    defaults={"OS": "debian_12"},
    source="file metal.yaml",
)
OWN = ProviderEntry(
    name="own",
    driver="static",
    settings={"machines": ({"address": "192.0.2.1", "plan": "big"},), "trust_first_use": True},
    source="file own.yaml",
)


def entry(name: str) -> ProviderEntry:
    known = {one.name: one for one in (PACKET, OWN)}
    if name not in known:
        raise ConfigError(f"there is no provider '{name}'")
    return known[name]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    def provider(one: ProviderEntry) -> Provider:
        return registry.make_provider(one, SystemClock(), state_dir=tmp_path_factory.getbasetemp())

    return Environment(entry=entry, provider=provider)


def said(text: str, environment: Environment | None, inputs: Mapping[str, str] | None = None) -> list[str]:
    template = parse_template(textwrap.dedent(text), "t")
    return [str(one) for one in validate(template, environment, inputs or {})]


def host(provision: str, environment: Environment | None, more: str = "") -> list[str]:
    return said(f"name: x\n{more}hosts: [{HOST % provision}]\n", environment)


def test_a_provider_that_is_not_there(site: Environment) -> None:
    assert host("{provider: nothing, plan: a}", site) == [
        "t:2: hosts.0.provision.provider: there is no provider 'nothing'"
    ]
    assert host("{provider_name: aws, plan: a, ami: b}", site) == [
        "t:2: hosts.0.provision.provider_name: there is no provider 'aws'"
    ]
    assert host("{plan: a}", site) == [
        "t:2: hosts.0.provision.provider: no provider is named: add 'provider' to provision, or use --provider"
    ]
    assert host("{plan: a}", None) == []


def test_attributes_are_checked_by_the_provider_itself(site: Environment) -> None:
    assert host("{provider: metal, plan: a, metro: am}", site) == []  # OS is in the entry
    assert host("{provider: metal, plan: a}", site) == [
        't:2: hosts.0.provision: PROVISION needs METRO or FACILITY, and not both: say where to rent, like METRO="am"'
    ]
    assert host("{provider: own, plan: big}", site) == []
    assert host("{provider: own, plan: small}", site)[0].startswith(
        "t:2: hosts.0.provision: no machine of file own.yaml has plan 'small'"
    )


def test_the_provider_of_the_command_line_wins(site: Environment) -> None:
    other = Environment(entry=entry, provider=site.provider, provider_name="own")
    inline = "{driver: packet, packet_token: T, packet_project: P, plan: big}"
    assert host(inline, other) == []
    assert host("{provider: nothing, plan: big}", other) == []
    assert host("{plan: big, billing_cycle: daily}", other)[0].startswith(
        "t:2: hosts.0.provision.billing_cycle: unknown key 'billing_cycle' for driver static"
    )


def test_what_is_wrong_in_the_defaults_is_said_once_and_there() -> None:
    text = f"""
    name: x
    defaults:
      provision:
        provider: packet
        plna: a
      configuration:
        tuntap_nmae: b
    hosts:
      - {HOST % "{hostname: a}"}
      - {HOST % "{hostname: b}"}
    """
    assert said(text, None) == [
        "t:6: defaults.provision.plna: unknown key 'plna' for driver packet; did you mean 'plan'?",
        "t:8: defaults.configuration.tuntap_nmae: unknown key; did you mean 'tuntap_name'?",
    ]


def test_what_is_not_known_yet_is_not_held_against_a_template(site: Environment) -> None:
    text = f"""
    name: x
    inputs: [{{name: n}}, {{name: list, type: array}}, {{name: hv}}, {{name: ip}}]
    playbook: "${{input.hv}}"
    hosts:
      - {{im_mad: "${{input.hv}}", vm_mad: "${{input.hv}}", provision: {{provider: metal, plan: "${{input.n}}",
         metro: am, count: "${{input.n}}"}}, configuration: {{tuntap_name: "${{input.n}}"}}}}
      - {HOST % '{provider: "${input.n}", hostname: "${input.list}"}'}
    networks: [{{name: "a${{input.n}}", vn_mad: bridge, ar: [{{type: IP4, ip: "${{input.ip}}", size: "${{input.n}}"}}],
       provision: {{count: "${{input.n}}"}}}}]
    images: [{{name: i, size: "${{input.n}}", ds_id: "${{input.n}}", meta: {{mode: "${{input.n}}"}}}}]
    """
    assert said(text, site) == []
    wrong = said(text, site, {"n": "abc", "hv": "evpn", "list": "a b", "ip": "1.2.3"})
    keys = {one.split(": ")[1] for one in wrong}
    assert keys >= {
        "hosts.0.im_mad", "hosts.0.vm_mad", "hosts.0.provision.count", "hosts.1.provision.hostname",
        "hosts.1.provision.provider", "networks.0.ar.0.ip", "networks.0.ar.0.size", "networks.0.provision.count",
        "images.0.size", "images.0.ds_id", "images.0.meta.mode",
    }  # fmt: skip


def test_given_inputs_are_checked_too() -> None:
    text = "name: x\ninputs: [{name: n, type: number}]\n"
    assert said(text, None, {"n": "x", "m": "1"}) == [
        "t:2: inputs: there is no input 'm'",
        "t:2: inputs.n: must be a whole number, not 'x'",
    ]


def test_keys_and_types_and_all_else_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("name: x\nhsots: []\nhosts: [{im_mad: kvm, vm_mad: xen}]\n")
    assert [one.key for one in check_file(path, [], None, {})] == ["hsots", "hosts.0.vm_mad"]


def test_a_private_key_must_be_there(tmp_path: Path, site: Environment) -> None:
    key = tmp_path / "key"
    key.write_text("x")
    wrong = "must be a private key, or the file of one"
    for value, right in {str(key): True, f"{key}-not": False, "x" * 9000: False, "a\\0b": False}.items():
        found = host("{provider: own}", site, f'defaults: {{connection: {{private_key: "{value}"}}}}\n')
        assert found == ([] if right else [f"t:2: defaults.connection.private_key: {wrong}"])
    text = "-----BEGIN OPENSSH PRIVATE KEY-----"
    assert host("{provider: own}", site, f'defaults: {{connection: {{private_key: "{text}"}}}}\n') == []


def test_references_that_can_be_followed() -> None:
    text = """
    name: x
    cluster: {name: "${provision}"}
    hosts: [{im_mad: kvm, vm_mad: kvm, provision: {count: 2}}]
    datastores: [{name: "${provision}-i", ds_mad: fs, tm_mad: ssh}, {name: b, ds_mad: fs, tm_mad: ssh,
                  near: "${datastore.x-i.id}", of: "${cluster.x.id}"}]
    networks: [{name: n, vn_mad: bridge, x: {a: b}, near: "<%= @datastores.last['ID'] %>"}]
    images: [{name: i, size: 1, ds_id: "${datastore.-1.id}"}]
    marketplaceapps: [{name: app, appid: 1, dsid: "<%= @datastores[1]['ID'] %>"}]
    templates:
      - {name: t, a: "${host.1.name}", b: "${host.anything.im_mad}", c: "${image.app.id}", d: "<%= @images[5]['ID'] %>",
         e: "<%= @networks[0]['X']['A'] %>", f: "<%= @networks[0]['TEMPLATE/X/A'] %>", g: "${network.0.whatever}"}
    flowtemplates: [{name: f, roles: [{name: r, vm_template: "${template.app.id}"}]}]
    """
    assert said(text, None) == []
    assert [one.split(": ")[1] for one in said(text.replace("host.1", "host.2"), None)] == ["templates.0.a"]


def test_a_large_template_is_checked_quickly() -> None:
    hosts = "\n".join("- " + HOST % f"{{provider: packet, hostname: h{n}, plan: a}}" for n in range(150))
    many = HOST % "{provider: packet, count: 9000}"
    assert said(f"name: x\nhosts:\n{hosts}\n- {many}\n", None) == []


SECRET_KEYS = (
    "packet_token", "PACKET_TOKEN", "packet_project", "ec2_access", "ec2_secret", "EC2_SESSION_TOKEN", "my_password",
    "api_key", "token", "private_key",
)  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(SECRET_KEYS), st.sampled_from(["TOPSECRET", "TOP SECRET", "TOPSECRET\n", "${"])),
    st.sampled_from(["driver: packet", "driver: ec2", "provider: metal", "provider_name: aws", "plan: x"]),
    st.booleans(),
)
def test_no_credential_is_in_a_message(secrets: dict[str, str], driver: str, defaults: bool) -> None:
    section = ", ".join([driver, *(f'{key}: "{value}"'.replace("\n", "\\n") for key, value in secrets.items())])
    place = f"defaults: {{provision: {{{section}}}}}\n" if defaults else ""
    for environment in (None, Environment(entry=entry, files=False)):
        for one in host("{a: b}" if defaults else f"{{{section}}}", environment, place):
            assert "SECRET" not in one.replace("EC2_SECRET", "")
