"""Virtual machines of oned in detail: where they were and are, and what their disks and networks are."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_drivers.model import Template

PENDING, HOLD, ACTIVE, STOPPED, SUSPENDED, DONE, POWEROFF, UNDEPLOYED = 1, 2, 3, 4, 5, 6, 8, 9  # VirtualMachine.h
RUNNING, UNKNOWN = 3, 16  # lcm_states within ACTIVE; unknown: its host is not heard of
MOVE_FAILED = 44  # the disks of one that is off could not be brought to its new place
FAILURES = frozenset((*range(36, 43), MOVE_FAILED, *range(46, 51), 61))  # lcm_states: an operation failed (*_FAILURE)
STATES = (  # by number (VirtualMachine.h)
    *("INIT", "PENDING", "HOLD", "ACTIVE", "STOPPED", "SUSPENDED"),
    *("DONE", "FAILED", "POWEROFF", "UNDEPLOYED", "CLONING", "CLONING_FAILURE"),
)
LCM_STATES = (  # by number
    *("LCM_INIT", "PROLOG", "BOOT", "RUNNING", "MIGRATE", "SAVE_STOP", "SAVE_SUSPEND", "SAVE_MIGRATE"),
    *("PROLOG_MIGRATE", "PROLOG_RESUME", "EPILOG_STOP", "EPILOG", "SHUTDOWN", "CANCEL", "FAILURE"),
    *("CLEANUP_RESUBMIT", "UNKNOWN", "HOTPLUG", "SHUTDOWN_POWEROFF", "BOOT_UNKNOWN", "BOOT_POWEROFF"),
    *("BOOT_SUSPENDED", "BOOT_STOPPED", "CLEANUP_DELETE", "HOTPLUG_SNAPSHOT", "HOTPLUG_NIC", "HOTPLUG_SAVEAS"),
    *("HOTPLUG_SAVEAS_POWEROFF", "HOTPLUG_SAVEAS_SUSPENDED", "SHUTDOWN_UNDEPLOY", "EPILOG_UNDEPLOY"),
    *("PROLOG_UNDEPLOY", "BOOT_UNDEPLOY", "HOTPLUG_PROLOG_POWEROFF", "HOTPLUG_EPILOG_POWEROFF", "BOOT_MIGRATE"),
    *("BOOT_FAILURE", "BOOT_MIGRATE_FAILURE", "PROLOG_MIGRATE_FAILURE", "PROLOG_FAILURE", "EPILOG_FAILURE"),
    *("EPILOG_STOP_FAILURE", "EPILOG_UNDEPLOY_FAILURE", "PROLOG_MIGRATE_POWEROFF"),
    *("PROLOG_MIGRATE_POWEROFF_FAILURE", "PROLOG_MIGRATE_SUSPEND", "PROLOG_MIGRATE_SUSPEND_FAILURE"),
    *("BOOT_UNDEPLOY_FAILURE", "BOOT_STOPPED_FAILURE", "PROLOG_RESUME_FAILURE", "PROLOG_UNDEPLOY_FAILURE"),
    *("DISK_SNAPSHOT_POWEROFF", "DISK_SNAPSHOT_REVERT_POWEROFF", "DISK_SNAPSHOT_DELETE_POWEROFF"),
    *("DISK_SNAPSHOT_SUSPENDED", "DISK_SNAPSHOT_REVERT_SUSPENDED", "DISK_SNAPSHOT_DELETE_SUSPENDED"),
    *("DISK_SNAPSHOT", "DISK_SNAPSHOT_REVERT", "DISK_SNAPSHOT_DELETE", "PROLOG_MIGRATE_UNKNOWN"),
    "PROLOG_MIGRATE_UNKNOWN_FAILURE",
)


@dataclass(frozen=True, kw_only=True)
class VmDisk:
    """A disk; a volatile one has no image. ``size`` in MiB; ``cluster_ids`` are those of its image's datastore."""

    id: int
    image_id: int | None
    image: str = ""
    datastore_id: int | None = None
    cluster_ids: tuple[int, ...] = ()
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class VmPlace:
    """A record of its history: a host and the system datastore used there.

    ``arrived``: its disks have been brought there; ``ran``: it has begun to run there.
    """

    sequence: int
    host_id: int
    host_name: str
    cluster_id: int
    datastore_id: int
    tm_mad: str
    vm_mad: str = ""
    arrived: bool = False
    ran: bool = False


@dataclass(frozen=True, kw_only=True)
class VmDetail:
    """A virtual machine as ``one.vm.info`` shows it; ``history`` is in order, the last is where it is."""

    id: int
    name: str
    uid: int
    gid: int
    uname: str
    gname: str
    state: int
    lcm_state: int
    cpu: float  # cores
    memory: int  # MiB
    disks: tuple[VmDisk, ...]
    network_ids: tuple[int, ...]
    history: tuple[VmPlace, ...]
    template: Template
    user_template: Template
    locked: bool = False  # ``onevm lock``
    disk_snapshots: bool = False

    @property
    def word(self) -> str:
        """Return its state by oned's name: what goes on while it is ACTIVE, else POWEROFF and the like."""
        names, number = (LCM_STATES, self.lcm_state) if self.state == ACTIVE else (STATES, self.state)
        return names[number] if 0 <= number < len(names) else str(number)

    @property
    def place(self) -> VmPlace | None:
        """Return where it is, or was last; None when it never ran."""
        return self.history[-1] if self.history else None

    @property
    def runs(self) -> bool:
        """Tell whether it runs."""
        return self.state == ACTIVE and self.lcm_state == RUNNING

    @property
    def powered_off(self) -> bool:
        """Tell whether it is switched off and still on its host."""
        return self.state == POWEROFF

    @property
    def settled(self) -> bool:
        """Tell whether no operation is under way."""
        return self.state != ACTIVE or self.lcm_state in (RUNNING, UNKNOWN, *FAILURES)

    @property
    def failed(self) -> bool:
        """Tell whether its last operation failed and somebody has to look."""
        return self.state == ACTIVE and self.lcm_state in FAILURES

    @property
    def error(self) -> str:
        """Return what oned says went wrong last, empty when nothing."""
        return self.user_template.text("ERROR")
