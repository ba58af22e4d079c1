"""What of the stand-in can be changed while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Final

VM_WORDS: Final = ("poweroff", "move", "live", "boot", "terminate", "attach", "detach")


class RaftState(Enum):
    """The states of a server of an HA front-end, with oned's numbers (``one.zone.raftstatus``)."""

    SOLO = 0
    CANDIDATE = 1
    FOLLOWER = 2
    LEADER = 3

    @property
    def leads(self) -> bool:
        """Tell whether this server writes and monitors."""
        return self in (RaftState.SOLO, RaftState.LEADER)


@dataclass
class Knobs:
    """The knobs; times in seconds.

    ``down`` is ``""``, ``"refuse"`` (connections are closed without an answer) or ``"503"``; ``slow`` is added to every
    call; ``raft`` a name of :class:`RaftState`; the others are OpenNebula's own: MONITORING_INTERVAL_HOST,
    MANAGER_TIMER, the time after which a START without an answer is repeated (``HostMonitorManager.cc``: 300 s), and
    the driver's time limit (``one_im_sh -w``), PROBES_PERIOD/BEACON_HOST and MONITOR_HOST.

    ``ipam_timeout``: how long an answer of an address driver is waited for (``SyncRequest.h``).
    ``image_seconds``, ``vnet_seconds``: how long drivers work on an image or a network that is made or deleted;
    ``vm_seconds`` on a machine that starts, stops or moves; ``image_error``: why every new image ends in ERROR (empty:
    none does); ``vm_fails``: words of what fails with machines, of :data:`VM_WORDS`;
    ``scheduler``: seconds between two rounds of the scheduler, 0 for none.
    """

    down: str = ""
    slow: float = 0.0
    raft: str = "SOLO"
    monitoring_interval: float = 180.0
    timer_period: float = 15.0
    progress_expiry: float = 300.0
    driver_timeout: float = 90.0
    ipam_timeout: float = 90.0
    beacon_period: float = 30.0
    monitor_period: float = 120.0
    image_seconds: float = 0.05
    image_error: str = ""
    vnet_seconds: float = 0.05
    vm_seconds: float = 0.05
    vm_fails: str = ""
    scheduler: float = 0.0

    @property
    def raft_state(self) -> RaftState:
        """Return ``raft`` as a state."""
        return RaftState[self.raft]

    def change(self, values: Mapping[str, object]) -> None:
        """Set several knobs at once.

        Raises:
            ValueError: for an unknown name or a value that does not fit; then nothing is changed.
        """
        known = {one.name: type(getattr(self, one.name)) for one in fields(self)}
        checked: dict[str, object] = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no knob is called {name}; there are: {', '.join(known)}")
            try:
                checked[name] = known[name](value)
            except (TypeError, ValueError) as exc:
                raise ValueError(f"knob {name} takes a {known[name].__name__}, not {value!r}") from exc
        if checked.get("down", "") not in ("", "refuse", "503"):
            raise ValueError("knob down is '', 'refuse' or '503'")
        if checked.get("raft", "SOLO") not in RaftState.__members__:
            raise ValueError(f"knob raft is one of {', '.join(RaftState.__members__)}")
        if strange := set(str(checked.get("vm_fails", "")).split()) - set(VM_WORDS):
            raise ValueError(f"knob vm_fails takes words of {', '.join(VM_WORDS)}, not {min(strange)}")
        for name, value in checked.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, object]:
        """Return all knobs by name."""
        return asdict(self)
