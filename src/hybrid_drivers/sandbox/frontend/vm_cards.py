"""Network cards of a machine, and aliases of them, that are plugged in and out.

Facts: OpenNebula ``DispatchManagerActions.cc`` (attach_nic, detach_nic), ``LifeCycleStates.cc``,
``VirtualMachineNic.cc`` (set_up_attach_nic), ``VirtualMachine.cc`` (set_detach_nic, delete_attach_alias). The knob
``vm_fails`` says that the hypervisor fails at it.
"""

from __future__ import annotations

from typing import Final

from hybrid_drivers.sandbox.frontend import vm_life as life
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Refused
from hybrid_drivers.sandbox.frontend.vm_objects import Action, Lcm, State, VmObject
from hybrid_drivers.sandbox.frontend.vm_resources import (
    ResourceFault,
    close_record,
    give_back_card,
    put_on_again,
    take_card,
)

_KINDS: Final = ("NIC", "NIC_ALIAS")


def attach(context: Context, vm: VmObject, told: Attributes) -> None:
    """Plug the card of ``told`` in. Raises: Refused."""
    running = _check(vm, f"Could not add a new NIC to VM {vm.id}")
    kind = next((one for one in _KINDS if told.template().vectors(one)), "")
    if not kind:
        raise Refused(Code.ACTION, "Wrong format or missing NIC/NIC_ALIAS/PCI attribute")
    asked = told.template().vector(kind)
    number = max((int(one["NIC_ID"]) for one in _all(vm)), default=-1) + 1
    try:
        card = _alias(vm, asked, number) if kind == "NIC_ALIAS" else {"NAME": f"NIC{number}", **asked}
        card = take_card(context.store, vm, number, card)
    except ResourceFault as exc:
        raise Refused(Code.ACTION, str(exc)) from exc
    vm.put_vectors(kind, [*vm.vectors(kind), {**card, **({"ATTACH": "YES"} if running else {})}])
    _note_alias(vm, card, number)
    _next_record(vm, Action.ALIAS_ATTACH if kind == "NIC_ALIAS" else Action.NIC_ATTACH)
    if running:
        then = (lambda: _take_out(context, vm)) if life.fails(context, "attach") else (lambda: _plugged(vm))
        life.begin(context, vm, Lcm.HOTPLUG_NIC, then)


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
        then = (lambda: _plugged(vm)) if life.fails(context, "detach") else (lambda: _take_out(context, vm))
        life.begin(context, vm, Lcm.HOTPLUG_NIC, then)


def _check(vm: VmObject, sentence: str) -> bool:
    running = vm.state is State.ACTIVE and vm.lcm_state is Lcm.RUNNING
    if not running and vm.state is not State.POWEROFF:
        raise Refused(Code.ACTION, f"{sentence}, wrong state {vm.word}.")
    return running


def _all(vm: VmObject) -> list[dict[str, str]]:
    return [one for kind in _KINDS for one in vm.vectors(kind)]


def _alias(vm: VmObject, asked: dict[str, str], number: int) -> dict[str, str]:
    parents = [one for one in vm.vectors("NIC") if one.get("NAME", f"NIC{one['NIC_ID']}") == asked.get("PARENT", "")]
    if not parents:
        raise ResourceFault("Alias not found.")
    parent = parents[0]["NIC_ID"]
    aliases = vm.vectors("NIC_ALIAS")
    last = max((int(one["ALIAS_ID"]) for one in aliases), default=-1) if parents[0].get("ALIAS_IDS") else -1
    return {"NAME": f"NIC{parent}_ALIAS{number}", **asked, "ALIAS_ID": str(last + 1), "PARENT_ID": parent}


def _note_alias(vm: VmObject, card: dict[str, str], number: int) -> None:
    for one in vm.vectors("NIC"):
        if one["NIC_ID"] == card.get("PARENT_ID"):
            known = [*filter(None, one.get("ALIAS_IDS", "").split(",")), str(number)]
            _change(vm, one["NIC_ID"], {"ALIAS_IDS": ",".join(known)})


def _change(vm: VmObject, number: str, values: dict[str, str], *without: str) -> None:
    for kind in _KINDS:
        cards = [{**one, **values} if one["NIC_ID"] == number else one for one in vm.vectors(kind)]
        vm.put_vectors(kind, [{key: text for key, text in one.items() if key not in without} for one in cards])


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
