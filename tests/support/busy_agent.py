"""An agent with workers, as tasks under the virtual clock, and the clock of its front-end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import greenlet
from tests.support.agent_world import Agent
from tests.support.busy_oned import BusyOned, Heard
from tests.support.tasks import TaskLock, Tasks

from hybrid_drivers.agent.settings import AgentSettings
from hybrid_drivers.oned.monitord import Monitord

if TYPE_CHECKING:
    from tests.support.busy_world import BusyWorld


class SkewedClock:
    """A front-end's own clock: it is behind or ahead, and may be set."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks, self.ahead = tasks, 0.0
        self.monotonic, self.sleep = tasks.monotonic, tasks.sleep

    def now(self) -> float:
        return self._tasks.now() + self.ahead


class BusyAgent(Agent):
    """An agent with workers; ``busy`` are the keys they are at, with the tasks."""

    def __init__(self, world: BusyWorld, number: int, settings: AgentSettings) -> None:
        state = world.folder / f"agent{number}"
        super().__init__(
            world.store,
            world.site.door(state.name),
            world.clocks[number],
            state,
            oned=BusyOned(world, number),
            settings=settings,
        )
        self.number = number
        self.monitord = Heard(world, number)
        self.parts.reporter.use(cast(Monitord, self.monitord))
        self.busy: dict[tuple[str, str], greenlet.greenlet] = {}
        self.parked: set[tuple[str, str]] = set()
        self.others: list[greenlet.greenlet] = []
        for part, lock in (
            (self.account.machines, "_asking"),
            (self.leadership, "_lock"),
            (self.parts.peers, "_asking"),
        ):
            setattr(part, lock, TaskLock(world.tasks))  # held over calls
        self.next_sweep = self.next_beacons = world.tasks.time
        self.sweeping = False

    def tasks(self) -> list[greenlet.greenlet]:
        self.others = [one for one in self.others if not one.dead]
        return [*self.busy.values(), *self.others]
