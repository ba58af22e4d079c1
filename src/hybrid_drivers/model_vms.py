"""Virtual machines of oned in detail: where they were and are, and what their disks and networks are."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_drivers.model import Template

PENDING, HOLD, ACTIVE, STOPPED, SUSPENDED, DONE, POWEROFF, UNDEPLOYED = 1, 2, 3, 4, 5, 6, 8, 9  # VirtualMachine.h
RUNNING, UNKNOWN = 3, 16  # lcm_states within ACTIVE; unknown: its host is not heard of
FAILURES = frozenset((*range(36, 43), 44, *range(46, 51), 61))  # lcm_states: an operation failed (*_FAILURE)


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
    """A record of its history: a host and the system datastore used there."""

    sequence: int
    host_id: int
    host_name: str
    cluster_id: int
    datastore_id: int
    tm_mad: str


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
