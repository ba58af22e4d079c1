"""``Objects`` against recorded calls, and against replies that are not as they have to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.oned.replay import SESSION, FakeClock, body, recorded, serving

from hybrid_drivers.errors import ConfigError, InternalFailure, OnedError
from hybrid_drivers.model import Kind, OnedObject, Template, Value
from hybrid_drivers.oned.api import ERRORS, Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.read_objects import read_names, read_network_ranges, read_object, read_pool
from hybrid_drivers.secret import Secret

RECORDED = recorded()
SYSTEM = [("TYPE", "SYSTEM_DS"), ("TM_MAD", "ssh")]
AR: tuple[str, Value] = ("AR", {"TYPE": "IP4", "IP": "10.0.0.1", "SIZE": "2"})
BAD_NET: list[tuple[str, Value]] = [("NAME", "x"), ("VN_MAD", "nope"), ("BRIDGE", "b"), AR]

CALLS: dict[str, Callable[[Objects], object]] = {
    "datastore.allocate": lambda objects: objects.allocate(
        "datastore", Template([("NAME", "fx-system"), *SYSTEM]), cluster_id=101
    ),
    "datastore.allocate.bad_tm": lambda objects: objects.allocate(
        "datastore", Template([("NAME", "fx-bad"), ("TYPE", "SYSTEM_DS"), ("TM_MAD", "nope")]), cluster_id=101
    ),
    "datastore.delete": lambda objects: objects.delete("datastore", 100),
    "datastore.info": lambda objects: objects.get("datastore", 100),
    "template.allocate": lambda objects: objects.allocate(
        "template", Template([("NAME", "t1"), ("CPU", "1"), ("MEMORY", "64")])
    ),
    "template.delete": lambda objects: objects.delete("template", 0),
    "template.info": lambda objects: objects.get("template", 0),
    "vm.info.pending": lambda objects: objects.get("vm", 2),
    "vn.allocate.bad_mad": lambda objects: objects.allocate("vnet", Template(BAD_NET), cluster_id=0),
    "vn.info": lambda objects: objects.get("vnet", 2),
    "vnpool.info": lambda objects: objects.pool("vnet"),
    "vntemplate.allocate": lambda objects: objects.allocate(
        "vntemplate", Template([("NAME", "vt1"), ("VN_MAD", "bridge"), AR])
    ),
    "vntemplate.delete": lambda objects: objects.delete("vntemplate", 0),
    "vntemplate.info": lambda objects: objects.get("vntemplate", 0),
}


def client(url: str) -> Objects:
    return Objects(Oned(url, Secret(SESSION), timeout=5, clock=FakeClock()))


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_sent_as_recorded_and_replies_are_taken(name: str) -> None:
    record = RECORDED[name]
    with serving(lambda *_: record["response"]) as server:
        ok, value, code = record["response"][:3]
        if ok:
            result = CALLS[name](client(server.url))
            assert result in (None, value) or not isinstance(value, int)
        else:
            with pytest.raises(ERRORS[code]):
                CALLS[name](client(server.url))
    [(method, (_, *args))] = server.calls
    assert method == record["method"]
    assert _unquoted(args) == _unquoted(record["args"])


def _unquoted(args: list[Any]) -> list[Any]:
    """Quotes around numbers and line ends mean nothing to oned."""
    return [re.sub(r'"(\d+)"', r"\1", one.strip()) if isinstance(one, str) else one for one in args]


def test_every_recorded_call_of_these_pools_has_a_row() -> None:
    families = {"datastore", "template", "vm", "vn", "vnpool", "vntemplate"}
    assert set(CALLS) == {name for name in RECORDED if name.split(".")[0] in families}


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_datastore() -> None:
    found = read_object("datastore", body("datastore.info"), "it")
    assert (found.kind, found.id, found.name, found.mode) == ("datastore", 100, "fx-system", 0o640)
    assert (found.uid, found.gid, found.uname, found.gname) == (0, 0, "oneadmin", "oneadmin")
    assert (found.type, found.state, found.tm_mad, found.ds_mad) == (1, 0, "ssh", "-")
    assert (found.cluster_ids, found.image_ids, found.total, found.free) == ((101,), (), 0, 0)
    assert found.template.text("SHARED") == "NO"


def test_a_network_and_its_pool() -> None:
    found = read_object("vnet", body("vn.info"), "it")
    assert (found.name, found.state, found.vn_mad, found.cluster_ids) == ("pub2", 1, "packet", (0,))
    assert found.used_leases == 1
    [ar] = found.address_ranges
    assert (ar["IP"], ar["SIZE"], ar["IPAM_MAD"], ar["DEPLOY_ID"]) == ("198.51.100.8", "2", "packet", "7f3c-block")
    assert "LEASES" not in ar
    pool = read_pool("vnet", body("vnpool.info"), "it")
    assert [(one.id, one.mode) for one in pool] == [(2, 0o600), (1, 0o600)]
    assert pool[1].address_ranges[0]["IP"] == "192.168.150.2"


def test_templates() -> None:
    template = read_object("template", body("template.info"), "it")
    assert (template.name, template.template.text("MEMORY"), template.state) == ("t1", "64", None)
    vn_template = read_object("vntemplate", body("vntemplate.info"), "it")
    assert vn_template.template.vectors("AR") == [{"IP": "10.0.0.1", "SIZE": "2", "TYPE": "IP4"}]


def test_clusters_hosts_documents_and_machines() -> None:
    edge, default = read_pool("cluster", body("clusterpool.info"), "it")
    assert (edge.host_ids, default.datastore_ids, default.vnet_ids, edge.mode) == ((4,), (0, 1, 2), (1, 2), -1)
    host = next(one for one in read_pool("host", body("hostpool.info"), "it") if one.id == 7)
    assert (host.state, host.cluster_ids, host.running_vms) == (0, (0,), 0)
    [document] = read_pool("document", body("documentpool.info"), "it")
    assert (document.type, document.mode) == (703, 0o600)
    machines = read_pool("vm", body("vmpool.info.all"), "it")
    assert [(one.id, one.state, one.mode) for one in machines] == [(4, 3, -1), (3, 8, -1), (2, 1, -1), (1, 6, -1)]
    assert read_object("vm", body("vm.info.pending"), "it").mode == 0o600


def test_names_of_users() -> None:
    pool = "<USER_POOL><USER><ID>2</ID><NAME>ann</NAME></USER><USER><ID>0</ID><NAME>oneadmin</NAME></USER></USER_POOL>"
    assert read_names(pool, "USER", "it") == {"ann": 2, "oneadmin": 0}
    assert read_names("<GROUP_POOL/>", "GROUP", "it") == {}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<TYPE>1</TYPE>", "<TYPE>system</TYPE>", "DATASTORE/TYPE is 'system', expected a whole number"),
        ("<OWNER_M>1</OWNER_M>", "<OWNER_M>2</OWNER_M>", "DATASTORE/PERMISSIONS/OWNER_M is '2', expected 0 or 1"),
        ("<OWNER_M>1</OWNER_M>", "", "DATASTORE/PERMISSIONS/OWNER_M is missing"),
        ("<UID>0</UID>", "", "DATASTORE/UID is missing"),
        ("<ID>101</ID>", "<ID>x</ID>", "ID/. is 'x'"),
        ("<DATASTORE>", "<VNET>", "datastore 100"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(old: str, new: str, says: str) -> None:
    data = body("datastore.info")
    assert old in data
    with pytest.raises(OnedError, match=re.escape(says)):
        read_object("datastore", data.replace(old, new, 1), "datastore 100")


# --- what is refused before it is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda objects: objects.allocate("host", Template([("NAME", "h")])),
            "new host h: .* not made from a template",
        ),
        (lambda objects: objects.pool("document"), "listed by their type"),
        (lambda objects: objects.delete("vm", 3), "machine 3 is not deleted but terminated"),
        (lambda objects: objects.chmod("image", 3, 0o1777), "image 3: the mode 1777"),
        (lambda objects: objects.add_to_cluster(0, "image", 3), "image 3 cannot be in a cluster"),
        (lambda objects: objects.allocate("vnet", Template([("A B", "x")])), "A B of new vnet"),
    ],
)
def test_calls_that_make_no_sense(call: Callable[[Objects], object], words: str) -> None:
    with (
        serving(lambda *_: [False, "no call was expected", 4096, -1, -1]) as server,
        pytest.raises(ConfigError, match=words),
    ):
        call(client(server.url))
    assert server.calls == []


def test_a_cluster_whose_attributes_are_refused_is_deleted_again() -> None:
    def reply(method: str, _: object) -> object:
        return [False, "[x] no", 8192, -1, -1] if method == "one.cluster.update" else [True, 100, 0]

    with serving(reply) as server, pytest.raises(InternalFailure, match="cluster 100: "):
        client(server.url).allocate("cluster", Template([("NAME", "c"), ("A", "b")]))
    assert [method for method, _ in server.calls] == [
        "one.cluster.allocate",
        "one.cluster.update",
        "one.cluster.delete",
    ]


KINDS: tuple[Kind, ...] = ("cluster", "datastore", "vnet", "image", "template", "vntemplate", "marketapp", "host", "vm")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_is_one_call(kind: Kind) -> None:
    root = {"vnet": "VNET", "template": "VMTEMPLATE", "marketapp": "MARKETPLACEAPP"}.get(kind, kind.upper())
    with serving(lambda *_: [True, f"<{root}_POOL/>", 0]) as server:
        found: list[OnedObject] = client(server.url).pool(kind)
    assert found == []
    assert len(server.calls) == 1


def test_ranges_by_network_and_number() -> None:
    """A reservation tells which range it is a part of, and a range has its network's gateway unless its own."""
    pool = (
        "<VNET_POOL><VNET><ID>1</ID><PARENT_NETWORK_ID/><AR_POOL><AR><AR_ID>0</AR_ID><IP>10.0.0.1</IP></AR>"
        "<AR><AR_ID>1</AR_ID><GATEWAY>10.9.9.9</GATEWAY></AR></AR_POOL><TEMPLATE><GATEWAY>10.0.0.254</GATEWAY></TEMPLATE>"
        "</VNET><VNET><ID>4</ID><PARENT_NETWORK_ID>1</PARENT_NETWORK_ID><AR_POOL><AR><AR_ID>0</AR_ID>"
        "<PARENT_NETWORK_AR_ID>0</PARENT_NETWORK_AR_ID></AR></AR_POOL></VNET></VNET_POOL>"
    )
    assert read_network_ranges(pool, "the pool") == {
        (1, 0): {"AR_ID": "0", "IP": "10.0.0.1", "GATEWAY": "10.0.0.254"},
        (1, 1): {"AR_ID": "1", "GATEWAY": "10.9.9.9"},
        (4, 0): {"AR_ID": "0", "PARENT_NETWORK_AR_ID": "0", "PARENT_NETWORK": "1"},
    }
    record = RECORDED["vnpool.info"]["response"][1]
    assert {key for key, ar in read_network_ranges(record, "the pool").items() if "PARENT_NETWORK" not in ar}
