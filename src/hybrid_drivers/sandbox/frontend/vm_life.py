"""What becomes of a machine between two calls: it starts, stops, moves and ends after a while, or fails to.

Facts: OpenNebula ``LifeCycleActions.cc`` and ``LifeCycleStates.cc``: which state comes when, which times a record of
the history gets, that starting again and a failed live migration begin a record of their own. What fails is said by the
knob ``vm_fails`` as it is when the call comes; the words in ERROR are ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hybrid_drivers.sandbox.frontend.calls import Context
from hybrid_drivers.sandbox.frontend.datastore_objects import DatastoreObject
from hybrid_drivers.sandbox.frontend.objects import HostObject
from hybrid_drivers.sandbox.frontend.vm_objects import Action, Lcm, State, VmObject
from hybrid_drivers.sandbox.frontend.vm_resources import close_record, give_back, put_on, put_on_again


def deploy(context: Context, vm: VmObject, host: HostObject, datastore: DatastoreObject) -> None:
    """Start one that waits."""
    put_on(vm, host, datastore.id, datastore.tm_mad)

    def then() -> None:
        _arrived(vm)
        _runs(vm)

    begin(context, vm, Lcm.PROLOG, then)


def power_off(context: Context, vm: VmObject, action: Action) -> None:
    """Switch it off; one that does not obey runs on."""

    def then() -> None:
        vm.enter(State.POWEROFF)
        vm.history[-1].action = action

    obeys = action is Action.POWEROFF_HARD or not fails(context, "poweroff")
    begin(context, vm, Lcm.SHUTDOWN_POWEROFF, then if obeys else lambda: _ran_on(vm, "Error shutting down VM"))


def boot(context: Context, vm: VmObject) -> None:
    """Start one that is off, in a record of its own; one that does not start is off again."""
    close_record(vm, vm.history[-1].action)
    put_on_again(vm, vm.history[-1])
    vm.history[-1].ran = _now()

    def failed() -> None:
        _error(vm, "Error deploying virtual machine")
        vm.enter(State.POWEROFF)

    starts = not fails(context, "boot")
    begin(context, vm, Lcm.BOOT_POWEROFF, (lambda: _runs(vm)) if starts else failed)


def move(context: Context, vm: VmObject, host: HostObject, datastore: DatastoreObject, *, live: bool) -> None:
    """Move it: one that is off stays off, others run again after it."""
    off = vm.state is State.POWEROFF
    close_record(vm, Action.LIVE_MIGRATE if live and not off else Action.MIGRATE)
    old = vm.history[-1]
    context.store.hosts[old.host_id].vms.discard(vm.id)
    put_on(vm, host, datastore.id, datastore.tm_mad)
    if off:
        transfer(context, vm)
    elif live:
        vm.history[-1].transfer = (0, 0)
        stays = fails(context, "live")
        begin(context, vm, Lcm.MIGRATE, (lambda: _back(context, vm, old.sequence)) if stays else lambda: _runs(vm))
    else:
        begin(context, vm, Lcm.SAVE_MIGRATE, lambda: _runs(vm))


def transfer(context: Context, vm: VmObject) -> None:
    """Bring the disks of one that is off to where its last record says, or fail to."""

    def arrived() -> None:
        _arrived(vm)
        vm.enter(State.POWEROFF)

    def failed() -> None:
        _error(vm, "Error executing image transfer script: Error copying disk directory to target host")
        vm.enter(State.ACTIVE, Lcm.PROLOG_MIGRATE_POWEROFF_FAILURE)

    begin(context, vm, Lcm.PROLOG_MIGRATE_POWEROFF, failed if fails(context, "move") else arrived)


def terminate(context: Context, vm: VmObject, action: Action) -> None:
    """End it; one that does not end runs on."""
    ends = not fails(context, "terminate")
    begin(
        context,
        vm,
        Lcm.SHUTDOWN,
        (lambda: done(context, vm, action)) if ends else lambda: _ran_on(vm, "Error canceling VM"),
    )


def done(context: Context, vm: VmObject, action: Action) -> None:
    """Take everything from it; it stays to be looked at."""
    give_back(context.store, vm)
    close_record(vm, action)
    vm.ended = _now()
    vm.enter(State.DONE)


def fails(context: Context, word: str) -> bool:
    """Tell whether what ``word`` names is to fail."""
    return word in context.knobs.vm_fails.split()


def begin(context: Context, vm: VmObject, during: Lcm, then: Callable[[], None]) -> None:
    """Let it be in a state for a while, and then do the rest."""
    vm.enter(State.ACTIVE, during)
    context.later(context.knobs.vm_seconds, then)


def _arrived(vm: VmObject) -> None:
    vm.history[-1].transfer = (vm.history[-1].transfer[0], _now())


def _runs(vm: VmObject) -> None:
    vm.history[-1].ran = vm.history[-1].ran or _now()
    vm.enter(State.ACTIVE, Lcm.RUNNING)


def _ran_on(vm: VmObject, why: str) -> None:
    _error(vm, why)
    vm.enter(State.ACTIVE, Lcm.RUNNING)


def _back(context: Context, vm: VmObject, sequence: int) -> None:
    """Run on where it was, after a live migration that failed."""
    close_record(vm, Action.LIVE_MIGRATE)
    context.store.hosts[vm.history[-1].host_id].vms.discard(vm.id)
    put_on_again(vm, vm.history[sequence])
    context.store.hosts[vm.history[-1].host_id].vms.add(vm.id)
    vm.history[-1].ran = _now()
    _ran_on(vm, "Error live migrating VM")


def _error(vm: VmObject, why: str) -> None:
    vm.user.set("ERROR", f"{time.strftime('%a %b %e %H:%M:%S %Y')}: {why}")


def _now() -> int:
    return int(time.time())
