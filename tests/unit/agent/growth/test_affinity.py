"""VM groups: what must be together becomes one, what must be apart gets hosts of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hybrid_drivers.agent.growth.affinity import applied, in_groups
from hybrid_drivers.agent.growth.model import Waiting
from hybrid_drivers.agent.growth.packing import Group, Offer, Size, cheapest, place
from hybrid_drivers.agent.growth.stock import EMPTY
from hybrid_drivers.model import Host, HostState, Template, Vm
from hybrid_drivers.model_shares import VmGroup, VmRole

PLANS = frozenset({"small", "large"})
OFFERS = (Offer("small", Size(800, 100), 1.0), Offer("large", Size(1600, 200), 3.0))


def vm(number: int, group: int = 1, role: str = "web") -> Vm:
    told = {"VMGROUP_ID": str(group), "ROLE": role}
    return Vm(
        id=number,
        name="vm",
        state=1,
        lcm_state=0,
        cpu=1,
        memory=10,
        host_id=None,
        template=Template([("VMGROUP", told)] if group else []),
        user_template=Template(),
        started=0,
    )


def waits(number: int, **more: object) -> Waiting:
    made = Waiting(id=number, size=Size(100, 10), since=float(number), plans=PLANS, hosts=frozenset(range(9)))
    return replace(made, **more)  # type: ignore[arg-type]


def host(number: int, *vm_ids: int) -> Host:
    return Host(
        id=number, name="h", state=HostState.MONITORED, im_mad="kvm", vm_mad="kvm", cluster_id=0, template=Template(),
        vm_ids=vm_ids,
    )  # fmt: skip


def group(*roles: VmRole, **rules: tuple[frozenset[str], ...]) -> VmGroup:
    return VmGroup(id=1, name="shop", roles={one.name: one for one in roles}, **rules)


def role(name: str, vms: Iterable[int], policy: str = "", **more: frozenset[int]) -> VmRole:
    return VmRole(name=name, policy=policy, vm_ids=frozenset(vms), **more)


def ordered(*waiting: Waiting) -> list[int]:
    """Return how many machines each new host gets."""
    counts: dict[Group, int] = {}
    for one in waiting:
        key = Group(one.size, one.plans, one.hosts, one.wants)
        counts[key] = counts.get(key, 0) + 1
    return [sum(found.load.values()) for found in cheapest(counts, OFFERS)[0]]


def test_machines_of_an_anti_affined_role_get_as_many_hosts_as_they_are() -> None:
    rules = group(role("web", range(5), "ANTI_AFFINED"))
    found = applied([waits(n) for n in range(1, 5)], map(vm, range(1, 5)), [rules], [host(7, 0), host(8)])
    assert all(7 not in one.hosts and 8 in one.hosts for one in found)
    assert ordered(*found) == [1, 1, 1, 1]
    counts = {Group(one.size, one.plans, frozenset((8,)), one.wants): 4 for one in found}
    left, placed = place(counts, [(8, Size(1600, 200))])
    assert (sum(left.values()), [sum(load.values()) for load in placed.values()]) == (3, [1])


def test_roles_apart_share_no_host_but_their_own_machines_do() -> None:
    rules = group(role("web", (1, 2)), role("db", (3, 4)), role("log", (5,)), anti_affined=(frozenset({"web", "db"}),))
    vms = [vm(1), vm(2), vm(3, role="db"), vm(4, role="db"), vm(5, role="log")]
    found = applied([waits(one.id) for one in vms], vms, [rules], [])
    assert ordered(*found[:4]) == [2, 2]
    assert found[4] == waits(5)


def test_affined_machines_are_one_where_none_of_them_is_anywhere() -> None:
    rules = group(role("web", (1, 2), "AFFINED"), role("db", (3,)), affined=(frozenset({"web", "db"}),))
    vms = [vm(1), vm(2), vm(3, role="db"), vm(4, 0)]
    waiting = [waits(1), waits(2, plans=frozenset({"large"})), waits(3, hosts=frozenset((1, 2))), waits(4)]
    found = applied(waiting, vms, [rules], [host(1)])
    other, one = found
    assert other == waits(4)
    assert (one.id, one.mates, one.vm_ids) == (1, (2, 3), (1, 2, 3))
    assert (one.size, one.since, one.plans) == (Size(300, 30), 1.0, frozenset({"large"}))
    assert (one.hosts, one.problem) == (frozenset((1, 2)), "")


def test_affined_machines_that_no_plan_suits_together_get_none() -> None:
    rules = group(role("web", (1, 2), "AFFINED"))
    waiting = [waits(1, plans=frozenset({"small"})), waits(2, plans=frozenset({"large"}))]
    (found,) = applied(waiting, [vm(1), vm(2)], [rules], [])
    assert found.problem == "no plan suits all of VM group shop that must share a host"


def test_affined_machines_go_where_the_others_are() -> None:
    rules = group(role("web", (1, 2, 9), "AFFINED"))
    found = applied([waits(1), waits(2)], [vm(1), vm(2)], [rules], [host(3, 9), host(4, 8)])
    assert [(one.hosts, one.plans) for one in found] == [(frozenset((3,)), frozenset())] * 2
    assert found[0].problem == "VM group shop keeps it on hosts 3, with others of it"


def test_roles_name_hosts() -> None:
    (bound,) = applied([waits(1)], [vm(1)], [group(role("web", (1,), host_ids=frozenset((2, 3))))], [])
    assert (bound.hosts, bound.plans) == (frozenset((2, 3)), frozenset())
    assert bound.problem == "role web of its VM group asks for hosts 2, 3"
    (free,) = applied([waits(1)], [vm(1)], [group(role("web", (1,), not_host_ids=frozenset((2,))))], [])
    assert free == waits(1, hosts=frozenset(range(9)) - {2})


def test_a_group_that_is_not_known_is_said() -> None:
    (found,) = applied([waits(1)], [vm(1, group=5)], [group()], [])
    assert (found.plans, found.problem) == (frozenset(), "its VM group 5 or role web is not known")
    assert in_groups([vm(1)])
    assert not in_groups([vm(1, 0)])
    assert EMPTY.serves(found.wants)
