"""oned and monitord of one front-end that take their time, may be down, and count calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.agent_fakes import FakeMonitord, FakeOned

from hybrid_drivers.errors import OnedUnreachable
from hybrid_drivers.model import Host, RaftState, Template

if TYPE_CHECKING:
    from tests.support.busy_world import BusyWorld


class BusyOned(FakeOned):
    """oned that takes its time, and may be down: its calls are counted."""

    def __init__(self, world: BusyWorld, number: int) -> None:
        super().__init__(world.store, world.fuse)
        self._world, self._number = world, number

    def _way(self, *, sent: bool = False) -> None:
        world = self._world
        if world.oned_latency:
            world.tasks.sleep(world.oned_latency * world.chance.random())
        if world.tasks.time < world.oned_down_until:
            raise OnedUnreachable("oned gives no answer", sent=sent)

    def raft_state(self) -> RaftState:
        self._way()
        return self._world.raft[self._number]

    def host(self, host_id: int, decrypt: bool = True) -> Host:
        self._world.oned_calls["host"] += 1
        self._way()
        return super().host(host_id, decrypt)

    def hosts(self) -> list[Host]:
        self._world.oned_calls["hosts"] += 1
        self._way()
        return super().hosts()

    def update_host(self, host_id: int, template: Template, append: bool = True) -> None:
        self._world.oned_calls["change"] += 1
        self._way()
        super().update_host(host_id, template, append)
        self._way(sent=True)

    def rename_host(self, host_id: int, name: str) -> None:
        self._world.oned_calls["change"] += 1
        self._way()
        super().rename_host(host_id, name)
        self._way(sent=True)


class Heard(FakeMonitord):
    """monitord's port of one server, which remembers when it heard of whom while it leads."""

    def __init__(self, world: BusyWorld, number: int) -> None:
        super().__init__(world.store)
        self._world, self._number = world, number

    def send(self, kind: str, host_id: int, payload: str, *, ok: bool = True) -> None:
        world = self._world
        if world.tasks.time < world.oned_down_until or not world.raft[self._number].leads:
            return  # UDP: nobody is told
        self._world.heard[host_id] = self._world.tasks.time
        super().send(kind, host_id, payload, ok=ok)
