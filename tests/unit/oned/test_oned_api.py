"""The calls to oned: what is sent, what comes back, and what happens when oned does not answer."""

from __future__ import annotations

import json
import re
import xmlrpc.client
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.oned.replay import SESSION, FakeClock, recorded, serving

from hybrid_drivers import errors
from hybrid_drivers.config import Location
from hybrid_drivers.errors import (
    AllocateRefused,
    BadCall,
    ConfigError,
    NoSuchObject,
    ObjectLocked,
    OnedError,
    OnedUnreachable,
)
from hybrid_drivers.model import HostState, RaftState, Template
from hybrid_drivers.oned.api import ERRORS, Oned, read_session, unwrap
from hybrid_drivers.secret import Secret

RECORDED = recorded()
PROVISION = Template(
    [
        ("PROVISION", {"PROVIDER": "packet", "PLAN": "c3.small.x86", "DEPLOY_ID": "abc"}),
        ("PROVISION_STATE", "DEPLOYING"),
    ]
)
ELASTIC = Template(
    [
        ("PROVISION", {"PROVIDER": "aws-eu", "PLAN": "c5.metal"}),
        ("ELASTIC", {"MIN_HOSTS": "0", "MAX_HOSTS": "4"}),
    ]
)

CALLS: dict[str, Callable[[Oned], object]] = {
    "auth.failed": lambda oned: oned.host(0, decrypt=False),
    "cluster.allocate": lambda oned: oned.allocate_cluster("fx"),
    "cluster.delete": lambda oned: oned.delete_cluster(101),
    "cluster.delete.not_empty": lambda oned: oned.delete_cluster(101),
    "cluster.info": lambda oned: oned.cluster(101),
    "cluster.update": lambda oned: oned.update_cluster(101, ELASTIC),
    "clusterpool.info": lambda oned: oned.clusters(),
    "document.allocate": lambda oned: oned.allocate_document("edge", '{"state": 1}', 703),
    "document.delete": lambda oned: oned.delete_document(3),
    "document.info": lambda oned: oned.document(3, decrypt=False),
    "document.info.decrypted": lambda oned: oned.document(3),
    "documentpool.info": lambda oned: oned.documents(703),
    "host.allocate": lambda oned: oned.allocate_host("edge-x", "provision", "kvm", 0),
    "host.allocate.bad_cluster": lambda oned: oned.allocate_host("zz", "provision", "kvm", 4242),
    "host.allocate.duplicate": lambda oned: oned.allocate_host("h1", "provision", "kvm", 0),
    "host.delete": lambda oned: oned.delete_host(7),
    "host.delete.no_exists": lambda oned: oned.delete_host(7),
    "host.info.no_exists": lambda oned: oned.host(999, decrypt=False),
    "host.info.provision": lambda oned: oned.host(5, decrypt=False),
    "host.info.with_provision": lambda oned: oned.host(7, decrypt=False),
    "host.rename": lambda oned: oned.rename_host(7, "203.0.113.7"),
    "host.status.disable": lambda oned: oned.set_host_status(7, "disable"),
    "host.status.enable": lambda oned: oned.set_host_status(7, "enable"),
    "host.status.offline": lambda oned: oned.set_host_status(7, "offline"),
    "host.update.append": lambda oned: oned.update_host(7, PROVISION),
    "hostpool.info": lambda oned: oned.hosts(),
    "system.version": lambda oned: oned.version(),
    "vmpool.info.all": lambda oned: oned.vms(-2),
    "vmpool.info.pending": lambda oned: oned.vms(1),
    "zone.info": lambda oned: oned.zone(0),
    "zone.raftstatus": lambda oned: oned.raft_state(),
}
OTHERS = {"datastore", "template", "vm", "vn", "vnpool", "vntemplate"}  # calls of Objects: test_oned_pools.py


def client(url: str, *, timeout: float = 5.0, clock: FakeClock | None = None) -> Oned:
    return Oned(url, Secret(SESSION), timeout=timeout, clock=clock or FakeClock())


