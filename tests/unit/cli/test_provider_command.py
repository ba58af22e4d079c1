"""``oneprovider``: what it prints, what it refuses, and that no credential comes out of it in any form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.support.provider_site import AWS_6, EQUINIX_6, PACKET, ProviderSite, site
from tests.support.providers import CANARY

from hybrid_drivers.cli.provider.group import COMMANDS, provider
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import make_machines
from hybrid_drivers.sandbox.packet_api import PacketSimulator

__all__ = ["site"]  # the fixture
DUMMY = "driver: dummy\nlimits: {boot: 5}\n"


@pytest.fixture
def packet(tmp_path: Path) -> Iterator[PacketSimulator]:
    one = PacketSimulator(make_machines("none", tmp_path), Knobs(), token=CANARY)
    one.start()
    yield one
    one.stop()


def simulated(packet: PacketSimulator, token: str = CANARY) -> str:
    return (
        f"driver: packet\ntoken: {token}\nproject: {packet.project}\nendpoint: {packet.url}\ndefaults: {{METRO: am}}\n"
    )


# --- create and update ------------------------------------------------------------------------------------------------


def test_create_checks_the_credentials_and_ends_with_the_id(site: ProviderSite, packet: PacketSimulator) -> None:
    told = site.ok("create", str(site.draft(simulated(packet))), "--name", "ams")
    assert told.splitlines() == [
        f"Checked: the token is accepted for project {packet.project} (sandbox)",
        "ID: 0",
    ]
    assert dict(packet.calls) == {"GET /projects/{id}": 1}
    assert site.directory.entry("ams").defaults == {"METRO": "am"}


def test_wrong_credentials_are_refused_and_not_stored(site: ProviderSite, packet: PacketSimulator) -> None:
    told = site.refused("create", str(site.draft(simulated(packet, "wrong-token-7"))))
    assert "check token of the provider entry; nothing was stored" in told
    assert "wrong-token-7" not in told
    assert site.oned.documents(702) == []


def test_a_provider_that_does_not_answer_is_stored_on_demand_only(site: ProviderSite) -> None:
    path = str(site.draft(PACKET + "endpoint: http://127.0.0.1:9\n"))
    told = site.refused("create", path)
    assert told.endswith("nothing was stored: try again, or store it unchecked with --no-check")
    assert "it will be tried again" not in told
    assert site.ok("create", path, "--no-check") == "ID: 0\n"


@pytest.mark.parametrize(("text", "name"), [(AWS_6, "aws-frankfurt"), (EQUINIX_6, "equinix-amsterdam")])
def test_files_of_6_x_are_taken_as_they_are(site: ProviderSite, text: str, name: str) -> None:
    assert site.ok("create", str(site.draft(text)), "--no-check") == "ID: 0\n"
    assert site.directory.record("0").name == name


def test_standard_input_and_the_name(site: ProviderSite) -> None:
    assert "give one with --name" in site.refused("create", "-", typed=DUMMY)
    assert site.ok("create", "-", "--name", "d", typed=DUMMY).endswith("ID: 0\n")
    assert "there is a provider 'd' already: document 0" in site.refused("create", "-", "-n", "d", typed=DUMMY)


def test_a_file_that_others_may_read_is_warned_about(site: ProviderSite) -> None:
    told = site.ok("create", str(site.draft(PACKET, mode=0o644)), "--no-check")
    assert told.startswith("Warning: ")
    assert "chmod 600" in told


def test_update_replaces_and_keeps_the_name(site: ProviderSite, packet: PacketSimulator) -> None:
    site.ok("create", str(site.draft(simulated(packet))), "--name", "ams")
    changed = site.draft("name: other\n" + simulated(packet).replace("METRO: am", "METRO: da"))
    assert "Checked: " in site.ok("update", "ams", str(changed))
    assert site.directory.record("0").place == "da"
    wrong = site.draft(simulated(packet, "wrong-token-7"))
    assert "nothing was stored" in site.refused("update", "0", str(wrong))
    assert "make another provider" in site.refused("update", "0", str(site.draft(DUMMY)))
    assert site.directory.record("0").place == "da"


# --- looking ----------------------------------------------------------------------------------------------------------


def test_list_for_people_and_programs(site: ProviderSite) -> None:
    site.file("file-ams", PACKET)
    site.file("bad", "driver: packet\n")
    site.ok("create", str(site.draft(AWS_6)), "--no-check")
    lines = site.ok("list").splitlines()
    assert lines[0].split() == ["ID", "NAME", "DRIVER", "PLACE", "OWNER", "GROUP", "WHERE", "STAT"]
    assert [line.split()[0] for line in lines[1:]] == ["-", "-", "0"]
    assert site.ok("list", "--csv", "--list", "NAME,PLACE,STAT", "--filter", "ID=0") == (
        "NAME,PLACE,STAT\naws-frankfurt,eu-central-1,-\n"
    )
    pool = json.loads(site.ok("list", "--json", "--decrypt"))["PROVIDER_POOL"]["PROVIDER"]
    assert [(one["ID"], one["NAME"], one["STATE"]) for one in pool] == [
        (None, "bad", "wrong"),
        (None, "file-ams", "ok"),
        (0, "aws-frankfurt", "ok"),
    ]
    assert "key 'token' is missing" in pool[0]["ERROR"]
    assert pool[2]["SETTINGS"]["SECRET_KEY"] == "***"


@pytest.mark.parametrize("form", [[], ["--json"], ["--yaml"], ["--xml"]], ids=["people", "json", "yaml", "xml"])
@pytest.mark.parametrize("words", [["show", "aws-frankfurt"], ["list", "--decrypt"]], ids=["show", "list"])
def test_no_form_shows_a_credential(site: ProviderSite, words: list[str], form: list[str]) -> None:
    password = f"\n  - {{name: pw, type: password, default: {CANARY}, options: [{CANARY}]}}\n"
    site.ok("create", str(site.draft(AWS_6.rstrip() + password)), "--no-check")
    told = site.ok(*words, *form)  # which looks for the canary
    assert "aws-frankfurt" in told
    assert "AKIAEXAMPLE" not in told


def test_show(site: ProviderSite) -> None:
    site.ok("create", str(site.draft(EQUINIX_6 + "limits: {boot: 5}\n")), "--no-check")
    host = site.host("edge1", PROVIDER="equinix-amsterdam")
    lines = site.ok("show", "0").splitlines()
    assert lines[0].startswith("PROVIDER 0 INFORMATION")
    assert "TOKEN   : ***" in lines
    assert "METRO : am" in lines
    assert lines[-2:] == ["USED BY", f"host {host} (edge1)"]
    shown = yaml.safe_load(site.ok("show", "equinix-amsterdam", "--yaml"))["PROVIDER"]
    assert shown["SETTINGS"] == {"TOKEN": "***", "PROJECT": "p1"}
    assert (shown["LIMITS"], shown["USERS"]) == ({"BOOT": 5}, [f"host {host} (edge1)"])


def test_a_wrong_entry_is_shown_with_what_is_wrong(site: ProviderSite) -> None:
    path = site.file("bad", "driver: packet\n")
    told = site.ok("show", "bad")
    assert f"{path}: key 'token' is missing" in told
    assert told.startswith("PROVIDER bad INFORMATION")
    assert "key 'token' is missing" in site.refused("check", "bad")


def test_check(site: ProviderSite, packet: PacketSimulator) -> None:
    site.file("ams", simulated(packet))
    assert site.ok("check", "ams") == f"ams: the token is accepted for project {packet.project} (sandbox)\n"
    site.file("far", PACKET + "endpoint: http://127.0.0.1:9\n")
    assert "cannot be reached" in site.refused("check", "far")


# --- what is done to documents ----------------------------------------------------------------------------------------


def test_delete_several_and_go_on_after_one_that_fails(site: ProviderSite) -> None:
    for name in ("a", "b", "c", "d"):
        site.ok("create", str(site.draft(DUMMY)), "--name", name)
    site.host("edge1", PROVIDER="b")
    told = site.refused("delete", "0..2", "9,d")
    assert told.splitlines() == [
        "provider b cannot be deleted: it is used by host 0 (edge1); delete them first",
        "there is no provider '9': known are 1 b, 3 d",
    ]
    assert [one.name for one in site.oned.documents(702)] == ["b"]


def test_owner_group_permissions_and_name(site: ProviderSite) -> None:
    site.ok("create", str(site.draft(DUMMY)), "--name", "a")
    site.ok("create", str(site.draft(DUMMY)), "--name", "b")
    site.ok("chmod", "0,b", "640")
    site.ok("chgrp", "0..1", "users")
    site.ok("chown", "a", "serveradmin", "0")
    site.ok("chown", "b", "1")
    site.ok("rename", "b", "new")
    told = site.ok("list", "--csv", "--list", "NAME,OWNER,GROUP,MODE")
    assert told.splitlines()[1:] == ["a,serveradmin,oneadmin,640", "new,serveradmin,users,640"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "x"], "there is no provider 'x': known are 0 a"),
        (["delete", "3..1"], "the range 3..1 stands for no ids"),
        (["delete", "0..999999"], "the range 0..999999 stands for no ids, or for more than 10000"),
        (["delete", ","], "name at least one provider"),
        (["chmod", "0", "999"], "'999' is not a mode: give three digits from 0 to 7, like 640"),
        (["chmod", "0", "u+r"], "'u+r' is not a mode"),
        (["chown", "0", "nobody-here"], "there is no user called 'nobody-here'"),
        (["chgrp", "0", "nobody-here"], "there is no group called 'nobody-here'"),
        (["rename", "a", "b c"], "'b c' cannot be the name of a provider"),
        (["rename", "a", "7"], "'7' cannot be the name of a provider: it would be taken for an id"),
        (["create", "none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["list", "--list", "COLOUR"], "There is no column 'COLOUR'"),
    ],
)
def test_mistakes_end_in_a_sentence(site: ProviderSite, words: list[str], told: str) -> None:
    site.ok("create", str(site.draft(DUMMY)), "--name", "a")
    assert told in site.refused(*words)
    assert [one.name for one in site.oned.documents(702)] == ["a"]


def test_files_are_shown_and_never_changed(site: ProviderSite) -> None:
    path = site.file("ams", PACKET)
    for words in (["delete", "ams"], ["rename", "ams", "x"], ["chmod", "ams", "640"], ["chgrp", "ams", "0"]):
        assert site.refused(*words) == f"provider ams is the file {path}: change it there"
    draft = str(site.draft(PACKET))
    assert site.refused("update", "ams", draft, "--no-check") == f"provider ams is the file {path}: change it there"
    assert path.read_text() == PACKET


@pytest.mark.parametrize(
    "words", [["create"], ["show"], ["delete"], ["nothing"], ["list", "--nothing"], ["import", "x"]]
)
def test_a_wrong_call_has_exit_code_255_too(site: ProviderSite, words: list[str]) -> None:
    result = site.run(*words)
    assert result.exit_code == 255
    assert "Usage: " in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(provider, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage: provider" in result.output


def test_without_a_front_end_it_says_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner(env={"ONE_LOCATION": str(tmp_path), "ONE_AUTH": str(tmp_path / "no"), "HOME": "/"}).invoke(
        provider, ["list"]
    )
    assert result.exit_code == 255
    assert result.output.startswith(f"Error: {tmp_path}/no does not exist")
