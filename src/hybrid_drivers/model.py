"""The things the project talks about, as frozen values: machines, what to rent, oned's hosts and templates.

Nothing here does input or output, and nothing of ours is imported.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Union

# --- machines at a provider -------------------------------------------------------------------------------------


class MachineState(enum.Enum):
    """What a provider's own state word means to us."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"
    GONE = "gone"
    UNKNOWN = "unknown"

    @property
    def exists(self) -> bool:
        """Tell whether such a machine may still cost money."""
        return self is not MachineState.GONE


@dataclass(frozen=True, kw_only=True)
class Address:
    """One address of a machine; ``prefix`` is the network's length in bits."""

    address: str
    family: int  # 4 or 6
    public: bool
    prefix: int | None = None
    gateway: str | None = None


@dataclass(frozen=True, kw_only=True)
class MachineTags:
    """What we write on every machine, so that it can be found and told from other people's."""

    owner: str  # HYBRID_OWNER of the zone
    host_id: int  # of oned; -1 when made outside a host (5.12 tools)
    token: str  # of the intent
    name: str = ""  # the host's friendly name, for people


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine as the provider shows it. ``created`` is unix seconds, ``progress`` percent (None: not told)."""

    id: str
    state: MachineState
    tags: MachineTags | None = None  # None: not ours
    addresses: tuple[Address, ...] = ()
    hostname: str = ""
    plan: str = ""
    place: str = ""
    created: float | None = None
    progress: float | None = None
    failure: str = ""  # why it failed, in the provider's words
    failure_is_capacity: bool = False

    def address(self, *, prefer_private: bool = False) -> str | None:
        """Return the address to reach it by: a public IPv4 first, then a private IPv4, then public IPv6."""
        order = [(4, False), (4, True), (6, True)] if prefer_private else [(4, True), (4, False), (6, True)]
        for family, public in order:
            for one in self.addresses:
                if one.family == family and one.public is public:
                    return one.address
        return None


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One candidate of what to rent and where; several make the fallbacks for sold-out plans."""

    plan: str
    place: str  # metro, facility or availability zone: the provider's own word


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """Everything a provider needs to make one machine.

    ``token`` is also the idempotency token where the provider has one: 64 ASCII characters at most.
    ``user_data`` is a cloud-config document; it may hold a private host key, so it is never logged.
    ``attributes`` are the merged PROVISION attributes (upper-case keys), as ``Provider.placements`` accepted them.
    ``last_look`` is called when the request's turn has come, right before it leaves; what it raises stops the create.
    """

    token: str
    tags: MachineTags
    hostname: str
    placement: Placement
    attributes: Mapping[str, str]
    user_data: str = field(repr=False, default="")
    last_look: Callable[[], None] = field(repr=False, compare=False, default=lambda: None)


# --- oned's objects ---------------------------------------------------------------------------------------------

Value = Union[str, Mapping[str, str]]  # a plain attribute, or a vector attribute


class HostState(enum.IntEnum):
    """The states of a host in oned (OpenNebula ``Host.h``)."""

    INIT = 0
    MONITORING_MONITORED = 1
    MONITORED = 2
    ERROR = 3
    DISABLED = 4
    MONITORING_ERROR = 5
    MONITORING_INIT = 6
    MONITORING_DISABLED = 7
    OFFLINE = 8


class RaftState(enum.IntEnum):
    """What this front-end is in its zone (``one.zone.raftstatus``; OpenNebula ``RaftManager.h``)."""

    SOLO = 0
    CANDIDATE = 1
    FOLLOWER = 2
    LEADER = 3

    @property
    def leads(self) -> bool:
        """Tell whether this front-end's oned is the one that accepts writes."""
        return self in (RaftState.SOLO, RaftState.LEADER)


class Template:
    """An OpenNebula template: names in upper case, values plain or vector, a name may come several times."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, Value]] = ()) -> None:
        self._pairs: tuple[tuple[str, Value], ...] = tuple(
            (name.upper(), value if isinstance(value, str) else {k.upper(): v for k, v in value.items()})
            for name, value in pairs
        )

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self._pairs)

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other._pairs == self._pairs

    def __hash__(self) -> int:
        return hash(self.render())

    def __repr__(self) -> str:
        return f"Template({', '.join(sorted({key for key, _ in self._pairs}))})"

    def text(self, name: str, default: str = "") -> str:
        """Return the first plain attribute called ``name``."""
        return next((v for k, v in self._pairs if k == name and isinstance(v, str)), default)

    def vectors(self, name: str) -> list[dict[str, str]]:
        """Return every vector attribute called ``name``."""
        return [dict(v) for k, v in self._pairs if k == name and not isinstance(v, str)]

    def vector(self, name: str) -> dict[str, str]:
        """Return the first vector attribute called ``name``, empty when there is none."""
        return next(iter(self.vectors(name)), {})

    def render(self) -> str:
        """Write it in OpenNebula's template syntax, one attribute a line."""
        lines = []
        for name, value in self._pairs:
            if isinstance(value, str):
                lines.append(f"{name}={quote(value)}")
            else:
                inner = ",".join(f"{key}={quote(text)}" for key, text in value.items())
                lines.append(f"{name}=[{inner}]")
        return "\n".join(lines) + ("\n" if lines else "")


