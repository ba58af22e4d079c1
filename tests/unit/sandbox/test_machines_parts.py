"""The small parts of sandbox machines: user-data, apt sources, kernel settings, machines that do not exist."""

from __future__ import annotations

import base64
import shutil
import threading
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest

from hybrid_drivers.errors import ConfigError, SandboxError
from hybrid_drivers.sandbox.machines import archive_key, cgroups, cloudconfig, commands, leftovers, rootfs, sources
from hybrid_drivers.sandbox.machines.__main__ import main
from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.machines.settings import SharedSettings
from hybrid_drivers.sandbox.machines.sources import host_sources, sources_file
from hybrid_drivers.sandbox.machines.suites import SUITES, suite

# --- user-data --------------------------------------------------------------------------------------------------------

OURS = """#cloud-config
ssh_keys:
  ed25519_private: |
    -----BEGIN OPENSSH PRIVATE KEY-----
    abc
    -----END OPENSSH PRIVATE KEY-----
  ed25519_public: ssh-ed25519 AAAA host
ssh_authorized_keys: [ssh-ed25519 BBBB agent, ssh-rsa CCCC person]
packages: [ignored]
"""


def test_keys_are_read_and_the_private_one_never_shown() -> None:
    config = cloudconfig.parse(OURS)
    assert config.host_private_key.splitlines()[1] == "abc"
    assert config.host_private_key.endswith("KEY-----\n")
    assert config.host_public_key == "ssh-ed25519 AAAA host"
    assert config.authorized_keys == ("ssh-ed25519 BBBB agent", "ssh-rsa CCCC person")
    assert "abc" not in repr(config)


def test_of_several_parts_the_first_word_counts() -> None:
    message = MIMEMultipart()
    message.attach(MIMEText(OURS, "cloud-config"))
    message.attach(MIMEText("#!/bin/sh\ntrue\n", "x-shellscript"))
    message.attach(MIMEText("#cloud-config\nssh_authorized_keys: [other]\ndisable_root: true\n", "cloud-config"))
    config = cloudconfig.parse(message.as_string())
    assert config.authorized_keys == cloudconfig.parse(OURS).authorized_keys
    assert config.disable_root


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ""),
        ("#!/bin/sh\ntrue\n", "does not start with #cloud-config"),
        ("#cloud-config\n- a\n", "not a YAML mapping"),
        ("#cloud-config\nssh_keys: {a\nb: secret\n", "not YAML (line"),
        ("#cloud-config\nssh_keys: 5\nssh_authorized_keys: 7\n", ""),
    ],
)
def test_other_user_data_lets_nobody_in_and_says_why(text: str, problem: str) -> None:
    config = cloudconfig.parse(text)
    assert (config.host_private_key, config.authorized_keys) == ("", ())
    assert problem in config.problem
    assert bool(problem) == bool(config.problem)
    assert "secret" not in config.problem


# --- the image's sources ----------------------------------------------------------------------------------------------


def test_sources_of_both_forms_are_read_and_other_suites_left_out(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# a comment\ndeb-src http://a.example/debian bookworm main\n"
        "deb [arch=amd64] http://a.example/debian-security/ bookworm-security main contrib # here\n"
    )
    (tmp_path / "sources.list.d/vendor.list").write_text("deb https://v.example/apt stable main\n")
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb deb-src\n# http://old.example\nURIs: http://b.example/debian/\nSuites: bookworm bookworm-updates\n"
        "Components: main non-free\n\n"
        "Types: deb\nEnabled: no\nURIs: http://c.example\nSuites: bookworm\nComponents: main\n"
    )
    assert [source.line() for source in host_sources(SUITES["bookworm"], tmp_path)] == [
        "deb http://b.example/debian bookworm main non-free",
        "deb http://a.example/debian-security bookworm-security main contrib",
        "deb http://b.example/debian bookworm-updates main non-free",
    ]


def test_a_mirror_of_one_suite_is_the_mirror_of_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://a.example/debian bookworm main\ndeb http://a.example/security bookworm-security main\n"
    )
    assert [source.line() for source in host_sources(SUITES["trixie"], tmp_path)] == [
        "deb http://a.example/debian trixie main",
        "deb http://a.example/security trixie-security main",
    ]


@pytest.mark.parametrize("name", SUITES)
def test_without_sources_of_its_own_the_usual_servers_are_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "sources.list").write_text("deb http://archive.example/other stable main\n")
    found = host_sources(SUITES[name], tmp_path)
    assert [one.suite for one in found] == [name, f"{name}-updates", f"{name}-security"]
    assert [one.uri for one in found] == [SUITES[name].mirror, SUITES[name].mirror, SUITES[name].security]


def test_sources_are_written_in_the_form_of_the_suite(tmp_path: Path) -> None:
    path, text = sources_file(SUITES["noble"], host_sources(SUITES["noble"], tmp_path))
    assert path == "etc/apt/sources.list.d/ubuntu.sources"
    assert text.split("\n\n")[2] == (
        "Types: deb\nURIs: http://security.ubuntu.com/ubuntu\nSuites: noble-security\n"
        "Components: main universe\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n"
    )
    path, text = sources_file(SUITES["jammy"], host_sources(SUITES["jammy"], tmp_path))
    assert path == "etc/apt/sources.list"
    assert text.splitlines()[0] == "deb http://archive.ubuntu.com/ubuntu jammy main universe"


