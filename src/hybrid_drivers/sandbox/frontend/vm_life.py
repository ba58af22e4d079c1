"""What becomes of a machine between two calls: it starts, stops, moves and ends after a while, or fails to.

Facts: OpenNebula ``LifeCycleActions.cc`` and ``LifeCycleStates.cc``: which state comes when, which times a record of
the history gets, that starting again and a failed live migration begin a record of their own. What fails is said by the
knob ``vm_fails`` as it is when the call comes; the words in ERROR are ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hybrid_drivers.sandbox.frontend import vmm_steps as steps
from hybrid_drivers.sandbox.frontend.calls import Context
from hybrid_drivers.sandbox.frontend.datastore_objects import DatastoreObject
from hybrid_drivers.sandbox.frontend.objects import HostObject
from hybrid_drivers.sandbox.frontend.vm_objects import Action, Lcm, State, VmObject
from hybrid_drivers.sandbox.frontend.vm_resources import (
    close_record,
    give_back,
    put_on,
    put_on_again,
)

NO_REASON = "-"  # what one_vmm_exec tells oned when a driver gave none


def deploy(context: Context, vm: VmObject, host: HostObject, datastore: DatastoreObject) -> None:
    """Start one that waits."""
    put_on(vm, host, datastore.id, datastore.tm_mad)

    def then() -> None:
        _arrived(vm)
        _runs(vm)

    def failed(why: str) -> None:
        _arrived(vm)
        told_error(vm, "Error deploying virtual machine", why)
        vm.enter(State.ACTIVE, Lcm.BOOT_FAILURE)

    begin(context, vm, Lcm.PROLOG, Drive(steps.deploy(vm.deploy_id, host.name), then, failed))


def power_off(context: Context, vm: VmObject, action: Action) -> None:
    """Switch it off; one that does not obey runs on."""

    def then() -> None:
        vm.enter(State.POWEROFF)
        vm.history[-1].action = action

    obeys = action is Action.POWEROFF_HARD or not fails(context, "poweroff")
    told = steps.destroy(vm.history[-1].host_name, "" if obeys else NO_REASON)
    failed = partial(_ran_on, vm, "Error shutting down VM")
    begin(context, vm, Lcm.SHUTDOWN_POWEROFF, Drive(told, then, failed))


def boot(context: Context, vm: VmObject) -> None:
    """Start one that is off, in a record of its own; one that does not start is off again."""
    close_record(vm, vm.history[-1].action)
    put_on_again(vm, vm.history[-1])
    vm.history[-1].ran = _now()

    def failed(why: str) -> None:
        told_error(vm, "Error deploying virtual machine", why)
        vm.enter(State.POWEROFF)

    problem = NO_REASON if fails(context, "boot") else ""
    told = steps.deploy(vm.deploy_id, vm.history[-1].host_name, problem)
    begin(context, vm, Lcm.BOOT_POWEROFF, Drive(told, partial(_runs, vm), failed))


def move(context: Context, vm: VmObject, host: HostObject, datastore: DatastoreObject, *, live: bool) -> None:
    """Move it: one that is off stays off, others run again after it.

    Only one that is off is on its new host alone at once, before its disks are (``LifeCycleActions.cc``,
    ``LifeCycleStates.cc``: when ``del_capacity`` is called).
    """
    off = vm.state is State.POWEROFF
    close_record(vm, Action.LIVE_MIGRATE if live and not off else Action.MIGRATE)
    old = vm.history[-1]

    def leave() -> None:
        if old.host_id != host.id:
            context.store.hosts[old.host_id].vms.discard(vm.id)

    def there() -> None:
        leave()
        _runs(vm)

    def saved() -> None:
        leave()
        _restore(context, vm, host.name)

    put_on(vm, host, datastore.id, datastore.tm_mad)
    if off:
        leave()
        transfer(context, vm)
    elif live:
        vm.history[-1].transfer = (0, 0)
        told = steps.migrate(vm.deploy_id, old.host_name, host.name, NO_REASON if fails(context, "live") else "")
        back = partial(_back, context, vm, old.sequence)
        begin(context, vm, Lcm.MIGRATE, Drive(told, there, back))
    else:
        back = partial(_back, context, vm, old.sequence)
        begin(context, vm, Lcm.SAVE_MIGRATE, Drive(steps.save(old.host_name), saved, back))


def _restore(context: Context, vm: VmObject, host: str) -> None:
    """Let it go on from its saved state where it was moved to."""

    def failed(why: str) -> None:
        told_error(vm, "Error restoring VM", why)
        vm.enter(State.ACTIVE, Lcm.BOOT_MIGRATE_FAILURE)

    vm.enter(State.ACTIVE, Lcm.BOOT_MIGRATE)
    _drive(context, vm, Drive(steps.restore(vm.deploy_id, host), partial(_runs, vm), failed))


def transfer(context: Context, vm: VmObject) -> None:
    """Bring the disks of one that is off to where its last record says, or fail to."""

    def arrived() -> None:
        _arrived(vm)
        vm.enter(State.POWEROFF)

    def failed() -> None:
        told_error(vm, "Error executing image transfer script: Error copying disk directory to target host")
        vm.enter(State.ACTIVE, Lcm.PROLOG_MIGRATE_POWEROFF_FAILURE)

    begin(context, vm, Lcm.PROLOG_MIGRATE_POWEROFF, Drive((), failed if fails(context, "move") else arrived))


def terminate(context: Context, vm: VmObject, action: Action) -> None:
    """End it; one that does not end runs on."""
    problem = NO_REASON if fails(context, "terminate") else ""
    ran = vm.state is State.ACTIVE
    told = steps.destroy(vm.history[-1].host_name, problem) if ran or problem else ()
    failed = partial(_ran_on, vm, "Error canceling VM")
    begin(context, vm, Lcm.SHUTDOWN, Drive(told, lambda: done(context, vm, action), failed))


def delete(context: Context, vm: VmObject) -> None:
    """Take it away by force: it is done, and what it had is free, before the drivers have cleaned up."""
    if vm.state is State.ACTIVE:
        _drive(context, vm, Drive(_cleanup(vm), lambda: None))
    done(context, vm, Action.NONE)


def recreate(context: Context, vm: VmObject) -> None:
    """Take it away by force and let it wait for a host again; it keeps its addresses."""

    def then() -> None:
        close_record(vm, Action.NONE)
        for host in context.store.hosts.values():
            host.vms.discard(vm.id)
        vm.deploy_id = ""
        vm.enter(State.PENDING)

    begin(context, vm, Lcm.CLEANUP_RESUBMIT, Drive(_cleanup(vm), then))


def _cleanup(vm: VmObject) -> list[steps.Step]:
    moves = vm.lcm_state in (Lcm.MIGRATE, Lcm.SAVE_MIGRATE) and len(vm.history) > 1
    return steps.cleanup(vm.history[-1].host_name, vm.history[-2].host_name if moves else "")


def done(context: Context, vm: VmObject, action: Action) -> None:
    """Take everything from it; it stays to be looked at."""
    give_back(context.store, vm)
    close_record(vm, action)
    vm.ended = _now()
    vm.enter(State.DONE)


def fails(context: Context, word: str) -> bool:
    """Tell whether what ``word`` names is to fail."""
    return word in context.knobs.vm_fails.split()


@dataclass(frozen=True)
class Drive:
    """What the drivers do, and what comes of it: ``then``, or ``failed`` with the reason."""

    steps: Sequence[steps.Step]
    then: Callable[[], None]
    failed: Callable[[str], None] = lambda why: None


def begin(context: Context, vm: VmObject, during: Lcm, drive: Drive) -> None:
    """Let it be in a state for a while, and then have the drivers do their part."""
    vm.resched = False  # whatever else is begun with it (``set_resched(false)`` in ``DispatchManagerActions.cc``)
    vm.enter(State.ACTIVE, during)
    context.later(context.knobs.vm_seconds, lambda: _drive(context, vm, drive))


def _drive(context: Context, vm: VmObject, drive: Drive) -> None:
    def ended(why: str) -> None:
        if why:
            drive.failed(why)
        else:
            drive.then()

    if context.vmm is not None:
        context.vmm.begin(vm, drive.steps, ended)
    else:
        ended(next((one.fails for one in drive.steps if one.fails), ""))


def _arrived(vm: VmObject) -> None:
    vm.history[-1].transfer = (vm.history[-1].transfer[0], _now())


def _runs(vm: VmObject) -> None:
    vm.history[-1].ran = vm.history[-1].ran or _now()
    vm.enter(State.ACTIVE, Lcm.RUNNING)


def _ran_on(vm: VmObject, what: str, why: str) -> None:
    told_error(vm, what, why)
    vm.enter(State.ACTIVE, Lcm.RUNNING)


def _back(context: Context, vm: VmObject, sequence: int, why: str) -> None:
    """Run on where it was, after a live migration that failed."""
    close_record(vm, Action.LIVE_MIGRATE)
    context.store.hosts[vm.history[-1].host_id].vms.discard(vm.id)
    put_on_again(vm, vm.history[sequence])
    context.store.hosts[vm.history[-1].host_id].vms.add(vm.id)
    vm.history[-1].ran = _now()
    _ran_on(vm, "Error live migrating VM", why)


def told_error(vm: VmObject, what: str, why: str = NO_REASON) -> None:
    """Note what went wrong in its user template."""
    told = what if why == NO_REASON else f"{what}: {why}"
    vm.user.set("ERROR", f"{time.strftime('%a %b %e %H:%M:%S %Y')}: {told}")


def _now() -> int:
    return int(time.time())
