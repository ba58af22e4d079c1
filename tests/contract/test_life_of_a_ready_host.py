"""A host that is READY stays a working host of OpenNebula, whatever happens to what it was rented with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.lab import give_back, provider_of, quick_lab, rent, told, wait_failed, wait_told

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.model import HostState, MachineTags, Template
from hybrid_drivers.sandbox.lab import ENTRIES, Lab


def starts(lab: Lab) -> int:
    """Return how many START_MONITOR ended well."""
    return sum(run.action == "START_MONITOR" and run.code == 0 for run in list(lab.frontend.events))


def entry_readable_by_others(lab: Lab) -> None:
    (lab.location.etc / f"providers.d/{ENTRIES['packet']}.yaml").chmod(0o644)


def wrong_token(lab: Lab) -> None:
    lab.write_entry(ENTRIES["packet"], {**lab.entry(), "token": "another-token-than-before"})


def wrong_cluster(lab: Lab) -> None:
    lab.oned.update_cluster(lab.cluster_id, Template([("PROVISION", {"PLANN": "c3.small.x86"})]))


def broken_provider(lab: Lab) -> None:
    lab.simulator.knobs.change({"error_rate": 1.0, "error_status": 500})


@pytest.mark.parametrize("slip", [entry_readable_by_others, wrong_token, wrong_cluster, broken_provider])
def test_a_slip_elsewhere_does_not_stop_its_monitoring(slip: Callable[[Lab], None]) -> None:
    with quick_lab() as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.kill_agent()
        slip(lab)
        before = starts(lab)
        lab.silence()
        lab.wait(lambda: starts(lab) > before)
        host = lab.wait_ready(host_id)
        assert host.state is HostState.MONITORED
        lab.simulator.knobs.change({"error_rate": 0.0})
        lab.write_entry(ENTRIES["packet"], lab.entry())
        give_back(lab, host_id)


@pytest.mark.parametrize("provider", ["packet", "ec2"])
def test_its_machine_is_found_again_when_somebody_replaced_its_attributes(provider: str) -> None:
    with quick_lab(provider) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        machine = lab.host(host_id).template.vector("PROVISION")["DEPLOY_ID"]
        lab.oned.update_host(host_id, Template([("PROVISION", {"PROVIDER": ENTRIES[provider], "RENAME": "yes"})]))
        lab.silence()
        lab.wait(lambda: "DEPLOY_ID" in lab.host(host_id).template.vector("PROVISION"))
        found = lab.host(host_id).template.vector("PROVISION")
        assert (found["DEPLOY_ID"], found["HOSTNAME"]) == (machine, "edge1")
        assert lab.wait_ready(host_id).state is HostState.MONITORED
        assert lab.made() == 1
        give_back(lab, host_id)


def test_a_leftover_of_the_same_host_id_is_told_and_can_be_given_back() -> None:
    """After a restore of oned's database ids are used again, and so the tags of machines that were forgotten."""
    with quick_lab() as lab:
        first = lab.create("edge1")
        owner = lab.wait(lambda: lab.oned.zone(0).text("HYBRID_OWNER"))
        lab.wait_ready(first)
        give_back(lab, first)
        lab.kill_agent()
        rent(lab, MachineTags(owner=owner, host_id=first + 1, token="of-an-earlier-life", name="older"))
        lab.wait(lambda: any(one["state"] == "active" for one in lab.alive()))
        second = lab.create("edge2")
        assert second == first + 1
        wait_failed(lab, second)
        reason = told(lab, second, "PROVISION_ERROR")
        assert "host key" in reason
        assert len(lab.alive()) == 1
        give_back(lab, second)
        assert provider_of(lab).list(owner) == []


def test_a_correction_that_is_wrong_too_is_told() -> None:
    with quick_lab(provision={"METRO": "zz"}) as lab:
        host_id = lab.create("edge1")
        wait_failed(lab, host_id)
        assert "zz" in told(lab, host_id, "PROVISION_ERROR")
        lab.provision({"PLAYBOOK": "nope"})
        lab.silence()
        wait_told(lab, host_id, "PROVISION_ERROR", "nope")
        assert told(lab, host_id, "PROVISION_STATE") == Phase.ERROR.value
        lab.provision({"PLAYBOOK": "dummy"})
        lab.silence()
        lab.wait_ready(host_id)
        give_back(lab, host_id)
