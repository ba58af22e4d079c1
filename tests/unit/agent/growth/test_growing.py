"""Growing carried out on a small oned: what is written before what, and what a kill at any call leaves behind."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hybrid_drivers.agent.accounts import Accounts
from hybrid_drivers.agent.growth.answers import as_json
from hybrid_drivers.agent.growth.growing import Growing
from hybrid_drivers.agent.growth.memory import read
from hybrid_drivers.agent.growth.model import Disable, Order
from hybrid_drivers.agent.growth.telling import describe, shape
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.settings import Settings
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.errors import (
    ActionRefused,
    AllocateRefused,
    BadCall,
    ConfigError,
    InternalFailure,
    NoSuchObject,
    OnedError,
    OnedUnreachable,
)
from hybrid_drivers.model import Cluster, Host, HostState, OnedObject, Template, Value, Vm
from hybrid_drivers.model_shares import HostShare, VmGroup, VmRole
from hybrid_drivers.model_vms import VmDetail, VmPlace
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import ProviderEntry

NOW = 1_700_000_000.0
READS = {"clusters", "hosts", "hosts_and_shares", "waiting_vms", "vm_groups", "pool datastore", "all VMs"}


class Killed(Exception):
    """Stands for kill -9 in the middle of a call sequence."""


class SmallOned:
    """Hosts, clusters and VMs; every call is noted, and may be the last one."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.dies_before: int | None = None
        self.host_pool: dict[int, Host] = {}
        self.cluster_pool: dict[int, Cluster] = {0: Cluster(id=0, name="default", host_ids=(), template=Template())}
        self.vms: list[Vm] = []
        self.groups: list[VmGroup] = []
        self.ids = itertools.count()
        self.refuse_delete = False
        self.guests: list[VmDetail] = []
        self.refuse_move: OnedError | None = None
        self.refuse_groups: OnedError | None = None
        self.refuse_allocate: OnedError | None = None
        self.refuse_cluster: dict[int, OnedError] = {}

    def note(self, call: str) -> None:
        if self.dies_before is not None and len(self.writes()) >= self.dies_before and call not in READS:
            raise Killed(call)
        self.calls.append(call)

    def writes(self) -> list[str]:
        return [one for one in self.calls if one not in READS]

    def clusters(self) -> list[Cluster]:
        self.note("clusters")
        return list(self.cluster_pool.values())

    def hosts(self) -> list[Host]:
        self.note("hosts")
        return list(self.host_pool.values())

    def hosts_and_shares(self) -> tuple[list[Host], dict[int, HostShare]]:
        self.note("hosts_and_shares")
        return list(self.host_pool.values()), {}

    def vm_groups(self) -> list[VmGroup]:
        self.note("vm_groups")
        if self.refuse_groups:
            raise self.refuse_groups
        return self.groups

    def waiting_vms(self) -> list[Vm]:
        self.note("waiting_vms")
        return list(self.vms)

    def details(self) -> list[VmDetail]:
        self.note("all VMs")
        return list(self.guests)

    def migrate(self, vm_id: int, host_id: int, *, live: bool, enforce: bool) -> None:
        assert enforce
        self.note(f"migrate {vm_id} to {host_id}{' live' if live else ''}")
        if self.refuse_move:
            raise self.refuse_move

    def pool(self, kind: str) -> list[OnedObject]:
        self.note(f"pool {kind}")
        return [OnedObject(kind="datastore", id=100, name="sys", template=Template(), type=1)]

    def update_cluster(self, cluster_id: int, template: Template) -> None:
        self.note(f"cluster {cluster_id} gets {' '.join(key for key, _ in template)}")
        if cluster_id in self.refuse_cluster:
            raise self.refuse_cluster[cluster_id]
        old = self.cluster_pool[cluster_id]
        self.cluster_pool[cluster_id] = replace(old, template=merged(old.template, template))

    def allocate_host(self, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> int:
        self.note(f"allocate {name} in {cluster_id}")
        if self.refuse_allocate and name.startswith("edge-"):
            raise self.refuse_allocate
        number = next(self.ids)
        self.host_pool[number] = Host(
            id=number, name=name, state=HostState.INIT, im_mad=im_mad, vm_mad=vm_mad, cluster_id=cluster_id,
            template=Template(),
        )  # fmt: skip
        return number

    def update_host(self, host_id: int, template: Template) -> None:
        self.note(f"host {host_id} gets {' '.join(key for key, _ in template)}")
        if host_id not in self.host_pool:
            raise NoSuchObject(f"host {host_id}")
        old = self.host_pool[host_id]
        self.host_pool[host_id] = replace(old, template=merged(old.template, template))

    def add_to_cluster(self, cluster_id: int, _kind: str, host_id: int) -> None:
        self.note(f"host {host_id} to cluster {cluster_id}")
        self.host_pool[host_id] = replace(self.host_pool[host_id], cluster_id=cluster_id)

    def set_host_status(self, host_id: int, status: str) -> None:
        self.note(f"{status} {host_id}")
        state = HostState.DISABLED if status == "disable" else HostState.MONITORED
        self.host_pool[host_id] = replace(self.host_pool[host_id], state=state)

    def delete_host(self, host_id: int) -> None:
        self.note(f"delete {host_id}")
        if self.refuse_delete:
            raise ActionRefused("running VMs")
        del self.host_pool[host_id]


def merged(old: Template, new: Template) -> Template:
    names = {key for key, _ in new}
    return Template([*((key, value) for key, value in old if key not in names), *new])


class World:
    """The cluster ``edge`` that grows, and an agent for it."""

    def __init__(self, tmp_path: Path) -> None:
        self.oned, self.now, self.asked = SmallOned(), NOW, list[int]()
        self.entry = ProviderEntry(
            name="dummy",
            driver="dummy",
            settings={"plans": {"small": {"cpu": 8, "memory": 32768}}, "prices": {"small": 0.5}},
        )
        self.provider = registry.make_provider(self.entry, SystemClock(), state_dir=tmp_path)
        self.cluster(100, "edge")

    def cluster(self, number: int, name: str, **elastic: str) -> None:
        policy = {"ENABLED": "yes", "MAX_HOSTS": "4", "GROW_AFTER": "60", **elastic}
        told: list[tuple[str, Value]] = [("ELASTIC", policy), ("PROVISION", {"PROVIDER": "dummy", "PLAN": "small"})]
        made = Cluster(id=number, name=name, host_ids=(), template=Template(told), datastore_ids=(100,))
        self.oned.cluster_pool[number] = made

    def agent(self) -> Growing:
        account = SimpleNamespace(name="dummy", provider=self.provider)
        accounts = SimpleNamespace(
            for_attributes=lambda asked, _: (account, {k: v for k, v in asked.items() if k != "PROVIDER"})
        )
        clock = SimpleNamespace(now=lambda: self.now)
        parts = SimpleNamespace(
            leaving=lambda hosts: [],
            oned=self.oned,
            clock=clock,
            accounts=cast(Accounts, accounts),
            settings=Settings(),
            location=None,
        )
        growing = Growing(cast(Parts, parts), self.asked.append)
        growing._objects = growing.looking._objects = growing._unfinished._objects = cast(Objects, self.oned)
        growing._vms = growing.looking._vms = cast(Vms, self.oned)
        return growing

    def killed_before(self, call: int, *, then: int) -> None:
        """Kill the agent before its change with this number, and do so many passes after that."""
        self.oned.dies_before = call
        with pytest.raises(Killed):
            self.sweep()
        self.oned.dies_before = None
        for _ in range(then):
            self.now += 30
            self.sweep()

    def sweep(self) -> list[str]:
        """Do one pass of a new agent and return its calls."""
        self.oned.calls.clear()
        self.agent().sweep()
        return list(self.oned.calls)

    def vm(self, number: int, **told: str) -> None:
        self.oned.vms.append(
            Vm(
                id=number, name="vm", state=1, lcm_state=0, cpu=8, memory=1024, host_id=None, template=Template(),
                user_template=Template(told.items()), started=int(self.now - 100),
            )
        )  # fmt: skip

    def become_ready(self) -> None:
        for number, host in self.oned.host_pool.items():
            template = merged(host.template, Template([("PROVISION_READY", f"{self.now:.0f}")]))
            self.oned.host_pool[number] = replace(
                host, template=template, state=HostState.MONITORED, max_cpu=800, max_memory=32768 * 1024
            )

    def until_disabled(self) -> None:
        """Have a host come for a VM, become idle, and be disabled."""
        self.vm(1)
        self.sweep()
        self.now += 300
        self.become_ready()
        self.oned.vms.clear()
        for pause in (1, 700):
            self.now += pause
            self.sweep()

    def memory(self, cluster_id: int = 100) -> Any:
        return read(self.oned.cluster_pool[cluster_id].template.vector("ELASTIC_STATE"))

    def text(self, name: str) -> str:
        return self.oned.cluster_pool[100].template.text(name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_grows_nothing_is_asked(world: World) -> None:
    world.oned.cluster_pool.pop(100)
    assert world.sweep() == ["clusters"]


def test_a_vm_that_is_placed_between_two_looks_is_not_ordered_for(world: World) -> None:
    world.vm(1)
    world.sweep()
    world.become_ready()
    ((number, host),) = world.oned.host_pool.items()
    world.oned.host_pool[number] = replace(host, vm_ids=(1,), used_cpu=800, used_memory=1024 * 1024)
    world.now += 400
    assert not [call for call in world.sweep() if call.startswith("allocate")]


def test_a_pass_is_four_calls_whatever_there_is(world: World) -> None:
    world.sweep()
    for number in range(3):
        world.vm(number)
    world.sweep()
    world.now += 1
    world.oned.cluster_pool[101] = replace(world.oned.cluster_pool[100], id=101, name="other")
    world.sweep()
    assert [one for one in world.oned.calls if one in READS] == ["clusters", "waiting_vms", "hosts", "pool datastore"]


def test_hosts_and_groups_are_asked_for_more_only_for_vms_that_want_it(world: World) -> None:
    world.entry.settings["plans"]["small"]["pci"] = ["10de:20b0:0302"] * 2  # type: ignore[index, call-overload] # a plain table
    group = VmGroup(id=1, name="g", roles={"a": VmRole(name="a", policy="ANTI_AFFINED", vm_ids=frozenset((1, 2)))})
    told: list[tuple[str, Value]] = [("PCI", {"CLASS": "0302"}), ("VMGROUP", {"VMGROUP_ID": "1", "ROLE": "a"})]
    world.oned.groups = [group]
    for number in (1, 2):
        world.vm(number)
        world.oned.vms[-1] = replace(world.oned.vms[-1], cpu=1, template=Template(told))
    assert world.sweep()[:5] == ["clusters", "waiting_vms", "hosts_and_shares", "vm_groups", "pool datastore"]
    made = list(world.oned.host_pool.values())
    assert [one.template.vector("GROWTH")["PCI"] for one in made] == ["10de:20b0:0302 10de:20b0:0302"] * 2
    assert world.sweep()[5:] == [], "each has a host on its way that has what it wants"


def test_vm_groups_that_cannot_be_read_are_a_matter_of_their_vms_alone(world: World) -> None:
    world.vm(1)
    told: list[tuple[str, Value]] = [("VMGROUP", {"VMGROUP_ID": "1", "ROLE": "a"})]
    world.oned.vms[0] = replace(world.oned.vms[0], template=Template(told))
    world.vm(2)
    world.oned.refuse_groups = BadCall("Method 'one.vmgrouppool.info' not defined")
    look = world.agent().looking.at("edge")[0]
    assert look.decision.waits[1].startswith("its VM group cannot be read: Method 'one.vmgrouppool.info' not defined")
    assert [one.vms for one in look.decision.actions if isinstance(one, Order)] == [(2,)]
    world.oned.refuse_groups = OnedUnreachable("down")
    with pytest.raises(OnedUnreachable):
        world.sweep()


def test_what_is_remembered_is_written_first_and_the_cluster_comes_last(world: World) -> None:
    world.vm(1)
    calls = world.sweep()
    assert calls[4:] == [
        "cluster 100 gets ELASTIC_STATE ELASTIC_EVENTS",
        "allocate edge-grow-1 in 0",
        "host 0 gets GROWTH PROVISION COST_HOUR",
        "host 0 to cluster 100",
    ]
    assert world.asked == [0]
    assert world.sweep()[4:] == [], "the host on its way is for the VM that waits"


@pytest.mark.parametrize("call", range(4))
def test_killed_anywhere_it_ends_with_one_host(world: World, call: int) -> None:
    world.vm(1)
    world.killed_before(call, then=3)
    (host,) = world.oned.host_pool.values()
    assert (host.cluster_id, host.template.vector("PROVISION")) == (100, {"PLAN": "small"})


@pytest.mark.parametrize("least", ["0", "1"])
def test_what_is_moved_into_its_cluster_counts_there_at_once(world: World, least: str) -> None:
    """Killed before the move, the next pass makes it; whoever waits, or is to be there, has that host then."""
    world.cluster(100, "edge", MIN_HOSTS=least)
    world.vm(1, SCHED_REQUIREMENTS="CLUSTER_ID = 100")
    world.killed_before(3, then=1)
    assert [one.cluster_id for one in world.oned.host_pool.values()] == [100]


def test_a_stranded_host_of_the_default_cluster_is_given_back(world: World) -> None:
    """Killed between its making and its GROWTH, it has rented what the cluster itself says."""
    world.cluster(0, "default")
    world.oned.cluster_pool.pop(100)
    told = {"DEPLOY_ID": "m1", "HOSTNAME": "default-grow-1", "RENTED_FROM": "dummy"}
    for name, provision in (
        ("10.0.0.1", told),
        ("10.0.0.2", {**told, "HOSTNAME": "mine"}),
        ("default-grow-3", {"PLAN": "x"}),
    ):
        host_id = world.oned.allocate_host(name, "provision", "kvm", 0)
        world.oned.update_host(host_id, Template([("PROVISION", provision)]))
    assert [one for one in world.sweep() if one.startswith("delete")] == ["delete 0"]


def test_names_are_not_given_twice(world: World) -> None:
    world.vm(1)
    world.sweep()
    world.oned.host_pool[0] = replace(
        world.oned.host_pool[0],
        name="10.0.0.1",
        template=merged(
            world.oned.host_pool[0].template, Template([("PROVISION", {"PLAN": "small", "HOSTNAME": "edge-grow-1"})])
        ),
    )
    world.vm(2)
    assert "allocate edge-grow-2 in 0" in world.sweep()


def test_a_cluster_of_any_name_gets_hosts_and_its_stranded_ones_go(world: World) -> None:
    world.cluster(100, "Büro Nord_1")
    world.vm(1)
    world.oned.dies_before = 2
    with pytest.raises(Killed):
        world.sweep()
    world.oned.dies_before = None
    assert world.oned.calls[-1] == "allocate buro-nord-1-grow-1 in 0"
    assert "delete 0" in world.sweep()


def test_two_clusters_order_once_for_a_vm(world: World) -> None:
    world.cluster(101, "far")
    world.vm(1)
    assert sum("allocate" in one for one in world.sweep()) == 1
    world.now += 30
    assert not any("allocate" in one for one in world.sweep())


def test_the_whole_way_back(world: World) -> None:
    world.vm(1)
    world.sweep()
    world.now += 300
    world.become_ready()
    world.oned.vms.clear()
    world.sweep()
    world.now += 700
    disabling = ["host 0 gets GROWTH_DISABLED", "disable 0"]
    assert world.sweep()[4:] == ["cluster 100 gets ELASTIC_STATE ELASTIC_EVENTS", *disabling]
    world.now += 30
    assert world.sweep()[4:] == ["cluster 100 gets ELASTIC_STATE ELASTIC_EVENTS", "delete 0"]
    assert [line.split()[2] for line in world.text("ELASTIC_EVENTS").splitlines()] == ["order", "disable", "delete"]
    assert world.memory().spent == pytest.approx(0.5 * 1030 / 3600, rel=0.1)


@pytest.mark.parametrize("call", range(3))
def test_killed_while_it_disables_a_host_that_one_goes_all_the_same(world: World, call: int) -> None:
    world.vm(1)
    world.sweep()
    world.become_ready()
    world.oned.vms.clear()
    for pause in (400, 1):
        world.now += pause
        world.sweep()
    world.now += 700
    world.oned.calls.clear()
    world.killed_before(call, then=3)
    assert not world.oned.host_pool


@pytest.mark.parametrize("call", range(3))
def test_killed_while_it_enables_a_host_that_one_takes_vms_again_and_has_no_mark(world: World, call: int) -> None:
    world.until_disabled()
    world.vm(2)
    world.oned.calls.clear()
    world.killed_before(call, then=2)
    (host,) = world.oned.host_pool.values()
    assert (host.state, host.template.text("GROWTH_DISABLED")) == (HostState.MONITORED, "")


def test_a_host_that_we_disabled_is_known_without_what_is_remembered(world: World) -> None:
    world.until_disabled()
    world.oned.update_cluster(100, Template([("ELASTIC_STATE", "")]))
    world.now += 30
    assert "delete 0" in world.sweep()


def test_a_host_that_people_disable_is_theirs_also_when_we_had_before(world: World) -> None:
    world.until_disabled()
    world.oned.host_pool[0] = replace(world.oned.host_pool[0], vm_ids=(7,))  # it is in use: nothing disables it now
    world.oned.set_host_status(0, "enable")
    world.now += 1
    world.sweep()
    assert world.oned.host_pool[0].template.text("GROWTH_DISABLED") == ""
    world.oned.set_host_status(0, "disable")
    world.oned.update_cluster(100, Template([("ELASTIC_STATE", "")]))
    for _ in range(3):
        world.now += 1000
        assert not {"enable 0", "delete 0"} & set(world.sweep())


def test_oned_refuses_to_delete_a_host_that_got_a_vm(world: World) -> None:
    world.until_disabled()
    world.oned.refuse_delete = True
    world.now += 30
    world.sweep()
    world.oned.host_pool[0] = replace(world.oned.host_pool[0], vm_ids=(7,))
    world.now += 30
    assert "enable 0" in world.sweep()


def test_a_wrong_policy_stops_only_its_cluster(world: World) -> None:
    world.cluster(101, "far", MAX_HOSTS="many")
    world.vm(1)
    calls = world.sweep()
    assert "cluster 101 gets ELASTIC_ERROR" in calls
    assert any("allocate edge-grow-1" in one for one in calls)
    assert "MAX_HOSTS" in world.oned.cluster_pool[101].template.text("ELASTIC_ERROR")
    world.now += 1
    assert not any("101" in one for one in world.sweep()), "told once"


def test_a_policy_that_is_plain_text_is_told(world: World) -> None:
    world.oned.update_cluster(100, Template([("ELASTIC", "yes")]))
    world.sweep()
    assert "must be a vector" in world.text("ELASTIC_ERROR")


def test_a_plan_of_unknown_size_is_told(world: World) -> None:
    world.cluster(100, "edge", PLANS="huge,small")
    world.vm(1)
    world.sweep()
    assert "the size of huge is not known" in world.text("ELASTIC_ERROR")
    assert len(world.oned.host_pool) == 1


def test_switched_off_it_lets_go(world: World) -> None:
    world.until_disabled()
    assert world.oned.host_pool[0].state is HostState.DISABLED
    world.oned.update_cluster(100, Template([("ELASTIC", {"ENABLED": "no"})]))
    assert "enable 0" in world.sweep()
    assert world.sweep()[4:] == []


@pytest.mark.parametrize("told", [{"ENABLED": "no"}, ""])
def test_switched_off_it_says_nothing_against_the_policy(world: World, told: Value) -> None:
    world.oned.update_cluster(100, Template([("ELASTIC_ERROR", "wrong"), ("ELASTIC_NOTE", "declined")]))
    template = Template((name, value) for name, value in world.oned.cluster_pool[100].template if name != "ELASTIC")
    with_it = merged(template, Template([("ELASTIC", told)] if told else []))
    world.oned.cluster_pool[100] = replace(world.oned.cluster_pool[100], template=with_it)
    world.sweep()
    assert (world.text("ELASTIC_ERROR"), world.text("ELASTIC_NOTE")) == ("", "")
    assert not any("gets" in one for one in world.sweep())


def test_hosts_made_by_hand_count_for_the_cost(world: World) -> None:
    world.cluster(100, "edge", MAX_COST_HOUR="0.9")
    world.oned.allocate_host("mine", "provision", "kvm", 100)
    world.oned.allocate_host("elsewhere", "provision", "kvm", 0)
    world.vm(1, SCHED_REQUIREMENTS="ID > 99")
    world.sweep()
    assert "0.50 + 0.50 = 1.00 an hour is more than MAX_COST_HOUR=0.9" in world.text("ELASTIC_NOTE")
    assert world.oned.host_pool[0].template.text("COST_HOUR") == "0.5"
    assert world.oned.host_pool[1].template.text("COST_HOUR") == ""
    world.now += 30
    assert world.sweep()[4:] == []


def test_a_note_is_written_when_it_says_something_else(world: World) -> None:
    world.cluster(100, "edge", MAX_HOSTS="0")
    world.vm(1)
    world.sweep()
    assert world.text("ELASTIC_NOTE") == "1 waiting VMs get no new host: 0 hosts are MAX_HOSTS=0"
    world.now += 1
    assert world.sweep()[4:] == []
    world.vm(2)
    world.sweep()
    assert world.text("ELASTIC_NOTE") == "2 waiting VMs get no new host: 0 hosts are MAX_HOSTS=0"


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("a host was given back 31 s ago (COOLDOWN)", "a host was given back 61 s ago (COOLDOWN)", True),
        (
            "1.20 spent + 24 h of 1.50 = 37.20 is more than MAX_COST_MONTH=30",
            "1.25 spent + 23 h of 1.50 = 35.75 is more than MAX_COST_MONTH=30",
            True,
        ),
        (
            "1.20 spent + 24 h of 1.50 = 37.20 is more than MAX_COST_MONTH=30",
            "1.20 spent + 24 h of 1.50 = 37.20 is more than MAX_COST_MONTH=31",
            False,
        ),
        (
            "1.50 + 1.50 = 3.00 an hour is more than MAX_COST_HOUR=1",
            "1.50 + 1.50 = 3.00 an hour is more than MAX_COST_HOUR=1.4",
            False,
        ),
        ("1 waiting VMs get no new host", "4 waiting VMs get no new host", False),
        ("c3.small is sold out", "c2.small is sold out", False),
    ],
)
def test_only_what_runs_by_itself_is_no_news(old: str, new: str, same: bool) -> None:
    assert (shape(old) == shape(new)) == same


