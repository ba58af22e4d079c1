"""Who the peers of a host are, who was configured with others, and that asking is shared."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from tests.support.agent_fakes import VirtualClock

from hybrid_drivers.agent.peers import WINDOW, Peers, digest
from hybrid_drivers.errors import OnedError, OnedUnreachable
from hybrid_drivers.hostconfig.facts import Peer
from hybrid_drivers.model import Host, HostState, Template
from hybrid_drivers.oned.api import Oned


def host(number: int, *, cluster: int = 100, address: str = "", ready: bool = True, **more: Any) -> Host:
    where = address or f"192.0.2.{number}"
    pairs = [("PROVISION_ADDRESS", where), ("PROVISION", {"DEPLOY_ID": f"m{number}"})]
    pairs += [("PROVISION_READY", "5"), ("PROVISION_PEERS", "1 old")] if ready else []
    made = Host(
        id=number,
        name=where,
        state=HostState.MONITORED,
        im_mad="provision",
        vm_mad="kvm",
        cluster_id=cluster,
        template=Template(cast(Any, pairs)),
    )
    return replace(made, **more)


class Pool:
    """Stands for oned: counts how often it is asked."""

    def __init__(self, *hosts: Host) -> None:
        self.list: Sequence[Host] = hosts
        self.asked, self.failing = 0, False
        self.gate = threading.Event()
        self.gate.set()

    def hosts(self) -> Sequence[Host]:
        self.asked += 1
        assert self.gate.wait(10)
        if self.failing:
            raise OnedUnreachable("no answer")
        return self.list


def peers(pool: Pool, clock: VirtualClock | None = None) -> Peers:
    return Peers(cast(Oned, pool), clock or VirtualClock())


def test_peers_are_the_clusters_own_hosts_by_id_with_the_one_that_asks() -> None:
    blank = Template([("PROVISION_ADDRESS", "192.0.2.99")])
    pool = Pool(host(3), host(1), host(2, cluster=101), host(4, im_mad="kvm"), host(5, template=blank))
    found = peers(pool).of(host(7, ready=False), "192.0.2.70", 0.0)
    assert [(one.host_id, one.address) for one in found] == [(1, "192.0.2.1"), (3, "192.0.2.3"), (7, "192.0.2.70")]
    moved = peers(pool).of(host(3), "192.0.2.33", 0.0)
    assert Peer(host_id=3, address="192.0.2.33") in moved
    assert len(moved) == 2


def test_hosts_without_a_cluster_have_nobody() -> None:
    assert len(peers(Pool(host(1, cluster=-1), host(2, cluster=-1))).of(host(1, cluster=-1), "192.0.2.1", 0.0)) == 1


def test_outdated_are_ready_hosts_of_other_peers_and_only_they() -> None:
    right = digest([Peer(host_id=n, address=f"192.0.2.{n}") for n in (1, 2, 3)])
    current = host(2)
    current = replace(current, template=Template({**dict(current.template), "PROVISION_PEERS": right}.items()))
    pool = Pool(host(1), current, host(3, ready=False))
    found = peers(pool).outdated()
    assert [(record.host.id, wanted) for record, wanted in found] == [(1, right)]


def test_the_digest_says_how_many_and_changes_with_each_of_them() -> None:
    two = [Peer(host_id=1, address="a"), Peer(host_id=2, address="b")]
    others = [two[:1], [*two, Peer(host_id=3, address="c")], [two[0], Peer(host_id=2, address="x")]]
    assert digest(two).startswith("2 ")
    assert len({digest(one) for one in [two, *others]}) == 4
    assert digest([]) == ""


def test_many_that_were_outdated_make_the_next_round_come_later() -> None:
    known = peers(Pool(*(host(number) for number in range(1, 101))))
    assert known.window == WINDOW
    known.outdated()
    assert known.window > 3 * WINDOW
    known._oned = cast(Oned, Pool())
    known._clock.sleep(1)
    known.outdated()
    assert known.window == WINDOW


def test_a_hundred_that_ask_at_once_make_few_calls() -> None:
    clock, pool = VirtualClock(), Pool(host(1))
    known = peers(pool, clock)
    pool.gate.clear()
    threads = [threading.Thread(target=known.of, args=(host(1), "192.0.2.1", clock.now())) for _ in range(100)]
    for thread in threads:
        thread.start()
    pool.gate.set()
    for thread in threads:
        thread.join(10)
    assert pool.asked == 1
    known.of(host(1), "192.0.2.1", clock.now() - 2)
    assert pool.asked == 1
    clock.sleep(1)
    known.of(host(1), "192.0.2.1", clock.now())
    assert pool.asked == 2


def test_one_that_was_given_up_is_nobodys_peer() -> None:
    failure = {"REASON": "machine m2 is gone", "SPEC_HASH": "s"}
    gone = host(2)
    gone = replace(gone, template=Template([*gone.template, ("PROVISION_FAILURE", failure)]))
    pool = Pool(host(1), gone)
    assert [one.host_id for one in peers(pool).of(host(1), "192.0.2.1", 0.0)] == [1]
    alone = digest([Peer(host_id=1, address="192.0.2.1")])
    assert [(record.host.id, wanted) for record, wanted in peers(pool).outdated()] == [(1, alone)]


class SetBack(VirtualClock):
    """Its wall clock was set back by an hour."""

    def now(self) -> float:
        return super().now() - 3600


def test_a_clock_that_was_set_back_makes_no_list_stay() -> None:
    clock, pool = VirtualClock(), Pool(host(1))
    known = peers(pool, clock)
    known.outdated()
    clock.sleep(1)
    known._clock = SetBack()
    known._clock.time = clock.time
    known.outdated()
    assert pool.asked == 2


def test_those_who_wait_share_a_failure_and_those_who_come_later_ask_again() -> None:
    pool, told = Pool(host(1)), list[OnedError]()
    known, pool.failing = peers(pool), True
    pool.gate.clear()

    def ask() -> None:
        try:
            known.of(host(1), "192.0.2.1", 0.0)
        except OnedError as exc:
            told.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    while sum(thread.is_alive() for thread in threads) < 20 or not pool.asked:
        pass
    threading.Event().wait(0.1)  # until all of them are in the queue
    pool.gate.set()
    for thread in threads:
        thread.join(10)
    assert (pool.asked, len(told)) == (1, 20)
    pool.failing = False
    assert len(known.of(host(1), "192.0.2.1", 0.0)) == 1
