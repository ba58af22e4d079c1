"""One machine of a simulated provider: what was asked for, its states, and the legs of its way through them."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hybrid_drivers.sandbox.machines import MachineAddresses


class State(enum.Enum):
    """The states of a machine; each provider has its own words for them."""

    QUEUED = "queued"
    PROVISIONING = "provisioning"
    BOOTING = "booting"
    ACTIVE = "active"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    REINSTALLING = "reinstalling"
    FAILED = "failed"
    DELETING = "deleting"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was asked for; each provider adds its own fields."""

    hostname: str
    plan: str
    place: str
    user_data: str = field(default="", repr=False)
    spot: bool = False
    max_price: float | None = None  # of a spot machine, an hour


OrderT = TypeVar("OrderT", bound=Order)


@dataclass(frozen=True)
class Notice:
    """That the provider takes a spot machine back: unix seconds, and its own word for why, where it has any."""

    since: float
    ends: float
    code: str = ""


@dataclass(eq=False, kw_only=True)
class Unit(Generic[OrderT]):
    """One machine. Times are unix seconds; ``turn`` numbers its courses so that an overtaken one ends silently."""

    id: str
    order: OrderT
    created: float
    visible_from: float
    addresses: MachineAddresses
    user_data: str = field(repr=False)  # what the machine really boots with
    state: State = State.QUEUED
    switched_on: bool = False
    failure: str = ""
    notice: Notice | None = None
    deleted: float | None = None
    hidden_from: float | None = None
    turn: int = 0
    busy: threading.Lock = field(default_factory=threading.Lock, repr=False)


@dataclass(frozen=True)
class Leg(Generic[OrderT]):
    """A state to pass through: the knob that says how long, and the real work to do meanwhile."""

    state: State
    wait: str = ""
    work: Callable[[Unit[OrderT]], None] | None = None
