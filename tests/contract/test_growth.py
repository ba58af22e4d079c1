"""Growing on demand with the real agent: a VM waits, a host comes, the VM runs, ends, the host goes."""

from __future__ import annotations

import json

import pytest
from tests.support.growing_site import (
    MIGRATING,
    PLAN,
    RUNNING,
    cluster_text,
    end,
    growing_lab,
    grown,
    set_policy,
    start_vm,
    state,
    wait_running,
)
from tests.support.lab import CREATE, ONE_PROVIDER, calls, onehybrid

from hybrid_drivers.agent.record import GROWN
from hybrid_drivers.model import HostState, Template, Value
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.lab import ENTRIES, Lab


@pytest.mark.parametrize("provider", ONE_PROVIDER)
def test_a_vm_waits_a_host_comes_the_vm_ends_the_host_goes(provider: str) -> None:
    with growing_lab(provider) as lab:
        first, second = start_vm(lab, "first"), start_vm(lab, "second")
        wait_running(lab, first, second)
        (host,) = grown(lab)
        assert host.template.vector("PROVISION")["HOSTNAME"] == "edge-grow-1"
        assert (host.cluster_id, host.template.text("COST_HOUR")) == (lab.cluster_id, "1.5")
        assert (lab.made(), host.running_vms) == (1, 2)
        assert "order " + PLAN[provider] in cluster_text(lab, "ELASTIC_EVENTS")
        end(lab, first, second)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()
        told = cluster_text(lab, "ELASTIC_EVENTS")
        assert told.index("order") < told.index("disable host") < told.index("delete host")
        assert lab.made() == 1


def test_killed_again_and_again_it_orders_nothing_twice() -> None:
    with growing_lab(provisioning=1.0) as lab:
        vms = [start_vm(lab, f"vm{number}", cpu=8) for number in range(2)]
        for _ in range(3):
            lab.wait(lambda: grown(lab) or lab.agent_pid() is None)
            lab.kill_agent()
            lab.run("onehybrid", "agent", "run")
        lab.silence()
        wait_running(lab, *vms)
        assert (lab.made(), len(grown(lab))) == (2, 2)
        end(lab, *vms)
        lab.wait(lambda: any(one.state is HostState.DISABLED for one in lab.oned.hosts()) or not lab.oned.hosts())
        lab.kill_agent()
        lab.run("onehybrid", "agent", "run")
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()
        assert calls(lab, CREATE) == 2


