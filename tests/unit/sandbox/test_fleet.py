from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from tests.support.simulators import HandClock, wait_for

from hybrid_drivers.errors import CapacityExhausted, QuotaExceeded, SandboxError, WrongState
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import MachineAddresses
from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.unit import Order, State, Unit
from hybrid_drivers.sandbox.user_data import host_key

ORDER = Order(hostname="edge1", plan="small", place="am", user_data="#cloud-config\nssh_keys: {ed25519_public: ours}\n")


class SlowMachines(NoMachines):
    """Machines whose power switch hangs until released, or breaks; it remembers what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.told: list[str] = []
        self.released = threading.Event()
        self.broken = False

    def prepare(self, machine_id: str, hostname: str, user_data: str) -> MachineAddresses:
        self.told.append(user_data)
        return super().prepare(machine_id, hostname, user_data)

    def power_on(self, machine_id: str) -> None:
        self.asked.append("on")
        assert self.released.wait(10)
        if self.broken:
            raise SandboxError("no disk left")
        super().power_on(machine_id)

    def power_off(self, machine_id: str) -> None:
        self.asked.append("off")
        super().power_off(machine_id)

    def reboot(self, machine_id: str) -> None:
        self.asked.append("reboot")

    def destroy(self, machine_id: str) -> None:
        self.asked.append("destroy")
        super().destroy(machine_id)


class AtOnce(Executor):
    """Runs what is handed over before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class Held(Executor):
    """Keeps what is handed over until the test runs it, in any order."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks.append(lambda: fn(*args, **kwargs))
        return Future()


class Lab:
    """A fleet on a clock moved by hand; its machines change at once, or on threads when they are to hang."""

    def __init__(self, *, threads: bool = False, **knobs: object) -> None:
        self.threads = threads
        self.clock = HandClock()
        self.knobs = Knobs(queued=10, provisioning=100, booting=5, stopping=3, starting=4, slow_delete=7)
        self.knobs.change(knobs)
        self.machines = SlowMachines()
        self.machines.released.set()
        self.fleet: Fleet[Order] = Fleet(
            self.machines, self.knobs, clock=self.clock, workers=None if threads else AtOnce()
        )

    def make(self, name: str = "m1", order: Order = ORDER) -> Unit[Order]:
        return self.fleet.create([name], order)[0]

    def to(self, unit: Unit[Order], state: State) -> None:
        """Move time on, a second at a step, until the machine is there."""
        for _ in range(300):
            self.fleet.schedule.run_due()
            if unit.state is state:
                return
            self.clock.sleep(1)
            if self.threads:
                time.sleep(0.001)
        raise AssertionError(f"never {state}, still {unit.state}")


def test_a_machine_lives_as_long_in_each_state_as_the_knobs_say() -> None:
    lab = Lab()
    unit = lab.make()
    start = lab.clock.now()
    seen = []
    for state in (State.PROVISIONING, State.BOOTING, State.ACTIVE):
        lab.to(unit, state)
        seen.append(round(lab.clock.now() - start))
    assert seen == [10, 110, 115]
    assert lab.machines.running("m1")


def test_a_machine_is_active_only_after_it_was_really_switched_on() -> None:
    lab = Lab(threads=True)
    lab.machines.released.clear()
    unit = lab.make()
    lab.to(unit, State.BOOTING)
    wait_for(lambda: lab.machines.asked == ["on"])
    lab.clock.sleep(1000)
    lab.fleet.schedule.run_due()
    assert unit.state is State.BOOTING
    lab.machines.released.set()
    lab.to(unit, State.ACTIVE)


def test_a_machine_that_cannot_be_switched_on_fails_with_the_reason() -> None:
    lab = Lab()
    lab.machines.broken = True
    unit = lab.make()
    lab.to(unit, State.FAILED)
    assert unit.failure == "no disk left"


def test_deleting_while_it_boots_ends_with_nothing_left() -> None:
    lab = Lab(threads=True)
    lab.machines.released.clear()
    unit = lab.make()
    lab.to(unit, State.BOOTING)
    wait_for(lambda: lab.machines.asked == ["on"])
    lab.fleet.delete(unit)
    assert unit.state.value == "deleting"
    lab.machines.released.set()
    lab.to(unit, State.GONE)
    assert lab.machines.asked == ["on", "destroy"]
    assert not lab.machines.running("m1")
    assert unit.deleted == lab.clock.now()
    assert [one.id for one in lab.fleet.units()] == ["m1"]
    assert lab.fleet.listed() == []


def test_work_that_was_overtaken_before_it_began_is_not_done() -> None:
    lab, held = Lab(), Held()
    lab.fleet = Fleet(lab.machines, lab.knobs, clock=lab.clock, workers=held)
    unit = lab.make()
    lab.to(unit, State.BOOTING)
    lab.fleet.delete(unit)
    power_on, destroy = held.tasks
    destroy()
    power_on()
    lab.to(unit, State.GONE)
    assert lab.machines.asked == ["destroy"]


def test_power_goes_off_and_on_only_from_the_right_state() -> None:
    lab = Lab()
    unit = lab.make()
    with pytest.raises(WrongState, match="queued, not active"):
        lab.fleet.power_off(unit)
    lab.to(unit, State.ACTIVE)
    with pytest.raises(WrongState):
        lab.fleet.power_on(unit)
    lab.fleet.power_off(unit)
    assert unit.state.value == "stopping"
    lab.to(unit, State.STOPPED)
    assert not lab.machines.running("m1")
    lab.fleet.power_on(unit)
    lab.to(unit, State.ACTIVE)
    lab.fleet.reboot(unit)
    assert lab.machines.asked[-1] == "reboot"
    assert unit.state is State.ACTIVE


def test_capacity_is_per_plan_and_place_and_comes_back_when_a_machine_is_gone() -> None:
    lab = Lab(capacity="small@am=1")
    unit = lab.make()
    with pytest.raises(CapacityExhausted):
        lab.make("m2")
    lab.make("m3", Order(hostname="x", plan="small", place="da"))
    lab.fleet.delete(unit)
    lab.to(unit, State.GONE)
    lab.make("m4")


def test_the_quota_counts_the_whole_account() -> None:
    lab = Lab(quota=2)
    lab.fleet.create(["m1", "m2"], ORDER)
    with pytest.raises(QuotaExceeded):
        lab.make("m3", Order(hostname="x", plan="big", place="da"))
    assert len(lab.fleet.units()) == 2


def test_lists_lag_behind_both_ways() -> None:
    lab = Lab(list_lag=20)
    unit = lab.make()
    assert lab.fleet.listed() == []
    lab.clock.sleep(20)
    assert lab.fleet.listed() == [unit]
    lab.fleet.delete(unit)
    lab.to(unit, State.GONE)
    assert lab.fleet.listed() == [unit]
    lab.clock.sleep(20)
    assert lab.fleet.listed() == []


@pytest.mark.parametrize(("mode", "end"), [("failed", State.FAILED), ("vanish", State.GONE)])
def test_the_next_machine_fails_as_told_and_the_one_after_does_not(mode: str, end: State) -> None:
    lab = Lab(fail_provisioning=1, fail_mode=mode)
    unit, other = lab.make(), lab.make("m2")
    lab.to(unit, end)
    lab.to(other, State.ACTIVE)
    assert unit.failure == "Server.InternalError"


def test_a_lying_delete_does_nothing_once() -> None:
    lab = Lab(lying_delete=1)
    unit = lab.make()
    lab.to(unit, State.ACTIVE)
    lab.fleet.delete(unit)
    lab.clock.sleep(1000)
    lab.fleet.schedule.run_due()
    assert unit.state is State.ACTIVE
    lab.fleet.delete(unit)
    lab.to(unit, State.GONE)


def test_a_bad_host_key_is_another_key_in_the_same_user_data() -> None:
    lab = Lab(bad_host_key=True)
    lab.make()
    assert host_key(ORDER.user_data) == "ours"
    assert host_key(lab.machines.told[0]).startswith("ssh-ed25519 AAAA")


def test_no_ssh_means_active_but_never_switched_on() -> None:
    lab = Lab(no_ssh=True)
    unit = lab.make()
    lab.to(unit, State.ACTIVE)
    lab.fleet.reboot(unit)
    lab.to(unit, State.ACTIVE)
    assert "on" not in lab.machines.asked
    assert "reboot" not in lab.machines.asked


def test_closing_destroys_what_is_left() -> None:
    lab = Lab()
    units = lab.fleet.create(["m1", "m2"], ORDER)
    lab.to(units[0], State.ACTIVE)
    lab.fleet.close()
    assert [one.state for one in units] == [State.GONE, State.GONE]
    assert not lab.machines.running("m1")


def test_a_thousand_machines_are_cheap() -> None:
    fleet: Fleet[Order] = Fleet(NoMachines(), Knobs(time_scale=10))
    fleet.start()
    try:
        units = [fleet.create([str(number)], ORDER)[0] for number in range(1000)]
        wait_for(lambda: all(one.state is State.ACTIVE for one in units), seconds=20)
        assert threading.active_count() < 30
    finally:
        fleet.close()
