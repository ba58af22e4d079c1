"""Provider entries of a front-end: files and documents together, what they cost to look at, and who needs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.support.agent_tree import eventually
from tests.support.provider_site import PACKET, ProviderSite, site
from tests.support.providers import CANARY

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template, Value
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.providers import entries
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.provision.directory import AGE, ProviderDirectory
from hybrid_drivers.provision.provider_documents import body, read_all, summary

__all__ = ["site"]  # the fixture
DUMMY = '{"driver": "dummy"}'


def entry(name: str = "ams", text: str = DUMMY) -> ProviderEntry:
    return entries.entry_from_document(name, text, "a test")


def packet(name: str = "ams") -> ProviderEntry:
    told = {"driver": "packet", "token": CANARY, "project": "p1", "defaults": {"METRO": "am"}}
    return entry(name, json.dumps(told))


def names(site: ProviderSite, decrypt: bool = False) -> dict[str, str]:
    return {f"{one.where} {one.name}": one.error for one in site.directory.records(decrypt)}


# --- looking ----------------------------------------------------------------------------------------------------------


def test_files_and_documents_and_files_win(site: ProviderSite) -> None:
    path = site.file("ams", PACKET)
    hidden = site.document("ams", DUMMY)
    other = site.document("fra", DUMMY)
    twin = site.document("fra2", DUMMY)
    site.oned.rename_document(twin, "fra")
    assert [(one.id, one.name, one.error) for one in site.directory.records()] == [
        (None, "ams", ""),
        (hidden, "ams", f"is not used: {path} has the same name"),
        (other, "fra", ""),
        (twin, "fra", f"is not used: document {other} has the same name"),
    ]
    assert site.directory.entry("ams").driver == "packet"
    assert site.directory.entry("fra").source == f"document {other}"
    assert site.directory.record(str(hidden)).driver == "dummy"


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_list_costs_one_call_however_many_there_are(site: ProviderSite, count: int) -> None:
    for number in range(count):
        site.directory.create(packet(f"ams{number}"))
    site.counted()
    found = site.directory.records()
    assert site.counted() == ["documentpool.info"]
    assert [(one.driver, one.place, one.entry) for one in found] == [("packet", "am", None)] * count
    assert [one.entry.name for one in site.directory.records(decrypt=True) if one.entry] == [one.name for one in found]
    assert site.counted() == ["documentpool.info"] + ["document.info!"] * count


def test_a_document_without_summary_is_listed_with_what_is_known(site: ProviderSite) -> None:
    site.document("inline-0", json.dumps({"driver": "packet", "token": CANARY, "project": "p"}))
    [bare], [read] = site.directory.records(), site.directory.records(decrypt=True)
    assert (bare.driver, bare.place, bare.entry) == ("", "", None)
    assert (read.driver, read.owner, read.group, read.mode) == ("packet", "oneadmin", "oneadmin", 0o600)


def test_wrong_entries_are_listed_with_what_is_wrong(site: ProviderSite) -> None:
    site.file("bad", "driver: packet\n")
    site.file("open", PACKET, mode=0o644)
    site.file("old.yml", PACKET)
    (site.directory.folder / "old.yml.yaml").rename(site.directory.folder / "old.yml")
    site.document("broken", "{")
    found = names(site, decrypt=True)
    assert "key 'token' is missing" in found["file bad"]
    assert "chmod 600" in found["file open"]
    assert "rename it to old.yaml" in found["file old"]
    assert found["document broken"].endswith("the body is not a JSON document")
    with pytest.raises(ConfigError, match="document 0: the body is not a JSON document"):
        site.directory.entry("broken")


def test_what_is_not_there_is_told_with_what_is(site: ProviderSite) -> None:
    with pytest.raises(ConfigError, match=r"there is no provider 'a': make one, or put a file into .*providers\.d"):
        site.directory.entry("a")
    site.file("ams", PACKET)
    made = site.directory.create(entry("fra"))
    with pytest.raises(ConfigError, match=f"there is no provider 'a': known are ams, {made} fra"):
        site.directory.entry("a")
    with pytest.raises(ConfigError, match="there is no provider '77'"):
        site.directory.record("77")
    other = site.document("not ours", "{}", kind=703)
    with pytest.raises(ConfigError, match=f"document {other} is not a provider: its type is 703, not 702"):
        site.directory.record(str(other))
    with pytest.raises(ConfigError, match=r"there is no provider '\.\./ams'"):
        site.directory.entry("../ams")


def test_a_number_is_a_name_for_hosts_and_an_id_for_people(site: ProviderSite) -> None:
    made = site.directory.create(entry("fra"))
    assert site.directory.record(str(made)).name == "fra"
    with pytest.raises(ConfigError, match=f"there is no provider '{made}'"):
        site.directory.entry(str(made))


def test_an_entry_is_read_once_for_a_while_and_has_one_provider(site: ProviderSite) -> None:
    made = site.directory.create(entry("fra"))
    provider = site.directory.provider("fra")
    site.counted()
    assert site.directory.provider("fra") is provider
    assert site.counted() == []
    site.clock.sleep(AGE + 1)
    assert site.directory.provider("fra") is provider  # it says the same
    site.oned.update_document(made, '{"driver": "dummy", "network": "198.51.100.0/24"}')
    site.clock.sleep(AGE + 1)
    assert site.directory.provider("fra") is not provider


# --- changing ---------------------------------------------------------------------------------------------------------


def test_a_created_entry_is_encrypted_and_reads_back_the_same(site: ProviderSite) -> None:
    made = site.directory.create(packet())
    raw = site.frontend.call("one.document.info", made, False)[1]
    assert CANARY not in str(raw)
    assert "<DRIVER><![CDATA[packet]]></DRIVER><PLACE><![CDATA[am]]></PLACE>" in str(raw)
    assert entries.digest(site.directory.entry("ams")) == entries.digest(packet())
    found, errors = read_all(site.oned)
    assert (list(found), errors) == (["ams"], {})


def test_names_are_unique_and_no_numbers(site: ProviderSite) -> None:
    made = site.directory.create(entry("fra"))
    path = site.file("ams", PACKET)
    with pytest.raises(ConfigError, match=f"there is a provider 'fra' already: document {made}"):
        site.directory.create(entry("fra"))
    with pytest.raises(ConfigError, match=f"there is a provider 'ams' already: file {path}"):
        site.directory.create(entry("ams"))
    with pytest.raises(ConfigError, match="'12' cannot be the name of a provider: it would be taken for an id"):
        site.directory.create(entry("12"))
    assert len(site.oned.documents(702)) == 1


def test_of_two_that_are_made_at_the_same_moment_one_remains(site: ProviderSite) -> None:
    class Late(ProviderDirectory):
        def check_free(self, name: str) -> None:
            """Find the name free, as one does who looked a moment ago."""

    first = site.directory.create(entry("fra"))
    site.objects.chown("document", first, 1, -1)  # oned itself refuses a second one of the same owner
    late = Late(site.oned, site.location, site.clock)
    with pytest.raises(ConfigError, match=f"there is a provider 'fra' already: document {first}, just made"):
        late.create(entry("fra"))
    assert [one.id for one in site.oned.documents(702)] == [first]


def test_an_update_keeps_name_driver_and_origin(site: ProviderSite) -> None:
    made = site.directory.create(packet(), imported="5")
    record = site.directory.record("ams")
    site.directory.entry("ams")
    site.directory.update(record, replace(packet(), defaults={"METRO": "da"}))
    assert site.directory.entry("ams").defaults == {"METRO": "da"}
    [listed] = site.directory.records()
    assert (listed.id, listed.place, listed.imported) == (made, "da", "5")
    with pytest.raises(ConfigError, match="provider ams has driver packet, not dummy: make another provider"):
        site.directory.update(record, entry())


def test_files_are_never_changed(site: ProviderSite) -> None:
    path = site.file("ams", PACKET)
    record = site.directory.record("ams")
    acts: list[Callable[[], None]] = [
        lambda: site.directory.update(record, packet()),
        lambda: site.directory.delete(record),
        lambda: site.directory.rename(record, "x"),
        lambda: site.directory.chmod(record, 0o640),
        lambda: site.directory.chown(record, 0, -1),
    ]
    for act in acts:
        with pytest.raises(ConfigError, match=f"provider ams is the file {path}: change it there"):
            act()
    assert path.read_text() == PACKET


def test_one_in_use_is_neither_deleted_nor_renamed(site: ProviderSite) -> None:
    site.directory.create(entry())
    site.directory.create(entry("other"))
    cluster = site.oned.allocate_cluster("edge")
    site.oned.update_cluster(cluster, Template([("PROVISION", {"PROVIDER": "ams"})]))
    users = [
        f"host {site.host('own', PROVIDER='ams')} (own)",
        f"host {site.host('rented', PROVIDER='other', RENTED_FROM='ams')} (rented)",
        f"host {site.host('of-cluster', cluster)} (of-cluster)",
    ]
    site.host("elsewhere", cluster, RENTED_FROM="other")
    site.host("inline", cluster, DRIVER="dummy")
    local = site.oned.allocate_host("local", "kvm", "kvm", cluster)
    assert site.oned.host(local).im_mad == "kvm"
    users.append(f"provision {site.document('p', '{}', 703, PROVISION_SUMMARY={'PROVIDER': 'x, ams'})} (p)")
    site.document("q", "{}", 703, PROVISION_SUMMARY={"PROVIDER": "amsterdam"})
    for called, provider in (("public", "ams"), ("elsewhere", "other")):
        ar = {"TYPE": "IP4", "IP": "192.0.2.1", "SIZE": "1", "PROVIDER": provider}
        pairs: list[tuple[str, Value]] = [("NAME", called), ("VN_MAD", "dummy"), ("BRIDGE", "b"), ("AR", ar)]
        made = Objects(site.oned).allocate("vnet", Template(pairs), cluster_id=0)
        users += [f"network {made} (public)"] if called == "public" else []
    eventually(lambda: all(one.address_ranges for one in Objects(site.oned).pool("vnet")), "the networks are made")
    notes = site.location.state / "departures"
    notes.mkdir(parents=True)
    (notes / "0.json").write_text(json.dumps({"account": "ams", "host_id": 9, "name": ""}))
    (notes / "1.json").write_text(json.dumps({"account": "ams", "host_id": 9, "name": "gone"}))
    (notes / "2.json").write_text(json.dumps({"account": "other", "host_id": 9, "name": "gone"}))
    (notes / "3.json").write_text("{")
    users.append("the machine of host 9 (gone) on its way back")
    site.counted()
    assert site.directory.users("ams") == users
    assert site.counted() == ["clusterpool.info", "hostpool.info", "documentpool.info", "vnpool.info"]
    acts: list[Callable[[], None]] = [
        lambda: site.directory.delete(site.directory.record("ams")),
        lambda: site.directory.rename(site.directory.record("ams"), "new"),
    ]
    for act in acts:
        with pytest.raises(ConfigError) as caught:
            act()
        assert str(caught.value).endswith(f"it is used by {', '.join(users)}; delete them first")
    assert len(site.oned.documents(702)) == 2


def test_many_users_are_not_all_named(site: ProviderSite) -> None:
    site.directory.create(entry())
    for number in range(12):
        site.host(f"edge{number}", PROVIDER="ams")
    with pytest.raises(ConfigError, match=r"host 9 \(edge9\) and 2 more; delete them first"):
        site.directory.delete(site.directory.record("ams"))


def test_one_that_is_hidden_is_not_in_use(site: ProviderSite) -> None:
    hidden = site.directory.create(entry())
    site.file("ams", PACKET)
    site.host("edge1", PROVIDER="ams")
    site.directory.delete(site.directory.record(str(hidden)))
    assert site.oned.documents(702) == []


def test_rename_chmod_and_chown(site: ProviderSite) -> None:
    site.directory.create(entry())
    record = site.directory.record("ams")
    with pytest.raises(ConfigError, match="cannot be the name"):
        site.directory.rename(record, "a b")
    site.directory.rename(record, "fra")
    site.directory.chmod(record, 0o640)
    site.directory.chown(record, -1, 1)
    [one] = site.directory.records()
    assert (one.name, one.mode, one.group) == ("fra", 0o640, "users")


# --- credentials of 5.12 ----------------------------------------------------------------------------------------------


def test_inline_credentials_become_one_document(site: ProviderSite) -> None:
    attributes = {"DRIVER": "packet", "PACKET_TOKEN": CANARY, "PACKET_PROJECT": "p1"}
    inline, _ = entries.entry_from_attributes(attributes, "host 1")
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: site.directory.ensure_inline(inline), range(8))) == {inline.name}
    again = ProviderDirectory(site.oned, site.location, site.clock)
    assert again.ensure_inline(inline) == inline.name
    assert [one.name for one in site.oned.documents(702)] == [inline.name]
    assert site.directory.entry(inline.name).settings == inline.settings


def test_a_body_has_nothing_that_oned_would_not_take() -> None:
    odd = entry("a", json.dumps({"driver": "dummy", "description": 'x]]>y "quoted" \\ ä\n'}))
    assert "]]>" not in body(odd)
    assert entries.entry_from_document("a", body(odd), "a test").settings == odd.settings
    place = entry("a", json.dumps({"driver": "dummy", "defaults": {"METRO": "am]]>\\"}}))
    assert summary(place).vector("PROVISION_SUMMARY")["PLACE"] == "am]] >\\ "


def test_checking_asks_only_where_there_is_something_to_ask(site: ProviderSite) -> None:
    assert site.directory.check(entry()) == "driver dummy has no credentials to check"