def test_a_provider_is_asked_how_large_a_plan_is() -> None:
    with growing_lab(plans={}, policy={"PLANS": "c3.small.x86,none.such"}) as lab:
        vms = [start_vm(lab, f"vm{number}", cpu=4, memory=8192) for number in range(2)]
        wait_running(lab, *vms)
        (host,) = grown(lab)
        told = host.template.vector(GROWN)
        assert (told["PLAN"], told["CPU"]) == ("c3.small.x86", "800")
        assert 30 * 1024 * 1024 < int(told["MEMORY"]) < 32 * 1024 * 1024, "less than is sold: the system has some"
        assert "the size of none.such is not known" in cluster_text(lab, "ELASTIC_ERROR")
        end(lab, *vms)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def test_what_no_host_would_help_gets_none() -> None:
    with growing_lab() as lab:
        elsewhere = start_vm(lab, "elsewhere", SCHED_REQUIREMENTS='CLUSTER_ID = "0"')
        too_large = start_vm(lab, "too-large", cpu=9)
        good = start_vm(lab, "good", SCHED_REQUIREMENTS=f'CLUSTER_ID = {lab.cluster_id} & HYPERVISOR = "k*"')
        wait_running(lab, good)
        assert (lab.made(), state(lab, elsewhere)[0], state(lab, too_large)[0]) == (1, 1, 1)
        assert "they fit on no plan" in cluster_text(lab, "ELASTIC_NOTE")
        end(lab, elsewhere, too_large, good)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def test_limits_and_mistakes_are_told_on_the_cluster() -> None:
    with growing_lab(policy={"MAX_COST_HOUR": "2", "GROW_AFTER": "soon"}) as lab:
        vms = [start_vm(lab, f"vm{number}", cpu=8) for number in range(2)]
        lab.wait(lambda: "GROW_AFTER: must be seconds" in cluster_text(lab, "ELASTIC_ERROR"))
        assert lab.made() == 0
        set_policy(lab, MAX_COST_HOUR="2")
        lab.wait(lambda: any(state(lab, one) == RUNNING for one in vms))
        lab.wait(lambda: "1.50 + 1.50 = 3.00 an hour is more than MAX_COST_HOUR=2" in cluster_text(lab, "ELASTIC_NOTE"))
        assert (lab.made(), cluster_text(lab, "ELASTIC_ERROR")) == (1, "")
        end(lab, *vms)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def test_a_machine_that_the_provider_does_not_take_back_counts_until_it_does() -> None:
    with growing_lab(policy={"MAX_HOSTS": "1", "SHRINK_AFTER": "0.5", "COOLDOWN": "0.5"}) as lab:
        first = start_vm(lab, "first", cpu=8)
        wait_running(lab, first)
        lab.simulator.knobs.change({"error_calls": "DELETE", "error_rate": 1})
        end(lab, first)
        lab.wait(lambda: not lab.oned.hosts())
        second = start_vm(lab, "second", cpu=8)
        lab.wait(lambda: "1 of them being given back, are MAX_HOSTS=1" in cluster_text(lab, "ELASTIC_NOTE"))
        (row,) = json.loads(lab.run("onehybrid", "cost", "--json").stdout)
        assert (row["hosts"], row["returning"], row["hour"]) == (0, 1, 1.5)
        assert "BEING GIVEN BACK" in lab.run("onehybrid", "growth", "explain", str(lab.cluster_id)).stdout
        assert (lab.made(), len(lab.alive())) == (1, 1)
        lab.simulator.knobs.change({"error_rate": 0})
        wait_running(lab, second)
        end(lab, second)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def test_what_is_protected_or_other_peoples_stays() -> None:
    with growing_lab(policy={"SHRINK_AFTER": "0.5", "MIN_HOSTS": "1"}) as lab:
        mine = lab.create("mine")
        lab.wait_ready(mine)
        vm = start_vm(lab, "vm", cpu=8, SCHED_REQUIREMENTS=f"ID != {mine}")
        wait_running(lab, vm)
        (host,) = grown(lab)
        lab.oned.update_host(host.id, Template([("PROTECTED", "yes")]))
        end(lab, vm)
        lab.wait(lambda: state(lab, vm)[0] == 6)
        other = start_vm(lab, "other", cpu=8, SCHED_REQUIREMENTS=f"ID != {mine} & ID != {host.id}")
        wait_running(lab, other)
        end(lab, other)
        lab.wait(lambda: len(lab.oned.hosts()) == 2)
        assert {one.id for one in lab.oned.hosts()} == {mine, host.id}
        lab.oned.update_host(host.id, Template([("PROTECTED", "")]))
        lab.wait(lambda: [one.id for one in lab.oned.hosts()] == [mine])
        set_policy(lab, ENABLED="no")
        lab.oned.delete_host(mine)
        lab.wait_empty()


def test_people_are_told_what_would_be_done_and_why() -> None:
    with growing_lab(policy={"GROW_AFTER": "3600", "MAX_COST_HOUR": "2"}) as lab:
        vms = [start_vm(lab, f"vm{number}", cpu=8) for number in range(2)]
        lab.wait(lambda: "[HOST]" in _message(lab, vms[0]) or "No hosts" in _message(lab, vms[0]))
        explained = onehybrid(lab, "growth", "explain", "edge")
        assert f"{vms[0]}: 8 CPU, 1024 MiB" in explained
        assert "waits for GROW_AFTER=3600" in explained
        assert "c3.small.x86: 8 CPU, 32768 MiB, 1.5 an hour" in explained
        set_policy(lab, MAX_COST_HOUR="2")
        lab.wait(lambda: grown(lab))
        told = json.loads(onehybrid(lab, "growth", "plan", str(lab.cluster_id), "--dry-run", "--json"))
        assert (told["actions"], told["cost"]["hour"]) == ([], 1.5)
        assert "1.50 + 1.50 = 3.00 an hour is more than MAX_COST_HOUR=2" in told["notes"][0]
        lab.wait(lambda: any(state(lab, one) == RUNNING for one in vms))
        assert "1.50" in onehybrid(lab, "cost", "edge")
        assert "does not grow" in onehybrid(lab, "growth", "explain", "default")
        done = lab.run("onehybrid", "cost", "nosuch")
        assert (done.returncode, "There is no cluster 'nosuch'" in done.stderr) == (1, True)
        done = lab.run("onehybrid", "growth", "plan", "default")
        assert (done.returncode, "does not grow" in done.stderr) == (1, True)
        end(lab, *vms)
        lab.wait(lambda: not lab.oned.hosts())
        assert "delete host" in onehybrid(lab, "growth", "explain", "edge")
        (row,) = json.loads(onehybrid(lab, "cost", "--json"))
        assert (row["name"], row["hosts"]) == ("edge", 0)
        assert row["month"] >= 0
        lab.wait_empty()