def test_each_suite_has_an_image_of_its_own(tmp_path: Path) -> None:
    paths = [rootfs.image_path(one, cache=tmp_path) for one in SUITES.values()]
    assert [path.name.partition("-")[0] for path in paths] == list(SUITES)
    assert rootfs.image_path(extra_packages=["frr"], cache=tmp_path) not in paths
    with pytest.raises(ConfigError, match="cannot run 'sarge': choose one of bookworm, trixie, jammy, noble"):
        suite("sarge")


def test_images_are_made_beforehand_by_the_names_of_their_systems(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "sarge"]) == 1
    assert "choose one of bookworm, trixie, jammy, noble" in capsys.readouterr().err
    assert main(["images"]) == main([]) == main(["clean", "noble"]) == 2


def test_an_archive_that_is_out_of_reach_is_told_as_such() -> None:
    with pytest.raises(sources.MirrorUnreachable, match=r"http://127\.0\.0\.1:9/InRelease cannot be read: "):
        sources.fetch("http://127.0.0.1:9/InRelease")


# The public half of a key made for this test.
OTHER_KEY = (
    "mDMEawT3PRYJKwYBBAHaRw8BAQdAamKlTOutPTMToPm814lvPjnvoGFcs3jWAzQ04GeX38O0DlVidW50dSBBcmNoaXZliJAEExYIADgWIQTla/5J"
    "x00+b6rZ6UfVA/pad+07lgUCawT3PQIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRDVA/pad+07lkffAQDQ7RNZmO1se8GtyDVZ3H35CdjB"
    "Hj5B91dn9QPAmZYGlQD+J13ZMcBpmcJn1BDut7NlS3p9oehuW794g8BPn9cn6QY="
)
OTHER_FINGERPRINT = "E56BFE49C74D3E6FAAD9E947D503FA5A77ED3B96"


@pytest.mark.skipif(bool(commands.missing_tools(["gpg"])), reason="gpg is not installed")
def test_another_key_than_the_published_one_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "key.gpg"
    path.write_bytes(base64.b64decode(OTHER_KEY))
    archive_key.check(path, OTHER_FINGERPRINT)
    with pytest.raises(SandboxError, match=f"{OTHER_FINGERPRINT}; only {archive_key.UBUNTU_FINGERPRINT} is trusted"):
        archive_key.check(path)


# --- kernel settings --------------------------------------------------------------------------------------------------


def test_a_setting_comes_back_when_its_last_yard_goes(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "fs").mkdir()
    forward, instances = tmp_path / "net/forward", tmp_path / "fs/instances"
    forward.write_text("0\n")
    instances.write_text("9000\n")
    shared = SharedSettings(tmp_path / "notes.json", sysctls=tmp_path)
    shared.raise_for("a", {"net/forward": 1, "fs/instances": 8192})
    shared.raise_for("b", {"net/forward": 1})
    assert (forward.read_text(), instances.read_text()) == ("1", "9000\n")
    shared.release("a")
    assert forward.read_text() == "1"
    shared.release("unknown")
    shared.release("b")
    assert (forward.read_text(), instances.read_text()) == ("0", "9000")
    assert not (tmp_path / "notes.json").exists()


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_a_reused_pid_is_not_taken_for_the_owner() -> None:
    record = {"yard_id": "a", "number": 1, "nat": False, "folder": "/nowhere"}
    assert leftovers.YardRecord(pid=1, started=leftovers.start_time(1), **record).alive()  # type: ignore[arg-type]  # a dict of mixed values
    assert not leftovers.YardRecord(pid=1, started="0x", **record).alive()  # type: ignore[arg-type]  # as above
    assert leftovers.start_time(2**30) == ""


def test_a_missing_tool_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match=r"systemd-nspawn \(Debian package systemd-container\), ip \(Debian package"):
        commands.require(["systemd-nspawn", "ip"])


def test_a_failing_command_is_told_with_its_last_words() -> None:
    with pytest.raises(SandboxError, match=r"failed with exit code 3: one / two"):
        commands.run(["sh", "-c", "echo one >&2; echo two >&2; exit 3"])
    with pytest.raises(SandboxError, match="did not end within"):
        commands.run(["sleep", "5"], timeout=0.05)


def test_machines_that_do_not_exist_have_addresses_of_their_own() -> None:
    yard = NoMachines()
    given = [yard.prepare(f"m{number}", "name", "") for number in range(600)]
    assert len({one.public_v4 for one in given}) == 600
    assert all(one.gateway.rpartition(".")[0] == one.public_v4.rpartition(".")[0] for one in given)
    with pytest.raises(SandboxError, match="there already"):
        yard.prepare("m0", "name", "")
    yard.power_on("m0")
    assert yard.running("m0")
    yard.power_off("m0")
    yard.destroy("m0")
    yard.destroy("m0")
    assert not yard.running("m0")
    with pytest.raises(SandboxError, match="no machine m0"):
        yard.power_on("m0")


def test_groups_that_go_away_while_they_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "folders", lambda name: [tmp_path])
    (tmp_path / "cgroup.procs").write_text("7\n0\n")
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            (tmp_path / "slice/scope/below").mkdir(parents=True)
            shutil.rmtree(tmp_path / "slice")

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert {tuple(cgroups.processes("x")) for _ in range(1500)} == {(7,)}
    finally:
        done.set()
        other.join()
