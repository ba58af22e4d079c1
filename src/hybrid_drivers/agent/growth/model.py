"""What a decision about growing rests on, and what comes of it: frozen values. Times are unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Union

from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.agent.growth.packing import Group, Offer, Size
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.schedule import Moment
from hybrid_drivers.agent.growth.stock import EMPTY, Stock, Wants

NOTHING = Size(0, 0)


class Stage(Enum):
    """How far a host is, as far as growing cares."""

    COMING = "coming"  # rented or about to be; no VM can run there yet
    SOLD_OUT = "sold out"  # coming, but its plan was sold out in every place and nothing was rented
    USABLE = "usable"  # takes VMs
    DISABLED = "disabled"  # takes none, by us or by people
    LEAVING = "leaving"  # a spot machine that the provider is about to take back
    FAILED = "failed"  # given up before it was ready
    LOST = "lost"  # given up after it was ready: its machine is gone or broken
    SILENT = "takes no VMs"  # READY, but in oned's ERROR, or its capacity was never told
    OTHER = "other"  # offline, or too long on its way


@dataclass(frozen=True, kw_only=True)
class HostView:
    """A host of oned. ``room`` is what VMs may still take there; of a coming one all that its plan has.

    ``plan`` is the name of its offer; ``member``: it is a rented host of the cluster (it counts for the limits);
    ``made``: by growing.
    """

    id: int
    name: str
    stage: Stage
    plan: str = ""
    room: Size = NOTHING
    stock: Stock = EMPTY
    vms: int = 0
    member: bool = False
    made: bool = False
    protected: bool = False
    spot: bool = False
    price: float | None = None  # an hour; None: nobody tells
    ordered_at: float = 0.0  # since when it may be paid for
    ready_at: float = 0.0
    problem: str = ""  # what its PROVISION_ERROR says
    spared: bool = False  # the provider did not take it back as it had said; then that we disabled it is over


@dataclass(frozen=True, kw_only=True)
class Returning:
    """A machine of the cluster on its way back to the provider: it counts for the limits until it is gone."""

    machine: str
    host: str  # the name of the host it was
    price: float | None = None  # an hour; None: not known


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A VM that waits for a host. ``plans``: those it may run on, ``hosts``: the existing ones (by requirements only).

    ``problem`` says why no new host would help it, nothing when one would. ``mates`` are other VMs that must be on
    the same host: sizes and all else are those of all of them together.
    """

    id: int
    size: Size
    since: float
    plans: frozenset[str] = frozenset()
    hosts: frozenset[int] = frozenset()
    problem: str = ""
    refused: bool = False  # the scheduler said so: its words are behind the first colon of ``problem``
    wants: Wants | None = None
    mates: tuple[int, ...] = ()

    @property
    def group(self) -> Group:
        """Return what it is alike with; one that no new host helps has no plans."""
        return Group(self.size, frozenset() if self.problem else self.plans, self.hosts, self.wants)

    @property
    def vm_ids(self) -> tuple[int, ...]:
        """Return all VMs that this stands for."""
        return (self.id, *self.mates)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A VM that is not waiting, as far as moving it goes.

    ``hosts``: where it might go by all but room. ``disk``: MiB that go with it to a host that has other disks, of the
    system datastore ``datastore``. ``problem`` says why it stays where it is, nothing when it need not.
    """

    id: int
    host: int  # where it is, or is on its way to
    size: Size
    settled: bool = True  # nothing goes on with it, and all of it is on that host
    live: bool = True  # moved while it runs
    hosts: frozenset[int] = frozenset()
    datastore: int = -1
    disk: int = 0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The VMs that do not wait, and what disk hosts have left: host -> system datastore -> MiB, -1 for any other."""

    guests: tuple[Guest, ...] = ()
    free_disk: Mapping[int, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class State:
    """All that a decision rests on. ``hosts`` are all of oned: a VM may also run in another cluster.

    ``placed`` is None when nobody looked, as no policy consolidates.
    """

    now: float
    moment: Moment
    month: str  # like 2026-11
    month_left: float  # seconds
    month_began: float = 0.0
    policy: Policy
    policy_digest: str
    memory: Memory
    hosts: tuple[HostView, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    offers: tuple[Offer, ...] = ()
    returning: tuple[Returning, ...] = ()
    placed: Placed | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """Rent a host of a plan; ``vms`` are those it is for, none for a floor."""

    plan: str
    price: float | None
    reason: str
    vms: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Disable:
    """Have a host take no VMs, to be deleted when that is confirmed; it may still have some when ``retire``, which end,
    or ``empty``, which are moved."""

    host_id: int
    reason: str
    retire: bool = False
    empty: bool = False


@dataclass(frozen=True, kw_only=True)
class Enable:
    """Take a host back that we disabled."""

    host_id: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Give a host back."""

    host_id: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Migrate:
    """Move a VM from a host that is being emptied; not ``live``: one that is off, or may be interrupted."""

    vm_id: int
    host_id: int
    target: int
    live: bool
    reason: str


Action = Union[Order, Disable, Enable, Delete, Migrate]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do, what to remember, and what was declined and why (``notes``), in sentences for people."""

    actions: tuple[Action, ...]
    memory: Memory
    notes: tuple[str, ...] = ()
    waits: Mapping[int, str] = field(default_factory=dict)  # VM -> what it waits for, or why in vain
    stays: Mapping[int, str] = field(default_factory=dict)  # host -> why it is not emptied