def test_every_recorded_call_has_a_row() -> None:
    assert set(CALLS) == {name for name in RECORDED if name.split(".")[0] not in OTHERS}


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_sent_as_recorded_and_replies_are_taken(name: str) -> None:
    record = RECORDED[name]
    with serving(lambda *_: record["response"]) as server:
        ok, value, code = record["response"][:3]
        if ok:
            result = CALLS[name](client(server.url))
            assert result in (None, value) or not isinstance(value, int)
        else:
            with pytest.raises(OnedError) as caught:
                CALLS[name](client(server.url))
            assert type(caught.value) is ERRORS[code]
            assert not re.search(r"\[one\.|\n", str(caught.value))
            assert re.search(rf"\b({record['args'][0]}|{record['args'][-1]})\b", str(caught.value))
    [(method, (session, *args))] = server.calls
    assert (method, session) == (record["method"], SESSION)
    assert [one.rstrip() if isinstance(one, str) else one for one in args] == [
        one.rstrip() if isinstance(one, str) else one for one in record["args"]
    ]


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_reply_is_unwrapped(name: str) -> None:
    ok, value, code = RECORDED[name]["response"][:3]
    if ok:
        assert unwrap(RECORDED[name]["response"], "it") == value
    else:
        with pytest.raises(ERRORS[code], match=r"^it: [A-Z]"):
            unwrap(RECORDED[name]["response"], "it")


def test_results_are_model_objects() -> None:
    def reply(method: str, args: tuple[Any, ...]) -> object:
        return next(r["response"] for r in RECORDED.values() if (r["method"], tuple(r["args"])) == (method, args))

    with serving(reply) as server:
        oned = client(server.url)
        host = oned.host(7, decrypt=False)
        assert (host.name, host.state, host.im_mad) == ("edge-x", HostState.INIT, "provision")
        assert host.template.vector("PROVISION")["PLAN"] == "c3.small.x86"
        assert [one.id for one in oned.hosts()] == [7, 5, 4, 2, 0]
        assert oned.clusters()[0].host_ids == (4,)
        assert oned.document(3).body == '{"state": 1}'
        assert oned.documents(703)[0].body != oned.document(3).body
        assert oned.raft_state() is RaftState.SOLO
        assert oned.version() == "7.4.0"
        assert "ENDPOINT" in oned.zone(0)
        [vm] = oned.vms(1)
        assert vm.waits
        assert (vm.cpu, vm.memory, vm.host_id) == (64.0, 65536, None)
        assert "Not enough CPU" in vm.sched_message


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_every_code_has_its_class_and_every_class_its_code() -> None:
    tree = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, OnedError) and one.code}
    assert set(ERRORS.values()) == tree
    for code, kind in ERRORS.items():
        with pytest.raises(kind) as caught:
            unwrap([False, "[one.host.info] No.", code, -1, -1], "host 7")
        assert (type(caught.value), caught.value.code) == (kind, code)


@pytest.mark.parametrize("reply", ["text", [], [True], [1, 2, 3], None, {"a": 1}], ids=repr)
def test_a_reply_of_another_form_is_an_error(reply: object) -> None:
    with pytest.raises(OnedError, match="host 7: oned's reply is not of the form"):
        unwrap(reply, "host 7")


@pytest.mark.parametrize(
    "text", ["Cannot process request, no leader found", "Cannot process request, oned cluster in election mode"]
)
def test_a_zone_without_leader_is_waited_for_even_by_writes(text: str) -> None:
    answers: list[list[object]] = [[False, f"[one.host.delete] {text}", 8192, -1, -1]] * 2 + [[True, 7, 0]]
    clock = FakeClock()
    with serving(lambda *_: answers.pop(0)) as server:
        client(server.url, clock=clock).delete_host(7)
    assert clock.slept == [0.2, 0.5]
    with pytest.raises(OnedUnreachable, match="no leader at the moment"):
        unwrap([False, text, 8192], "host 7")


def test_an_unknown_code_is_still_an_oned_error() -> None:
    with pytest.raises(OnedError, match="host 7: error 77 without a reason") as caught:
        unwrap([False, "", 77], "host 7")
    assert type(caught.value) is OnedError


