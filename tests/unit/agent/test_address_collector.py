"""The sweep of addresses: what is released, what never, and how often it looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.providers import FakeClock

from hybrid_drivers.agent.address_collector import QUIET, AddressCollector
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reservations import Reservations
from hybrid_drivers.errors import OnedUnreachable, TransientError
from hybrid_drivers.model_addresses import AddressTags, Assignment, Block, ReserveRequest
from hybrid_drivers.providers.base import Limits, PublicAddresses

OWNER, QUARANTINE, SETTLE = "me", 100.0, 60.0


@dataclass
class Provider:
    """A provider with addresses, in memory; ``broken``: it does not answer."""

    kept: dict[str, Block] = field(default_factory=dict)
    limits: Limits = field(default_factory=lambda: Limits(settle=SETTLE))
    broken: bool = False
    stubborn: bool = False
    looks: int = 0
    translates = one_by_one = False

    def blocks(self, owner: str) -> list[Block]:
        self.looks += 1
        if self.broken:
            raise TransientError("away")
        return [one for one in self.kept.values() if one.tags and one.tags.owner == owner]

    def release(self, block_id: str) -> None:
        if self.stubborn:
            raise TransientError("not now")
        self.kept.pop(block_id, None)

    def reserve(self, request: ReserveRequest) -> Block:
        raise AssertionError("a sweep reserves nothing")

    def block(self, block_id: str) -> Block:
        return self.kept[block_id]

    def inside(self, attributes: Any) -> tuple[str, tuple[str, ...]]:
        return "", ()

    def assignment(self, address: str, block_id: str) -> Assignment | None:
        return None

    def assignments(self, block_id: str) -> dict[str, Assignment]:
        return {}

    def assign(self, address: str, block_id: str, machine_id: str, *, private: str | None = None) -> Assignment:
        raise AssertionError("a sweep assigns nothing")

    def unassign(self, address: str, block_id: str) -> None:
        raise AssertionError("a sweep unassigns nothing")


class World:
    """A collector, and all it looks at."""

    def __init__(self) -> None:
        self.clock, self.provider = FakeClock(), Provider()
        self.named: list[str] = []
        self.at_work: set[str] = set()
        self.held = False
        accounts = [SimpleNamespace(name="ams", provider=self.provider), SimpleNamespace(name="own", provider=object())]
        self.reservations = SimpleNamespace(
            changes=0, changed_at=self.clock.time, running=lambda: set(self.at_work), ranges=self.ranges
        )
        parts = SimpleNamespace(
            clock=self.clock,
            owner=_Owner(self),
            settings=SimpleNamespace(agent=SimpleNamespace(quarantine=QUARANTINE)),
            accounts=SimpleNamespace(all=lambda: accounts, broken=list[str]),
        )
        self.collector = AddressCollector(cast(Parts, parts), cast(Reservations, self.reservations))

    def ranges(self) -> list[dict[str, str]]:
        return [{"DEPLOY_ID": ",".join(self.named)}]

    def block(self, name: str, owner: str = OWNER) -> None:
        tags = AddressTags(owner=owner, token=f"token-{name}")
        self.provider.kept[name] = Block(id=name, network="192.0.2.1/32", family=4, tags=tags)

    def pass_time(self, seconds: float, step: float = 20.0) -> None:
        for _ in range(int(seconds / step)):
            self.collector.sweep()
            self.clock.sleep(step)


class _Owner:
    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self) -> str:
        return OWNER

    def held(self) -> bool:
        return self._world.held


@pytest.fixture
def world() -> World:
    return World()


def test_the_fake_is_one_with_addresses() -> None:
    assert isinstance(Provider(), PublicAddresses)


def test_what_nobody_has_is_released_after_the_quarantine(world: World) -> None:
    world.block("left")
    world.block("used")
    world.named = ["used"]
    world.pass_time(QUARANTINE)
    assert set(world.provider.kept) == {"left", "used"}
    assert world.collector.orphans == 1
    world.pass_time(60)
    assert set(world.provider.kept) == {"used"}
    assert world.collector.orphans == 0


def test_blocks_of_others_are_never_touched(world: World) -> None:
    world.block("theirs", owner="somebody")
    world.pass_time(2000)
    assert set(world.provider.kept) == {"theirs"}


def test_what_gets_a_range_meanwhile_stays(world: World) -> None:
    world.block("young")
    world.pass_time(80)
    world.named = ["young"]
    world.pass_time(1000)
    assert (set(world.provider.kept), world.collector.orphans) == ({"young"}, 0)


def test_what_is_being_registered_is_no_orphan(world: World) -> None:
    world.block("new")
    world.at_work = {"token-new"}
    world.pass_time(1000)
    assert set(world.provider.kept) == {"new"}
    world.at_work = set()
    world.pass_time(200)
    assert world.provider.kept == {}


def test_nothing_is_released_while_the_owner_id_had_been_lost(world: World) -> None:
    world.block("left")
    world.held = True
    world.pass_time(1000)
    assert set(world.provider.kept) == {"left"}
    world.held = False
    world.pass_time(60)
    assert world.provider.kept == {}


def test_a_range_that_comes_at_the_last_moment_keeps_its_block(world: World) -> None:
    world.block("late")
    world.pass_time(QUARANTINE)
    answers = iter([[], [{"DEPLOY_ID": "late"}]])
    world.reservations.ranges = lambda: next(answers)
    world.collector.sweep()
    assert set(world.provider.kept) == {"late"}


def test_an_account_that_does_not_answer_keeps_its_orphans_watched(world: World) -> None:
    world.block("left")
    world.pass_time(60)
    world.provider.broken = True
    world.pass_time(60)
    assert (world.collector.orphans, world.collector.busy) == (1, True)
    world.provider.broken = False
    world.pass_time(40)
    assert world.provider.kept == {}


def test_a_release_that_fails_is_tried_again(world: World) -> None:
    world.block("left")
    world.provider.stubborn = True
    world.pass_time(300)
    assert set(world.provider.kept) == {"left"}
    world.provider.stubborn = False
    world.pass_time(40)
    assert world.provider.kept == {}


def test_oned_that_does_not_answer_concludes_nothing(world: World) -> None:
    world.block("left")

    def away() -> list[dict[str, str]]:
        raise OnedUnreachable("away")

    world.reservations.ranges = away
    for _ in range(20):
        with pytest.raises(OnedUnreachable):
            world.collector.sweep()
        world.clock.sleep(60)
    assert set(world.provider.kept) == {"left"}


def test_it_looks_once_an_hour_when_all_is_settled_and_at_once_when_something_changed(world: World) -> None:
    assert world.collector.busy
    world.pass_time(SETTLE + 40)
    looks = world.provider.looks
    assert not world.collector.busy
    world.pass_time(QUIET - 200)
    assert world.provider.looks == looks
    world.pass_time(200)
    assert world.provider.looks == looks + 1
    world.reservations.changes, world.reservations.changed_at = 1, world.clock.time
    assert world.collector.busy
    world.pass_time(40)
    assert world.provider.looks == looks + 3
    assert world.collector.busy  # lists lag: what was reserved just now may not show


def test_what_lists_show_late_is_found(world: World) -> None:
    """A range that came and went within the lag of the lists: the block shows only afterwards."""
    world.pass_time(40)
    world.block("late")
    world.pass_time(QUARANTINE + 100)
    assert world.provider.kept == {}


def test_people_are_told_what_waits_and_a_look_releases_nothing(world: World) -> None:
    world.block("left")
    world.collector.sweep(look_only=True)
    world.clock.sleep(QUARANTINE + 1)
    world.collector.sweep(now_due=True, look_only=True)
    (told,) = cast(list[dict[str, object]], world.collector.report()["blocks"])
    assert (told["provider"], told["block"], told["released_in"], told["watched"]) == ("ams", "left", 0, QUARANTINE)
    assert "left" in world.provider.kept
    world.collector.sweep(now_due=True)
    report = world.collector.report()
    assert (report["blocks"], world.provider.kept) == ([], {})
    (released,) = cast(list[dict[str, object]], report["released_blocks"])
    assert released["block"] == "left"
