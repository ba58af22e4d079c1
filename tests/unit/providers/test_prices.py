"""Prices: the operator's own, packet's list with its special places, and nothing where nobody tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.providers import CANARY, FakeClock, entry
from tests.support.scripted_http import Scripted, ScriptedServer

from hybrid_drivers.errors import ConfigError, TransientError
from hybrid_drivers.model import Placement
from hybrid_drivers.providers import entries, registry
from hybrid_drivers.providers.base import Price, Prices, ProviderEntry, Setting
from hybrid_drivers.providers.packet.prices import AGE
from hybrid_drivers.providers.packet.provider import PacketProvider
from hybrid_drivers.providers.prices import own_price, price_of
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import make_machines
from hybrid_drivers.sandbox.packet_api import PacketSimulator
from hybrid_drivers.sandbox.packet_catalogue import DEARER, PLANS
from hybrid_drivers.secret import Secret

CLOCK = FakeClock()
HOUR = PLANS["c3.small.x86"].hour
PLAN_LIST = {
    "plans": [
        {
            "slug": "c3",
            "pricing": {"hour": 1.5},
            "available_in_metros": [
                {"href": "/metal/v1/locations/metros/m-1"},
                {"href": "/metal/v1/locations/metros/m-2", "price": {"hour": 2}},
                {"code": "ny", "price": {"hour": 3}},
            ],
            "available_in": [{"href": "/metal/v1/facilities/f-1", "price": {"hour": 4.25}}],
        },
        {"slug": "free", "pricing": {"hour": 0}},
        {"slug": "untold", "pricing": {}},
        {"slug": "odd", "pricing": {"hour": True}, "available_in_metros": "all", "available_in": [7, {"price": 1}]},
        "no plan",
    ]
}
METROS = {"metros": [{"id": "m-1", "code": "am"}, {"id": "m-2", "code": "sv"}]}
FACILITIES = {"facilities": [{"id": "f-1", "code": "ams1"}]}


def packet(url: str, clock: FakeClock = CLOCK, **more: Setting) -> PacketProvider:
    settings: dict[str, Setting] = {"token": Secret(CANARY), "project": "p", "endpoint": url, **more}
    return PacketProvider(entry("packet", settings), clock=clock, state_dir=Path("/nonexistent"))


def at(plan: str, place: str) -> Placement:
    return Placement(plan=plan, place=place)


def read(text: str) -> ProviderEntry:
    return entries.entry_from_document("a", json.dumps({"driver": "dummy", **json.loads(text)}), "document 1")


@pytest.mark.parametrize(
    ("plan", "place", "price"),
    [
        ("c3", "am", 1.5),
        ("c3", "sv", 2.0),
        ("c3", "ny", 3.0),
        ("c3", "ams1", 4.25),
        ("c3", "elsewhere", 1.5),
        ("free", "am", 0.0),
        ("untold", "am", None),
        ("odd", "am", None),
        ("none such", "am", None),
    ],
)
def test_packet_reads_its_price_list(plan: str, place: str, price: float | None) -> None:
    with ScriptedServer(Scripted(body=PLAN_LIST), Scripted(body=METROS), Scripted(body=FACILITIES)) as server:
        found = packet(server.url).price_hour(plan, place)
    assert [path for _, path, _, _ in server.seen] == ["/plans", "/locations/metros", "/facilities"]
    assert found == (None if price is None else Price(amount=price, currency="USD"))


def test_packet_asks_once_an_hour_and_for_no_places_without_need() -> None:
    clock = FakeClock()
    with ScriptedServer(Scripted(body={"plans": [{"slug": "c3", "pricing": {"hour": 1}}]})) as server:
        provider = packet(server.url, clock)
        assert [provider.price_hour("c3", place) for place in ("am", "da")] == [Price(amount=1)] * 2
        assert len(server.seen) == 1
        clock.sleep(AGE + 1)
        provider.price_hour("c3", "am")
        assert [path for _, path, _, _ in server.seen] == ["/plans", "/plans"]


def test_no_answer_is_an_error_of_the_provider_and_no_price_for_people() -> None:
    with ScriptedServer(Scripted(body={"sorry": []})) as server:
        provider = packet(server.url)
        with pytest.raises(TransientError, match="a list without 'plans'"):
            provider.price_hour("c3", "am")
        assert price_of(provider, at("c3", "am")) is None


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[PacketSimulator]:
    one = PacketSimulator(make_machines("none", tmp_path), Knobs())
    one.start()
    yield one
    one.stop()


def test_the_sandbox_sells_at_prices_that_differ_by_place(simulator: PacketSimulator) -> None:
    provider = packet(simulator.url, token=Secret(simulator.token))
    assert isinstance(provider, Prices)
    assert price_of(provider, at("c3.small.x86", "am")) == Price(amount=HOUR)
    assert price_of(provider, at("c3.small.x86", "sv")) == Price(amount=round(HOUR * DEARER["sv"], 2))
    assert price_of(provider, at("c3.small.x86", "sv15")) == Price(amount=round(HOUR * DEARER["sv"], 2))


def test_the_operators_own_price_wins_and_needs_no_call() -> None:
    provider = packet("http://127.0.0.1:9", prices={"c3": 0.5, "c3@sv": 0.7}, currency="EUR")
    assert price_of(provider, at("c3", "am")) == Price(amount=0.5, currency="EUR")
    assert price_of(provider, at("c3", "sv")) == Price(amount=0.7, currency="EUR")


def test_a_driver_that_tells_nothing_has_no_price(tmp_path: Path) -> None:
    provider = registry.make_provider(read("{}"), FakeClock(), state_dir=tmp_path)
    assert not isinstance(provider, Prices)
    assert price_of(provider, at("small", "here")) is None
    settings: dict[str, Setting] = {"region": "eu-central-1", "profile": "none"}
    ec2 = registry.make_provider(entry("ec2", settings), FakeClock(), state_dir=tmp_path)
    assert price_of(ec2, at("c5.metal", "eu-central-1")) is None


def test_prices_of_an_entry_are_read_and_survive_a_document() -> None:
    first = read('{"prices": {"small": 0.25, "small@here": "0", "large": 2}, "currency": "CHF"}')
    again = entries.entry_from_document("a", json.dumps(entries.body_of(first)), "document 1")
    assert entries.digest(again) == entries.digest(first)
    assert own_price(again, at("small", "there")) == Price(amount=0.25, currency="CHF")
    assert own_price(again, at("small", "here")) == Price(amount=0.0, currency="CHF")
    assert own_price(again, at("huge", "here")) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"prices": 3}', "key 'prices' must be a mapping of numbers"),
        ('{"prices": [1]}', "key 'prices' must be a mapping of numbers"),
        ('{"prices": {"small": "cheap"}}', "key 'prices' has a value for 'small' that is no number"),
        ('{"prices": {"small": -1}}', "key 'prices' has a value for 'small' that is below 0 or too large"),
        ('{"prices": {"small": NaN}}', "key 'prices' has a value for 'small' that is below 0 or too large"),
        ('{"prices": {"small": {"a": 1}}}', "key 'prices' has a value for 'small' that is no number"),
        ('{"currency": "dollars"}', "key 'currency' must be three capital letters like USD"),
        ('{"inputs": "a"}', "key 'inputs' must be a list"),
        ('{"inputs": [{"name": "a"}, {"type": "list"}]}', "input 2 must be a mapping with the key 'name'"),
    ],
)
def test_what_is_wrong_with_common_settings_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(text)
