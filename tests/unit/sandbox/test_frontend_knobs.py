"""The stand-in going down, up, following and leading."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.standin import call

from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.frontend import Frontend, Store


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[Frontend]:
    with Frontend(tmp_path / "one", repository=None) as running:
        yield running


def put_knobs(frontend: Frontend, knobs: object) -> Any:
    url = frontend.endpoint.replace("/RPC2", "/_sandbox/knobs")
    request = urllib.request.Request(url, json.dumps(knobs).encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=5) as reply:
        return json.load(reply)


def test_down_and_up_again(frontend: Frontend) -> None:
    assert put_knobs(frontend, {"down": "503"})["down"] == "503"
    with pytest.raises(xmlrpc.client.ProtocolError):
        call(frontend, "one.system.version")
    put_knobs(frontend, {"down": "refuse"})
    with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as the moment has it
        call(frontend, "one.system.version")
    put_knobs(frontend, {"down": ""})
    assert call(frontend, "one.system.version") == [True, "7.4.0", 0]


@pytest.mark.parametrize("knobs", [{"nope": 1}, {"slow": "much"}, {"raft": "KING"}, {"down": "maybe"}, ["slow"]])
def test_wrong_knobs_change_nothing(frontend: Frontend, knobs: object) -> None:
    before = frontend.knobs.as_dict()
    with pytest.raises(urllib.error.HTTPError, match="422"):
        put_knobs(frontend, knobs)
    assert frontend.knobs.as_dict() == before


def test_stopped_means_refused_and_objects_survive_a_restart(frontend: Frontend) -> None:
    call(frontend, "one.host.allocate", "h", "provision", "kvm", 0)
    call(frontend, "one.host.update", 0, 'PROVISION=[DEPLOY_ID="abc"]', 1)
    before, endpoint = frontend.host_xml(0), frontend.endpoint
    open_connection = xmlrpc.client.ServerProxy(endpoint)
    open_connection.one.system.version(frontend.session)
    frontend.stop()
    with pytest.raises(ConnectionRefusedError):
        open_connection.one.system.version(frontend.session)
    frontend.start()
    assert (frontend.endpoint, frontend.host_xml(0)) == (endpoint, before)
    assert call(frontend, "one.system.version") == [True, "7.4.0", 0]
    open_connection("close")()


def test_a_follower_reads_forwards_and_takes_over(tmp_path: Path) -> None:
    store = Store()
    with (
        Frontend(tmp_path / "a", repository=None, store=store) as first,
        Frontend(tmp_path / "b", repository=None, store=store, leader=first) as second,
    ):
        first.set_knobs({"raft": "LEADER"})
        second.set_knobs({"raft": "FOLLOWER"})
        assert "<STATE>2</STATE>" in call(second, "one.zone.raftstatus")[1]
        reply = second.call("one.host.allocate", "h", "provision", "kvm", 0)
        assert reply[2] == 256  # forwarded as it came: the servers of this test have different passwords
        (tmp_path / "b/.one/one_auth").write_text(first.session)
        second.restart()
        assert call(second, "one.host.allocate", "h", "provision", "kvm", 0) == [True, 0, 0]
        assert "<NAME>h</NAME>" in call(second, "one.hostpool.info")[1]
        first.kill()
        reply = call(second, "one.host.delete", 0)
        assert reply[1:3] == ["[one.host.delete] Cannot process request, no leader found", 8192]
        second.set_knobs({"raft": "CANDIDATE"})
        assert "election mode" in call(second, "one.host.delete", 0)[1]
        second.set_knobs({"raft": "LEADER"})
        assert call(second, "one.host.delete", 0) == [True, 0, 0]


def test_a_thousand_hosts_and_many_clients(frontend: Frontend) -> None:
    with frontend.store.lock:
        for number in range(1000):
            frontend.store.add_host(f"h{number}", "provision", "kvm", 0).state = HostState.MONITORED
    replies: list[list[Any]] = []
    workers = [
        threading.Thread(target=lambda: replies.extend(call(frontend, "one.host.info", n) for n in range(0, 1000, 100)))
        for _ in range(20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [reply[0] for reply in replies] == [True] * 200
    pool = call(frontend, "one.hostpool.info")[1]
    assert re.findall(r"<HOST><ID>(\d+)</ID>", pool) == [str(number) for number in range(999, -1, -1)]
