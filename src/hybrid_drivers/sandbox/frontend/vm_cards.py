"""Network cards of a machine, and aliases of them, that are plugged in and out.

Facts: OpenNebula ``DispatchManagerActions.cc`` (attach_nic, detach_nic), ``LifeCycleStates.cc``,
``VirtualMachineNic.cc`` (set_up_attach_nic), ``VirtualMachine.cc`` (set_detach_nic, delete_attach_alias). The knob
``vm_fails`` says that the hypervisor fails at it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from hybrid_drivers.sandbox.frontend import vm_life as life
from hybrid_drivers.sandbox.frontend import vmm_steps as steps
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Refused
from hybrid_drivers.sandbox.frontend.ipam import held
from hybrid_drivers.sandbox.frontend.vm_objects import Action, Lcm, State, VmObject
from hybrid_drivers.sandbox.frontend.vm_resources import (
    ResourceFault,
    alias_of,
    close_record,
    give_back_card,
    note_alias,
    parent_of,
    put_on_again,
    take_card,
)

_KINDS: Final = ("NIC", "NIC_ALIAS")
_FAILS: Final = [steps.Step(action=steps.VMM, fails=life.NO_REASON)]


def attach(context: Context, vm: VmObject, told: Attributes) -> None:
    """Plug the card of ``told`` in. Raises: Refused."""
    running = _check(vm, f"Could not add a new NIC to VM {vm.id}")
    kind = next((one for one in _KINDS if told.template().vectors(one)), "")
    if not kind:
        raise Refused(Code.ACTION, "Wrong format or missing NIC/NIC_ALIAS/PCI attribute")
    try:
        with held(context.store.ipam, context.store.births):
            card = _added(context, vm, kind, told.template().vector(kind), running=running)
    except ResourceFault as exc:
        raise Refused(Code.ACTION, str(exc)) from exc
    _next_record(vm, Action.ALIAS_ATTACH if kind == "NIC_ALIAS" else Action.NIC_ATTACH)
    if running:
        drive = steps.attach(vm.deploy_id, vm.history[-1].host_name, alias="PARENT_ID" in card)
        drive = _FAILS if life.fails(context, "attach") else drive
        failed = partial(_refused, context, vm)
        life.begin(context, vm, Lcm.HOTPLUG_NIC, life.Drive(drive, partial(_plugged, vm), failed))


def _added(context: Context, vm: VmObject, kind: str, asked: dict[str, str], *, running: bool) -> dict[str, str]:
    number = max((int(one["NIC_ID"]) for one in _all(vm)), default=-1) + 1
    card = {"NAME": f"NIC{number}", **asked}
    if kind == "NIC_ALIAS":
        parent = parent_of(vm, asked, "Alias not found.")
        others = vm.vectors("NIC_ALIAS") if parent.get("ALIAS_IDS") else []
        card = alias_of(parent, asked, number, max((int(one["ALIAS_ID"]) for one in others), default=-1) + 1)
    card = take_card(context.store, vm, number, card)
    vm.put_vectors(kind, [*vm.vectors(kind), {**card, **({"ATTACH": "YES"} if running else {})}])
    note_alias(vm, card)
    return card


def detach(context: Context, vm: VmObject, number: int) -> None:
    """Plug a card out, its aliases with it. Raises: Refused."""
    running = _check(vm, f"Could not detach NIC from VM {vm.id}")
    found = next((one for one in _all(vm) if one["NIC_ID"] == str(number)), None)
    if found is None:
        raise Refused(Code.ACTION, f"Could not detach NIC with NIC_ID {number}, it does not exist.")
    _change(vm, str(number), {"ATTACH": "YES"})
    if parent := found.get("PARENT_ID"):
        left = [one["NIC_ID"] for one in vm.vectors("NIC_ALIAS") if one.get("PARENT_ID") == parent and one is not found]
        _change(vm, parent, {"ALIAS_IDS": ",".join(one for one in left if one != str(number))})
    _next_record(vm, Action.ALIAS_DETACH if parent else Action.NIC_DETACH)
    if not running:
        _remove(context, vm)
    else:
        drive = steps.detach(vm.history[-1].host_name, alias="PARENT_ID" in found)
        drive = _FAILS if life.fails(context, "detach") else drive
        then = partial(_take_out, context, vm)
        life.begin(context, vm, Lcm.HOTPLUG_NIC, life.Drive(drive, then, partial(_kept, vm)))


def _check(vm: VmObject, sentence: str) -> bool:
    running = vm.state is State.ACTIVE and vm.lcm_state is Lcm.RUNNING
    if not running and vm.state is not State.POWEROFF:
        raise Refused(Code.ACTION, f"{sentence}, wrong state {vm.word}.")
    return running


def _all(vm: VmObject) -> list[dict[str, str]]:
    return [one for kind in _KINDS for one in vm.vectors(kind)]


def _change(vm: VmObject, number: str, values: dict[str, str], *without: str) -> None:
    for kind in _KINDS:
        cards = [{**one, **values} if one["NIC_ID"] == number else one for one in vm.vectors(kind)]
        vm.put_vectors(kind, [{key: text for key, text in one.items() if key not in without} for one in cards])


def _refused(context: Context, vm: VmObject, why: str) -> None:
    """Run on without the card that could not be plugged in."""
    life.told_error(vm, "Error attaching network interface to VM", why)
    _take_out(context, vm)


def _kept(vm: VmObject, why: str) -> None:
    """Run on with the card that could not be taken out."""
    life.told_error(vm, "Error detaching network interface from VM", why)
    _plugged(vm)


def _plugged(vm: VmObject) -> None:
    """Run on with the cards it has."""
    for one in _all(vm):
        _change(vm, one["NIC_ID"], {}, "ATTACH")
    vm.enter(State.ACTIVE, Lcm.RUNNING)


def _take_out(context: Context, vm: VmObject) -> None:
    """Run on without what was being plugged."""
    _remove(context, vm)
    vm.enter(State.ACTIVE, Lcm.RUNNING)


def _remove(context: Context, vm: VmObject) -> None:
    going = {one["NIC_ID"] for one in _all(vm) if one.get("ATTACH") == "YES"}
    going |= {one["NIC_ID"] for one in vm.vectors("NIC_ALIAS") if one.get("PARENT_ID") in going}
    for one in _all(vm):
        if one["NIC_ID"] in going:
            give_back_card(context.store, vm, one)
    for kind in _KINDS:
        vm.put_vectors(kind, [one for one in vm.vectors(kind) if one["NIC_ID"] not in going])


def _next_record(vm: VmObject, action: Action) -> None:
    """Begin a record like the last one, which ended with ``action`` (close_cp_history)."""
    if vm.history:
        ran = vm.history[-1].ran
        close_record(vm, action)
        put_on_again(vm, vm.history[-1])
        vm.history[-1].ran = ran
