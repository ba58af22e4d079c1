"""The calls of virtual machines: made, started, switched off and on, moved, ended. No hypervisor is asked.

Facts: recorded replies; OpenNebula ``VirtualMachineAPI.cc``, ``TemplateAPI.cc``, ``DispatchManagerActions.cc``. What
waits is started by ``one.vm.deploy``, or by ``scheduler`` when the knob says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hybrid_drivers.sandbox.frontend import vm_cards as cards
from hybrid_drivers.sandbox.frontend import vm_life as life
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, change_template
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.ipam import held
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store, name_fault
from hybrid_drivers.sandbox.frontend.template_calls import VmTemplates
from hybrid_drivers.sandbox.frontend.vm_moves import check_capacity, check_deploy, check_move, place_of
from hybrid_drivers.sandbox.frontend.vm_objects import Action, Lcm, State, VmObject
from hybrid_drivers.sandbox.frontend.vm_resources import ResourceFault, take

_ANY, _ALL_BUT_DONE = -2, -1
_RETRY, _DELETE, _RECREATE = 2, 3, 4  # of one.vm.recover
_ENDS: Final[Mapping[str, Action]] = {"terminate": Action.TERMINATE, "terminate-hard": Action.TERMINATE_HARD}
_OFF: Final[Mapping[str, Action]] = {"poweroff": Action.POWEROFF, "poweroff-hard": Action.POWEROFF_HARD}


class Vms(Family[VmObject]):
    """Virtual machines; several may have one name."""

    call, word, taken, root, named_once = "vm", "virtual machine", "VM", "VM", ""

    def pool(self, store: Store) -> Pool[VmObject]:
        """Return the machines; those that tests only listed are not among them."""
        return store.machines

    def xml(self, context: Context, one: VmObject, decrypt: bool) -> str:
        """Return the document."""
        return one.xml()

    def listed(self, context: Context, one: VmObject) -> str:
        """Return the short document."""
        return one.short()

    def update(self, context: Context, object_id: int, text: str, how: int = 0) -> int:
        """one.vm.update: of the user's part only."""
        one = self.get(context, object_id)
        one.user = change_template(one.user, text, how)
        return object_id

    def of_state(self, context: Context, whose: int, first: int, last: int, state: int, _filter: str = "") -> str:
        """one.vmpool.info: by state, -2 is any, -1 all but done; ``Store.vms`` come last."""
        found = self.pool_info(context, whose, first, last, lambda one: _is_of(one.state, state))
        raw = "".join(xml for of, xml in context.store.vms if _is_of(of, state))
        return found.replace("</VM_POOL>", f"{raw}</VM_POOL>")

    def whole_of_state(
        self, context: Context, _whose: int, _first: int, _last: int, state: int, _filter: str = ""
    ) -> str:
        """one.vmpool.infoextended: the documents of a state, the newest first; of their history the last record."""
        found = [one for one in context.store.machines.newest_first() if _is_of(one.state, state)]
        return f"<VM_POOL>{''.join(one.xml(records=1) for one in found)}</VM_POOL>"

    # --- making one ---

    def allocate(self, context: Context, text: str, hold: bool = False) -> int:
        """one.vm.allocate."""
        return self._make(context, self.read(text), hold, self.word)

    def instantiate(
        self, context: Context, template_id: int, name: str, hold: bool = False, text: str = "", _keep: bool = False
    ) -> int:
        """one.template.instantiate: what ``text`` has replaces attributes of the template."""
        source = VmTemplates().get(context, template_id)
        attributes = Attributes(source.template.template())
        attributes.merge(self.read(text).template())
        attributes.set("TEMPLATE_ID", str(source.id))
        attributes.set("NAME", name or f"{source.name}-{context.store.machines.next_id}")
        return self._make(context, attributes, hold, VmTemplates.word)

    def _make(self, context: Context, attributes: Attributes, hold: bool, word: str) -> int:
        store, made = context.store, VmObject.of(attributes)
        made.changed = store.vm_changed
        with held(store.ipam, store.births):
            made.id = store.machines.next_id
            made.name = made.name or f"one-{made.id}"
            made.template.set("VMID", str(made.id))
            try:
                _check(made)
                take(store, made)
            except ResourceFault as exc:
                raise Refused(Code.ALLOCATE, f"Error allocating a new {word}. {exc}") from exc
            made.enter(State.HOLD if hold else State.PENDING)
            return store.machines.put(made).id

    # --- its life ---

    def deploy(
        self,
        context: Context,
        vm_id: int,
        host_id: int,
        _enforce: bool = False,
        datastore_id: int = -1,
        _more: str = "",
    ) -> int:
        """one.vm.deploy: datastore -1 is the first system datastore of the host's cluster."""
        host, datastore = place_of(context, host_id, datastore_id)
        one = self.get(context, vm_id)
        datastore = check_deploy(context, one, host, datastore)
        one.deploy_id = f"{host.name}:{one.name}:dummy" if host.vm_mad == "dummy" else f"one-{one.id}"
        life.deploy(context, one, host, datastore)
        return vm_id

    def action(self, context: Context, name: str, vm_id: int) -> int:
        """one.vm.action: those of a simple life."""
        one = self.get(context, vm_id)
        if name in _ENDS:
            self._terminate(context, one, _ENDS[name])
        elif name in _OFF:
            self._need(one, name, one.state is State.ACTIVE and one.lcm_state is Lcm.RUNNING)
            life.power_off(context, one, _OFF[name])
        elif name == "resume":
            self._need(one, name, one.state is State.POWEROFF)
            life.boot(context, one)
        elif name in ("resched", "unresched"):
            self._need(one, name, one.state is State.POWEROFF or one.lcm_state is Lcm.RUNNING)
            one.resched = name == "resched"
        elif name in ("hold", "release"):
            self._need(one, name, one.state is (State.PENDING if name == "hold" else State.HOLD))
            one.enter(State.HOLD if name == "hold" else State.PENDING)
        else:
            raise Refused(Code.ACTION, f'Action "{name}" is not supported')
        return vm_id

    def migrate(  # noqa: PLR0917 # oned's own arguments, in its order
        self,
        context: Context,
        vm_id: int,
        host_id: int,
        live: bool,
        enforce: bool = False,
        datastore_id: int = -1,
        _way: int = 0,
    ) -> int:
        """one.vm.migrate: live only one that runs; one that is powered off stays so; ``enforce`` looks at capacity."""
        host, datastore = place_of(context, host_id, datastore_id)
        one = self.get(context, vm_id)
        datastore = check_move(context, one, host, datastore, live=live)
        if enforce:
            check_capacity(context, one, host)
        life.move(context, one, host, datastore, live=live)
        return vm_id

    def recover(self, context: Context, vm_id: int, operation: int) -> int:
        """one.vm.recover: 3 deletes, 4 has it wait again; 2, another try, only of the transfer of one that is off."""
        one = self.get(context, vm_id)
        if operation == _DELETE and one.state is not State.DONE:
            life.delete(context, one)
            return vm_id
        if operation == _RECREATE and one.state is State.ACTIVE:
            life.recreate(context, one)
            return vm_id
        if operation != _RETRY or one.lcm_state is not Lcm.PROLOG_MIGRATE_POWEROFF_FAILURE:
            raise Refused(Code.ACTION, f"Recover action is not available for state {one.word}")
        life.transfer(context, one)
        return vm_id

    def attach_card(self, context: Context, vm_id: int, text: str) -> int:
        """one.vm.attachnic."""
        cards.attach(context, self.get(context, vm_id), self.read(text))
        return vm_id

    def detach_card(self, context: Context, vm_id: int, number: int) -> int:
        """one.vm.detachnic."""
        cards.detach(context, self.get(context, vm_id), number)
        return vm_id

    def _terminate(self, context: Context, one: VmObject, action: Action) -> None:
        if one.state is State.DONE:
            return
        if one.state in (State.PENDING, State.HOLD):
            life.done(context, one, action)
            return
        ends_so = (Lcm.RUNNING, Lcm.BOOT_FAILURE, Lcm.BOOT_MIGRATE_FAILURE)
        busy = one.state is State.ACTIVE and one.lcm_state not in ends_so
        if busy and not (action is Action.TERMINATE_HARD and one.lcm_state is Lcm.SHUTDOWN):
            why = f"Could not terminate VM {one.id}, wrong state {one.word}."
            name = next(name for name, of in _ENDS.items() if of is action)
            raise Refused(Code.ACTION, f'Error performing action "{name}": {why}')
        life.terminate(context, one, action)

    def _need(self, one: VmObject, name: str, fits: bool) -> None:
        if not fits:
            why = f"This action is not available for state {one.word}"
            raise Refused(Code.ACTION, f'Error performing action "{name}": {why}')

    def methods(self) -> dict[str, Method]:
        """Machines are terminated, not deleted."""
        calls = super().methods()
        del calls["one.vm.delete"]
        return {
            **calls,
            "one.vm.allocate": Method(self.allocate, "s|b", writes=True),
            "one.vm.deploy": Method(self.deploy, "ii|bis", writes=True),
            "one.vm.action": Method(self.action, "si", writes=True),
            "one.vm.migrate": Method(self.migrate, "iib|bii", writes=True),
            "one.vm.attachnic": Method(self.attach_card, "is", writes=True),
            "one.vm.detachnic": Method(self.detach_card, "ii", writes=True),
            "one.vm.recover": Method(self.recover, "ii", writes=True),
            "one.vmpool.info": Method(self.of_state, "iiii|s"),
            "one.vmpool.infoextended": Method(self.whole_of_state, "iiii|s"),
            "one.template.instantiate": Method(self.instantiate, "is|bsb", writes=True),
        }


def _is_of(state: int, wanted: int) -> bool:
    return wanted in (_ANY, state) or (wanted == _ALL_BUT_DONE and state != State.DONE)


def _check(vm: VmObject) -> None:
    if fault := name_fault(vm.name):
        raise ResourceFault(fault)
    for name, kind in (("CPU", "float or integer"), ("MEMORY", "integer")):
        try:
            fits = float(vm.template.text(name)) > 0
        except ValueError:
            fits = False
        if not fits:
            raise ResourceFault(f"{name} attribute must be a positive {kind} value.")