def test_a_plan_that_is_sold_out_gives_way_to_another() -> None:
    with growing_lab(policy={"PLANS": "c3.small.x86,m3.small.x86"}) as lab:
        plans = {name: {"cpu": 8, "memory": 32768} for name in ("c3.small.x86", "m3.small.x86")}
        prices = {"c3.small.x86": 1.0, "m3.small.x86": 2.0}
        lab.simulator.knobs.change({"capacity": "c3.small.x86@*=0"})
        lab.write_entry(ENTRIES["packet"], {**lab.entry(), "plans": plans, "prices": prices})
        onehybrid(lab, "agent", "reload")
        vm = start_vm(lab, "vm", cpu=8)
        wait_running(lab, vm)
        (host,) = grown(lab)
        assert host.template.vector(GROWN)["PLAN"] == "m3.small.x86"
        assert "c3.small.x86 is sold out in all its places" in cluster_text(lab, "ELASTIC_EVENTS")
        end(lab, vm)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def test_two_hosts_that_are_little_used_become_one() -> None:
    with growing_lab(policy={"SHRINK_AFTER": "3600"}) as lab:
        kept, fillers = [], []
        for name in ("first", "second"):
            fillers.append(start_vm(lab, f"{name}-filler", cpu=5))
            kept.append(start_vm(lab, name, cpu=3))
            wait_running(lab, fillers[-1], kept[-1])
        assert len({_place(lab, one) for one in kept}) == 2
        end(lab, *fillers)
        lab.frontend.set_knobs({"vm_seconds": 1.0})
        quick = {"CONSOLIDATE": "yes", "CONSOLIDATE_AFTER": "0.5", "CONSOLIDATE_BELOW": "40"}
        set_policy(lab, SHRINK_AFTER="3600", **quick)
        lab.wait(lambda: any(state(lab, one) == MIGRATING for one in kept))
        lab.kill_agent()
        lab.run("onehybrid", "agent", "run")
        lab.wait(lambda: len(lab.oned.hosts()) == 1)
        (host,) = lab.oned.hosts()
        assert [_place(lab, one) for one in kept] == [host.id, host.id]
        assert [state(lab, one) for one in kept] == [RUNNING, RUNNING]
        assert (sorted(host.vm_ids), host.used_cpu) == (sorted(kept), 600)
        told = cluster_text(lab, "ELASTIC_EVENTS")
        assert told.count("move VM") == 1
        assert told.index("its 1 VMs fit on other hosts") < told.index("move VM") < told.index("it has been emptied")
        lab.wait(lambda: len(lab.alive()) == 1)
        set_policy(lab)
        end(lab, *kept)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def _place(lab: Lab, vm_id: int) -> int:
    place = Vms(lab.oned).get(vm_id).place
    return place.host_id if place else -1


def _message(lab: Lab, vm_id: int) -> str:
    return Vms(lab.oned).get(vm_id).user_template.text("SCHED_MESSAGE")


def test_what_fails_again_and_again_is_not_ordered_for_ever() -> None:
    policy = {"MAX_FAILURES": "2"}
    with growing_lab(policy=policy, agent={"tries": 1}, fail_provisioning=2) as lab:
        vm = start_vm(lab, "vm")
        lab.wait(lambda: "2 creations failed in a row (MAX_FAILURES=2)" in cluster_text(lab, "ELASTIC_NOTE"))
        lab.wait(lambda: not lab.oned.hosts())
        assert lab.made() == 2
        set_policy(lab, MAX_FAILURES="3")  # any change lets the brake go
        wait_running(lab, vm)
        assert "it could not be made" in cluster_text(lab, "ELASTIC_EVENTS")
        end(lab, vm)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def test_vms_that_must_stay_apart_get_a_host_each() -> None:
    with growing_lab() as lab:
        text = 'NAME="pair"\nROLE=[NAME="node",POLICY="ANTI_AFFINED"]'
        group = lab.oned.write("vmgroup.allocate", "new VM group pair", text)
        role: Value = {"VMGROUP_ID": str(group), "ROLE": "node"}
        vms = [start_vm(lab, f"vm{number}", cpu=1, VMGROUP=role) for number in range(2)]
        wait_running(lab, *vms)
        assert sorted(one.vm_ids for one in grown(lab)) == [(vms[0],), (vms[1],)]
        end(lab, *vms)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()
