"""OneFlow's client: against the stand-in, and against servers that are no OneFlow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_drivers.config import Location
from hybrid_drivers.errors import (
    AuthenticationFailed,
    BadCall,
    ConfigError,
    InternalFailure,
    NoSuchObject,
    OnedError,
    OnedUnreachable,
)
from hybrid_drivers.oned.oneflow import OneFlow, Service
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.objects import DocumentObject
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.http_server import HttpServer, Reply, Request
from hybrid_drivers.sandbox.oneflow_api import SERVICE, SERVICE_TEMPLATE, OneFlowServer
from hybrid_drivers.secret import Secret

ROLES = [{"name": "web", "cardinality": "2", "vm_template": "0", "min_vms": "1", "cooldown": "30"}]


@pytest.fixture
def server() -> Iterator[OneFlowServer]:
    running = OneFlowServer(Store(), lambda: "oneadmin:s3cret")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def flow(server: OneFlowServer) -> OneFlow:
    return OneFlow(server.url, "oneadmin", Secret("s3cret"), timeout=5)


def test_service_templates_are_made_listed_and_deleted(flow: OneFlow, server: OneFlowServer) -> None:
    assert flow.service_templates() == []
    body = {"deployment": "straight", "roles": ROLES, "ready_status_gate": True, "networks": {}}
    made = flow.create_service_template("shop", body, provision_id=7)
    other = flow.create_service_template("other", {"name": "ignored", "roles": []})
    found = {one.id: one for one in flow.service_templates()}
    assert (found[made].name, found[made].provision) == ("shop", 7)
    assert (found[other].name, found[other].provision) == ("other", None)
    role = found[made].body["roles"][0]
    assert (role["cardinality"], role["vm_template"], role["min_vms"], role["name"]) == (2, 0, 1, "web")
    assert found[made].body["ready_status_gate"] is True
    assert server._store.documents[made].type == SERVICE_TEMPLATE
    flow.delete_service_template(made)
    assert [one.id for one in flow.service_templates()] == [other]
    with pytest.raises(NoSuchObject, match=rf"^service template {made}: Error getting document \[{made}\]\.$"):
        flow.delete_service_template(made)


def test_services_are_listed_and_ended(flow: OneFlow, server: OneFlowServer) -> None:
    body = Attributes([("BODY", '{"state": 2, "roles": []}')])
    made = server._store.documents.put(DocumentObject(id=-1, name="shop", type=SERVICE, template=body)).id
    assert flow.services() == [flow.service(made)] == [Service(id=made, name="shop", state=2)]
    flow.delete_service(made)
    assert flow.services() == []
    with pytest.raises(NoSuchObject):
        flow.service(made)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'roles' is required"),
        ({"roles": [{"name": "a b", "vm_template": 1}]}, "regex"),
        ({"roles": [{"name": "web", "vm_template": "many"}]}, "must be an Integer"),
    ],
)
def test_a_body_that_is_refused_says_why(flow: OneFlow, body: dict[str, object], words: str) -> None:
    with pytest.raises(BadCall, match=f"^new service template shop: .*{words}"):
        flow.create_service_template("shop", body)
    assert flow.service_templates() == []


def test_a_wrong_password_is_told_and_not_shown(server: OneFlowServer) -> None:
    stranger = OneFlow(server.url, "oneadmin", Secret("pa55word"))
    with pytest.raises(AuthenticationFailed, match="one_auth") as caught:
        stranger.services()
    assert "pa55word" not in str(caught.value) + repr(stranger)


def test_the_address_comes_from_the_environment_and_the_user_from_one_auth(
    tmp_path: Path, server: OneFlowServer
) -> None:
    location = Location.from_environment({"ONE_LOCATION": str(tmp_path), "HOME": str(tmp_path)})
    (tmp_path / ".one").mkdir()
    (tmp_path / ".one/one_auth").write_text("oneadmin:s3cret\n")
    assert OneFlow.from_location(location, {"ONEFLOW_URL": server.url + "/"}).services() == []
    assert repr(OneFlow.from_location(location, {})) == "OneFlow(http://localhost:2474)"
    with pytest.raises(ConfigError, match="ONEFLOW_URL"):
        OneFlow.from_location(location, {"ONEFLOW_URL": "localhost"})


class Scripted:
    def __init__(self, reply: Reply) -> None:
        self.reply, self.asked = reply, 0

    def answer(self, request: Request) -> Reply:
        self.asked += 1
        return self.reply


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            Reply(status=500, body=b'{"error": {"message": "[one.document.allocate] broken"}}'),
            InternalFailure,
            ": broken$",
        ),
        (Reply(status=500, body=b"plain words"), InternalFailure, ": plain words$"),
        (Reply(status=502), InternalFailure, "HTTP 502 without a reason"),
        (Reply(status=200, body=b"<html>"), OnedError, "is it OneFlow"),
        (Reply(status=200, body=b"[1]"), OnedError, "not a document"),
        (Reply(status=201, body=b'{"DOCUMENT": {"NAME": "x"}}'), OnedError, "without an id"),
        (Reply(lost=True), OnedUnreachable, "cannot be reached"),
    ],
)
def test_other_servers_are_named_and_nothing_is_sent_twice(reply: Reply, error: type[OnedError], words: str) -> None:
    script = Scripted(reply)
    server = HttpServer(script)
    server.start()
    try:
        with pytest.raises(error, match=words):
            OneFlow(server.url, "u", Secret("p"), timeout=5).create_service_template("x", {"roles": []})
        assert script.asked == 1
    finally:
        server.stop()


def test_nobody_there_is_told_and_nothing_was_sent() -> None:
    with pytest.raises(OnedUnreachable, match="is opennebula-flow running") as caught:
        OneFlow("http://127.0.0.1:1", "u", Secret("p"), timeout=5).services()
    assert not caught.value.sent


def test_a_pool_of_one_may_be_no_list() -> None:
    server = HttpServer(Scripted(Reply(body=b'{"DOCUMENT_POOL": {"DOCUMENT": {"ID": "3", "NAME": "a"}}}')))
    server.start()
    try:
        assert [one.id for one in OneFlow(server.url, "u", Secret("p")).service_templates()] == [3]
    finally:
        server.stop()


def test_requests_is_not_loaded_before_it_is_needed() -> None:
    code = "import hybrid_drivers.oned.oneflow, sys; sys.exit('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
