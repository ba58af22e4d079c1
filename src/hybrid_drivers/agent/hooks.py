"""The hook ``alias_ip``: public addresses follow virtual machines where oned does not run ``vnm/hybrid`` here.

Hooks come late, in any order, several at once and for machines of all kinds (``onehem-server.rb``). So what is in the
document is a hint, and oned's present state decides; what is done by oned's own network drivers is done again without
harm. Of a change of state:

* RUNNING: the machine was started, has moved, or a card was plugged in or out: its cards get their addresses. Plugging
  ends with it in any case, so a card that could not be plugged in never gets one.
* HOTPLUG_NIC: a card that is plugged out gives its address back; afterwards oned no longer knows which it was.
* DONE: all give theirs back.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

from hybrid_drivers.errors import NoSuchObject
from hybrid_drivers.model_vms import ACTIVE, DONE, RUNNING
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.hook_actions import HOTPLUG_NIC, CardCall, HookEvent, Machine, read_machine
from hybrid_drivers.oned.process import Answer

OURS: Final = ("hybrid", "alias_sdnat")  # the VN_MADs whose cards may have public addresses
_TURNS: Final = 64


class VmAddresses(Protocol):
    """What gives a machine's cards their public addresses and takes them away; repeating either is harmless.

    ``vm_document`` is ``<VM>`` (not base64) with one record of history, as network drivers get it, ``host`` the name in
    that. Cards are those of ``OURS``; where some have ``<ATTACH>YES`` both are about these only. Raises HybridError.
    """

    def post(self, vm_document: bytes, host: str) -> None:
        """Give the cards their addresses on ``host``, wherever those were before."""

    def clean(self, vm_document: bytes, host: str) -> None:
        """Take the addresses from ``host``; those that are elsewhere, or leased to another machine by now, stay."""


class AliasIp:
    """Answers the calls of the hook."""

    def __init__(self, oned: Oned, addresses: VmAddresses) -> None:
        self._oned, self._addresses = oned, addresses
        self._turns = [threading.Lock() for _ in range(_TURNS)]

    def answer(self, event: HookEvent) -> Answer:
        """Carry out what follows from an event; of one machine one after another.

        Raises:
            HybridError: oned does not answer, or an address could not be given or taken.
        """
        vm_id = event.vm_id if isinstance(event, CardCall) else event.machine.id
        if isinstance(event, CardCall):
            if not event.taken:
                return Answer()
        elif not _concerned(event.machine):  # most machines of most clouds
            return Answer()
        with self._turns[vm_id % _TURNS]:
            now = self._machine(vm_id)
            then = now if isinstance(event, CardCall) else event.machine
            if then is not None:
                self._follow(then, now)
        return Answer()

    def _follow(self, then: Machine, now: Machine | None) -> None:
        running = now is not None and (now.state, now.lcm_state) == (ACTIVE, RUNNING)
        if then.state == DONE:
            self._free(then.plugged())
        elif (then.state, then.lcm_state) == (ACTIVE, HOTPLUG_NIC):
            if then.detaching and not _still_there(then, now):
                self._free(then.unplugged())
        elif now is not None and running and _concerned(now):  # if it does not, running again and ending are told too
            self._addresses.post(now.plugged().document, now.host)

    def _free(self, machine: Machine) -> None:
        about = [one for one in machine.cards if one.attach] or machine.cards
        if machine.host and any(one.vn_mad in OURS for one in about):
            self._addresses.clean(machine.document, machine.host)

    def _machine(self, vm_id: int) -> Machine | None:
        what = f"virtual machine {vm_id}"
        try:
            return read_machine(self._oned.read("vm.info", what, vm_id, False).encode(), what)
        except NoSuchObject:
            return None


def _concerned(machine: Machine) -> bool:
    return any(one.vn_mad in OURS for one in machine.cards)


def _still_there(then: Machine, now: Machine | None) -> bool:
    """Tell whether a card that was to be plugged out is back: the hypervisor did not let it go."""
    going = {one.id for one in then.cards if one.attach}
    return now is not None and any(one.id in going and not one.attach for one in now.cards)
