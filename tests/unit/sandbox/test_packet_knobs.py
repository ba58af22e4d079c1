from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tests.support.packet_account import ORDER, Account, complaints
from tests.support.simulators import quick, wait_for

from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.packet_api import PacketSimulator


@pytest.fixture
def account() -> Iterator[Account]:
    simulator = PacketSimulator(NoMachines(), quick())
    simulator.start()
    one = Account(simulator)
    yield one
    one.session.close()
    simulator.stop()


def test_knobs_are_shown_changed_and_refused_by_name(account: Account) -> None:
    assert account.knobs(quota=3).json()["quota"] == 3
    assert account.simulator.knobs.quota == 3
    assert account.call("GET", "/_sandbox/knobs").json()["quota"] == 3
    reply = account.knobs(quotas=3)
    assert reply.status_code == 400
    assert "the knobs are queued" in reply.json()["error"]
    for body in ("{", "[]"):
        assert requests.put(f"{account.simulator.url}/_sandbox/knobs", data=body, timeout=5).status_code == 400
    assert account.call("GET", "/_sandbox/nothing").status_code == 404


def test_capacity_sells_out_in_the_recorded_words(account: Account) -> None:
    account.knobs(capacity="c3.small.x86@am=1")
    account.create()
    reply = account.call("POST", account.devices, ORDER)
    assert reply.status_code == 503
    assert complaints(reply) == "The metro am has no provisionable c3.small.x86 servers matching your criteria"
    named = {**ORDER, "metro": None, "facility": ["ams1"]}
    sentence = "The facility ams1 has no provisionable c3.small.x86 servers matching your criteria"
    assert complaints(account.call("POST", account.devices, named)) == sentence
    later = account.create(metro=None, facility=["am6", "da11"])
    assert account.get(later)["facility"]["code"] == "da11"
    shown = account.call("GET", "/capacity/metros").json()["capacity"]
    assert shown["am"]["c3.small.x86"] == {"level": "unavailable", "servers": 0}
    assert shown["da"]["c3.small.x86"]["level"] == "normal"
    assert account.call("GET", "/capacity").json()["capacity"]["am6"]["c3.small.x86"]["servers"] == 0


def test_capacity_holds_when_many_ask_at_once(account: Account) -> None:
    account.knobs(capacity="c3.small.x86@am=5")

    def create(_: int) -> int:
        headers = {"X-Auth-Token": account.simulator.token}
        return requests.post(
            account.simulator.url + account.devices, json=ORDER, headers=headers, timeout=10
        ).status_code

    with ThreadPoolExecutor(30) as pool:
        statuses = list(pool.map(create, range(30)))
    assert sorted(statuses) == [201] * 5 + [503] * 25
    assert len(account.left()) == 5


def test_the_quota_is_422(account: Account) -> None:
    account.knobs(quota=1)
    account.create()
    reply = account.call("POST", account.devices, {**ORDER, "metro": "da"})
    assert reply.status_code == 422
    assert "maximum number of devices" in complaints(reply)


def test_lists_lag_but_the_device_itself_is_known(account: Account) -> None:
    account.knobs(list_lag=3600)
    hidden = account.create()
    assert account.listed() == []
    assert account.get(hidden)["id"] == hidden
    account.knobs(list_lag=0.2)
    shown = account.create()
    wait_for(lambda: account.listed() == [shown])
    account.until(shown, "active")
    account.knobs(list_lag=3600)
    account.call("DELETE", f"/devices/{shown}")
    wait_for(lambda: account.call("GET", f"/devices/{shown}").status_code == 404)
    assert account.listed() == [shown]


def test_a_lost_reply_comes_after_the_device_was_made(account: Account) -> None:
    account.knobs(lost_reply=1)
    with pytest.raises(requests.ConnectionError):
        account.call("POST", account.devices, {**ORDER, "tags": ["one-token=t"]})
    assert len(account.listed(tag="one-token=t")) == 1
    account.create()


