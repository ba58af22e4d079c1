"""Which machines on their way back count for a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybrid_drivers.agent.departures import Departure, Departures
from hybrid_drivers.agent.growth.model import Returning
from hybrid_drivers.agent.growth.returning import returning
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.cli.cost import cost_of
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.model import Cluster, Host, HostState, Template

EDGE = Cluster(id=100, name="edge", host_ids=(), template=Template(), datastore_ids=())
HOST = Host(
    id=7,
    name="edge-grow-7",
    state=HostState.MONITORED,
    im_mad="provision",
    vm_mad="kvm",
    cluster_id=100,
    template=Template([("PROVISION", {"DEPLOY_ID": "m7"}), ("COST_HOUR", "nan")]),
)


def note(machine: str, name: str = "3", cluster_id: int | None = 100, price: float | None = 1.5) -> Departure:
    return Departure(
        account="ams", host_id=3, name=name, machine_id=machine, since=0.0, cluster_id=cluster_id, price=price
    )


def test_what_counts_is_of_the_cluster_and_no_host_has_it() -> None:
    notes = [
        note("m1"),
        note("m1"),
        note("m2", cluster_id=101),
        note("m3", name="edge-grow-3", cluster_id=None, price=None),
        note("m4", name="edge-two-grow-3", cluster_id=None),
        note("m7"),
        note(""),
    ]
    expected = (Returning(machine="m1", host="3", price=1.5), Returning(machine="m3", host="edge-grow-3"))
    assert returning(notes, [HOST], EDGE) == expected


def test_a_machine_counts_from_the_moment_on_that_its_host_is_gone(tmp_path: Path) -> None:
    unused: Any = None
    parts = Parts(
        agent_id="a",
        started=0.0,
        location=unused,
        settings=unused,
        clock=SystemClock(),
        oned=unused,
        owner=unused,
        accounts=unused,
        departures=Departures(tmp_path),
        reporter=unused,
        keys=unused,
    )
    known = parts.memory(3)
    known.rented, known.cluster_id, known.price = ("ams", "m1"), 100, 1.5
    parts.memory(4)
    assert returning(parts.leaving({3}), [HOST], EDGE) == ()
    expected = (Returning(machine="m1", host="3", price=1.5),)
    assert returning(parts.leaving({7}), [HOST], EDGE) == expected
    parts.departures.add(note("m1"))
    assert returning(parts.leaving({7}), [HOST], EDGE) == expected


def test_the_cost_of_a_cluster_has_them_and_no_price_that_is_none() -> None:
    found = cost_of(EDGE, [HOST], 0.0, [note("m1")])
    assert found is not None
    assert (found["hosts"], found["returning"], found["unpriced"], found["hour"]) == (1, 1, 1, 1.5)
