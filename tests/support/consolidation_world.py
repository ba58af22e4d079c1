"""A growing cloud whose VMs are moved: some take long, some fail, some may not go; rules are asserted as always."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tests.support.growth_world import GrowthWorld, Machine, Provider, Vm, offer

from hybrid_drivers.agent.growth.memory import HOUR
from hybrid_drivers.agent.growth.model import Action, Delete, Disable, Guest, Migrate, Placed, Stage, State
from hybrid_drivers.agent.growth.packing import Size
from hybrid_drivers.agent.growth.policy import Policy


@dataclass
class Move:
    """A move on its way; ``live``: the VM counts on both hosts until then, else on the new one only."""

    vm: int
    source: int
    target: int
    until: float
    live: bool
    fails: bool


class ConsolidatingWorld(GrowthWorld):
    """``failing``: the part of moves that fail; a cold one that fails is mended by hand two hours later.

    A VM whose id is divisible by 7 is off, by 11 stays where it is.
    """

    def __init__(
        self,
        policy: Policy,
        vms: Iterable[Vm],
        *,
        provider: Provider | None = None,
        seed: int = 0,
        crashes: float = 0.0,
        step: float = 30.0,
        failing: float = 0.0,
        longest: float = 600.0,
    ) -> None:
        super().__init__(policy, vms, provider=provider, seed=seed, crashes=crashes, step=step)
        self.failing, self.longest = failing, longest
        self.chance = random.Random(seed)
        self.moving: dict[int, Move] = {}
        self.moves: list[tuple[float, Migrate]] = []

    def _end_vms(self) -> None:
        for move in [one for one in self.moving.values() if one.until <= self.now]:
            vm = self.vms[move.vm]
            if move.fails and not move.live and self.now - move.until < 2 * HOUR:
                continue
            back = move.fails and move.live
            self.hosts[move.target if back else move.source].vms.discard(vm.id)
            vm.host = move.source if back else move.target
            del self.moving[vm.id]
        for vm in self.vms.values():
            if vm.id not in self.moving and vm.host is not None and self.now >= vm.started + vm.lifetime:
                self.hosts[vm.host].vms.discard(vm.id)
                vm.host, vm.lifetime = None, -1.0

    def state(self) -> State:
        guests = tuple(self._guest(one) for one in self.vms.values() if one.host is not None)
        return replace(
            super().state(), placed=Placed(guests=guests, free_disk={one: {-1: 10**6} for one in self.hosts})
        )

    def _guest(self, vm: Vm) -> Guest:
        assert vm.host is not None
        move = self.moving.get(vm.id)
        return Guest(
            id=vm.id,
            host=vm.host,
            size=vm.size,
            settled=move is None,
            live=vm.id % 7 != 0,
            hosts=frozenset(self.hosts) - {vm.host},
            disk=10,
            problem='has CONSOLIDATE="no"'
            if vm.id % 11 == 0
            else "is broken"
            if move and move.until < self.now
            else "",
        )

    def _do(self, action: Action) -> None:
        if isinstance(action, Migrate):
            self._move(action)
        elif isinstance(action, Disable) and action.empty:
            self._begin(action)
        else:
            if isinstance(action, Delete):
                leaving = [one.vm for one in self.moving.values() if one.source == action.host_id]
                assert not leaving, "a host was deleted before all of its VMs had arrived elsewhere"
            super()._do(action)

    def _begin(self, action: Disable) -> None:
        host = self.hosts[action.host_id]
        assert host.made
        assert not host.protected
        assert self.stage(host) is Stage.USABLE
        assert not any(one.disabled for one in self.hosts.values()), "one host at a time"
        assert not self.waiting(), "VMs wait"
        assert not any(one % 11 == 0 for one in host.vms), "one that stays"
        there = [one for one in self.hosts.values() if self.stage(one) in (Stage.USABLE, Stage.COMING)]
        assert len(there) > self.floors().min_hosts
        host.disabled = True

    def _move(self, action: Migrate) -> None:
        vm, source, target = self.vms[action.vm_id], self.hosts[action.host_id], self.hosts[action.target]
        assert (vm.host, source.disabled, self.stage(target)) == (source.id, True, Stage.USABLE)
        assert not self.moving, "one after the other"
        assert self.room(target).holds(vm.size), "moved where it does not fit"
        assert target.vms, "moved to an empty host that could go instead"
        assert vm.id % 11
        assert action.live == (vm.id % 7 != 0)
        recent = [one for when, one in self.moves if when > self.now - HOUR]
        assert len(recent) < self.policy.max_moves_hour, "over the budget"
        assert all(one.host_id == source.id for one in recent if one.vm_id == vm.id), "moved back and forth"
        self.moves.append((self.now, action))
        fails, until = self.chance.random() < self.failing, self.now + self.chance.uniform(0, self.longest)
        self.moving[vm.id] = Move(vm.id, source.id, target.id, until, action.live, fails)
        vm.host = target.id
        target.vms.add(vm.id)
        if not action.live:
            source.vms.discard(vm.id)

    def lost(self) -> list[Vm]:
        """Return the VMs that should run and are on no host that exists."""
        running = [one for one in self.vms.values() if one.host is not None]
        return [one for one in running if one.host not in self.hosts or one.id not in self.hosts[one.host].vms]

    def used(self, host: Machine) -> float:
        """Return the larger of the shares of CPU and memory that VMs have of a host."""
        whole, room = offer(host.plan).size, self.room(host)
        return Size(whole.cpu - room.cpu, whole.memory - room.memory).share(whole)