def test_a_fault_is_a_bad_call_and_not_tried_again() -> None:
    def reply(method: str, _: object) -> object:
        raise xmlrpc.client.Fault(-506, f"Method '{method}' not defined")

    with serving(reply) as server:
        with pytest.raises(BadCall, match=r"Method 'one\.host\.info' not defined"):
            client(server.url).host(7)
        assert len(server.calls) == 1


@pytest.mark.parametrize("value", [7, True, "text"], ids=repr)
def test_a_value_of_the_wrong_type_is_an_error(value: object) -> None:
    with serving(lambda *_: [True, value, 0]) as server, pytest.raises(OnedError, match=r"answered one\.host"):
        client(server.url).host(7) if value != "text" else client(server.url).delete_host(7)


def test_a_number_too_large_is_a_bad_call() -> None:
    with pytest.raises(BadCall, match="too large"):
        client("http://127.0.0.1:1/RPC2").delete_host(1 << 40)


def test_what_xml_cannot_carry_is_refused_before_anything_is_sent() -> None:
    with serving(lambda *_: [True, 7, 0]) as server:
        oned = client(server.url)
        with pytest.raises(ConfigError, match=r"one\.host\.rename \(host 7\) holds the character U\+0007"):
            oned.rename_host(7, "bell\a")
        with pytest.raises(ConfigError, match="PROVISION_ERROR of the template for host 7 holds"):
            oned.update_host(7, Template([("PROVISION_ERROR", "red \x1b[31m")]))
        with pytest.raises(ConfigError, match="PROVISION_BODY of new document d"):
            oned.allocate_document("d", "nul \0", 703)
        assert server.calls == []


# --- around the calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["", "localhost:2633", "ftp://h/RPC2", "http://", "http://h:port/RPC2"])
def test_a_wrong_endpoint_is_named(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="oned's endpoint '"):
        client(endpoint)


def location(tmp_path: Path) -> Location:
    return replace(
        Location.from_environment({"ONE_LOCATION": str(tmp_path)}),
        one_auth=tmp_path / "one_auth",
        endpoint="http://127.0.0.1:1/RPC2",
    )


def test_the_session_is_the_first_line_of_one_auth_and_never_shown(tmp_path: Path) -> None:
    where = location(tmp_path)
    where.one_auth.write_text("oneadmin:pass:word\nsecond line\n")
    assert read_session(where).reveal() == "oneadmin:pass:word"
    assert "pass" not in repr(Oned.from_location(where))


@pytest.mark.parametrize("text", ["", "\n", "oneadmin\n", "oneadmin:\n"])
def test_a_one_auth_without_session_is_named(tmp_path: Path, text: str) -> None:
    where = location(tmp_path)
    where.one_auth.write_text(text)
    with pytest.raises(ConfigError, match=r"one_auth does not hold user:password"):
        Oned.from_location(where)


def test_a_one_auth_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    where = location(tmp_path)
    with pytest.raises(ConfigError, match="one_auth does not exist"):
        Oned.from_location(where)
    where.one_auth.mkdir()
    with pytest.raises(ConfigError, match="one_auth cannot be read: Is a directory"):
        Oned.from_location(where)
    where.one_auth.rmdir()
    where.one_auth.write_bytes(b"\xff\xfe:\xff")
    with pytest.raises(ConfigError, match="it is not text"):
        Oned.from_location(where)


def test_errors_do_not_hold_the_session() -> None:
    with serving(lambda *_: RECORDED["auth.failed"]["response"]) as server, pytest.raises(OnedError) as caught:
        client(server.url).host(0)
    assert "opennebula" not in str(caught.value)
    assert "ONE_AUTH" in str(caught.value)


def test_names_taken_and_locks_keep_their_own_class() -> None:
    """pyone's exceptions would lose these two: that is why the raw reply is read."""
    for kind in (AllocateRefused, ObjectLocked, NoSuchObject):
        with serving(lambda *_, kind=kind: [False, "[one.x.y] No.", kind.code, -1, -1]) as server, pytest.raises(kind):
            client(server.url).delete_host(7)


def test_recorded_files_are_whole() -> None:
    assert len(RECORDED) >= 40
    assert all(set(one) == {"method", "args", "response"} for one in RECORDED.values())
    assert json.dumps(RECORDED)
