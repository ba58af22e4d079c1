"""Public addresses follow their virtual machines: executables, client and agent, run as ``one_vmm_exec`` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.hybrid_vms import Guests
from tests.support.lab import ONE_PROVIDER, PROVIDERS, no_secret_came_out, provider_of, quick_lab

from hybrid_drivers.providers.base import PublicAddresses

RECORDED = Path(__file__).parents[1] / "data/oned-7.4/actions"


# tests/unit/agent/test_vnm.py and test_vnm_model.py try the same with each provider, in one process.
once = pytest.mark.parametrize("guests", ONE_PROVIDER, indirect=True)


@pytest.fixture(scope="module", params=PROVIDERS)
def guests(request: pytest.FixtureRequest) -> Iterator[Guests]:
    with quick_lab(str(request.param)) as lab:
        yield Guests(lab)


@pytest.fixture(autouse=True)
def nothing_is_left(guests: Guests) -> Iterator[None]:
    yield
    lab = guests.lab
    lab.simulator.knobs.change({"latency": 0, "lost_address_reply": 0, "error_rate": 0})
    for vm, one in list(lab.frontend.store.machines.items()):
        if one.word != "DONE":
            guests.settled(vm)
            guests.recover(vm, 3)
    lab.wait(lambda: not guests.where())
    lab.wait(lambda: guests.networks.used(guests.vnet) == 0)


def test_the_life_of_a_machine(guests: Guests) -> None:
    vm = guests.start(0)
    (address,) = guests.addresses(vm)
    assert guests.where() == {address: 0}
    assert [one.executable for one in guests.runs()[-2:]] == ["vnm/hybrid/pre", "vnm/hybrid/post"]
    program, document = guests.on_node(0)[-1]
    assert program == "remote_post"
    told = document.partition("<HYBRID_ADDRESS>")[2].partition("<")[0]
    assert (told == address) == (guests.networks.driver == "packet")
    guests.action(vm, "poweroff")
    assert (guests.word(vm), guests.where()) == ("POWEROFF", {})
    guests.action(vm, "resume")
    assert guests.where() == {address: 0}
    guests.action(vm, "terminate")
    assert (guests.word(vm), guests.where()) == ("DONE", {})
    assert [one for one, _ in guests.on_node(0)][-1] == "remote_clean"


@pytest.mark.parametrize("live", [True, False])
@once
def test_addresses_follow_a_migration(guests: Guests, live: bool) -> None:
    vm = guests.start(0)
    (address,) = guests.addresses(vm)
    guests.move(vm, 1, live=live)
    assert (guests.word(vm), guests.where()) == ("RUNNING", {address: 1})
    clean, post = [one for one in guests.runs()[-3:] if one.action != "PRE"]
    old, new = (guests.lab.host(guests.hosts[number]).name for number in (0, 1))
    assert (clean.action, clean.argv) == ("CLEAN", (old,))
    assert (post.action, post.argv[1]) == ("POST", old if live else new)
    guests.move(vm, 0, live=live)
    assert guests.where() == {address: 0}


@once
def test_one_that_is_moved_while_it_is_off(guests: Guests) -> None:
    vm = guests.start(0)
    guests.action(vm, "poweroff")
    guests.move(vm, 1, live=False)
    assert guests.where() == {}
    guests.action(vm, "resume")
    assert guests.where() == dict.fromkeys(guests.addresses(vm), 1)


def test_cards_come_and_go_while_it_runs(guests: Guests) -> None:
    vm = guests.start(0)
    guests.attach(vm)
    guests.attach(vm, "NIC_ALIAS", PARENT="NIC0", EXTERNAL="YES")
    first, second, alias = guests.addresses(vm)
    assert guests.where() == {first: 0, second: 0, alias: 0}
    guests.detach(vm, 2)
    assert guests.where() == {first: 0, second: 0}
    guests.detach(vm, 1)
    assert guests.where() == {first: 0}
    guests.lab.wait(lambda: guests.networks.used(guests.vnet) == 1)


@once
def test_a_node_that_fails_is_told_and_leaves_nothing(guests: Guests) -> None:
    machines = guests.lab.machines
    machines.fail_step(guests.machine(0), "remote_post", "there is no bridge br0")  # type: ignore[attr-defined]
    vm = guests.make()
    guests.deploy(vm, 0)
    assert guests.word(vm) == "BOOT_FAILURE"
    assert "remote_post failed: there is no bridge br0" in guests.error(vm)
    assert guests.where() == {}
    machines.fail_step(guests.machine(0), "remote_post", None)  # type: ignore[attr-defined]
    other = guests.start(0)
    machines.fail_step(guests.machine(0), "remote_post", "there is no bridge br0")  # type: ignore[attr-defined]
    guests.attach(other)
    machines.fail_step(guests.machine(0), "remote_post", None)  # type: ignore[attr-defined]
    assert guests.where() == dict.fromkeys(guests.addresses(other), 0)
    assert len(guests.addresses(other)) == 1


@once
def test_a_host_that_fails_loses_its_addresses(guests: Guests) -> None:
    """Its machine does not answer; the virtual machine is made again elsewhere (the hook host_error.rb does so)."""
    vm = guests.start(0)
    guests.lab.machines.power_off(guests.machine(0))
    guests.recover(vm, 4)
    assert (guests.word(vm), guests.where()) == ("PENDING", {})
    guests.deploy(vm, 1)
    guests.lab.machines.power_on(guests.machine(0))
    assert guests.where() == dict.fromkeys(guests.addresses(vm), 1)


@once
def test_hosts_that_are_not_rented_are_refused(guests: Guests) -> None:
    host = guests.lab.oned.allocate_host("own", "kvm", "kvm", guests.lab.cluster_id)
    vm = guests.make()
    guests.vms.deploy(vm, host)
    guests.settled(vm)
    assert guests.word(vm) == "BOOT_FAILURE"
    assert "host own is not rented from a provider" in guests.error(vm)


@pytest.mark.parametrize("at", [1, 2, 3])
@once
def test_the_agent_dies_during_a_migration(guests: Guests, at: int) -> None:
    """At the n-th call of the provider; the client asks the next agent again."""
    vm = guests.start(0)
    simulator = guests.lab.simulator
    simulator.knobs.change({"latency": 0.15})
    goal = sum(simulator.calls.values()) + at
    guests.vms.migrate(vm, guests.hosts[1], live=True)
    guests.lab.wait(lambda: sum(simulator.calls.values()) >= goal or None)
    guests.lab.kill_agent()
    simulator.knobs.change({"latency": 0})
    guests.settled(vm)
    assert (guests.word(vm), guests.where()) == ("RUNNING", dict.fromkeys(guests.addresses(vm), 1))


def test_lost_replies_while_it_starts_and_moves(guests: Guests) -> None:
    knobs = guests.lab.simulator.knobs
    knobs.change({"lost_address_reply": 1})
    vm = guests.make()
    guests.deploy(vm, 0)
    knobs.change({"lost_address_reply": 0})
    if guests.word(vm) != "RUNNING":  # refused in one sentence, and nothing stayed there
        assert guests.where() == {}
        guests.recover(vm, 4)
        guests.deploy(vm, 0)
    assert guests.where() == dict.fromkeys(guests.addresses(vm), 0)
    no_secret_came_out(guests.lab)


@once
def test_what_is_deleted_by_force_is_cleaned_or_swept(guests: Guests) -> None:
    vm = guests.start(0)
    guests.lab.machines.power_off(guests.machine(0))
    guests.recover(vm, 3)
    other = guests.start(1)
    guests.lab.wait(lambda: guests.where() == dict.fromkeys(guests.addresses(other), 1))
    guests.lab.machines.power_on(guests.machine(0))


@once
def test_what_goes_somewhere_without_a_lease_is_taken_away(guests: Guests) -> None:
    """An assignment that nobody has in oned; a machine that ends meanwhile is the reason to look."""
    vm = guests.start(0)
    (address,) = guests.addresses(vm)
    other, block = guests.free_address(vm)
    provider = provider_of(guests.lab)
    assert isinstance(provider, PublicAddresses)
    provider.assign(other, block, guests.machine(1))
    assert guests.where() == {address: 0, other: 1}
    guests.attach(vm)
    guests.detach(vm, 1)
    guests.lab.wait(lambda: guests.where() == {address: 0})


@once
def test_the_same_call_twice_and_at_once(guests: Guests) -> None:
    vm = guests.start(0)
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: guests.repeat(vm, "post"), range(4)))
    assert codes == [0] * 4
    assert guests.where() == dict.fromkeys(guests.addresses(vm), 0)
    assert [guests.repeat(vm, "clean") for _ in range(2)] == [0, 0]
    assert guests.where() == {}


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("post", 1, "NIC 0: network 1 has no address range 0: it was deleted\n"),
        ("post.nic_attach", 1, "NIC_ALIAS 2: network 2 has no address range 0: it was deleted\n"),
        ("clean", 0, ""),
        ("vnet_create", 0, ""),
    ],
)
def test_recorded_messages_through_the_executables(guests: Guests, name: str, code: int, sentence: str) -> None:
    """As if their cards were of VN_MAD hybrid; host and networks of them are not here."""
    document = (RECORDED / f"vnm.{name}.xml").read_bytes()
    document = document.replace(b"<VN_MAD><![CDATA[packet]]></VN_MAD>", b"<VN_MAD><![CDATA[hybrid]]></VN_MAD>")
    argv = {one["name"]: one["argv"] for one in json.loads((RECORDED / "index.json").read_text())}[f"vnm.{name}"]
    done = guests.run(name.partition(".")[0], argv, document)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (code, b"", sentence)


def test_both_families(guests: Guests) -> None:
    place = {"ec2": {"SUBNETID": "subnet-0defa000000000000"}}.get(guests.networks.driver, {})
    vnet = guests.network("both", guests.networks.range(2, TYPE="IP4_6_STATIC", **place))
    vm = guests.make(vnet=vnet)
    guests.deploy(vm, 0)
    assert guests.word(vm) == "RUNNING", guests.error(vm)
    card = guests.lab.frontend.store.machines[vm].vectors("NIC")[0]
    assert guests.assignment6(vnet, card["IP6"]) == guests.machine(0)
    assert f"<HYBRID_ADDRESS6>{card['IP6']}</HYBRID_ADDRESS6>" in guests.on_node(0)[-1][1]
    guests.move(vm, 1, live=True)
    assert guests.assignment6(vnet, card["IP6"]) == guests.machine(1)
    guests.action(vm, "terminate")
    assert guests.assignment6(vnet, card["IP6"]) == ""
    guests.lab.wait(lambda: guests.networks.used(vnet) == 0)
    guests.networks.delete(vnet)


@pytest.mark.long
@pytest.mark.parametrize("at", range(1, 13))
def test_the_agent_dies_between_any_two_calls(guests: Guests, at: int) -> None:
    """While one starts and while it ends, at the n-th call of the provider (the last one, where there are fewer)."""
    simulator = guests.lab.simulator
    vm = guests.make()
    acts: list[tuple[Callable[[], None], bool]] = [
        (lambda: guests.vms.deploy(vm, guests.hosts[0]), True),
        (lambda: guests.end(vm), False),
    ]
    for act, there in acts:
        simulator.knobs.change({"latency": 0.15})
        goal = sum(simulator.calls.values()) + at
        act()
        guests.lab.wait(lambda: sum(simulator.calls.values()) >= goal or guests.is_settled(vm))  # noqa: B023
        guests.lab.kill_agent()
        simulator.knobs.change({"latency": 0})
        guests.settled(vm)
        assert guests.where() == (dict.fromkeys(guests.addresses(vm), 0) if there else {})