def test_what_oned_refuses_is_told_and_stops_only_its_cluster(world: World) -> None:
    world.cluster(101, "far")
    world.oned.refuse_allocate = AllocateRefused("NAME is too long")
    for number, cluster_id in ((1, 100), (2, 101)):
        world.vm(number, SCHED_REQUIREMENTS=f"CLUSTER_ID = {cluster_id}")
    agent = world.agent()
    agent.sweep()
    assert [one.cluster_id for one in world.oned.host_pool.values()] == [101]
    assert [line.split(" ", 2)[2] for line in world.text("ELASTIC_EVENTS").splitlines()] == [
        "order small at 0.5 an hour: 1 VMs wait and fit on it (VM 1)",
        "order small at 0.5 an hour failed: NAME is too long",
    ]
    assert world.text("ELASTIC_NOTE") == "order small at 0.5 an hour failed: NAME is too long"
    world.oned.calls.clear()
    world.now += 30
    agent.sweep()
    assert not any("ELASTIC_NOTE" in one for one in world.oned.calls), "it still says so"
    world.oned.refuse_allocate = None
    for _ in range(2):
        world.now += 30
        agent.sweep()
    assert world.text("ELASTIC_NOTE") == ""
    assert len(world.oned.host_pool) == 2


@pytest.mark.parametrize("elastic", [{}, {"ENABLED": "no"}, {"MAX_HOSTS": "x"}])
def test_a_cluster_that_cannot_be_written_stops_no_other(world: World, elastic: dict[str, str]) -> None:
    world.until_disabled()
    world.cluster(101, "far")
    old = world.oned.cluster_pool[100].template
    told = Template([("ELASTIC", {**old.vector("ELASTIC"), **elastic})])
    world.oned.cluster_pool[100] = replace(world.oned.cluster_pool[100], template=merged(old, told))
    world.vm(2, SCHED_REQUIREMENTS="CLUSTER_ID = 101")
    world.oned.refuse_cluster[100] = InternalFailure("database is locked")
    assert "allocate far-grow-1 in 0" in world.sweep()
    world.oned.refuse_cluster[100] = OnedUnreachable("down")
    world.now += 700
    with pytest.raises(OnedUnreachable):
        world.sweep()


