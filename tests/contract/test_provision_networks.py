"""Networks of a provision: they are waited for, and one that oned could not make is told, never passed over."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from tests.support.provisions import Heard, HurriedClock, entry, hosts_are_ready, order, quits, site_of

from hybrid_drivers.errors import HybridError
from hybrid_drivers.provision import changes, networks
from hybrid_drivers.provision.failures import Failures, Mode, Quit
from hybrid_drivers.provision.record import Record, Stage, State
from hybrid_drivers.provision.runs import begin, go_on, take_away
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend

READY, ERROR = 1, 5
ROUTED = """
name: routed
networks:
  - {name: routed-a, vn_mad: bridge, bridge: br0, ar: [{type: ETHER, size: 2}], provision: {count: 3}}
  - {name: routed-b, vn_mad: bridge, bridge: br0, ar: [{ipam_mad: nobody, size: 2}]}
"""
GOOD = ROUTED.replace("ipam_mad: nobody", "type: ETHER")


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        entry(started)
        yield started


@pytest.fixture
def site(front_end: Frontend) -> Iterator[Site]:
    with site_of(front_end, HurriedClock()) as made:
        yield made
        front_end.set_knobs({"vnet_seconds": 0.05})
        for known in made.store.known():
            take_away(made, known.id, Heard(), cleanup=True, timeout=5)
        assert made.objects.pool("vnet") == []


def create(site: Site, text: str) -> Record:
    record = go_on(site, begin(site, order(text)).id, quits(), Heard())
    assert record is not None
    return record


def test_they_are_ready_when_they_are_said_to_be_made(front_end: Frontend, site: Site) -> None:
    front_end.set_knobs({"vnet_seconds": 0.3})
    create(site, GOOD)
    found = {one.name: one for one in site.objects.pool("vnet")}
    assert {one.state for one in found.values()} == {READY}
    assert [len(found[name].address_ranges) for name in ("routed-a", "routed-b")] == [3, 1]


def test_one_in_error_is_told_with_the_words_of_oned_and_made_anew(site: Site) -> None:
    for _ in range(2):
        with pytest.raises(Quit, match=r"network routed-b \(id \d+\) is in error: .*address range TYPE"):
            create(site, ROUTED)
        assert sorted((one.name, one.state) for one in site.objects.pool("vnet")) == [
            ("routed-a", READY),
            ("routed-b", ERROR),
        ]
    numbers = {one.name: one.id for one in site.objects.pool("vnet")}
    assert numbers["routed-b"] > numbers["routed-a"] + 1


@pytest.mark.parametrize("mode", [Mode.SKIP, Mode.CLEANUP])
def test_fail_modes_of_one_in_error(site: Site, mode: Mode) -> None:
    record = go_on(site, begin(site, order(ROUTED)).id, Failures(modes=(mode,)), Heard())
    if mode is Mode.SKIP:
        assert record is not None
        assert record.state is State.RUNNING
        assert [slot.stage for slot in record.of_kind("networks")] == [Stage.MADE, Stage.SKIPPED]
    else:
        assert (record, site.store.known(), site.objects.pool("vnet")) == (None, [], [])


def test_what_hosts_cannot_be_asked_is_not_compared(front_end: Frontend, site: Site) -> None:
    hosts_are_ready(front_end)
    text = f"""{GOOD}
  - {{name: routed-c, vn_mad: vxlan, phydev: "${{updates.default_ipv4_nic}}", automatic_vlan_id: yes}}
hosts: [{{im_mad: kvm, vm_mad: kvm, provision: {{provider: packet-ams, hostname: nowhere}}}}]
"""
    heard = Heard()
    record = go_on(site, begin(site, order(text)).id, Failures(modes=(Mode.SKIP,)), heard)
    assert record is not None
    assert "facts of the hosts: " in heard.text()
    assert changes.compare(site, record, None) == []


def test_a_driver_that_does_not_end_is_told(front_end: Frontend, site: Site) -> None:
    front_end.set_knobs({"vnet_seconds": 0.6})
    with mock.patch.object(networks, "LIMIT", 0.1), pytest.raises(Quit, match=r"routed-a .* is not made after 0 s"):
        create(site, GOOD)
    front_end.set_knobs({"vnet_seconds": 0.0})
    create(site, GOOD)
    assert sorted(one.name for one in site.objects.pool("vnet")) == ["routed-a", "routed-b"]


def test_one_that_does_not_go_is_told(front_end: Frontend, site: Site) -> None:
    create(site, GOOD)
    front_end.set_knobs({"vnet_seconds": 0.5})
    [one] = [one for one in site.objects.pool("vnet") if one.name == "routed-b"]
    with mock.patch.object(networks, "GONE_LIMIT", 0.1), pytest.raises(HybridError, match=r"routed-b .* does not go"):
        networks.NetworkCare(site).delete(one)
