"""Provisions on several front-ends: any of them will do, and what one began another goes on with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

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

from hybrid_drivers.provision.overview import rows
from hybrid_drivers.provision.record import State
from hybrid_drivers.provision.runs import begin, go_on, take_away
from hybrid_drivers.sandbox.frontend import Frontend


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Frontend, Frontend]]:
    """Yield a leader and a follower of one cloud; both have the driver, the provider's entry and oneadmin's session."""
    with Frontend(tmp_path_factory.mktemp("leader"), repository=None) as leader:
        follower = Frontend(tmp_path_factory.mktemp("follower"), repository=None, store=leader.store, leader=leader)
        (follower.location / ".one").mkdir()
        shutil.copy(leader.location / ".one/one_auth", follower.location / ".one/one_auth")
        with follower:
            leader.set_knobs({"raft": "LEADER"})
            follower.set_knobs({"raft": "FOLLOWER"})
            for one in (leader, follower):
                hosts_are_ready(one)
                entry(one)
            yield leader, follower


def test_a_provision_begun_on_one_server_is_gone_on_with_on_another(servers: tuple[Frontend, Frontend]) -> None:
    leader, follower = servers
    with site_of(follower, HurriedClock()) as site, killed_at(site, 12, before=False):
        go_on(site, begin(site, order(SMALL)).id, quits(), Heard())
    with site_of(leader, HurriedClock()) as site:
        [row] = rows(site)
        assert row.state == "DEPLOYING"
        done = go_on(site, begin(site, order(SMALL)).id, quits(), Heard())
        assert done is not None
        assert done.state is State.RUNNING
    with site_of(follower, HurriedClock()) as site:
        assert [(row.state, row.hosts, row.ready) for row in rows(site)] == [("RUNNING", 2, 2)]
        take_away(site, done.id, Heard(), cleanup=False, timeout=5)
        assert (site.store.known(), site.oned.hosts()) == ([], [])