def test_looking_does_nothing(world: World) -> None:
    world.vm(1)
    look, _ = world.agent().looking.at("edge")
    assert [type(one) for one in look.decision.actions] == [Order]
    assert world.oned.writes() == []
    with pytest.raises(ConfigError, match="There is no cluster 'nope'"):
        world.agent().looking.at("nope")


def test_a_plan_leaves_out_what_earlier_clusters_take(world: World) -> None:
    world.cluster(101, "far")
    world.cluster(99, "wrong", MAX_HOSTS="x")
    world.oned.cluster_pool = dict(sorted(world.oned.cluster_pool.items()))
    world.vm(1)
    orders = [
        [one for one in world.agent().looking.at(name)[0].decision.actions if isinstance(one, Order)]
        for name in ("edge", "far")
    ]
    assert [len(one) for one in orders] == [1, 0]
    world.vm(2, SCHED_REQUIREMENTS="CLUSTER_ID = 101")
    assert [type(one) for one in world.agent().looking.at("far")[0].decision.actions] == [Order]


def test_of_a_cluster_that_is_off_hosts_are_told_and_events(world: World) -> None:
    world.until_disabled()
    world.cluster(101, "far")
    world.oned.update_cluster(100, Template([("ELASTIC", {"ENABLED": "no"})]))
    world.oned.update_host(0, Template([("PROVISION_STATE", "STOPPED")]))
    world.vm(3)
    told = cast(Any, as_json(*world.agent().looking.at("edge")))
    assert (told["on"], told["actions"], told["vms"]) == (False, [], [])
    assert [(one["id"], one["stage"], one["state"]) for one in told["hosts"]] == [(0, "disabled", "STOPPED")]
    assert len(told["events"]) == 2


