"""The machines of one simulated account and how they change with time; common to all provider simulators.

A state lasts at least as long as its knob says and at least as long as the real work behind it (a machine is ``active``
only after ``power_on`` returned). Waits are drawn when a state is entered.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Generic

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.errors import CapacityExhausted, HybridError, QuotaExceeded, WrongState
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import MachineAddresses, Machines
from hybrid_drivers.sandbox.schedule import Schedule
from hybrid_drivers.sandbox.unit import Leg, Notice, OrderT, State, Unit
from hybrid_drivers.sandbox.user_data import with_other_host_key

log = logging.getLogger(__name__)


class Fleet(Generic[OrderT]):
    """Every machine of the account, gone ones included, in the order of creation. Thread-safe.

    ``shown_when_gone`` names the knob of how long lists keep a gone machine (besides ``list_lag``), if any;
    ``failed_go`` makes machines that fail end gone, with their ``failure``, whatever the ``fail_mode`` knob says.
    """

    def __init__(
        self,
        machines: Machines,
        knobs: Knobs,
        *,
        clock: Clock | None = None,
        workers: Executor | None = None,
        shown_when_gone: str = "",
        failed_go: bool = False,
    ) -> None:
        self.knobs = knobs
        self._machines = machines
        self._clock = clock or SystemClock()
        self._shown_when_gone = shown_when_gone
        self._failed_go = failed_go
        self._units: dict[str, Unit[OrderT]] = {}
        self._living: Counter[str] = Counter()
        self._lock = threading.RLock()
        self.schedule = Schedule(self._clock, workers)

    def start(self) -> None:
        """Let time pass for the machines."""
        self.schedule.start()

    def close(self) -> None:
        """Stop time and destroy every machine that still exists."""
        self.schedule.stop()
        left = [unit for unit in self.units() if unit.state is not State.GONE]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._end, left))

    def _end(self, unit: Unit[OrderT]) -> None:
        try:
            self._destroy(unit)
        except HybridError:
            log.exception("sandbox machine %s could not be destroyed", unit.id)
        self._settle(unit, State.GONE)

    # --- looking ---------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return unix seconds."""
        return self._clock.now()

    def units(self) -> Sequence[Unit[OrderT]]:
        """Return every machine ever made."""
        with self._lock:
            return list(self._units.values())

    def listed(self) -> Sequence[Unit[OrderT]]:
        """Return the machines that lists show now."""
        now = self.now()
        return [one for one in self.units() if self.visible(one, now) and (one.hidden_from or now + 1) > now]

    def visible(self, unit: Unit[OrderT], now: float | None = None) -> bool:
        """Tell whether the machine is old enough for lists to know it."""
        return unit.visible_from <= (self.now() if now is None else now)

    def find(self, machine_id: str) -> Unit[OrderT] | None:
        """Return one machine, gone or not; None when it never was."""
        return self._units.get(machine_id)

    def room(self, plan: str, place: str) -> int | None:
        """Return how many more machines of ``plan`` fit into ``place``; None: no limit."""
        with self._lock:
            return self.knobs.room(plan, place, self._living)

    # --- changing --------------------------------------------------------------------------------------------------

    def create(self, ids: Sequence[str], order: OrderT) -> list[Unit[OrderT]]:
        """Make one machine for each id, all or none.

        Raises:
            CapacityExhausted: they do not fit into the place.
            QuotaExceeded: the account may not have so many.
            SandboxError: this computer has no address left for them.
        """
        with self._lock:
            room, quota = self.room(order.plan, order.place), self.knobs.quota
            if quota and self._living.total() + len(ids) > quota:
                raise QuotaExceeded(f"the account may have {quota} machines")
            if room is not None and room < len(ids):
                raise CapacityExhausted(f"{order.place} has no room for {len(ids)} more {order.plan}")
            made: list[Unit[OrderT]] = []
            try:
                made.extend(self._new(one, order) for one in ids)
            except HybridError:
                for unit in made:
                    self._end(unit)
                raise
        for unit in made:
            self._travel(unit, *self._first_course())
        return made

    def delete(self, unit: Unit[OrderT]) -> None:
        """Give the machine back, unless the ``lying_delete`` knob strikes."""
        if unit.state not in (State.DELETING, State.GONE) and not self.knobs.strikes("lying_delete"):
            self._travel(unit, [Leg(State.DELETING, "slow_delete", self._destroy)], State.GONE)

    def interrupt(self, unit: Unit[OrderT], seconds: float, code: str, failure: str) -> None:
        """Give notice that the machine is taken back ``seconds`` from now; it then ends with this ``failure``."""
        with self._lock:
            now = self.now()
            unit.notice = notice = Notice(now, now + seconds, code)
        self.schedule.after(seconds, lambda: self._take_back(unit, notice, failure))

    def _take_back(self, unit: Unit[OrderT], notice: Notice, failure: str) -> None:
        with self._lock:
            if unit.notice is notice and unit.state not in (State.DELETING, State.GONE):
                unit.failure = failure
                self._travel(unit, [Leg(State.DELETING, "slow_delete", self._destroy)], State.GONE)

    def power_on(self, unit: Unit[OrderT]) -> None:
        """Switch a stopped machine on; raises WrongState."""
        self._from(unit, State.STOPPED, [Leg(State.STARTING, "starting", self._switch_on)], State.ACTIVE)

    def power_off(self, unit: Unit[OrderT]) -> None:
        """Switch an active machine off; raises WrongState."""
        self._from(unit, State.ACTIVE, [Leg(State.STOPPING, "stopping", self._switch_off)], State.STOPPED)

    def reboot(self, unit: Unit[OrderT]) -> None:
        """Restart an active machine, which stays active meanwhile; raises WrongState."""
        self._from(unit, State.ACTIVE, [Leg(State.ACTIVE, "", self._reboot)], State.ACTIVE)

    def reinstall(self, unit: Unit[OrderT]) -> None:
        """Make an active or stopped machine anew; raises WrongState."""
        start = State.STOPPED if unit.state is State.STOPPED else State.ACTIVE
        self._from(unit, start, [Leg(State.REINSTALLING, "reinstalling", self._reinstall)], State.ACTIVE)

    # --- courses ---------------------------------------------------------------------------------------------------

    def _new(self, machine_id: str, order: OrderT) -> Unit[OrderT]:
        now = self.now()
        user_data, addresses = self._prepare(machine_id, order)
        unit = Unit(
            id=machine_id,
            order=order,
            created=now,
            visible_from=now + self.knobs.wait("list_lag"),
            addresses=addresses,
            user_data=user_data,
        )
        self._units[machine_id] = unit
        self._living[f"{order.plan}@{order.place}"] += 1
        return unit

    def _prepare(self, machine_id: str, order: OrderT) -> tuple[str, MachineAddresses]:
        user_data = with_other_host_key(order.user_data) if self.knobs.bad_host_key else order.user_data
        return user_data, self._machines.prepare(machine_id, order.hostname, user_data)

    def _first_course(self) -> tuple[list[Leg[OrderT]], State]:
        queued: Leg[OrderT] = Leg(State.QUEUED, "queued")
        if not self.knobs.strikes("fail_provisioning"):
            provisioning: Leg[OrderT] = Leg(State.PROVISIONING, "provisioning")
            return [queued, provisioning, Leg(State.BOOTING, "booting", self._switch_on)], State.ACTIVE
        doomed = Leg(State.PROVISIONING, "provisioning", self._doom)
        if self.knobs.fail_mode == "failed" and not self._failed_go:
            return [queued, doomed], State.FAILED
        return [queued, doomed, Leg(State.DELETING, "", self._destroy)], State.GONE

    def _from(self, unit: Unit[OrderT], start: State, legs: list[Leg[OrderT]], end: State) -> None:
        with self._lock:
            if unit.state is not start:
                raise WrongState(f"machine {unit.id} is {unit.state.value}, not {start.value}")
            self._travel(unit, legs, end)

    def _travel(self, unit: Unit[OrderT], legs: list[Leg[OrderT]], end: State) -> None:
        with self._lock:
            unit.turn += 1
            self._enter(unit, unit.turn, legs, end)

    def _enter(self, unit: Unit[OrderT], turn: int, legs: list[Leg[OrderT]], end: State) -> None:
        with self._lock:
            if unit.turn != turn:
                return
            if not legs:
                self._settle(unit, end)
                return
            leg, unit.state = legs[0], legs[0].state
        due = self._clock.monotonic() + (self.knobs.wait(leg.wait) if leg.wait else 0.0)

        def carry_on() -> None:
            left = max(0.0, due - self._clock.monotonic())
            self.schedule.after(left, lambda: self._enter(unit, turn, legs[1:], end))

        if leg.work is None:
            carry_on()
        else:
            work = leg.work
            self.schedule.hand_over(lambda: self._work(unit, turn, work, carry_on))

    def _work(
        self, unit: Unit[OrderT], turn: int, work: Callable[[Unit[OrderT]], None], carry_on: Callable[[], None]
    ) -> None:
        with unit.busy:
            if unit.turn != turn:
                return
            try:
                work(unit)
            except Exception as exc:  # whatever a machine dies of, the account lives on
                log.exception("sandbox machine %s failed while %s", unit.id, unit.state.value)
                if unit.state is not State.DELETING:
                    self._break(unit, turn, str(exc))
                    return
        carry_on()

    def _break(self, unit: Unit[OrderT], turn: int, reason: str) -> None:
        with self._lock:
            if unit.turn == turn:
                unit.failure = reason
                self._settle(unit, State.FAILED)

    def _settle(self, unit: Unit[OrderT], end: State) -> None:
        with self._lock:
            unit.state = end
            if end is State.GONE:
                lag, kept = self.knobs.wait("list_lag"), self._shown_when_gone
                unit.deleted = self.now()
                unit.hidden_from = unit.deleted + lag + (self.knobs.wait(kept) if kept else 0.0)
                self._living[f"{unit.order.plan}@{unit.order.place}"] -= 1

    # --- the work behind a state, on a worker thread ----------------------------------------------------------------

    def _doom(self, unit: Unit[OrderT]) -> None:
        unit.failure = self.knobs.fail_reason

    def _switch_on(self, unit: Unit[OrderT]) -> None:
        if not self.knobs.no_ssh:
            self._machines.power_on(unit.id)
            unit.switched_on = True

    def _switch_off(self, unit: Unit[OrderT]) -> None:
        self._machines.power_off(unit.id)
        unit.switched_on = False

    def _reboot(self, unit: Unit[OrderT]) -> None:
        if unit.switched_on:
            self._machines.reboot(unit.id)

    def _reinstall(self, unit: Unit[OrderT]) -> None:
        self._destroy(unit)
        unit.user_data, unit.addresses = self._prepare(unit.id, unit.order)
        self._switch_on(unit)

    def _destroy(self, unit: Unit[OrderT]) -> None:
        unit.switched_on = False
        self._machines.destroy(unit.id)