def quote(value: str) -> str:
    """Quote a template value: only the double quote is escaped.

    oned's reader undoes ``\\"`` and nothing else (OpenNebula ``template_syntax.y``, ``unescape``), so a doubled
    backslash would be stored doubled. A value that ends in a backslash cannot be written: ``oned.template`` refuses it.
    """
    return '"' + value.replace('"', '\\"') + '"'


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host object of oned."""

    id: int
    name: str
    state: HostState
    im_mad: str
    vm_mad: str
    cluster_id: int
    template: Template
    total_cpu: int = 0  # percent of a core
    total_memory: int = 0  # KiB
    running_vms: int = 0
    max_cpu: int = 0  # what virtual machines may have: total without RESERVED_CPU
    max_memory: int = 0
    used_cpu: int = 0  # what they have, also while they are off
    used_memory: int = 0
    vm_ids: tuple[int, ...] = ()  # also those that are off, or only about to be started there
    free_disk: int = 0  # MiB, for system datastores that are on its own disks
    datastores_free: Mapping[int, int] = field(default_factory=dict)  # of those that have another disk: id -> MiB


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster object of oned."""

    id: int
    name: str
    host_ids: tuple[int, ...]
    template: Template
    datastore_ids: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document object of oned; ``body`` is its PROVISION_BODY (decrypted when so asked).

    ``summary`` and ``lock`` are the plain vectors PROVISION_SUMMARY and PROVISION_LOCK;
    ``mode`` is as in :class:`OnedObject`.
    """

    id: int
    name: str
    type: int
    body: str = field(repr=False)
    summary: Mapping[str, str] = field(default_factory=dict)
    lock: Mapping[str, str] = field(default_factory=dict)
    uid: int = 0
    gid: int = 0
    uname: str = ""
    gname: str = ""
    mode: int = 0o600


Kind = Literal["cluster", "datastore", "vnet", "image", "template", "vntemplate", "marketapp", "document", "host", "vm"]


@dataclass(frozen=True, kw_only=True)
class OnedObject:
    """Any object of oned's pools; what a kind does not have keeps its default. Sizes are MiB.

    ``mode`` is the permissions as ``chmod`` has them (0o640: owner use and manage, group use); -1 for kinds without
    any (clusters, hosts). ``state`` and ``type`` are oned's numbers of the kind: images are 1 READY, 4 LOCKED, 5 ERROR
    (``Image.h``), networks 1 READY, 2 and 3 locked, 5 ERROR (``VirtualNetwork.h``), datastores of type 0 IMAGE, 1
    SYSTEM, 2 FILE, 3 BACKUP (``Datastore.h``).
    """

    kind: Kind
    id: int
    name: str
    template: Template
    uid: int = 0
    gid: int = 0
    uname: str = ""
    gname: str = ""
    mode: int = -1
    state: int | None = None
    type: int | None = None
    cluster_ids: tuple[int, ...] = ()
    # datastores
    tm_mad: str = ""
    ds_mad: str = ""
    total: int = 0
    free: int = 0
    image_ids: tuple[int, ...] = ()
    # images, and how many virtual machines use them (hosts too)
    size: int = 0
    datastore_id: int | None = None
    running_vms: int = 0
    vm_ids: tuple[int, ...] = ()  # of images
    # networks
    vn_mad: str = ""
    used_leases: int = 0
    address_ranges: tuple[Mapping[str, str], ...] = ()
    # clusters
    host_ids: tuple[int, ...] = ()
    datastore_ids: tuple[int, ...] = ()
    vnet_ids: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Vm:
    """A virtual machine of oned, as its pool shows it: what it needs, where it is, why it waits."""

    id: int
    name: str
    state: int  # 1 pending, 3 active, ... (OpenNebula ``VirtualMachine.h``)
    lcm_state: int
    cpu: float  # cores
    memory: int  # MiB
    host_id: int | None  # of its last history record
    template: Template
    user_template: Template
    started: int = 0  # when it was made; unix seconds

    @property
    def waits(self) -> bool:
        """Tell whether it waits for a host."""
        return self.state == 1

    @property
    def sched_message(self) -> str:
        """Return the scheduler's reason for the wait, empty when there is none."""
        return self.user_template.text("SCHED_MESSAGE")