def test_actions_are_sentences() -> None:
    assert describe(Order(plan="small", price=0.5, reason="2 VMs wait and fit on it", vms=(1, 2))) == (
        "order small at 0.5 an hour: 2 VMs wait and fit on it (VM 1, 2)"
    )
    assert describe(Disable(host_id=7, reason="it has had no VM for 700 s")) == (
        "disable host 7: it has had no VM for 700 s"
    )


# --- consolidation ---


def consolidating(world: World) -> None:
    """Two hosts with a small VM each."""
    world.cluster(100, "edge", CONSOLIDATE="yes", CONSOLIDATE_AFTER="60", COOLDOWN="0")
    for number in (1, 2):
        world.vm(number)
    world.sweep()
    world.now += 300
    world.become_ready()
    world.oned.vms.clear()
    for number, host_id in enumerate(world.oned.host_pool):
        place = VmPlace(
            sequence=0, host_id=host_id, host_name="h", cluster_id=100, datastore_id=100, tm_mad="local", vm_mad="kvm"
        )
        world.oned.guests.append(
            VmDetail(
                id=10 + number, name="vm", uid=0, gid=0, uname="", gname="", state=3, lcm_state=3, cpu=1, memory=1024,
                disks=(), network_ids=(), history=(place,), template=Template(), user_template=Template(),
            )
        )  # fmt: skip
        host = world.oned.host_pool[host_id]
        world.oned.host_pool[host_id] = replace(host, vm_ids=(10 + number,), running_vms=1, used_cpu=100)
    world.sweep()
    world.now += 100


