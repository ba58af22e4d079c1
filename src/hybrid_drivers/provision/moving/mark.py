"""The mark on a virtual machine that was switched off to be moved: ``HYBRID_MOVE`` in its user template.

It is written before the machine is switched off or moved and taken away when all is done, so that a second run of a
command that was killed knows whose doing it is and whether the machine is to run. Switching on by hand makes it void:
that begins another record of its history (OpenNebula ``LifeCycleActions.cc``, ``restart_action``).
"""

from __future__ import annotations

from hybrid_drivers.model import Template
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.vms import Vms

ATTRIBUTE = "HYBRID_MOVE"


def write(vms: Vms, vm: VmDetail, target_id: int, *, start: bool, who: str) -> None:
    """Note where a machine is, and whether it is to run when it has been moved. Raises: OnedError."""
    place = vm.place
    if place is not None:
        told = {"RECORD": place.sequence, "HOST": place.host_id, "DATASTORE": place.datastore_id, "TO": target_id}
        words = {"RESUME": "YES" if start else "NO", "WHO": who}
        vms.update(vm.id, Template([(ATTRIBUTE, {**{key: str(one) for key, one in told.items()}, **words})]))


def clear(vms: Vms, vm_id: int) -> None:
    """Take the mark away. Raises: OnedError.

    Only its value: oned has no call that removes one attribute, and replacing the whole user template could undo what
    the machine writes there at the same moment (OneGate).
    """
    vms.update(vm_id, Template([(ATTRIBUTE, "")]))


def there(vm: VmDetail) -> bool:
    """Tell whether a machine has a mark, void or not."""
    return bool(vm.user_template.vector(ATTRIBUTE))


def holds(vm: VmDetail) -> bool:
    """Tell whether a machine that is off is to run again: since the mark nobody but us has moved or started it."""
    mark, place = vm.user_template.vector(ATTRIBUTE), vm.place
    if mark.get("RESUME") != "YES" or place is None:
        return False
    try:
        record, old = int(mark["RECORD"]), (int(mark["HOST"]), int(mark["DATASTORE"]))
    except (KeyError, ValueError):
        return False
    if place.sequence == record:
        return True
    return place.sequence == record + 1 and (place.host_id, place.datastore_id) != old
