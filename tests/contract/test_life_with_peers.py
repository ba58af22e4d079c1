"""Hosts that know each other: whoever comes, goes or moves, the others of the cluster are told soon, and only those."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.lab import LIMIT, give_back, onehybrid, quick_lab, told, wait_told

from hybrid_drivers.model import HostState, Template
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.machines.light import LightMachines

VXLAN = {"PLAYBOOK": "static_vxlan"}
SOON = {"sweep": 60}  # no sweep helps: what happens is pushed


def machine_of(lab: Lab, host_id: int) -> str:
    return lab.host(host_id).template.vector("PROVISION")["DEPLOY_ID"]


def runs(lab: Lab, host_id: int) -> list[tuple[str, int]]:
    assert isinstance(lab.machines, LightMachines)
    return lab.machines.runs(machine_of(lab, host_id))


def peers(lab: Lab, *host_ids: int) -> set[str]:
    return {told(lab, host_id, "PROVISION_PEERS") for host_id in host_ids}


def wait_agreed(lab: Lab, *host_ids: int) -> str:
    """Wait until these hosts were configured with each other; return what they say of that."""

    def agreed() -> str:
        found = peers(lab, *host_ids)
        common = next(iter(found)) if len(found) == 1 else ""
        return common if common.startswith(f"{len(host_ids)} ") else ""

    return lab.wait(agreed, LIMIT)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with quick_lab(provision=VXLAN, agent=SOON) as made:
        yield made


def test_hosts_made_at_the_same_time_find_each_other_with_few_runs(lab: Lab) -> None:
    ids = [lab.create(f"edge{number}") for number in range(8)]
    for host_id in ids:
        lab.wait_ready(host_id, LIMIT)
    wait_agreed(lab, *ids)
    whole = max(steps for _, steps in runs(lab, ids[0]))
    for host_id in ids:
        first, *later = runs(lab, host_id)
        assert first == ("apply", whole)
        assert len(later) <= 3
        assert all(mode == "apply" and 0 < steps < whole for mode, steps in later)
    give_back(lab, *ids)


def test_who_comes_and_who_goes_is_told_to_the_others_while_they_stay_ready(lab: Lab) -> None:
    first = lab.create("edge1")
    lab.wait_ready(first, LIMIT)
    wait_agreed(lab, first)
    second = lab.create("edge2")
    capacity = set()

    def both() -> bool:
        host = lab.host(first)
        capacity.add((host.total_cpu > 0, host.template.text("PROVISION_STATE"), host.state is HostState.ERROR))
        return host.template.text("PROVISION_PEERS") == told(lab, second, "PROVISION_PEERS") != ""

    lab.wait(both, LIMIT)
    assert capacity == {(True, "READY", False)}
    lab.wait_ready(second, LIMIT)
    wait_agreed(lab, first, second)
    lab.oned.delete_host(second)
    wait_agreed(lab, first)
    give_back(lab, first)


def test_another_cluster_and_hosts_without_such_roles_are_left_alone(lab: Lab) -> None:
    first = lab.create("edge1")
    other = lab.oned.allocate_cluster("other")
    shared = lab.oned.cluster(lab.cluster_id).template.vector("PROVISION")
    lab.oned.update_cluster(other, Template([("PROVISION", shared)]))
    apart = lab.oned.allocate_host("apart1", "provision", "kvm", other)
    lab.wait_ready(first, LIMIT)
    lab.wait_ready(apart, LIMIT)
    own = lab.host(first).template.vector("PROVISION")
    lab.oned.update_host(first, Template([("PROVISION", {**own, **VXLAN})]))
    lab.provision({"PLAYBOOK": "default"})
    plain = lab.create("edge2")
    lab.wait_ready(plain, LIMIT)
    wait_told(lab, first, "PROVISION_PEERS", "2 ", LIMIT)  # it is a host of the cluster, whatever it needs itself
    assert (told(lab, plain, "PROVISION_PEERS"), told(lab, apart, "PROVISION_PEERS")[:2]) == ("", "1 ")
    assert (len(runs(lab, plain)), len(runs(lab, apart))) == (1, 1)
    give_back(lab, first, plain, apart)


def test_one_that_cannot_be_reached_says_so_and_holds_up_nobody() -> None:
    with quick_lab(provision=VXLAN) as lab:
        first, second = lab.create("edge1"), lab.create("edge2")
        lab.wait_ready(first, LIMIT)
        lab.wait_ready(second, LIMIT)
        wait_agreed(lab, first, second)
        lab.machines.power_off(machine_of(lab, first))
        third = lab.create("edge3")
        lab.wait_ready(third, LIMIT)
        lab.wait(lambda: len(peers(lab, second, third)) == 1, LIMIT)
        error = wait_told(lab, first, "PROVISION_ERROR", "could not be told", LIMIT)
        assert "next try in" in error
        assert told(lab, first, "PROVISION_STATE") == "READY"
        lab.machines.power_on(machine_of(lab, first))
        wait_agreed(lab, first, second, third)
        lab.wait(lambda: told(lab, first, "PROVISION_ERROR") == "", LIMIT)
        give_back(lab, first, second, third)


def test_an_agent_that_was_killed_goes_on_with_those_it_had_not_told(lab: Lab) -> None:
    first, second = lab.create("edge1"), lab.create("edge2")
    lab.wait_ready(first, LIMIT)
    lab.wait_ready(second, LIMIT)
    wait_agreed(lab, first, second)
    lab.kill_agent()
    lab.oned.update_host(first, Template([("PROVISION_PEERS", "1 of-an-earlier-life")]))
    onehybrid(lab, "agent", "run")
    wait_agreed(lab, first, second)
    give_back(lab, first, second)


@pytest.mark.parametrize("rename", ["yes", "no"])
def test_a_new_address_is_recorded_and_told(rename: str) -> None:
    with quick_lab("ec2", provision={**VXLAN, "RENAME": rename}) as lab:
        first, second = lab.create("edge1"), lab.create("edge2")
        lab.wait_ready(first, LIMIT)
        lab.wait_ready(second, LIMIT)
        before = wait_agreed(lab, first, second)
        lab.kill_agent()
        lab.oned.update_host(second, Template([("PROVISION_ADDRESS", "127.77.200.200")]))  # where it was before
        lab.oned.update_host(second, Template([("PROVISION_ERROR", "it was switched off")]))  # so the sweep looks at it
        onehybrid(lab, "agent", "run")
        lab.wait(lambda: told(lab, second, "PROVISION_ADDRESS") != "127.77.200.200", LIMIT)
        assert wait_agreed(lab, first, second) == before
        give_back(lab, first, second)
