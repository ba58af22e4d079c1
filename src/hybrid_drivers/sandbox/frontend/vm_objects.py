"""A virtual machine and its XML, as a real oned 7.4.0 writes it.

Recorded: ``one.vm.info`` of one that waits, and pools; the records of its history in ``one.vm.info`` are those of
OpenNebula ``History.cc``.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from hybrid_drivers.sandbox.frontend.attributes import Attributes, cdata
from hybrid_drivers.sandbox.frontend.owned import OwnedObject

_OWN: Final = frozenset(  # attributes oned takes out of what a client gives; all others are the user's
    (
        *("AUTOMATIC_REQUIREMENTS", "CONTEXT", "CPU", "CPU_MODEL", "DISK", "EMULATOR", "FEATURES", "GRAPHICS", "INPUT"),
        *(
            "MEMORY",
            "NIC",
            "NIC_ALIAS",
            "NIC_DEFAULT",
            "NUMA_NODE",
            "OS",
            "PCI",
            "RAW",
            "SUBMIT_ON_HOLD",
            "TEMPLATE_ID",
        ),
        *("TEMPLATE_NAME", "TOPOLOGY", "VCPU", "VIDEO", "VMGROUP", "VMID"),
    )
)
_SHOWN_OF_NIC: Final = ("IP", "MAC", "NETWORK", "NETWORK_ID", "NIC_ID", "SECURITY_GROUPS")  # in the pool


class State(IntEnum):
    """The states of a machine (OpenNebula ``VirtualMachine.h``)."""

    PENDING = 1
    HOLD = 2
    ACTIVE = 3
    DONE = 6
    POWEROFF = 8


class Lcm(IntEnum):
    """What goes on while it is ACTIVE."""

    LCM_INIT = 0
    PROLOG = 1
    RUNNING = 3
    MIGRATE = 4
    SAVE_MIGRATE = 7
    SHUTDOWN = 12
    CLEANUP_RESUBMIT = 15
    SHUTDOWN_POWEROFF = 18
    BOOT_POWEROFF = 20
    HOTPLUG_NIC = 25
    BOOT_MIGRATE = 35
    BOOT_FAILURE = 36
    BOOT_MIGRATE_FAILURE = 37
    PROLOG_MIGRATE_POWEROFF = 43
    PROLOG_MIGRATE_POWEROFF_FAILURE = 44


class Action(IntEnum):
    """Why a record of the history ended (``VMActions.h``)."""

    NONE = 0
    MIGRATE = 1
    LIVE_MIGRATE = 2
    POWEROFF = 19
    POWEROFF_HARD = 20
    NIC_ATTACH = 23
    NIC_DETACH = 24
    TERMINATE = 27
    TERMINATE_HARD = 28
    ALIAS_ATTACH = 46
    ALIAS_DETACH = 47


@dataclass(kw_only=True)
class Record:
    """A record of the history; times are unix seconds, 0 for what was not (yet).

    ``transfer`` is when its disks began to come and when they were there, ``ran`` when it began to run.
    """

    sequence: int
    host_id: int
    host_name: str
    cluster_id: int
    datastore_id: int
    vm_mad: str
    tm_mad: str
    started: int = field(default_factory=lambda: int(time.time()))
    ended: int = 0
    action: int = Action.NONE
    transfer: tuple[int, int] = (0, 0)
    ran: int = 0

    def short(self, vm_id: int) -> str:
        """Return it as the pool shows it."""
        return (
            f"<HISTORY><OID>{vm_id}</OID><SEQ>{self.sequence}</SEQ><HOSTNAME>{cdata(self.host_name)}</HOSTNAME>"
            f"<HID>{self.host_id}</HID><CID>{self.cluster_id}</CID><DS_ID>{self.datastore_id}</DS_ID>"
            f"<VM_MAD>{cdata(self.vm_mad)}</VM_MAD><TM_MAD>{cdata(self.tm_mad)}</TM_MAD>"
            f"<ACTION>{cdata(str(int(self.action)))}</ACTION></HISTORY>"
        )

    def xml(self, vm_id: int) -> str:
        """Return it whole."""
        begin, end = self.started, self.ended
        times = f"<PSTIME>{self.transfer[0]}</PSTIME><PETIME>{self.transfer[1]}</PETIME><RSTIME>{self.ran}</RSTIME>"
        return (
            f"<HISTORY><OID>{vm_id}</OID><SEQ>{self.sequence}</SEQ><HOSTNAME>{self.host_name}</HOSTNAME>"
            f"<HID>{self.host_id}</HID><CID>{self.cluster_id}</CID><STIME>{begin}</STIME><ETIME>{end}</ETIME>"
            f"<VM_MAD>{cdata(self.vm_mad)}</VM_MAD><TM_MAD>{cdata(self.tm_mad)}</TM_MAD><DS_ID>{self.datastore_id}</DS_ID>"
            f"{times}<RETIME>{end if self.ran else 0}</RETIME><ESTIME>0</ESTIME><EETIME>0</EETIME>"
            f"<ACTION>{int(self.action)}</ACTION><UID>0</UID><GID>0</GID>"
            "<REQUEST_ID>-1</REQUEST_ID></HISTORY>"
        )


@dataclass(kw_only=True)
class VmObject(OwnedObject):
    """A machine; ``template`` is what oned made of the request, ``user`` what it does not know.

    ``changed`` is told of each state it comes into.
    """

    state: State = State.PENDING
    lcm_state: Lcm = Lcm.LCM_INIT
    previous: State = State.PENDING
    previous_lcm: Lcm = Lcm.LCM_INIT
    started: int = field(default_factory=lambda: int(time.time()))
    ended: int = 0
    last_poll: int = 0
    deploy_id: str = ""
    monitoring: Attributes | None = None
    user: Attributes = field(default_factory=Attributes)
    history: list[Record] = field(default_factory=list)
    resched: bool = False  # to be moved by the scheduler
    changed: Callable[[VmObject], None] = field(default=lambda _: None, repr=False)

    @classmethod
    def of(cls, attributes: Attributes) -> VmObject:
        """Make one of a template, its NAME still in it."""
        told = [(key, value) for key, value in attributes.template() if key != "NAME"]
        made = cls(id=-1, name=attributes.text("NAME").rstrip())
        made.template = Attributes((key, value) for key, value in told if key in _OWN)
        made.user = Attributes((key, value) for key, value in told if key not in _OWN)
        system = {"MACHINE": "q35", "UUID": str(uuid.uuid4()), **made.template.template().vector("OS")}
        made.template.set("OS", system)
        return made

    @property
    def word(self) -> str:
        """Return its state as sentences have it."""
        return self.lcm_state.name if self.state is State.ACTIVE else self.state.name

    def enter(self, state: State, lcm_state: Lcm = Lcm.LCM_INIT) -> None:
        """Change the state; what is stored as the one before is the new one, as with oned once it is stored."""
        same = (self.previous, self.previous_lcm) == (state, lcm_state)
        self.state, self.lcm_state = state, lcm_state
        if not same:
            self.changed(self)
        self.previous, self.previous_lcm = state, lcm_state

    def vectors(self, name: str) -> list[dict[str, str]]:
        """Return its disks or network cards."""
        return self.template.template().vectors(name)

    def put_vectors(self, name: str, vectors: list[dict[str, str]]) -> None:
        """Replace its disks or network cards."""
        self.template.remove(name)
        self.template.add([(name, one) for one in vectors])

    def _begin(self, last_poll: int) -> str:
        states = f"<STATE>{int(self.state)}</STATE><LCM_STATE>{int(self.lcm_state)}</LCM_STATE>"
        return f"<LAST_POLL>{last_poll}</LAST_POLL>{states}"

    def _middle(self) -> str:
        return (
            f"<RESCHED>{int(self.resched)}</RESCHED><STIME>{self.started}</STIME><ETIME>{self.ended}</ETIME>"
            f"<DEPLOY_ID>{self.deploy_id}</DEPLOY_ID>"
        )

    def _records(self, shown: list[str]) -> str:
        return f"<HISTORY_RECORDS>{''.join(shown)}</HISTORY_RECORDS>" if shown else "<HISTORY_RECORDS/>"

    def xml(self, records: int = 0) -> str:
        """Return ``<VM>``, with so many of the last records of its history; 0: all."""
        return (
            f"<VM>{self.head()}{self.rights()}{self._begin(self.last_poll)}<PREV_STATE>{int(self.previous)}</PREV_STATE>"
            f"<PREV_LCM_STATE>{int(self.previous_lcm)}</PREV_LCM_STATE>{self._middle()}"
            f"{self.monitoring.xml('MONITORING') if self.monitoring else '<MONITORING/>'}"
            f"<SCHED_ACTIONS></SCHED_ACTIONS>{self.template.xml()}{self.user.xml('USER_TEMPLATE')}"
            f"{self._records([one.xml(self.id) for one in self.history[-records:]])}"
            "<BACKUPS><BACKUP_CONFIG/><BACKUP_IDS></BACKUP_IDS></BACKUPS></VM>"
        )

    def short(self) -> str:
        """Return ``<VM>`` as the pool shows it."""
        plain = "".join(f"<{key}>{self.template.text(key)}</{key}>" for key in ("CPU", "MEMORY", "VCPU"))
        cards = "".join(_short_nic(one) for one in self.vectors("NIC"))
        shown = ("ERROR", "LABELS", "SCHED_MESSAGE")
        user = Attributes((key, value) for key, value in self.user.template() if key in shown)
        told = user.xml("USER_TEMPLATE") if list(user.template()) else "<USER_TEMPLATE/>"
        return (
            f"<VM>{self.head()}{self._begin(0)}{self._middle()}<TEMPLATE>{plain}{cards}</TEMPLATE><MONITORING/>{told}"
            f"{self._records([self.history[-1].short(self.id)] if self.history else [])}</VM>"
        )


def _short_nic(nic: dict[str, str]) -> str:
    inner = "".join(f"<{key}>{cdata(nic[key])}</{key}>" for key in _SHOWN_OF_NIC if key in nic)
    return f"<NIC>{inner}</NIC>"
