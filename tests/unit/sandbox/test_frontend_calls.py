"""Calls beyond the recordings, as OpenNebula's sources have them."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.standin import call

from hybrid_drivers.sandbox.frontend import Frontend


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[Frontend]:
    with Frontend(tmp_path / "one", repository=None) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "arguments", "code", "words"),
    [
        ("one.host.allocate", ["a/b", "provision", "kvm", 0], 16384, "Invalid NAME, char '/' is not allowed"),
        ("one.host.allocate", ["", "provision", "kvm", 0], 16384, "Invalid NAME, it cannot be empty"),
        ("one.host.allocate", ["x" * 129, "provision", "kvm", 0], 16384, "max length is 128"),
        ("one.host.allocate", ["a", "", "kvm", 0], 16384, "IM_MAD_NAME cannot be empty."),
        ("one.host.status", [0, 9], 8192, "Wrong status code"),
        ("one.host.update", [0, "A=1", 2], 4096, "Wrong update type"),
        ("one.host.update", [0, "A B", 1], 8192, "[one.host.update] Cannot update template. Parse error: syntax error"),
        ("one.host.rename", [0, "second"], 2048, "host cannot be renamed to second because it collides with host 1"),
        ("one.host.rename", [0, "a;b"], 2048, "Invalid NAME"),
        ("one.cluster.delete", [0], 2048, "Cannot delete cluster. System clusters (ID < 100) cannot be deleted."),
        ("one.cluster.delete", [100], 2048, "Cluster 100 is not empty, it contains 1 hosts."),
        ("one.cluster.allocate", ["edge"], 16384, "NAME is already taken by CLUSTER 100."),
        ("one.cluster.info", [7], 1024, "Error getting cluster [7]."),
        ("one.document.info", [7], 1024, "Error getting document [7]."),
        ("one.zone.info", [7], 1024, "Error getting zone [7]."),
    ],
)
def test_failures(frontend: Frontend, method: str, arguments: list[object], code: int, words: str) -> None:
    call(frontend, "one.cluster.allocate", "edge")
    call(frontend, "one.host.allocate", "first", "provision", "kvm", 100)
    call(frontend, "one.host.allocate", "second", "provision", "kvm", -1)
    reply = call(frontend, method, *arguments)
    assert (reply[0], reply[2], reply[4]) == (False, code, -1)
    assert words in reply[1]


def test_replacing_a_template_keeps_the_drivers(frontend: Frontend) -> None:
    call(frontend, "one.host.allocate", "h", "provision", "kvm", 0)
    call(frontend, "one.host.update", 0, 'A="1"\nVM_MAD="lxc"', 0)
    assert frontend.host(0).template.template().render() == 'A="1"\nIM_MAD="provision"\nVM_MAD="lxc"\n'
    assert frontend.host(0).vm_mad == "lxc"


def test_a_host_moves_between_clusters(frontend: Frontend) -> None:
    call(frontend, "one.cluster.allocate", "edge")
    call(frontend, "one.host.allocate", "h", "provision", "kvm", 0)
    assert call(frontend, "one.cluster.addhost", 100, 0) == [True, 100, 0]
    assert "<CLUSTER_ID>100</CLUSTER_ID><CLUSTER>edge</CLUSTER>" in frontend.host_xml(0)
    assert call(frontend, "one.cluster.delhost", 100, 0) == [True, 100, 0]
    assert frontend.store.clusters[0].hosts == {0}


def test_an_encrypted_body_sent_back_is_not_encrypted_twice(frontend: Frontend) -> None:
    call(frontend, "one.document.allocate", 'NAME="n"\nPROVISION_BODY="{\\"state\\": 1}"', 703)
    xml = call(frontend, "one.document.info", 0, False)[1]
    hidden = re.findall(r"<PROVISION_BODY><!\[CDATA\[(.*?)\]\]>", xml)[0]
    call(frontend, "one.document.update", 0, f'PROVISION_BODY="{hidden}"', 1)
    assert '{"state": 1}' in call(frontend, "one.document.info", 0, True)[1]


def test_a_nested_body_is_not_encrypted(frontend: Frontend) -> None:
    call(frontend, "one.document.allocate", 'NAME="n"\nTEMPLATE=[PROVISION_BODY="seen"]', 703)
    assert "<PROVISION_BODY><![CDATA[seen]]>" in call(frontend, "one.document.info", 0, False)[1]


def test_the_zone_keeps_its_endpoint_when_an_owner_is_added(frontend: Frontend) -> None:
    assert call(frontend, "one.zone.update", 0, 'HYBRID_OWNER="u"', 1) == [True, 0, 0]
    xml = call(frontend, "one.zone.info", 0, False)[1]
    assert "<HYBRID_OWNER><![CDATA[u]]>" in xml
    assert "<ENDPOINT><![CDATA[http://localhost:2633/RPC2]]>" in xml


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("one.host.info", "s"), -501, "Not enough parameters"),
        (("one.host.info", "s", "seven"), -501, "Parameter that is supposed to be integer is not"),
        (("one.host.info", 7), -501, "Parameter that is supposed to be string is not"),
    ],
)
def test_wrong_arguments_are_faults(frontend: Frontend, arguments: tuple[Any, ...], code: int, words: str) -> None:
    method, *rest = arguments
    rest = [frontend.session if one == "s" else one for one in rest]
    with xmlrpc.client.ServerProxy(frontend.endpoint) as proxy, pytest.raises(xmlrpc.client.Fault) as caught:
        getattr(proxy, method)(*rest)
    assert (caught.value.faultCode, caught.value.faultString) == (code, words)


@pytest.mark.parametrize("body", [b"", b"no xml", b"<methodCall/>", b"<!DOCTYPE x><methodCall></methodCall>", b"\xff"])
def test_garbage_is_a_fault(frontend: Frontend, body: bytes) -> None:
    with urllib.request.urlopen(frontend.endpoint, body, timeout=5) as reply, pytest.raises(xmlrpc.client.Fault) as got:
        xmlrpc.client.loads(reply.read())
    assert got.value.faultCode == -503
