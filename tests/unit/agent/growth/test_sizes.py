"""Sizes of plans: told by a host, else by the entry, else by the provider, less what is not for virtual machines."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.growth.devices import Device
from hybrid_drivers.agent.growth.numa import even
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.sizes import Sizes, reserved_off, size_of_machine
from hybrid_drivers.agent.growth.stock import EMPTY, Stock, read, render
from hybrid_drivers.errors import ProviderError, TransientError
from hybrid_drivers.model import Host, HostState, Template
from hybrid_drivers.model_shares import HostShare, PciDevice
from hybrid_drivers.providers.base import PlanSpecs, ProviderEntry

KIB = 1024
GPU = PciDevice(address="a", short_address="02:00.0", vendor="10de", device="20b0", class_="0302", vm_id=4)


class Telling:
    """A provider that knows plan ``known``, and does not answer for ``broken``."""

    def __init__(self, **plans: object) -> None:
        self.entry = ProviderEntry(name="p", driver="dummy", settings={"plans": cast("Any", plans)})
        self.asked: list[str] = []

    def plan_specs(self, plan: str) -> PlanSpecs | None:
        self.asked.append(plan)
        if plan == "broken":
            raise TransientError("no answer; it will be tried again")
        return PlanSpecs(cpus=16, memory=65536) if plan == "known" else None


def host(number: int, plan: str, cpu: int = 800, memory: int = 1000, *, provider: str = "p", reserved: int = 0) -> Host:
    return Host(
        id=number, name="h", state=HostState.MONITORED, im_mad="provision", vm_mad="kvm", cluster_id=0,
        template=Template([("GROWTH", {"PLAN": plan}), ("PROVISION", {"RENTED_FROM": provider})]),
        total_cpu=cpu, total_memory=memory, max_cpu=cpu - reserved, max_memory=memory,
    )  # fmt: skip


def sizes(
    provider: object,
    *hosts: Host,
    shares: Mapping[int, HostShare] | None = None,
    cluster: Mapping[str, str] | None = None,
) -> Sizes:
    account = cast("Account", SimpleNamespace(provider=provider, name="p"))
    return Sizes(hosts, shares or {}, account, Template((cluster or {}).items()))


def test_hosts_are_trusted_first_then_the_entry_then_the_provider() -> None:
    provider = Telling(known={"cpu": 4, "memory": 100})
    assert sizes(provider, host(1, "known"), host(2, "known", 790, 1100)).size("known") == Size(790, 1000)
    assert sizes(provider).size("known") == Size(400, 100 * KIB)
    assert provider.asked == []
    plain = Telling()
    assert sizes(plain).size("known") == Size(1600, int((65536 * 0.96 - 128) * KIB))
    assert sizes(plain).size("other") is None
    assert sizes(SimpleNamespace(entry=plain.entry)).size("known") is None


def test_one_odd_host_makes_no_plan_small() -> None:
    provider = Telling(known={"cpu": 4, "memory": 100})
    reserved = host(1, "known", reserved=600)
    assert sizes(provider, reserved).size("known") == Size(800, 1000)
    assert sizes(provider, reserved, cluster={"RESERVED_CPU": "25%", "RESERVED_MEM": "100"}).size("known") == Size(
        600, 900
    )
    assert sizes(provider, host(1, "known", 400), host(2, "known"), host(3, "known")).size("known") == Size(800, 1000)
    assert sizes(provider, host(1, "known", 400), host(2, "known")).size("known") == Size(400, 1000), "which is odd?"
    assert sizes(provider, host(1, "known", provider="other")).size("known") == Size(400, 100 * KIB)


def test_a_provider_that_does_not_answer_is_told_and_stops_nothing() -> None:
    found = sizes(Telling())
    assert (found.size("broken"), found.size("known") is None) == (None, False)
    assert found.problems == ["no answer; it will be tried again"]
    assert issubclass(TransientError, ProviderError)


@pytest.mark.parametrize(
    ("reserved", "left"),
    [
        ("", 1000),
        ("100", 900),
        ("-100", 1100),
        ("10%", 900),
        ("10% ", 900),
        ("-50%", 1500),
        ("10.5%", 1000),
        ("some", 1000),
        (" 7", 993),
        ("%", 1000),
    ],
)
def test_what_is_reserved_is_taken_off_as_oned_does(reserved: str, left: int) -> None:
    assert reserved_off(1000, reserved) == left


def test_a_cluster_that_reserves_all_leaves_nothing() -> None:
    cluster = Template([("RESERVED_CPU", "200"), ("RESERVED_MEM", "200%")])
    assert size_of_machine(PlanSpecs(cpus=4, memory=1024), cluster) == Size(200, 0)
    assert size_of_machine(PlanSpecs(cpus=1, memory=64), Template()) == Size(100, 0)


def test_devices_and_nodes_are_those_of_a_host_of_the_plan_else_of_the_entry() -> None:
    table = {"cpu": 4, "memory": 16, "pci": {"10de:20b0:0302": 2}, "numa": {"nodes": 2, "cores": 1, "threads": 2}}
    provider = Telling(gpu=table)
    one = Device(0x10DE, 0x20B0, 0x0302)
    made = sizes(provider).stock("gpu", Size(400, 16 * KIB))
    assert made == Stock((one, one), even(nodes=2, cores=1, threads=2, memory=16 * KIB, pages={}))
    assert read(render(made)) == made
    hosts = (host(1, "gpu"), host(2, "gpu"))
    shares = {1: HostShare(devices=(GPU, GPU)), 2: HostShare(devices=(GPU,)), 3: HostShare()}
    told = Device(0x10DE, 0x20B0, 0x0302, "02:00.0")
    assert sizes(provider, *hosts, shares=shares).stock("gpu", Size(1, 1)) == Stock((told,)), "the newest of several"
    assert sizes(provider, *hosts, shares={1: HostShare()}).stock("gpu", Size(1, 1)) == EMPTY, "it has none after all"
    assert sizes(provider).stock("other", Size(1, 1)) == EMPTY
    assert read(render(EMPTY)) == EMPTY
