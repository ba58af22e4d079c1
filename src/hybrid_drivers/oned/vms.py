"""Virtual machines: to look at them, to switch them on and off, to move them.

Arguments of the calls: OpenNebula's XML-RPC reference; what oned refuses and why: ``VirtualMachineAPI.cc``.
"""

from __future__ import annotations

from typing import Final, Literal

from hybrid_drivers.errors import OnedError
from hybrid_drivers.model import Template, Vm
from hybrid_drivers.model_vms import VmDetail, VmDisk, VmPlace
from hybrid_drivers.oned.api import NOTHING, Oned
from hybrid_drivers.oned.fields import Node, filled, number, whole
from hybrid_drivers.oned.template import render
from hybrid_drivers.oned.xml import parse

VmAction = Literal[
    "poweroff",
    "poweroff-hard",
    "resume",
    "suspend",
    "stop",
    "undeploy",
    "undeploy-hard",
    "terminate",
    "terminate-hard",
    "reboot",
    "reboot-hard",
    "hold",
    "release",
    "resched",
    "unresched",
]
Way = Literal["save", "poweroff", "poweroff-hard"]
_WAYS: Final = {"save": 0, "poweroff": 1, "poweroff-hard": 2}  # how a running machine is moved when not live
_RETRY, _DELETE = 2, 3  # of recover's operations (``VirtualMachineAPI.cc``)


class Vms:
    """The virtual machines of one oned. Every method raises an ``OnedError`` as ``Oned`` does.

    Calls that change only begin something: ``get`` shows when it has ended (``VmDetail.settled``).
    """

    def __init__(self, oned: Oned) -> None:
        self._oned = oned

    def pool(self, state: int = -1) -> list[Vm]:
        """Return all of a state, in one call; -1: of any but done."""
        return self._oned.vms(state)

    def get(self, vm_id: int) -> VmDetail:
        """Return one in detail. Raises: NoSuchObject."""
        what = _named(vm_id)
        return read_vm(self._oned.read("vm.info", what, vm_id, False), what)

    def details(self) -> list[VmDetail]:
        """Return all that are not done in detail, in one call; of their history the last record.

        ``one.vmpool.infoextended``, as in ``Oned.waiting_vms``; state -1 is any but done.
        """
        what = "the pool of virtual machines"
        data = self._oned.read("vmpool.infoextended", what, -2, -1, -1, -1)
        return [_detail(one) for one in parse(data, "VM_POOL", what, OnedError).nodes("VM")]

    def action(self, vm_id: int, action: VmAction) -> None:
        """Switch it on or off, or end it. Raises: ActionRefused (not in its present state)."""
        self._oned.write("vm.action", _named(vm_id), action, vm_id)

    def migrate(
        self,
        vm_id: int,
        host_id: int,
        *,
        live: bool = False,
        datastore_id: int = -1,
        way: Way = "save",
        enforce: bool = False,
    ) -> None:
        """Move it to a host: ``live`` while it runs, else as ``way`` says; one that is powered off stays so.

        ``datastore_id`` is the system datastore there (-1: the one it has); another cluster mostly needs one of its
        own. ``enforce`` has oned look at the host's capacity first.

        Raises:
            ActionRefused: oned says why: clusters, datastores or drivers that do not match, or its state.
        """
        what = f"{_named(vm_id)} to host {host_id}"
        self._oned.write("vm.migrate", what, vm_id, host_id, live, enforce, datastore_id, _WAYS[way])

    def retry(self, vm_id: int) -> None:
        """Try again what failed last (``onevm recover --retry``). Raises: ActionRefused (nothing has)."""
        self._oned.write("vm.recover", _named(vm_id), vm_id, _RETRY)

    def delete(self, vm_id: int) -> None:
        """Forget one in whatever state it is, without any order in its host (``onevm recover --delete``)."""
        self._oned.write("vm.recover", _named(vm_id), vm_id, _DELETE)

    def deploy(self, vm_id: int, host_id: int, datastore_id: int = -1, *, enforce: bool = False) -> None:
        """Start one that waits, on a host. Raises: ActionRefused."""
        what = f"{_named(vm_id)} to host {host_id}"
        self._oned.write("vm.deploy", what, vm_id, host_id, enforce, datastore_id, "")

    def instantiate(self, template_id: int, name: str, extra: Template = NOTHING, *, hold: bool = False) -> int:
        """Make one of a template, ``extra`` over it, and return its id. Raises: AllocateRefused."""
        what = f"new virtual machine {name}"
        return self._oned.write("template.instantiate", what, template_id, name, hold, render(extra, what), False)

    def update(self, vm_id: int, template: Template, append: bool = True) -> None:
        """Change its user template, as ``Objects.update`` does."""
        self._oned.change("vm", vm_id, template, append)


def read_vm(data: str, what: str) -> VmDetail:
    """Read ``<VM>``. Raises: OnedError."""
    return _detail(parse(data, "VM", what, OnedError))


def _detail(node: Node) -> VmDetail:
    return VmDetail(
        id=node.need("ID", whole),
        name=node.need("NAME", filled),
        uid=node.need("UID", whole),
        gid=node.need("GID", whole),
        uname=node.need("UNAME", str),
        gname=node.need("GNAME", str),
        state=node.need("STATE", whole),
        lcm_state=node.need("LCM_STATE", whole),
        cpu=node.get("TEMPLATE/CPU", number, 0.0),
        memory=node.get("TEMPLATE/MEMORY", whole, 0),
        disks=tuple(_disk(one) for one in node.nodes("TEMPLATE/DISK")),
        network_ids=tuple(one.need("NETWORK_ID", whole) for one in node.nodes("TEMPLATE/NIC") if _has_network(one)),
        history=tuple(sorted((_place(one) for one in node.nodes("HISTORY_RECORDS/HISTORY")), key=lambda p: p.sequence)),
        template=node.template(),
        user_template=node.template("USER_TEMPLATE"),
        locked=node.get("LOCK/LOCKED", whole, 0) > 0,
        disk_snapshots=bool(node.nodes("SNAPSHOTS/SNAPSHOT")),
    )


def _disk(node: Node) -> VmDisk:
    return VmDisk(
        id=node.need("DISK_ID", whole),
        image_id=node.get("IMAGE_ID", whole, None),
        image=node.get("IMAGE", str, ""),
        datastore_id=node.get("DATASTORE_ID", whole, None),
        cluster_ids=node.get("CLUSTER_ID", _numbers, ()),
        size=node.get("SIZE", whole, 0),
    )


def _place(node: Node) -> VmPlace:
    return VmPlace(
        sequence=node.need("SEQ", whole),
        host_id=node.need("HID", whole),
        host_name=node.need("HOSTNAME", str),
        cluster_id=node.need("CID", whole),
        datastore_id=node.need("DS_ID", whole),
        tm_mad=node.need("TM_MAD", str),
        vm_mad=node.get("VM_MAD", str, ""),
        arrived=node.get("PETIME", whole, 0) > 0,
        ran=node.get("RSTIME", whole, 0) > 0,
    )


def _has_network(node: Node) -> bool:
    return bool(node.get("NETWORK_ID", str, ""))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(whole(one) for one in text.split(",") if one)


def _named(vm_id: int) -> str:
    return f"virtual machine {vm_id}"
