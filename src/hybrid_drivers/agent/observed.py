"""What the decision about a host rests on: what people see of it, what oned records, what the provider says."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.agent.upkeep import NO_UPKEEP, Upkeep
from hybrid_drivers.model import Machine, Placement
from hybrid_drivers.providers.base import Limits


class Phase(enum.Enum):
    """PROVISION_STATE, as people see it."""

    PENDING = "PENDING"
    DEPLOYING = "DEPLOYING"
    BOOTING = "BOOTING"
    CONNECTING = "CONNECTING"
    CONFIGURING = "CONFIGURING"
    READY = "READY"
    STOPPED = "STOPPED"  # it was READY, and its machine is switched off
    DELETING = "DELETING"
    ERROR = "ERROR"


class Remedy(enum.Enum):
    """What is done about a READY host whose machine stopped (WHEN_STOPPED) or is lost (WHEN_LOST)."""

    SHOW = "show"
    POWER_ON = "power-on"
    REPLACE = "replace"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """PROVISION_INTENT: written to oned before a machine is asked for. ``since`` is unix seconds."""

    token: str
    attempt: int
    since: float
    spec_hash: str
    agent: str  # who wrote it; only that agent may create
    host_key: str = ""  # public key handed over in user-data, to be required at first contact


@dataclass(frozen=True, kw_only=True)
class Failure:
    """PROVISION_FAILURE: why nothing is tried any more until the cause is gone."""

    reason: str
    spec_hash: str
    until_empty: bool = False  # the machine is replaced as soon as no virtual machine is on the host


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to rent, resolved from host, cluster, provider entry and defaults."""

    provider: str
    spec_hash: str
    placements: tuple[Placement, ...]
    limits: Limits
    idempotent_create: bool
    when_stopped: Remedy = Remedy.SHOW
    when_lost: Remedy = Remedy.SHOW
    switches: bool = True  # the provider can switch machines


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All that the decision rests on; times are unix seconds, durations seconds."""

    now: float
    agent: str
    claim_delay: float
    called: bool = True  # oned has called this agent for this host: only then may it act on another agent's host
    # the host object
    plan: Plan | None  # None: nothing valid to rent yet, ``problem`` says why
    problem: str = ""
    intent: Intent | None = None
    own_key: bool = True  # this front-end can make the host key of the intent again; another one's it cannot
    deploy_id: str = ""
    failure: Failure | None = None
    enabled_again: bool = False  # the operator enabled the host after the failure
    since: float = 0.0  # when the present attempt began
    configured: bool = False
    ready: bool = False
    renamed: bool = True
    moved: bool = False  # it is READY, and its machine answers at another address than the recorded one
    monitored: bool = True  # what oned wants is true: running where enabled, stopped where offline
    upkeep: Upkeep = NO_UPKEEP  # of a READY host
    left_alone: bool = False  # offline or disabled: somebody works on it
    vms: int = 0  # virtual machines on it, also those that are off
    room: bool = True  # oned knows of capacity, so more may come
    shown_ready: bool = True  # PROVISION_STATE of the READY host does not say that its machine stopped
    switched_on: Sequence[float] = ()  # when its machine was last switched on by us, oldest first
    switch_problem: str = ""  # why that failed
    replaced: Sequence[float] = ()  # when its machine was last replaced by us, oldest first
    replacing: str = ""  # the machine that another is to take the place of
    noted: bool = True  # what the READY host's machine is (plan, place, name) is recorded
    difference: str = ""  # in what the machine differs from that
    shown_difference: str = ""  # the same, as the host says it
    # the provider
    machines: Sequence[Machine] = ()  # with our owner tag and this host, or the recorded one; oldest first
    looked_at: float | None = None  # when the answer behind ``machines`` was asked for; None: not yet
    absent_since: float | None = None  # since when the answers have lacked the recorded machine
    uncertain_since: float | None = None  # since when a create call may have been carried out unseen: a lost reply,
    #                                       or an open intent that this process did not write
    running_since: float | None = None  # since when the machine has been seen running
    stopped_since: float | None = None  # since when it has been seen stopped
    leaving: bool = False  # the recorded machine is being given back