def test_a_move_is_remembered_before_it_is_made_and_costs_one_more_call(world: World) -> None:
    consolidating(world)
    reads = ["clusters", "waiting_vms", "hosts", "all VMs", "pool datastore"]
    disabling = ["host 0 gets GROWTH_DISABLED", "disable 0"]
    assert world.sweep() == [*reads, "cluster 100 gets ELASTIC_STATE ELASTIC_EVENTS", *disabling]
    assert world.sweep() == [*reads, "cluster 100 gets ELASTIC_STATE ELASTIC_EVENTS", "migrate 10 to 1 live"]
    assert [vm for vm, _ in world.memory().moves] == [10]
    assert world.text("ELASTIC_EVENTS").endswith("move VM 10 live from host 0 to host 1: its host is emptied")


@pytest.mark.parametrize("refusal", [ActionRefused("no"), InternalFailure("no"), NoSuchObject("gone")])
def test_a_move_that_is_refused_is_no_more_than_a_try(world: World, refusal: OnedError) -> None:
    consolidating(world)
    world.sweep()
    world.oned.refuse_move = refusal
    for pause in (1, 130, 130):
        world.now += pause
        calls = world.sweep()
    assert calls[-1] == "enable 0"
    assert "could not be moved" in world.text("ELASTIC_EVENTS")
    assert len(world.memory().moves) == 2


def test_a_host_that_was_being_emptied_is_enabled_when_the_policy_goes(world: World) -> None:
    consolidating(world)
    world.sweep()
    template = world.oned.cluster_pool[100].template
    off = merged(template, Template([("ELASTIC", {"ENABLED": "no"})]))
    world.oned.cluster_pool[100] = replace(world.oned.cluster_pool[100], template=off)
    assert world.sweep()[-2:] == ["enable 0", "cluster 100 gets ELASTIC_STATE"]
    assert (world.memory().emptying, world.memory().disabled) == ({}, {})


def test_switched_off_it_still_looks_until_all_is_as_it_was(world: World) -> None:
    consolidating(world)
    world.sweep()
    template = world.oned.cluster_pool[100].template
    off = merged(template, Template([("ELASTIC", {"ENABLED": "yes", "MAX_HOSTS": "4"})]))
    world.oned.cluster_pool[100] = replace(world.oned.cluster_pool[100], template=off)
    assert "all VMs" in (calls := world.sweep())
    assert calls[-1] == "enable 0"
    assert "all VMs" not in world.sweep()
