"""``create`` and ``delete`` killed at each of their changes in oned, and gone on with: never two, never none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from tests.support.provisions import (
    SMALL,
    Heard,
    HurriedClock,
    entry,
    hosts_are_ready,
    killed_at,
    order,
    quits,
    site_of,
)

from hybrid_drivers.provision import tags
from hybrid_drivers.provision.record import State
from hybrid_drivers.provision.runs import begin, go_on, take_away
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend

MOST = 60  # changes in oned, more than a run makes
KINDS = ("cluster", "datastore", "vnet", "image", "template", "vntemplate")


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


def tagged(site: Site) -> dict[str, list[str]]:
    """Return the names of the objects of provisions, by kind."""
    found = {
        kind: sorted(one.name for one in site.objects.pool(kind) if tags.provision_id(one.template) is not None)  # type: ignore[arg-type]
        for kind in KINDS
    }
    return {**found, "host": sorted(host.name for host in site.oned.hosts())}


WHOLE = {
    "cluster": ["small"],
    "datastore": ["small-images", "small-system"],
    "vnet": ["small-net"],
    "image": ["small-image"],
    "template": ["small-vm"],
    "vntemplate": ["small-vnt"],
    "host": ["edge-0", "edge-1"],
}
NOTHING: dict[str, list[str]] = {kind: [] for kind in WHOLE}


def everything(site: Site) -> set[tuple[str, int]]:
    return {(kind, one.id) for kind in KINDS for one in site.objects.pool(kind)}  # type: ignore[arg-type]


FEW = range(0, MOST, 5)
ALL = range(MOST)
PLACES = [
    *[pytest.param(FEW, before, id=f"few-{when}") for before, when in ((True, "before"), (False, "after"))],
    *[
        pytest.param(ALL, before, id=f"all-{when}", marks=pytest.mark.long)
        for before, when in ((True, "before"), (False, "after"))
    ],
]


@pytest.mark.parametrize(("places", "before"), PLACES)
def test_a_creation_killed_anywhere_is_gone_on_with(site: Site, places: Sequence[int], before: bool) -> None:
    there = everything(site)
    for at in places:
        ended = False
        with killed_at(site, at, before=before):
            go_on(site, begin(site, order(SMALL)).id, quits(), Heard())
            ended = True
        known = site.store.known()
        if not known or known[0].summary["STATE"] != "RUNNING":
            done = go_on(site, begin(site, order(SMALL)).id, quits(), Heard())  # the same command again
            assert done is not None
            assert done.state is State.RUNNING, at
        assert tagged(site) == WHOLE, at
        cluster = next(one.id for one in site.oned.clusters() if one.name == "small")
        assert {host.cluster_id for host in site.oned.hosts()} == {cluster}, at
        take_away(site, site.store.known()[0].id, Heard(), cleanup=False, timeout=5)
        assert (tagged(site), everything(site), site.store.known()) == (NOTHING, there, []), at
        if ended:
            assert at > 15
            return
    pytest.fail("there are more changes than this test looks at")


@pytest.mark.parametrize(("places", "before"), PLACES)
def test_a_deletion_killed_anywhere_is_gone_on_with(site: Site, places: Sequence[int], before: bool) -> None:
    there = everything(site)
    for at in places:
        record = begin(site, order(SMALL))
        go_on(site, record.id, quits(), Heard())
        ended = False
        with killed_at(site, at, before=before):
            take_away(site, record.id, Heard(), cleanup=False, timeout=5)
            ended = True
        for known in site.store.known():
            take_away(site, known.id, Heard(), cleanup=False, timeout=5)
        assert (tagged(site), everything(site), site.store.known()) == (NOTHING, there, []), at
        if ended:
            assert at > 10
            return
    pytest.fail("there are more changes than this test looks at")


@pytest.mark.parametrize(("places", "before"), PLACES)
def test_what_a_killed_creation_made_is_taken_away(site: Site, places: Sequence[int], before: bool) -> None:
    there = everything(site)
    for at in places:
        ended = False
        with killed_at(site, at, before=before):
            go_on(site, begin(site, order(SMALL)).id, quits(), Heard())
            ended = True
        for known in site.store.known():
            take_away(site, known.id, Heard(), cleanup=False, timeout=5)
        assert (tagged(site), everything(site), site.store.known()) == (NOTHING, there, []), at
        if ended:
            return
    pytest.fail("there are more changes than this test looks at")
