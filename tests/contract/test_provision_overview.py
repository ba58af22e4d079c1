"""The list of provisions: what it counts, and that its number of calls does not depend on how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from unittest import mock

import pytest
from tests.support.provisions import Heard, HurriedClock, begun, entry, hosts_are_ready, order, quits, site_of

from hybrid_drivers.provision.overview import rows
from hybrid_drivers.provision.runs import begin, go_on
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend

CALLS = {
    "documentpool.info": 1,
    "hostpool.info": 1,
    "clusterpool.info": 1,
    "vnpool.info": 1,
    "datastorepool.info": 1,
}
OTHER = "name: other\ndefaults: {provision: {provider: packet-ams, plan: p, os: o, metro: m}}\ncluster: {name: other}\n"


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


def calls_of_a_list(site: Site) -> Counter[str]:
    seen: Counter[str] = Counter()
    real = site.oned.read

    def read(method: str, what: str, *arguments: object) -> str:
        seen[method] += 1
        return real(method, what, *arguments)

    with mock.patch.object(site.oned, "read", read):
        rows(site)
    return seen


def test_what_is_there_is_counted_and_what_is_not_ours_is_not(site: Site) -> None:
    assert rows(site) == []
    site.oned.allocate_host("a-host-of-nobody", "kvm", "kvm", 0)
    assert calls_of_a_list(site) == CALLS
    go_on(site, begin(site, order()).id, quits(), Heard())
    begun(site, OTHER)
    small, other = rows(site)
    assert (small.name, small.state, small.provider, small.holder) == ("small", "RUNNING", "packet-ams", "")
    assert (small.clusters, small.hosts, small.ready, small.wanted) == (1, 2, 2, 2)
    assert (small.networks, small.datastores) == (1, 2)
    assert (other.name, other.state, other.clusters, other.hosts, other.wanted) == ("other", "PENDING", 0, 0, 0)
    assert calls_of_a_list(site) == CALLS