@pytest.mark.parametrize(("status", "retry_after"), [(429, 0), (429, 2), (500, 0), (503, 1.5)])
def test_a_storm_refuses_before_anything_is_done(account: Account, status: int, retry_after: float) -> None:
    account.knobs(error_rate=1, error_status=status, retry_after=retry_after)
    reply = account.call("POST", account.devices, ORDER)
    assert reply.status_code == status
    assert reply.headers.get("Retry-After") == (f"{retry_after:g}" if retry_after else None)
    assert ("X-RateLimit-Reset" in reply.headers) == (status == 429)
    account.knobs(error_rate=0)
    assert account.left() == []


def test_a_storm_can_hit_one_call_only(account: Account) -> None:
    account.knobs(error_rate=1, error_calls="POST /projects")
    assert account.call("GET", account.devices).status_code == 200
    assert account.call("POST", account.devices, ORDER).status_code == 500


def test_half_of_the_calls_fail_at_half_the_rate(account: Account) -> None:
    account.knobs(error_rate=0.5, seed=3)
    statuses = [account.call("GET", "/plans").status_code for _ in range(60)]
    assert 15 < statuses.count(500) < 45


def test_the_rate_limit_answers_429_with_its_headers(account: Account) -> None:
    account.knobs(rate_limit=5)
    replies = [account.call("GET", "/plans") for _ in range(12)]
    refused = [one for one in replies if one.status_code == 429]
    assert 5 <= len(refused) <= 8
    assert refused[0].headers["X-RateLimit-Limit"] == "5"
    assert int(refused[0].headers["X-RateLimit-Reset"]) >= time.time()


def test_gone_can_be_403_but_never_was_is_404(account: Account) -> None:
    account.knobs(gone_is_403=True)
    device = account.active()
    account.call("DELETE", f"/devices/{device}")
    wait_for(lambda: account.call("GET", f"/devices/{device}").status_code == 403)
    assert account.call("DELETE", f"/devices/{device}").status_code == 403
    assert account.call("GET", "/devices/never").status_code == 404


def test_a_lying_delete_says_204_and_does_nothing(account: Account) -> None:
    device = account.active()
    account.knobs(lying_delete=1)
    assert account.call("DELETE", f"/devices/{device}").status_code == 204
    assert account.get(device)["state"] == "active"
    assert account.call("DELETE", f"/devices/{device}").status_code == 204
    wait_for(lambda: account.left() == [])


def test_devices_fail_or_vanish_while_provisioning(account: Account) -> None:
    account.knobs(fail_provisioning=1)
    failed = account.create()
    account.until(failed, "failed")
    assert account.call("DELETE", f"/devices/{failed}").status_code == 204
    account.knobs(fail_provisioning=1, fail_mode="vanish")
    vanished = account.create()
    wait_for(lambda: account.call("GET", f"/devices/{vanished}").status_code == 404)
    account.active()


def test_every_reply_takes_the_latency(account: Account) -> None:
    account.knobs(latency=0.1)
    start = time.monotonic()
    account.call("GET", "/plans")
    assert 0.1 <= time.monotonic() - start < 10


def test_calls_are_counted_by_template(account: Account) -> None:
    device = account.create()
    account.get(device)
    account.get(device)
    account.call("GET", "/nothing")
    account.call("GET", "/plans", headers={"X-Auth-Token": "wrong"})
    told = requests.get(f"{account.simulator.url}/_sandbox/calls", timeout=5).json()
    assert told["calls"] == {
        "POST /projects/{id}/devices": 1,
        "GET /devices/{id}": 2,
        "GET (unknown)": 1,
        "GET /plans": 1,
    }
    assert told["total"] == 5
    assert account.simulator.calls == told["calls"]


def test_stopping_destroys_every_machine() -> None:
    machines = NoMachines()
    simulator = PacketSimulator(machines, quick())
    simulator.start()
    device = Account(simulator).active()
    assert machines.running(device)
    simulator.stop()
    assert not machines.running(device)
    with pytest.raises(requests.ConnectionError):
        requests.get(simulator.url, timeout=1)
