"""Carrying a move out, so that it may be killed at any point: the machine is then at one place or the other, and off at
worst, and the same command goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import HybridError, OnedError, OnedUnreachable
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.provision.moving import mark
from hybrid_drivers.provision.moving.naming import Target
from hybrid_drivers.provision.moving.plan import Move, Stay, Wishes, decide
from hybrid_drivers.provision.moving.waiting import Failed, TooLong, Wait
from hybrid_drivers.provision.moving.world import World, host_word, vm_word

GO_ON: Final = "the same command goes on"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How a move ended. ``moved``: False when the machine was there already."""

    vm: VmDetail
    host: str
    moved: bool


class Mover:
    """Moves machines. ``timeout``: seconds for each step of each; ``say`` hears what happens; several may be moved at
    once by threads."""

    def __init__(
        self, objects: Objects, clock: Clock, who: str, wishes: Wishes, say: Callable[[str], None], *, timeout: float
    ) -> None:
        self._objects, self._vms, self._who, self._wishes = objects, Vms(objects.oned), who, wishes
        self._tell, self._wait = say, Wait(self._vms, clock, timeout)

    def run(self, vm_id: int, target: Target) -> Moved:
        """Move one machine.

        Raises:
            CannotMove: it cannot go there as things are now; nothing was changed.
            HybridError: it went wrong; the text says where the machine is and what it does.
        """
        vm = self._settled(self._vms.get(vm_id))
        world = World.look(self._objects)
        decision = decide(vm, world, target.now(world), self._wishes)
        if isinstance(decision, Stay):
            return self._stay(decision)
        if decision.loses:
            self._say(vm, decision.loses)
        vm = self._live(decision) if decision.live else self._step_by_step(decision)
        return Moved(vm=vm, host=host_word(decision.host), moved=True)

    # --- the ways ---------------------------------------------------------------------------------------------------

    def _settled(self, vm: VmDetail) -> VmDetail:
        """Let what an earlier run began come to its end."""
        if vm.settled or not mark.there(vm):
            return vm
        self._say(vm, f"{vm.word} of an earlier run is going on: waiting for it")
        try:
            return self._wait.until(vm, lambda now: now.settled)
        except TooLong as exc:
            raise HybridError(f"{_named(vm)}: {exc}; {GO_ON}") from exc

    def _stay(self, found: Stay) -> Moved:
        vm = found.vm
        if found.start:
            vm = self._start(vm)
        if mark.there(vm):
            self._forget(vm)
        place = vm.place.host_name if vm.place else ""
        return Moved(vm=vm, host=host_word(found.host) if found.host else f"host {place}", moved=False)

    def _live(self, move: Move) -> VmDetail:
        vm = move.vm
        self._say(vm, f"moving it live to {host_word(move.host)}")
        try:
            _begin(lambda: self._vms.migrate(vm.id, move.host.id, live=True, enforce=True))
            return self._wait.until(vm, lambda now: now.runs and _is_new(now, vm) and bool(now.place and now.place.ran))
        except Failed as exc:
            raise HybridError(f"{_named(vm)} was not moved: {exc}; it is {exc.where}") from exc
        except TooLong as exc:
            raise HybridError(f"{_named(vm)}: {exc}; 'onevm show {vm.id}' shows how it goes on") from exc

    def _step_by_step(self, move: Move) -> VmDetail:
        vm = move.vm
        if not move.again:
            mark.write(self._vms, vm, move.host.id, start=move.start, who=self._who)
        if move.switch_off:
            vm = self._switch_off(vm)
        vm = self._transfer(move, vm)
        if move.start:
            vm = self._start(vm)
        self._forget(vm)
        return vm

    # --- the steps --------------------------------------------------------------------------------------------------

    def _switch_off(self, vm: VmDetail) -> VmDetail:
        self._say(vm, "switching it off")
        try:
            _begin(lambda: self._vms.action(vm.id, "poweroff-hard" if self._wishes.hard else "poweroff"))
            return self._wait.until(vm, lambda now: now.powered_off)
        except Failed as exc:
            self._forget(vm)
            hint = "" if self._wishes.hard else "; --hard does not ask its guest"
            raise HybridError(f"{_named(vm)} was not switched off: {exc}; it is {exc.where}, not moved{hint}") from exc
        except TooLong as exc:
            raise HybridError(f"{_named(vm)} is not off yet: {exc}; {GO_ON}") from exc
        except OnedUnreachable as exc:
            raise HybridError(f"{exc}; {GO_ON}") from exc
        except OnedError:
            self._forget(vm)
            raise

    def _transfer(self, move: Move, vm: VmDetail) -> VmDetail:
        where = host_word(move.host)
        self._say(vm, f"bringing its disks once more to {where}" if move.again else f"moving it to {where}")
        try:
            _begin(lambda: self._order_transfer(move))
            return self._wait.until(vm, lambda now: now.powered_off and (move.again or _has_arrived(now, vm)))
        except Failed as exc:
            raise HybridError(
                f"{_named(vm)} is off, its disks did not arrive at {where}: {exc}; see to that, then {GO_ON}"
            ) from exc
        except TooLong as exc:
            raise HybridError(f"{_named(vm)} is off and on its way to {where}: {exc}; {GO_ON}") from exc
        except OnedUnreachable as exc:
            raise HybridError(f"{exc}; the machine is off; {GO_ON}") from exc
        except OnedError as exc:
            raise self._stayed(move, vm, exc) from exc

    def _order_transfer(self, move: Move) -> None:
        if move.again:
            self._vms.retry(move.vm.id)
        else:
            self._vms.migrate(move.vm.id, move.host.id, datastore_id=move.datastore_id, enforce=True)

    def _start(self, vm: VmDetail) -> VmDetail:
        self._say(vm, "starting it")
        try:
            _begin(lambda: self._vms.action(vm.id, "resume"))
            return self._wait.until(vm, lambda now: now.runs)
        except OnedUnreachable as exc:
            raise HybridError(f"{exc}; the machine is off {_at(vm)}; {GO_ON}") from exc
        except (Failed, TooLong, OnedError) as exc:
            self._remember(vm.id)
            again = f"'onevm resume {vm.id}' or the same command tries it again"
            raise HybridError(f"{_named(vm)} is {_at(vm)} but does not run: {exc}; {again}") from exc

    def _stayed(self, move: Move, vm: VmDetail, why: HybridError) -> HybridError:
        """Start a machine that ran again where it was, as oned has refused the move after all; say how that went."""
        why = HybridError(f"{_named(vm)}: oned refused the move: {why}")
        if move.again or not (move.switch_off or move.start):
            self._forget(vm)
            return HybridError(f"{why}; it is still off {_at(vm)}")
        self._tell(f"{why}")
        try:
            vm = self._start(vm)
        except HybridError as exc:
            return HybridError(f"{why}; {exc}")
        self._forget(vm)
        return HybridError(f"{why}; it runs again {_at(vm)}")

    def _remember(self, vm_id: int) -> None:
        """Have the mark of a machine that did not start hold on: trying to has begun another record of its history."""
        with suppress(OnedError):
            vm = self._vms.get(vm_id)
            if vm.powered_off and vm.place is not None:
                mark.write(self._vms, vm, vm.place.host_id, start=True, who=self._who)

    def _forget(self, vm: VmDetail) -> None:
        """Take the mark away; one that stays is void as soon as the machine is started once more."""
        with suppress(OnedError):
            mark.clear(self._vms, vm.id)

    def _say(self, vm: VmDetail, text: str) -> None:
        self._tell(f"{_named(vm)}: {text}")


def _is_new(now: VmDetail, before: VmDetail) -> bool:
    """Tell whether a machine is where it was moved to since ``before``, as far as its history goes."""
    return now.place is not None and before.place is not None and now.place.sequence == before.place.sequence + 1


def _has_arrived(now: VmDetail, before: VmDetail) -> bool:
    return now.place is not None and now.place.arrived and _is_new(now, before)


def _begin(call: Callable[[], None]) -> None:
    """Have oned begin something; a call that may have been carried out is told from its consequences."""
    try:
        call()
    except OnedUnreachable as exc:
        if not exc.sent:
            raise


def _named(vm: VmDetail) -> str:
    return vm_word(vm.id, vm.name)


def _at(vm: VmDetail) -> str:
    return f"on host {vm.place.host_name}" if vm.place else "on no host"
