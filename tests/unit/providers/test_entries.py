"""Provider entries from files, documents and attributes: what is read, and what each mistake is told as."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.support.providers import CANARY, FakeClock

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import entries, registry
from hybrid_drivers.providers.base import Limits, Provider
from hybrid_drivers.providers.limits import limits_of
from hybrid_drivers.secret import Secret

PACKET = f"""\
driver: packet
description: Amsterdam
token: {CANARY}
project: 5a4d0b0c-0000-4000-8000-000000000001
rate: 5
defaults:
  metro: [am, da]
  plan: c3.small.x86
  os: debian_12
  spot_instance: no
limits:
  deploy: 120
"""


def write(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def problem(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        entries.load_entry(write(folder, "ams.yaml", text))
    return str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "packet-ams.yaml", PACKET)
    entry = entries.load_entry(path)
    assert (entry.name, entry.driver, entry.source) == ("packet-ams", "packet", f"file {path}")
    assert entry.settings["token"] == Secret(CANARY)
    assert entry.settings["rate"] == 5
    assert entry.defaults == {"METRO": "am,da", "PLAN": "c3.small.x86", "OS": "debian_12", "SPOT_INSTANCE": "no"}
    assert limits_of(entry, Limits(poll=3)) == Limits(deploy=120, poll=3)
    assert CANARY not in repr(entry)


def test_scalars_stay_as_written(tmp_path: Path) -> None:
    entry = entries.load_entry(
        write(
            tmp_path, "a.yaml", "driver: packet\ntoken: 0123456\nproject: 1e3\ndefaults: {METRO: no, OS: 2024-01-01}\n"
        )
    )
    assert entry.text("token") == "0123456"
    assert entry.text("project") == "1e3"
    assert entry.defaults == {"METRO": "no", "OS": "2024-01-01"}


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o640, 0o644, 0o660, 0o601])
def test_a_file_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, "ams.yaml", PACKET, mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        entries.load_entry(path)


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    path = write(tmp_path, "ams.yaml", PACKET)
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to user 12345"):
        entries.load_entry(path)
    assert entries.load_entry(path, uid=12345).driver == "packet"


def test_what_is_no_file_does_not_hold_us_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml", 0o600)
    with pytest.raises(ConfigError, match="not a regular file"):
        entries.load_entry(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="No such file"):
        entries.load_entry(tmp_path / "none.yaml")


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = "driver: packet\ntokn: x\nrate: fast\ndefaults:\n  PLANN: c3\n  token: x\nlimits:\n  deploi: 3\n  boot: -1\n"
    told = problem(tmp_path, text).split("; ")
    path = tmp_path / "ams.yaml"
    assert told == [
        f"{path}:2: unknown key 'tokn' for driver packet",
        "did you mean 'token'?",
        f"{path}:3: key 'rate' must be a number",
        f"{path}: key 'token' is missing for driver packet (API token, header X-Auth-Token)",
        f"{path}: key 'project' is missing for driver packet (UUID of the project)",
        f"{path}:5: unknown key 'PLANN' for defaults of driver packet",
        "did you mean 'PLAN'?",
        f"{path}:6: unknown key 'TOKEN' for defaults of driver packet",
        f"{path}:8: unknown key 'deploi' for limits",
        "did you mean 'deploy'?",
        f"{path}:9: limit 'boot' must be a positive number of seconds",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be a mapping"),
        ("- a\n", "must be a mapping"),
        ("token: x\n", "key 'driver' is missing; known drivers: dummy, ec2, packet, static"),
        (
            "driver: pakket\n",
            r":1: unknown driver 'pakket' \(known: dummy, ec2, packet, static\); did you mean 'packet'",
        ),
        ("driver: [a]\n", "key 'driver' is missing"),
        ("driver: packet\ntoken: [a\n", ":3: not YAML"),
        ("driver: packet\ndriver: packet\n", r":2: key 'driver' is there twice \(first in line 1\)"),
        ("driver: &a packet\ntoken: *a\n", r":2: not YAML: aliases \(\*name\) are not allowed"),
        ("driver: !!python/name:os.system\n", ":1: the tag .* is not allowed"),
        ("driver: packet\n---\ndriver: packet\n", "not YAML"),
        ("driver: packet\n? [a]\n: b\n", ":2: a key must be a word"),
        ("driver: packet\ntoken: {a: b}\nproject: p\n", ":2: key 'token' must be a single value"),
        ("driver: packet\ntoken:\nproject: p\n", ":2: key 'token' is empty"),
        ("driver: packet\ntoken: 'a b'\nproject: p\n", ":2: key 'token' has a character"),
        ('driver: packet\ntoken: a\nproject: "a\\0b"\n', ":3: key 'project' has a control character"),
        ('driver: packet\ntoken: a\nproject: p\ndefaults: {OS: "\\e[1m"}\n', ":4: OS has a control character"),
        ("driver: packet\ntoken: a\nproject: p\ndefaults: x\n", ":4: key 'defaults' must be a mapping"),
        ("driver: packet\ntoken: a\nproject: p\ndefaults: {PACKET_TOKEN: x}\n", ":4: PACKET_TOKEN is a credential"),
        ("driver: packet\ntoken: a\nproject: p\nremote_port: ssh\n", ":4: key 'remote_port' must be a number"),
        ("driver: packet\ntoken: a\nproject: p\ntrust_first_use: maybe\n", ":4: .* must be true or false"),
        ("driver: dummy\nfail: never\n", "key 'fail' must be one of"),
        ("driver: ec2\nregion: r\n", "credentials are missing"),
        ("driver: ec2\nregion: r\naccess_key: a\n", "key 'secret_key' is missing"),
        ("driver: ec2\nregion: r\nprofile: a\ninstance_role: true\n", "only one of these"),
        ("driver: ec2\nprofile: a\n", "key 'region' is missing"),
        ("driver: static\n", "key 'machines' is missing"),
        ("driver: static\nany_address: true\n", "it needs trust_first_use: true"),
        (
            "driver: static\nany_address: true\ntrust_first_use: true\nmachines: [203.0.113.1]\n",
            "give machines, or any_address: true, and not both",
        ),
        ("driver: static\nmachines: 203.0.113.1\n", ":2: key 'machines' must be a list"),
        ("driver: static\nmachines: [203.0.113.1]\n", "203.0.113.1 has no host_key"),
        ("driver: static\ntrust_first_use: true\nmachines: [rack1]\n", "machine 1: 'rack1' is not an IP address"),
        ("driver: static\ntrust_first_use: true\nmachines: [{adress: 203.0.113.1}]\n", "did you mean 'address'"),
        (
            "driver: static\ntrust_first_use: true\nmachines: [203.0.113.1, {address: 203.0.113.1, name: a}]\n",
            "address 203.0.113.1 is listed twice",
        ),
        (
            "driver: static\nmachines:\n - {address: 203.0.113.1, host_key: ssh-dss AAAA}\n",
            "host_key of 203.0.113.1 is not a line like",
        ),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        entries.load_entry(write(tmp_path, "ams.yaml", text))
    assert str(caught.value).startswith(str(tmp_path / "ams.yaml"))


def test_a_wrong_secret_is_not_repeated(tmp_path: Path) -> None:
    assert CANARY not in problem(tmp_path, f"driver: packet\nproject: p\ntoken: '{CANARY} {CANARY}'\n")
    assert CANARY not in problem(tmp_path, f"driver: packet\nproject: p\ntoken: ['{CANARY}']\n")


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " * 5000, "\x00", "driver: packet\n#" + "x" * 1024 * 1024])
def test_hostile_files_end_in_one_sentence(tmp_path: Path, text: str) -> None:
    assert len(problem(tmp_path, text)) < 300


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path, "ams.yaml", "")
    path.write_bytes(b"driver: \xff\xfe")
    with pytest.raises(ConfigError, match="byte 8 is not UTF-8"):
        entries.load_entry(path)


@pytest.mark.parametrize(
    "more", ["profile: edge", "instance_role: true", "access_key: AKIAEXAMPLE\nsecret_key: abc/def+ghi="]
)
def test_ec2_takes_keys_or_a_profile_or_a_role(tmp_path: Path, more: str) -> None:
    assert entries.load_entry(write(tmp_path, "a.yaml", f"driver: ec2\nregion: eu-central-1\n{more}\n")).driver == "ec2"


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml", PACKET)
    write(tmp_path, "bad.yaml", "driver: packet\n")
    write(tmp_path, "other.yml", PACKET)
    write(tmp_path, ".hidden.yaml", "x")
    write(tmp_path, "README", "x")
    loaded = entries.load_entries(tmp_path)
    assert set(loaded.entries) == {"good"}
    assert set(loaded.errors) == {"bad", "other"}
    assert loaded.entry("good").driver == "packet"
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        loaded.entry("bad")
    with pytest.raises(ConfigError, match=r"rename it to other\.yaml"):
        loaded.entry("other")
    with pytest.raises(ConfigError, match="no provider entry is called 'none'; known: good"):
        loaded.entry("none")
    assert entries.load_entries(tmp_path / "missing").entries == {}


def test_entries_are_found_by_name(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml", PACKET)
    assert entries.names_in(tmp_path) == ["good"]
    assert entries.load_named(tmp_path, "none") is None
    found = entries.load_named(tmp_path, "good")
    assert found is not None
    assert found.name == "good"
    with pytest.raises(ConfigError, match="cannot be the name"):
        entries.load_named(tmp_path, "../good")


def test_a_document_is_the_same_entry(tmp_path: Path) -> None:
    read = entries.load_entry(write(tmp_path, "ams.yaml", PACKET))
    again = entries.entry_from_document("ams", json.dumps(entries.body_of(read)), "document 12")
    assert entries.digest(again) == entries.digest(read)
    assert again.source == "document 12"


def test_mistakes_in_a_document_name_it() -> None:
    with pytest.raises(ConfigError, match="document 12: the body is not a JSON document"):
        entries.entry_from_document("a", "{", "document 12")
    with pytest.raises(ConfigError, match="document 12: unknown key 'tokn' for driver packet; did you mean 'token'"):
        entries.entry_from_document("a", '{"driver": "packet", "tokn": "x"}', "document 12")
    with pytest.raises(ConfigError, match="document 12: must be a JSON object"):
        entries.entry_from_document("a", "[]", "document 12")


PACKET_512 = {
    "DRIVER": "packet",
    "PACKET_TOKEN": CANARY,
    "PACKET_PROJECT": "p1",
    "FACILITY": "ams1",
    "PLAN": "baremetal_0",
    "OS": "centos_7",
    "HOSTNAME": "edge1",
}
EC2_512 = {
    "PM_MAD": "ec2",
    "EC2_ACCESS": "AKIAEXAMPLE",
    "EC2_SECRET": CANARY,
    "REGION_NAME": "us-east-1",
    "AMI": "ami-66a7871c",
    "INSTANCETYPE": "i3.metal",
    "SECURITYGROUPIDS": "sg-0f5b7b3a3a8d5e0e4",
    "CLOUD_INIT": "true",
}


@pytest.mark.parametrize(("attributes", "driver"), [(PACKET_512, "packet"), (EC2_512, "ec2")])
def test_inline_attributes_of_5_12_are_split(attributes: dict[str, str], driver: str, tmp_path: Path) -> None:
    entry, left = entries.entry_from_attributes(attributes, "host 7")
    assert entry.driver == driver
    assert entry.name == f"inline-{entries.digest(entry)[:10]}"
    assert CANARY not in repr(left)
    assert not entries.CREDENTIAL_ATTRIBUTES & set(left)
    provider: Provider = registry.make_provider(entry, FakeClock(), state_dir=tmp_path)
    assert provider.placements(left)


def test_the_driver_follows_from_the_credentials() -> None:
    attributes = {key: value for key, value in PACKET_512.items() if key != "DRIVER"}
    assert entries.entry_from_attributes(attributes, "host 7")[0].driver == "packet"


def test_the_same_credentials_are_one_account() -> None:
    first, _ = entries.entry_from_attributes(PACKET_512, "host 7")
    second, _ = entries.entry_from_attributes({**PACKET_512, "PLAN": "c3.small.x86"}, "host 8")
    other, _ = entries.entry_from_attributes({**PACKET_512, "PACKET_TOKEN": "another"}, "host 9")
    assert first.name == second.name != other.name


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"PLAN": "x"}, "host 7: PROVISION names no PROVIDER and no DRIVER; known drivers"),
        ({"DRIVER": "pakket"}, "did you mean 'packet'"),
        ({"DRIVER": "packet", "PACKET_TOKEN": "x"}, "host 7: key 'PACKET_PROJECT' is missing"),
        ({"DRIVER": "ec2", "REGION_NAME": "x"}, "host 7: credentials are missing"),
    ],
)
def test_what_is_missing_inline_is_named_as_the_operator_knows_it(attributes: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        entries.entry_from_attributes(attributes, "host 7")


def test_a_digest_changes_with_everything_that_matters_and_tells_nothing(tmp_path: Path) -> None:
    base = entries.load_entry(write(tmp_path, "a.yaml", PACKET))
    changed = [
        PACKET.replace(CANARY, CANARY + "x"),
        PACKET.replace("rate: 5", "rate: 6"),
        PACKET.replace("am, da", "am"),
        PACKET.replace("120", "121"),
    ]
    digests = {entries.digest(entries.load_entry(write(tmp_path, "a.yaml", text))) for text in [PACKET, *changed]}
    assert len(digests) == 5
    assert entries.digest(base) in digests
    assert entries.digest(base, b"owner") not in digests
    assert CANARY not in entries.digest(base)
