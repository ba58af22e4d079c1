"""Provider files of both dialects: what is read, and that a wrong one ends in sentences with file and line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.provider_site import AWS_6, EQUINIX_6, PACKET, ProviderSite, provider_site
from tests.support.providers import CANARY

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.provision.provider_file import read_provider, read_provider_file
from hybrid_drivers.secret import Secret
from hybrid_drivers.yamlfile import Table, parse_yaml

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1dCB0aGlzIGlzIG5vdCBhIGtleSBvZiBhbnlib2R5"


def read(folder: Path, text: str, name: str = "") -> ProviderEntry:
    path = folder / "file.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return read_provider_file(str(path), name).entry


def problem(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert CANARY not in str(caught.value)
    return [one.removeprefix(f"{folder}/") for one in str(caught.value).split("; ")]


def test_our_own_keys_and_where_the_name_comes_from(tmp_path: Path) -> None:
    entry = read(tmp_path, PACKET)
    assert (entry.name, entry.driver, entry.defaults) == ("file", "packet", {"METRO": "am"})
    assert read(tmp_path, "name: inside\n" + PACKET).name == "inside"
    assert read(tmp_path, "name: inside\n" + PACKET, "given").name == "given"


def test_aws_of_6_x(tmp_path: Path) -> None:
    entry = read(tmp_path, AWS_6)
    assert (entry.name, entry.driver, entry.defaults) == ("aws-frankfurt", "ec2", {})
    assert entry.settings == {
        "access_key": Secret("AKIAEXAMPLE"),
        "secret_key": Secret(CANARY),
        "region": "eu-central-1",
        "description": "Edge cluster in AWS Frankfurt",
        "inputs": ({"name": "aws_instance_type", "type": "list", "options": ["c5.metal", "m5.metal"]},),
    }


@pytest.mark.parametrize("place", ["metro: am", "facility: ams1"])
@pytest.mark.parametrize("provider", ["equinix", "packet"])
def test_equinix_of_6_x(tmp_path: Path, provider: str, place: str) -> None:
    text = EQUINIX_6.replace("metro: am", place).replace("provider: equinix", f"provider: {provider}")
    entry = read(tmp_path, text)
    key, _, value = place.partition(": ")
    assert (entry.driver, entry.defaults) == ("packet", {key.upper(): value})
    assert entry.settings == {"token": Secret(CANARY), "project": "p1"}


def test_what_stands_beside_a_connection_goes_over_it(tmp_path: Path) -> None:
    entry = read(
        tmp_path, EQUINIX_6 + "endpoint: http://127.0.0.1:1\ndefaults: {metro: da, OS: x}\nlimits: {boot: 5}\n"
    )
    assert entry.defaults == {"METRO": "da", "OS": "x"}
    assert (entry.settings["endpoint"], entry.limits) == ("http://127.0.0.1:1", {"boot": 5})


def test_onprem_of_6_x_names_no_machines(tmp_path: Path) -> None:
    text = "name: onprem\nprovider: onprem\ndescription: On Premises\n"
    assert problem(tmp_path, text)[0].startswith("file.yaml:2: provider onprem lists no machines: add 'machines' with")
    entry = read(tmp_path, text + "trust_first_use: true\n")
    assert (entry.driver, entry.settings["any_address"], entry.settings["trust_first_use"]) == ("static", True, True)
    entry = read(tmp_path, text + f"machines: [{{address: 192.0.2.1, host_key: {KEY}}}]\n")
    assert "any_address" not in entry.settings


def test_dummy_of_6_x(tmp_path: Path) -> None:
    assert read(tmp_path, "name: d\nprovider: dummy\nconnection: {}\n").driver == "dummy"
    assert read(tmp_path, "name: d\nprovider: dummy\nconnection:\n").driver == "dummy"


@pytest.mark.parametrize("provider", ["google", "digitalocean", "vultr_metal", "scaleway"])
def test_providers_of_6_x_that_have_no_driver_here(tmp_path: Path, provider: str) -> None:
    told = problem(tmp_path, f"name: a\nprovider: {provider}\nconnection: {{key: {CANARY}}}\n")
    assert told == [
        f"file.yaml:2: OneProvision's provider '{provider}' has no driver here",
        "there are dummy, ec2, packet, static",
    ]


def test_everything_wrong_is_told_at_once_under_the_names_of_the_file(tmp_path: Path) -> None:
    text = f"name: a b\nprovider: aws\nconection: x\nconnection:\n  access_key: AWS access key\n  secret: {CANARY}\n"
    assert problem(tmp_path, text) == [
        "file.yaml: the name: 'a b' cannot be the name of a provider: use letters, digits, '.', '-', '_'",
        "give one with --name, or as 'name:' in the file",
        "file.yaml:3: unknown key 'conection' for a provider",
        "did you mean 'connection'?",
        "file.yaml:6: unknown key 'secret' for connection of driver ec2",
        "did you mean 'secret_key'?",
        "file.yaml:5: key 'connection.access_key' has a character that no credential has (a space, a line end?)",
        "file.yaml: key 'region' is missing for driver ec2 (like eu-central-1",
        "an entry is for one region)",
    ]


def test_a_file_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(PACKET)
    path.chmod(0o640)
    assert read_provider_file(str(path)).warnings == (
        f"{path} holds credentials and others may read it: chmod 600 it, or remove it",
    )
    path.chmod(0o600)
    assert read_provider_file(str(path)).warnings == ()


BAD = [
    "",
    "- a",
    "just text",
    "name: a",
    "driver:",
    "driver: []",
    "driver: pakket",
    "driver: packet",
    f"driver: packet\nprovider: equinix\ntoken: {CANARY}\nproject: p",
    f"driver: packet\nconnection: {{token: {CANARY}}}",
    f"driver: packet\ntoken: [{CANARY}]\nproject: p",
    f"driver: packet\ntoken: {{a: {CANARY}}}\nproject: p",
    f"driver: packet\ntoken: '{CANARY} {CANARY}'\nproject: p",
    f"driver: packet\ntoken: {CANARY}\nproject: {{}}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nname: [a]",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nname: 12",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nname: '../up'",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nname: {'x' * 65}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nname: 'a;b'",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nendpoint: [a]",
    f"driver: packet\ntoken: {CANARY}\nproject: p\ndefaults: {{PACKET_TOKEN: {CANARY}}}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\ndefaults: 3",
    f"driver: packet\ntoken: {CANARY}\nproject: p\ndefaults: {{PLANN: a}}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nlimits: {{boot: -1}}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nlimits: [1]",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nprices: 3",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nprices: {{a: x}}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nprices: {{a: -1}}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\ncurrency: dollars",
    f"driver: packet\ntoken: {CANARY}\nproject: p\ninputs: {{}}",
    f"driver: packet\ntoken: {CANARY}\nproject: p\ninputs: [a]",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nremote_port: ssh",
    f"driver: packet\ntoken: {CANARY}\nproject: p\nrate: .inf",
    f"driver: packet\ntoken: {CANARY}\nproject: p\ntrust_first_use: perhaps",
    f"driver: packet\ntoken: {CANARY}\ntoken: {CANARY}\nproject: p",
    f"driver: packet\ntoken: &a {CANARY}\nproject: *a",
    f"driver: packet\ntoken: !!python/object/apply:os.system [{CANARY}]\nproject: p",
    f"driver: packet\ntoken: !Secret {CANARY}\nproject: p",
    f"driver: packet\n---\ntoken: {CANARY}",
    f"driver: packet\n\ttoken: {CANARY}",
    f"driver: packet\ntoken: {CANARY}\nproject: 'open",
    f"{{driver: packet, token: {CANARY}",
    f"driver: packet\n? [token]\n: {CANARY}",
    "driver: \x00",
    "driver: packet\nproject: \x1b[31mred",
    'driver: packet\nproject: "\\ud800"\ntoken: x',
    'driver: packet\nproject: "a\\0b"\ntoken: x',
    "[" * 5000,
    "a: {" * 500,
    "driver: dummy\nfail: always",
    "driver: dummy\nsold_out: large",
    "driver: static",
    "driver: static\nmachines: 192.0.2.1",
    "driver: static\nmachines: [192.0.2.1]",
    "driver: static\nmachines: [{address: rack1}]\ntrust_first_use: true",
    "driver: static\nany_address: true",
    "driver: static\nany_address: true\ntrust_first_use: true\nmachines: [192.0.2.1]",
    "driver: ec2\nregion: eu-central-1",
    f"driver: ec2\nregion: eu-central-1\nsecret_key: {CANARY}",
    f"driver: ec2\nregion: eu-central-1\nprofile: a\nsecret_key: {CANARY}\naccess_key: a",
    f"driver: ec2\naccess_key: a\nsecret_key: {CANARY}",
    "provider:",
    "provider: [aws]",
    "provider: azure",
    "provider: aws",
    "provider: aws\nconnection:",
    f"provider: aws\nconnection: {CANARY}",
    f"provider: aws\nconnection: [{CANARY}]",
    f"provider: aws\nconnection: {{access_key: a, secret_key: {CANARY}}}",
    f"provider: aws\nconnection: {{access_key: a, secret_key: {CANARY}, region: [x]}}",
    f"provider: aws\nconnection: {{access_key: a, secret_key: {CANARY}, region: x, zone: y}}",
    f"provider: aws\nconnection: {{access_key: a, secret_key: {CANARY}, region: x}}\nregion: x",
    f"provider: aws\nconnection: {{access_key: a, secret_key: {CANARY}, region: x}}\nhosts: []",
    f"provider: equinix\nconnection: {{token: {CANARY}}}",
    f"provider: equinix\nconnection: {{token: {CANARY}, project: p, metro: {{a: b}}}}",
    f"provider: equinix\nconnection: {{token: {CANARY}, project: p}}\ndefaults: am",
    "provider: onprem",
    f"provider: vultr\nconnection: {{key: {CANARY}}}",
    "connection: {}",
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderSite]:
    with provider_site(tmp_path_factory.mktemp("bad")) as one:
        yield one


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_wrong_file_ends_in_a_sentence_and_nothing_is_stored(shared: ProviderSite, text: str) -> None:
    path = shared.draft(text)
    told = shared.refused("create", str(path), "--no-check")
    assert told.startswith((str(path), "'12' cannot be the name of a provider"))
    assert "Traceback" not in told
    assert "\n" not in told
    assert len(told) < 1000
    assert not any(ord(character) < 32 for character in told)
    assert shared.oned.documents(702) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "byte 0 is not UTF-8 text"),
        (b"#" * (1024 * 1024 + 1), "larger than 1 MiB, which no provider is"),
        (b"driver: packet\ntoken: \x80", "byte 22 is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_text(shared: ProviderSite, content: bytes, told: str) -> None:
    path = shared.draft("")
    path.write_bytes(content)
    assert shared.refused("create", str(path)) == f"{path}: {told}"


def test_what_is_no_file_does_not_hold_us_up(shared: ProviderSite) -> None:
    fifo = shared.scratch / "fifo"
    os.mkfifo(fifo, 0o600)
    assert "not a regular file; give '-' to read standard input" in shared.refused("create", str(fifo))
    assert "No such file" in shared.refused("create", str(shared.scratch / "none.yaml"))
    assert "cannot be read" in shared.refused("create", "a\0b")


NODES = st.recursive(
    st.sampled_from(["", "x", CANARY, "12", "null", "true", "aws", "packet", "\x1b[1m", "ä", "[", "{{"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["driver", "provider", "connection", "token", "name", "defaults", "prices", "inputs", "a"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def told(tree: Table) -> str:
    try:
        read_provider(tree, "x.yaml", fallback="x")
    except ConfigError as exc:
        return str(exc)
    return "x.yaml"


@settings(max_examples=examples(60))
@given(node=st.dictionaries(st.sampled_from(["driver", "provider", "connection", "name", "token", "region"]), NODES))
def test_whatever_stands_there_is_an_entry_or_a_sentence(node: dict[str, object]) -> None:
    tree = parse_yaml(json.dumps(node), "x.yaml")
    assert isinstance(tree, Table)
    assert told(tree).startswith("x.yaml")
