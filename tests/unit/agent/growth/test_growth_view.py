"""From oned's objects to the state of a decision: stages of hosts, and where VMs could run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hybrid_drivers.agent.growth.devices import Device, Wish
from hybrid_drivers.agent.growth.model import NOTHING, Stage, Waiting
from hybrid_drivers.agent.growth.packing import Offer, Size
from hybrid_drivers.agent.growth.stock import Stock, Wants
from hybrid_drivers.agent.growth.view import Cloud, facts_of, view_host, waiting
from hybrid_drivers.agent.growth.wants import NO_SUCH_DEVICE
from hybrid_drivers.model import Cluster, Host, HostState, OnedObject, Template, Value, Vm
from hybrid_drivers.oned.requirements import parse

NOW = 1_000_000.0
READY = {"PROVISION_READY": f"{NOW - 3600:.0f}", "PROVISION_STATE": "READY"}
GROWTH = {"CLUSTER_ID": "100", "PLAN": "small", "CPU": "800", "MEMORY": "33554432", "ORDERED_AT": f"{NOW - 300:.0f}"}
SMALL = Offer("small", Size(800, 33554432), 0.5)
LARGE = Offer("large", Size(1600, 67108864), 1.0)


def host(number: int = 7, *told: tuple[str, Value], **more: object) -> Host:
    made = Host(
        id=number,
        name=f"10.0.0.{number}",
        state=HostState.MONITORED,
        im_mad="provision",
        vm_mad="kvm",
        cluster_id=100,
        template=Template([("GROWTH", GROWTH), *told]),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def ready(number: int = 7, *told: tuple[str, Value], **more: object) -> Host:
    whole = {"max_cpu": 800, "max_memory": 33554432, **more}
    return host(number, *READY.items(), ("HYPERVISOR", "kvm"), ("ARCH", "x86_64"), *told, **whole)


def vm(number: int = 1, /, **told: str) -> Vm:
    automatic = {key: value for key, value in told.items() if key.startswith("AUTOMATIC")}
    own = {key: value for key, value in told.items() if key not in automatic}
    return Vm(
        id=number,
        name="vm",
        state=1,
        lcm_state=0,
        cpu=2.5,
        memory=2048,
        host_id=None,
        template=Template(automatic.items()),
        user_template=Template(own.items()),
        started=int(NOW - 100),
    )


CLUSTER = Cluster(id=100, name="edge", host_ids=(), template=Template([("SITE", "ams")]), datastore_ids=(0, 104))
SYSTEM = OnedObject(
    kind="datastore", id=104, name="sys", template=Template(), type=1, cluster_ids=(100,), tm_mad="local"
)
IMAGES = OnedObject(kind="datastore", id=0, name="img", template=Template(), type=0, cluster_ids=(100,))


def cloud(*things: Host | Vm, datastores: tuple[OnedObject, ...] = (SYSTEM, IMAGES)) -> Cloud:
    return Cloud(
        now=NOW,
        hosts=[one for one in things if isinstance(one, Host)],
        clusters={100: CLUSTER},
        datastores=datastores,
        vms=[one for one in things if isinstance(one, Vm)],
    )


def seen(*things: Host | Vm, datastores: tuple[OnedObject, ...] = (SYSTEM, IMAGES)) -> Waiting:
    return waiting(cloud(*things, datastores=datastores), CLUSTER, (SMALL, LARGE), "kvm")[0]


# --- hosts ---

INTENT = ("PROVISION_INTENT", {"TOKEN": "t", "ATTEMPT": "1", "SINCE": "1"})
FAILURE = ("PROVISION_FAILURE", {"REASON": "quota"})
OLD = ("GROWTH", {**GROWTH, "ORDERED_AT": "1000"})


@pytest.mark.parametrize(
    ("found", "stage"),
    [
        (host(), Stage.COMING),
        (host(7, INTENT, state=HostState.INIT), Stage.COMING),
        (host(7, FAILURE), Stage.FAILED),
        (host(7, ("PROVISION_FAILURE", {"CLEARED": "YES"})), Stage.COMING),
        (host(7, INTENT, ("PROVISION_SOLD_OUT", "1")), Stage.SOLD_OUT),
        (host(7, INTENT, ("PROVISION_SOLD_OUT", "1"), ("PROVISION", {"DEPLOY_ID": "m"})), Stage.COMING),
        (host(7, template=Template([OLD])), Stage.FAILED),  # nothing has ever begun
        (host(7, template=Template([OLD, INTENT])), Stage.OTHER),  # too late to count on
        (host(7, state=HostState.DISABLED), Stage.DISABLED),
        (ready(), Stage.USABLE),
        (ready(state=HostState.MONITORING_MONITORED), Stage.USABLE),
        (ready(state=HostState.DISABLED), Stage.DISABLED),
        (ready(state=HostState.OFFLINE), Stage.OTHER),
        (ready(state=HostState.ERROR), Stage.SILENT),
        (ready(7, FAILURE), Stage.LOST),
        (ready(7, FAILURE, state=HostState.DISABLED), Stage.LOST),
        (ready(max_cpu=0), Stage.SILENT),
        (ready(7, max_cpu=0, template=Template([("PROVISION_READY", f"{NOW - 9:.0f}")])), Stage.COMING),
        (host(7, im_mad="kvm", max_cpu=100), Stage.USABLE),
        (host(7, im_mad="kvm"), Stage.OTHER),
        (host(7, im_mad="kvm", state=HostState.DISABLED), Stage.DISABLED),
    ],
)
def test_stages(found: Host, stage: Stage) -> None:
    assert view_host(found, 100, NOW).stage is stage


def test_a_host_as_growing_sees_it() -> None:
    found = view_host(ready(7, ("COST_HOUR", "1.5"), used_cpu=300, used_memory=1024, running_vms=2), 100, NOW)
    assert (found.room, found.vms, found.price) == (Size(500, 33553408), 2, 1.5)
    assert (found.member, found.made, found.protected, found.ordered_at) == (True, True, False, NOW - 300)
    assert view_host(host(), 100, NOW).room == SMALL.size
    assert view_host(ready(7, ("PROTECTED", "YES")), 100, NOW).protected
    elsewhere = view_host(ready(cluster_id=0), 100, NOW)
    assert (elsewhere.member, elsewhere.made) == (False, False)
    local = view_host(ready(im_mad="kvm"), 100, NOW)
    assert (local.member, local.made) == (False, False)
    assert view_host(ready(vm_ids=(5,)), 100, NOW).vms == 1


@pytest.mark.parametrize("text", ["nan", "inf", "soon"])
def test_a_host_whose_growth_somebody_changed_stops_no_pass(text: str) -> None:
    odd = Template([("GROWTH", {**GROWTH, "CPU": text, "MEMORY": text, "ORDERED_AT": text})])
    assert view_host(host(template=odd), 100, NOW).room == NOTHING


# --- VMs ---


def test_a_vm_as_growing_sees_it() -> None:
    found = seen(vm(), ready(7), ready(8, cluster_id=0))
    assert (found.size, found.since) == (Size(250, 2048 * 1024), NOW - 100)
    assert (set(found.plans), set(found.hosts), found.problem) == ({"small", "large"}, {7, 8}, "")


@pytest.mark.parametrize(
    ("told", "plans", "hosts"),
    [
        ({"AUTOMATIC_REQUIREMENTS": "(CLUSTER_ID = 100) & !(PIN_POLICY = PINNED)"}, 2, {7}),
        ({"AUTOMATIC_REQUIREMENTS": "CLUSTER_ID = 0"}, 0, {8}),
        ({"SCHED_REQUIREMENTS": 'HYPERVISOR = "k*" & SITE = ams'}, 2, {7}),
        ({"SCHED_REQUIREMENTS": "FREE_CPU > 1000"}, 1, set()),
        ({"SCHED_REQUIREMENTS": '"PROVISION/PLAN" = large'}, 1, set()),
        ({"SCHED_REQUIREMENTS": "ID != 7 & NAME != x"}, 2, {8}),
        ({"SCHED_REQUIREMENTS": "ID = 7"}, 0, {7}),
        ({"SCHED_REQUIREMENTS": "CURRENT_VMS = 5"}, 0, {8}),
        ({"SCHED_REQUIREMENTS": "CURRENT_VMS != 5"}, 2, {7}),
        ({"SCHED_REQUIREMENTS": "ARCH = x86_64"}, 1, {7, 8}),  # a host of plan small has told it
    ],
)
def test_requirements_decide_where_it_could_run(told: dict[str, str], plans: int, hosts: set[int]) -> None:
    found = seen(vm(**told), ready(7), ready(8, cluster_id=0, vm_ids=(5,)))
    assert (len(found.plans), set(found.hosts)) == (plans, hosts)
    assert bool(found.problem) is (plans == 0)


def test_a_host_on_its_way_is_seen_as_it_will_be() -> None:
    wanted = 'HYPERVISOR = kvm & FREE_CPU > 700 & SITE = ams & NAME != "x"'
    assert seen(vm(SCHED_REQUIREMENTS=wanted), host()).hosts == {7}
    facts = facts_of(host(), CLUSTER, ready(9))
    assert parse("ARCH = x86_64").met_by(facts)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"SCHED_MESSAGE": "Mon Nov 23 09:31:57 2026: [HOST] Not enough CPU on hosts: 0,2,4,5"}, ""),
        ({"SCHED_MESSAGE": "x: Cannot dispatch VM: No hosts enabled to run VMs"}, ""),
        ({"SCHED_MESSAGE": "x: Cannot dispatch VM: No host meets SCHED_REQUIREMENTS"}, ""),
        ({"SCHED_MESSAGE": "x: Cannot dispatch VM: No host with enough capacity to deploy the VM"}, ""),
        ({"SCHED_MESSAGE": "x: [DS] Not enough capacity on datastores: 1"}, "it does not wait for a host"),
        ({"SCHED_MESSAGE": "x: User is not authorized to use any host"}, "it does not wait for a host"),
        ({"SCHED_REQUIREMENTS": "ID ="}, "requirement 'ID ='"),
        ({"SCHED_DS_REQUIREMENTS": "NAME = other"}, "no system datastore of the cluster meets"),
        ({"SCHED_DS_REQUIREMENTS": "NAME = sys", "AUTOMATIC_DS_REQUIREMENTS": '("CLUSTERS/ID" @> 100)'}, ""),
        ({"AUTOMATIC_DS_REQUIREMENTS": '("CLUSTERS/ID" @> 0)'}, "no system datastore of the cluster meets"),
        ({"SCHED_DS_REQUIREMENTS": "("}, "requirement '('"),
    ],
)
def test_why_no_host_would_help(told: dict[str, str], problem: str) -> None:
    found = seen(vm(**told)).problem
    assert found.startswith(problem)
    assert bool(found) is bool(problem)


def test_a_cluster_without_a_system_datastore_helps_nobody() -> None:
    assert seen(vm(), datastores=(IMAGES,)).problem == "the cluster has no system datastore"


def test_a_device_that_no_plan_is_known_to_have_is_not_promised() -> None:
    wants = replace(vm(), template=Template([("PCI", {"CLASS": "0302"})]))
    found = seen(wants, ready())
    assert found.problem == "no plan is known to have the PCI devices it wants"
    assert found.wants is not None
    assert not view_host(ready(), 100, NOW).stock.serves(found.wants), "no host is kept for it"
    wrong = replace(vm(), template=Template([("PCI", {"TYPE": "NIC"})]))
    assert (seen(wrong, ready()).problem, seen(wrong, ready()).hosts) == (NO_SUCH_DEVICE, frozenset())


def test_a_device_is_promised_where_a_host_of_the_plan_has_one() -> None:
    gpu = Device(0x10DE, 0x20B0, 0x0302)
    wants = replace(vm(), template=Template([("PCI", {"CLASS": "0302"})]))
    there = waiting(cloud(wants), CLUSTER, (SMALL, replace(LARGE, stock=Stock((gpu,)))), "kvm")[0]
    assert (there.problem, there.wants) == ("", Wants((Wish(class_=0x0302),)))


def test_a_vm_of_a_group_that_oned_does_not_show_gets_no_host() -> None:
    grouped = replace(vm(), template=Template([("VMGROUP", {"VMGROUP_ID": "4", "ROLE": "web"})]))
    (found,) = waiting(replace(cloud(grouped), vm_groups=[]), CLUSTER, (SMALL,), "kvm")
    assert (found.plans, found.problem) == (frozenset(), "its VM group 4 or role web is not known")


def test_what_people_set_on_one_host_is_not_expected_of_the_next() -> None:
    pinned = vm(AUTOMATIC_REQUIREMENTS="(PIN_POLICY = PINNED)")
    assert seen(pinned, ready(7, ("PIN_POLICY", "PINNED"))).plans == frozenset()
