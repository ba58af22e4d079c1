"""Hosts that are left out or deleted, where something goes wrong in between: none stays that is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from tests.support.provisions import Heard, HurriedClock, entry, hosts_are_ready, killed_at, order, quits, site_of

from hybrid_drivers.errors import ActionRefused, OnedUnreachable
from hybrid_drivers.provision import changes
from hybrid_drivers.provision.failures import Failures, Mode
from hybrid_drivers.provision.record import Record, Stage, State
from hybrid_drivers.provision.runs import begin, go_on, take_away
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend

HOSTS = """
name: few
playbook: dummy
defaults:
  provision: {provider: packet-ams, plan: c3.small.x86, os: debian_12, metro: am}
cluster: {name: few}
hosts:
  - {im_mad: kvm, vm_mad: kvm, provision: {hostname: "edge-${index}", count: 2}}
"""


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        hosts_are_ready(started)
        entry(started)
        yield started


@pytest.fixture
def site(front_end: Frontend) -> Iterator[Site]:
    with site_of(front_end, HurriedClock()) as made:
        yield made
        for known in made.store.known():
            take_away(made, known.id, Heard(), cleanup=True, timeout=5)
        assert made.oned.hosts() == []


def skips() -> Failures:
    return Failures(modes=(Mode.SKIP,))


def made(site: Site, failures: Failures | None = None) -> Record:
    record = go_on(site, begin(site, order(HOSTS)).id, failures or quits(), Heard())
    assert record is not None
    return record


def names(site: Site) -> list[str]:
    return sorted(host.name for host in site.oned.hosts())


def failing_once(site: Site, call: str, error: Exception, *, after: bool = False) -> Any:
    """Have the first call of oned's ``call`` fail, with or ``after`` what it does."""
    real = getattr(site.oned, call)
    failed: list[bool] = []

    def called(*args: object) -> object:
        if failed:
            return real(*args)
        failed.append(True)
        if after:
            real(*args)
        raise error

    return mock.patch.object(site.oned, call, called)


@pytest.mark.parametrize("call", ["update_host", "allocate_host"])
def test_half_a_host_that_is_left_out_goes(site: Site, call: str) -> None:
    lost = OnedUnreachable("the answer was lost", sent=True)
    with failing_once(site, call, lost, after=True):
        record = made(site, skips())
    assert (record.state, names(site)) == (State.RUNNING, ["edge-1"])
    assert record.problem == "left out: host edge-0"


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_killed_while_it_leaves_a_host_out_is_gone_on_with(site: Site, before: bool) -> None:
    for at in range(40):
        refused = failing_once(site, "update_host", ActionRefused("not now"))
        with killed_at(site, at, before=before), refused:
            made(site, skips())
        for known in site.store.known():
            if known.summary["STATE"] != "RUNNING":
                go_on(site, known.id, skips(), Heard())
            record = site.store.read(known.id)
            there = [slot.name for slot in record.exists("hosts")]
            assert (names(site), record.leaving) == (sorted(there), []), at
            assert Stage.SKIPPED not in {slot.stage for slot in record.exists("hosts")}, at
            take_away(site, known.id, Heard(), cleanup=False, timeout=5)
            if known.summary["STATE"] == "RUNNING":
                assert at > 10
                return
    pytest.fail("there are more changes than this test looks at")


def test_a_host_that_could_not_be_given_back_is_not_forgotten_by_scale(site: Site) -> None:
    refused = failing_once(site, "delete_host", ActionRefused("host is locked"))
    heard = Heard()
    with failing_once(site, "update_host", ActionRefused("not now")), refused:
        record = go_on(site, begin(site, order(HOSTS)).id, skips(), heard)
    assert record is not None
    assert "is left out but stays: host is locked" in heard.text()
    assert names(site) == ["edge-0", "edge-1"]
    changes.scale(site, record.id, 2, quits(), Heard())
    record = site.store.read(record.id)
    assert names(site) == sorted(slot.name for slot in record.exists("hosts"))
    assert (len(record.of_kind("hosts")), record.problem) == (2, "")


def test_a_deletion_whose_answer_is_lost_is_confirmed_all_the_same(site: Site) -> None:
    record = made(site)
    lost = OnedUnreachable("the answer was lost", sent=True)
    with failing_once(site, "delete_host", lost, after=True), pytest.raises(OnedUnreachable):
        take_away(site, record.id, Heard(), cleanup=False, timeout=5)
    left = [one.host_id for one in site.store.read(record.id).leaving]
    assert left == [slot.id for slot in record.of_kind("hosts")]


def test_a_deletion_killed_before_oned_was_asked_is_waited_for_by_nobody(site: Site) -> None:
    record = made(site)
    first = record.of_kind("hosts")[0].number
    with killed_at(site, 1, before=True):
        changes.remove_hosts(site, record.id, [first], Heard())
    record = site.store.read(record.id)
    assert ([one.host_id for one in record.leaving], names(site)) == ([first], ["edge-0", "edge-1"])
    heard = Heard()
    go_on(site, record.id, quits(), heard)
    assert (site.store.read(record.id).leaving, names(site)) == ([], ["edge-0", "edge-1"])
    assert "not confirmed" not in heard.text()
