"""What machines of a plan have, as providers tell it: read, asked for once, asked for again after a failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.providers import FakeClock, entry

from hybrid_drivers.errors import PermanentError, TransientError
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import Plans, PlanSpecs, Provider, Setting
from hybrid_drivers.providers.packet.specs import read_specs
from hybrid_drivers.providers.specs import AGE, RETRY, SpecsList
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import make_machines
from hybrid_drivers.sandbox.packet_api import PacketSimulator
from hybrid_drivers.secret import Secret

SMALL = PlanSpecs(cpus=8, memory=32768)


@contextmanager
def made(simulator: PacketSimulator | Ec2Simulator, driver: str, **settings: Setting) -> Iterator[Provider]:
    simulator.start()
    try:
        told = {"endpoint": simulator.url, **settings}
        yield registry.make_provider(entry(driver, told), FakeClock(), state_dir=Path("/nonexistent"))
    finally:
        simulator.stop()


def test_packet_tells_of_all_plans(tmp_path: Path) -> None:
    simulator = PacketSimulator(make_machines("none", tmp_path), Knobs())
    with made(simulator, "packet", token=Secret(simulator.token), project="p") as provider:
        assert isinstance(provider, Plans)
        assert provider.plan_specs("c3.small.x86") == SMALL
        assert provider.plan_specs("c3.medium.x86") == PlanSpecs(cpus=24, memory=65536)
        assert provider.plan_specs("m3.small.x86") == PlanSpecs(cpus=8, memory=65536)
        assert provider.plan_specs("none.such") is None


def test_ec2_tells_of_metal_and_of_instances(tmp_path: Path) -> None:
    simulator = Ec2Simulator(make_machines("none", tmp_path), Knobs())
    secrets = {"access_key": Secret(simulator.access_key_id), "secret_key": Secret(simulator.secret_access_key)}
    with made(simulator, "ec2", region=simulator.region, **secrets) as provider:
        assert isinstance(provider, Plans)
        assert provider.plan_specs("c5.metal") == PlanSpecs(cpus=96, memory=196608)
        assert provider.plan_specs("c8i.large") == PlanSpecs(cpus=2, memory=4096)
        with pytest.raises(PermanentError, match=r"looking at instance type c5\.huge: InvalidInstanceType"):
            provider.plan_specs("c5.huge")


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        ({"cpus": [{"count": 1, "type": "A 8-Core B @ 3GHz"}], "memory": {"total": "32GB"}}, SMALL),
        ({"cpus": [{"count": 2, "type": "A 4-core B"}], "memory": {"total": "32 GiB"}}, SMALL),
        ({"cpus": [{"type": "A", "cores": 4, "threads": "8"}], "memory": {"total": "32GB"}}, SMALL),
        ({"cpus": [{"count": 2, "type": "A 2-Core", "threads": 8}], "memory": {"total": "32GB"}}, SMALL),
        (
            {"cpus": [{"type": "4 cores"}, {"type": "4 cores"}], "memory": {"total": "0.5TB"}},
            PlanSpecs(cpus=8, memory=524288),
        ),
        ({"cpus": [{"count": 1, "type": "A"}], "memory": {"total": "32GB"}}, None),
        ({"cpus": [{"count": 1, "type": "A 8-Core"}], "memory": {"total": "much"}}, None),
        ({"cpus": [{"count": 1, "type": "A 8-Core"}]}, None),
        ({"cpus": "many", "memory": "32GB"}, None),
        (None, None),
    ],
)
def test_packets_words_are_read(specs: object, told: PlanSpecs | None) -> None:
    assert read_specs([{"slug": "x", "specs": specs}]).get("x") == told


class Asked:
    """A provider that answers, or fails, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False

    def __call__(self, plan: str) -> Mapping[str, PlanSpecs]:
        self.asked.append(plan)
        if self.fails:
            raise TransientError("no answer")
        return {"small": SMALL, "large": SMALL}


def test_a_provider_is_asked_once_for_all_that_it_tells() -> None:
    clock, asked = FakeClock(), Asked()
    specs = SpecsList(asked, clock)
    assert [specs.of(plan) for plan in ("small", "large", "none", "none")] == [SMALL, SMALL, None, None]
    assert asked.asked == ["small", "none"]
    clock.sleep(RETRY)
    assert specs.of("none") is None
    assert asked.asked == ["small", "none", "none"]
    clock.sleep(AGE)
    assert specs.of("small") == SMALL
    assert len(asked.asked) == 4


def test_a_failure_is_remembered_for_a_while_and_what_is_known_stays_known() -> None:
    clock, asked = FakeClock(), Asked()
    specs = SpecsList(asked, clock)
    assert specs.of("small") == SMALL
    asked.fails = True
    for _ in range(2):
        with pytest.raises(TransientError, match="no answer"):
            specs.of("none")
        assert specs.of("small") == SMALL
    assert asked.asked == ["small", "none"]
    asked.fails = False
    clock.sleep(RETRY)
    assert specs.of("none") is None
