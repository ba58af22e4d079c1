"""What we rely on in oned: the same tests against the stand-in and, when ONE_XMLRPC and ONE_AUTH are set, a real one.

On a real front-end they make hosts of an IM that no driver serves, a cluster and documents of type 799, all named
``contract-...``, and delete them again; one attribute is left on the zone (``HYBRID_CONTRACT_TEST``).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from tests.support.oned_contract import Undo

from hybrid_drivers.config import Location
from hybrid_drivers.errors import (
    ActionRefused,
    AllocateRefused,
    AuthenticationFailed,
    BadCall,
    InternalFailure,
    NoSuchObject,
    OnedError,
)
from hybrid_drivers.model import HostState, Template
from hybrid_drivers.oned.api import Oned, read_session
from hybrid_drivers.secret import Secret

IM_MAD = "contract"  # no driver has this name, so nothing happens to the hosts meanwhile
DOCUMENT_TYPE = 799
ABSENT = 999_999


@pytest.fixture
def host_id(oned: Oned, undo: Undo, name: str) -> int:
    made = oned.allocate_host(name, IM_MAD, "dummy", 0)
    undo(lambda: oned.delete_host(made))
    return made


# --- the front-end ----------------------------------------------------------------------------------------------------


def test_version_and_leadership(oned: Oned) -> None:
    assert tuple(int(part) for part in oned.version().split(".")[:2]) >= (6, 10)
    assert oned.raft_state().leads


def test_a_wrong_password_is_told_as_such(location: Location) -> None:
    stranger = Oned(location.endpoint, Secret("oneadmin:wrong-password"))
    with pytest.raises(AuthenticationFailed, match=r"^host 0: User couldn't be authenticated, aborting call\."):
        stranger.host(0)
    with pytest.raises(AuthenticationFailed):
        stranger.delete_host(ABSENT)


def test_a_call_oned_does_not_have_is_a_bad_call(oned: Oned) -> None:
    with pytest.raises(BadCall, match=r"one\.host\.rent"):
        oned.write("host.rent", "host 0", 0)


def test_the_zone_keeps_what_is_added(oned: Oned) -> None:
    before = oned.zone()
    value = uuid.uuid4().hex
    oned.update_zone(0, Template([("HYBRID_CONTRACT_TEST", value)]))
    after = oned.zone()
    assert after.text("HYBRID_CONTRACT_TEST") == value
    assert after.text("ENDPOINT") == before.text("ENDPOINT") != ""
    with pytest.raises(NoSuchObject, match=rf"zone {ABSENT}: Error getting zone \[{ABSENT}\]"):
        oned.zone(ABSENT)


# --- hosts ------------------------------------------------------------------------------------------------------------


def test_a_new_host_is_as_it_was_asked_for(oned: Oned, host_id: int, name: str) -> None:
    host = oned.host(host_id)
    assert (host.id, host.name, host.im_mad, host.vm_mad, host.cluster_id) == (host_id, name, IM_MAD, "dummy", 0)
    assert host.state is HostState.INIT
    assert (host.total_cpu, host.total_memory, host.running_vms) == (0, 0, 0)
    assert next(one for one in oned.hosts() if one.id == host_id).name == name
    assert host_id in oned.cluster(0).host_ids


def test_hosts_that_cannot_be_made(oned: Oned, host_id: int, name: str) -> None:
    with pytest.raises(AllocateRefused, match=rf"NAME is already taken by HOST {host_id}\.$"):
        oned.allocate_host(name, IM_MAD, "dummy", 0)
    with pytest.raises(NoSuchObject, match=rf"Error getting cluster \[{ABSENT}\]"):
        oned.allocate_host(name + "x", IM_MAD, "dummy", ABSENT)
    with pytest.raises(AllocateRefused, match=r"[Nn]ame|NAME"):
        oned.allocate_host("", IM_MAD, "dummy", 0)
    assert sum(one.name.startswith(name) for one in oned.hosts()) == 1


def test_update_merges_plain_attributes_and_replaces_vectors_whole(oned: Oned, host_id: int) -> None:
    oned.update_host(
        host_id,
        Template(
            [
                ("PROVISION", {"PROVIDER": "packet", "PLAN": "c3.small.x86"}),
                ("PROVISION_STATE", "PENDING"),
                ("NOTE", "kept"),
            ]
        ),
    )
    oned.update_host(host_id, Template([("PROVISION", {"DEPLOY_ID": "abc"}), ("PROVISION_STATE", "DEPLOYING")]))
    template = oned.host(host_id).template
    assert template.vector("PROVISION") == {"DEPLOY_ID": "abc"}
    assert template.text("PROVISION_STATE") == "DEPLOYING"
    assert template.text("NOTE") == "kept"
    assert sum(key == "PROVISION" for key, _ in template) == 1


def test_update_replaces_everything_when_so_asked_but_the_drivers(oned: Oned, host_id: int) -> None:
    oned.update_host(host_id, Template([("NOTE", "old")]))
    oned.update_host(host_id, Template([("OTHER", "new")]), append=False)
    host = oned.host(host_id)
    assert (host.template.text("NOTE", "gone"), host.template.text("OTHER")) == ("gone", "new")
    assert (host.im_mad, host.vm_mad) == (IM_MAD, "dummy")


@pytest.mark.parametrize(
    "value",
    [
        "",
        'say "hi"',
        r"C:\temp\new",
        r'{"a": "x\"y\n", "b": "\\d"}',
        "two\nlines\tand a tab",
        "a = b, [c] # d",
        "<xml attr='1'>&amp;</xml>",
        "\u00e9\u4e16\U0001f600",
        " blanks around ",
        "x" * 20_000,
    ],
    ids=["empty", "quotes", "backslashes", "json", "lines", "syntax", "xml", "unicode", "blanks", "long"],
)
def test_values_come_back_as_they_were_written(oned: Oned, host_id: int, value: str) -> None:
    oned.update_host(host_id, Template([("PLAIN", value), ("VECTOR", {"INNER": value, "LAST": "x"}), ("LAST", "x")]))
    template = oned.host(host_id).template
    assert template.text("PLAIN") == value
    assert template.vector("VECTOR").get("INNER", "") == value
    assert (template.vector("VECTOR")["LAST"], template.text("LAST")) == ("x", "x")


def test_a_template_oned_cannot_read_changes_nothing(oned: Oned, host_id: int) -> None:
    with pytest.raises(OnedError, match=r"^host \d+: .*[Pp]arse error") as caught:
        oned.write("host.update", f"host {host_id}", host_id, "A=[B=", 1)
    assert type(caught.value) in (InternalFailure, BadCall, ActionRefused)
    assert "A" not in oned.host(host_id).template


def test_rename(oned: Oned, host_id: int, name: str, undo: Undo) -> None:
    other = oned.allocate_host(f"{name}-other", IM_MAD, "dummy", 0)
    undo(lambda: oned.delete_host(other))
    oned.rename_host(host_id, f"{name}-new")
    assert oned.host(host_id).name == f"{name}-new"
    with pytest.raises(OnedError, match=rf"^host {host_id}: .*(taken|{other})"):
        oned.rename_host(host_id, f"{name}-other")
    assert oned.host(host_id).name == f"{name}-new"


def test_states(oned: Oned, host_id: int) -> None:
    oned.set_host_status(host_id, "disable")
    assert oned.host(host_id).state is HostState.DISABLED
    oned.set_host_status(host_id, "offline")
    assert oned.host(host_id).state is HostState.OFFLINE
    oned.set_host_status(host_id, "enable")
    assert oned.host(host_id).state in (HostState.INIT, HostState.MONITORING_INIT)


def test_a_deleted_host_is_gone_for_every_call(oned: Oned, host_id: int) -> None:
    oned.delete_host(host_id)
    calls: list[Callable[[], object]] = [
        lambda: oned.host(host_id),
        lambda: oned.delete_host(host_id),
        lambda: oned.update_host(host_id, Template([("A", "b")])),
        lambda: oned.rename_host(host_id, "other"),
        lambda: oned.set_host_status(host_id, "enable"),
    ]
    for call in calls:
        with pytest.raises(NoSuchObject, match=rf"^host {host_id}: Error getting host \[{host_id}\]\.$"):
            call()
    assert all(one.id != host_id for one in oned.hosts())


# --- clusters ---------------------------------------------------------------------------------------------------------


def test_clusters(oned: Oned, name: str, undo: Undo) -> None:
    cluster_id = oned.allocate_cluster(name)
    undo(lambda: oned.delete_cluster(cluster_id))
    oned.update_cluster(cluster_id, Template([("PROVISION", {"PROVIDER": "packet-ams", "PLAN": "c3.small.x86"})]))
    host_id = oned.allocate_host(f"{name}-host", IM_MAD, "dummy", cluster_id)
    undo(lambda: oned.delete_host(host_id))
    cluster = oned.cluster(cluster_id)
    assert (cluster.id, cluster.name, cluster.host_ids) == (cluster_id, name, (host_id,))
    assert cluster.template.vector("PROVISION")["PLAN"] == "c3.small.x86"
    assert cluster in oned.clusters()
    assert oned.host(host_id).cluster_id == cluster_id
    with pytest.raises(AllocateRefused, match=rf"NAME is already taken by CLUSTER {cluster_id}\."):
        oned.allocate_cluster(name)
    with pytest.raises(ActionRefused, match=rf"Cluster {cluster_id} is not empty, it contains 1 hosts"):
        oned.delete_cluster(cluster_id)
    oned.delete_host(host_id)
    oned.delete_cluster(cluster_id)
    with pytest.raises(NoSuchObject, match=rf"^cluster {cluster_id}: Error getting cluster \[{cluster_id}\]\.$"):
        oned.cluster(cluster_id)


# --- documents --------------------------------------------------------------------------------------------------------


def test_documents(oned: Oned, name: str, undo: Undo) -> None:
    body = '{"token": "s3cret \\"quoted\\" \\\\ back", "lines": "a\\nb"}'
    document_id = oned.allocate_document(name, body, DOCUMENT_TYPE)
    undo(lambda: oned.delete_document(document_id))
    document = oned.document(document_id)
    assert (document.name, document.type, document.body) == (name, DOCUMENT_TYPE, body)
    assert "s3cret" not in repr(document)

    hidden = oned.document(document_id, decrypt=False).body
    [listed] = [one for one in oned.documents(DOCUMENT_TYPE) if one.id == document_id]
    assert "s3cret" not in hidden + listed.body
    assert hidden
    assert all(one.id != document_id for one in oned.documents(DOCUMENT_TYPE - 1))

    oned.update_document(document_id, "second body")
    assert (oned.document(document_id).body, oned.document(document_id).name) == ("second body", name)

    oned.delete_document(document_id)
    for call in (oned.document, oned.delete_document):
        with pytest.raises(NoSuchObject, match=rf"^document {document_id}: Error getting document \[{document_id}\]"):
            call(document_id)


def test_documents_may_share_a_name(oned: Oned, name: str, undo: Undo) -> None:
    """Names of documents are unique per user and type on some releases only, so nothing may rely on it."""
    first = oned.allocate_document(name, "1", DOCUMENT_TYPE)
    undo(lambda: oned.delete_document(first))
    try:
        second = oned.allocate_document(name, "2", DOCUMENT_TYPE)
    except AllocateRefused:
        return
    undo(lambda: oned.delete_document(second))
    assert second != first


# --- virtual machines -------------------------------------------------------------------------------------------------


def test_virtual_machines_can_be_listed(oned: Oned) -> None:
    assert all(vm.waits for vm in oned.vms(1))
    assert {vm.id for vm in oned.vms(1)} <= {vm.id for vm in oned.vms()} <= {vm.id for vm in oned.vms(-2)}


# --- pyone as a witness -----------------------------------------------------------------------------------------------


def test_pyones_own_classes_read_the_same_host(location: Location, oned: Oned, host_id: int, name: str) -> None:
    import pyone

    theirs = pyone.OneServer(location.endpoint, session=read_session(location).reveal())
    oned.update_host(host_id, Template([("PROVISION", {"PLAN": "c3.small.x86"})]))
    host = theirs.host.info(host_id, False)
    assert (host.ID, host.NAME, host.STATE, host.TEMPLATE["PROVISION"]["PLAN"]) == (host_id, name, 0, "c3.small.x86")
    with pytest.raises(pyone.OneNoExistsException):
        theirs.host.info(ABSENT, False)
