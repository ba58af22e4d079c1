"""A READY host's machine stops, vanishes or is changed behind our back: the agent's real code, on a virtual clock.

Each remedy is cut off at every one of its effects, before and after it, and must come right with one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.agent_world import World

from hybrid_drivers.model import HostState, MachineState

CUTS = [(0, True), *((effects, before) for effects in range(1, 7) for before in (True, False))]


class Site:
    """One READY host, ``id``, with these policies."""

    def __init__(self, folder: Path, **policy: str) -> None:
        self.world = World(folder, idempotent=False, frontends=1)
        self.world.store.provision({name.upper(): value for name, value in policy.items()})
        self.provider, self.store = self.world.provider, self.world.store
        self.id = self.store.add()
        self.world.call_all()
        self.passes(60)
        assert self.text("PROVISION_STATE") == "READY"

    def text(self, name: str) -> str:
        return self.store.hosts[self.id].template.text(name)

    @property
    def machine(self) -> str:
        return self.store.hosts[self.id].template.vector("PROVISION").get("DEPLOY_ID", "")

    def passes(self, seconds: float) -> None:
        """Let time pass; an agent that crashed is started anew, and never are there two machines."""
        for _ in range(int(seconds / 10)):
            self.world.agent(0)
            self.world.pass_time(10)
            assert len(self.provider.alive()) <= 1

    def until(self, condition: Callable[[], bool], limit: float = 3600) -> None:
        end = self.world.clock.now() + limit
        while not condition():
            assert self.world.clock.now() < end, dict(self.store.hosts[self.id].template)
            self.passes(10)

    def back(self, machine: str) -> bool:
        """Tell whether the host is in use with this machine."""
        alive = [(one.id, one.state) for one in self.provider.alive()]
        ready = self.text("PROVISION_STATE") == "READY" and self.store.hosts[self.id].state is HostState.MONITORED
        room = self.store.hosts[self.id].total_cpu == 800
        return ready and room and self.machine == machine and alive == [(machine, MachineState.RUNNING)]

    def stop(self) -> None:
        self.provider.units["m1"].stopped = True

    def lose(self) -> None:
        self.provider.units["m1"].gone_at = self.provider.units["m1"].hidden_at = self.world.clock.now()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**policy: str) -> Site:
        made.append(Site(tmp_path / str(len(made)), **policy))
        return made[-1]

    yield make
    for one in made:
        one.world.close()


@pytest.mark.parametrize(("effects", "before"), CUTS[:7])
def test_it_is_switched_on_wherever_the_agent_ends(site: Callable[..., Site], effects: int, before: bool) -> None:
    here = site(when_stopped="power-on")
    here.stop()
    here.world.fuse.left, here.world.fuse.before = effects, before
    here.until(lambda: here.text("PROVISION_STATE") == "STOPPED")
    here.until(lambda: here.back("m1"))
    assert 1 <= len(here.text("PROVISION_SWITCHED_ON").split(",")) <= 2
    assert here.text("PROVISION_ERROR") == ""


@pytest.mark.parametrize("trouble", ["stop", "lose"])
@pytest.mark.parametrize(("effects", "before"), CUTS)
def test_it_is_replaced_by_one_machine_wherever_the_agent_ends(
    site: Callable[..., Site], trouble: str, effects: int, before: bool
) -> None:
    here = site(when_stopped="replace", when_lost="replace")
    getattr(here, trouble)()
    here.world.fuse.left, here.world.fuse.before = effects, before
    here.until(lambda: here.back("m2"))
    assert (len(here.text("PROVISION_REPLACED").split(",")), here.text("PROVISION_REPLACING")) == (1, "")


def test_the_name_that_was_an_address_is_free_while_there_is_none(site: Callable[..., Site]) -> None:
    here = site(when_lost="replace")
    address = here.store.hosts[here.id].name
    here.provider.sold_out = {"small", "large"}
    here.lose()
    here.until(lambda: here.text("PROVISION_SOLD_OUT") != "")
    assert (address, here.store.hosts[here.id].name) == ("192.0.2.1", "edge0")
    here.provider.sold_out = set()
    here.until(lambda: here.back("m2"))
    assert here.store.hosts[here.id].name == "192.0.2.2"


def test_what_is_not_switched_on_after_three_tries_is_shown_with_the_reason(site: Callable[..., Site]) -> None:
    here = site(when_stopped="power-on")
    here.stop()
    here.provider.switch_failures = 3
    here.until(lambda: here.provider.switch_failures == 0)
    here.passes(600)
    assert here.text("PROVISION_STATE") == "STOPPED"
    assert "within an hour: 3 (the last: acme: no room to start it)" in here.text("PROVISION_ERROR")
    here.until(lambda: here.back("m1"), 2 * 3600)  # an hour later it is tried again


@pytest.mark.parametrize("state", [HostState.OFFLINE, HostState.DISABLED])
def test_a_host_that_somebody_works_on_is_left_alone(site: Callable[..., Site], state: HostState) -> None:
    here = site(when_stopped="replace", when_lost="replace")
    here.stop()
    here.store.put(here.id, state)
    here.passes(900)
    assert (here.machine, here.provider.switched_on, here.text("PROVISION_REPLACED")) == ("m1", 0, "")


def test_one_started_by_somebody_is_ready_again(site: Callable[..., Site]) -> None:
    here = site()
    here.stop()
    here.until(lambda: here.text("PROVISION_STATE") == "STOPPED")
    here.passes(900)
    assert (here.provider.switched_on, here.text("PROVISION_ERROR")) == (
        0,
        "machine m1 is stopped at acme, not running",
    )
    here.provider.units["m1"].stopped = False
    here.until(lambda: here.back("m1"))


@pytest.mark.parametrize("trouble", ["stop", "lose"])
def test_none_is_replaced_under_virtual_machines(site: Callable[..., Site], trouble: str) -> None:
    here = site(when_stopped="replace", when_lost="replace")
    here.store.place(here.id, (7,))
    getattr(here, trouble)()
    here.passes(900)
    assert here.machine == "m1"
    assert here.text("PROVISION_ERROR").endswith("when its host has no virtual machine any more (1 now)")
    here.store.place(here.id, ())
    here.until(lambda: here.back("m2"))


def test_a_machine_whose_tags_were_changed_is_kept_and_shown(site: Callable[..., Site]) -> None:
    """Its tag names a host that does not exist, then it has none and is in no list: it is the host's by its id."""
    here = site(when_lost="replace")
    unit = here.provider.units["m1"]
    assert unit.machine.tags is not None
    unit.machine = replace(unit.machine, tags=replace(unit.machine.tags, host_id=99), plan="larger")
    here.until(lambda: "its tags name host 99" in here.text("PROVISION_MACHINE_DRIFT"))
    here.passes(900)
    unit.machine = replace(unit.machine, tags=None)
    here.until(lambda: "do not say that it is this cloud's" in here.text("PROVISION_MACHINE_DRIFT"))
    here.passes(900)
    assert here.back("m1")
    del here.store.hosts[here.id]
    here.passes(600)
    assert not here.provider.alive()


def test_a_resized_machine_is_shown_until_it_is_as_before(site: Callable[..., Site]) -> None:
    here = site()
    unit = here.provider.units["m1"]
    unit.machine = replace(unit.machine, plan="larger")
    here.until(lambda: here.text("PROVISION_MACHINE_DRIFT") == "plan is larger, was small")
    unit.machine = replace(unit.machine, plan="small")
    here.until(lambda: here.text("PROVISION_MACHINE_DRIFT") == "")
