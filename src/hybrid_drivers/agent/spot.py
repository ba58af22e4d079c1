"""Spot hosts as oned's hosts show them: which are, and what is known of the provider taking one back. Pure.

``SPOT="YES"`` on a host is for requirements. ``PROVISION_INTERRUPTION`` is written before anything is done about a
notice, with the machine it was for: another machine of the host, or another agent, begins no second time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hybrid_drivers.agent.record import IM_MAD, HostRecord, number
from hybrid_drivers.model import HostState, Template, Value

SPOT: Final = "SPOT"
INTERRUPTION: Final = "PROVISION_INTERRUPTION"
NEAR: Final = 600.0  # seconds before its time that a machine's end is a notice; one set long before is only a date
GONE_BY: Final = 7200.0  # seconds after a notice; a machine that is there then was not taken back
STILL_THERE: Final = 300.0  # seconds after a notice that VMs are tried again where the provider told no time
_TAKES_NONE: Final = (HostState.DISABLED, HostState.MONITORING_DISABLED, HostState.OFFLINE)
_YES: Final = ("yes", "true")


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """The provider takes the host's machine back. Times are unix seconds; ``at`` None: it did not tell.

    ``disables``: the host took VMs, so that flushing it begins with disabling it. ``flushed``: that was done, and its
    VMs were told to move; ``left``: those that could not be at that moment.
    """

    machine: str
    noticed: float
    at: float | None = None
    disables: bool = True
    flushed: bool = False
    left: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Flush:
    """Have these VMs move away; ``begins``: note it first, and disable the host if that is to be done."""

    interruption: Interruption
    vms: tuple[int, ...]
    begins: bool


def is_spot(template: Template) -> bool:
    """Tell whether a host is a spot machine."""
    return template.text(SPOT).lower() in _YES


def wants_spot(attributes: Mapping[str, str]) -> bool:
    """Tell whether PROVISION attributes ask for a spot machine."""
    return attributes.get("SPOT_INSTANCE", "").strip().lower() in _YES


def marks(attributes: Mapping[str, str], template: Template) -> list[tuple[str, Value]]:
    """Return what a host gets when a machine was rented for it by these attributes."""
    wanted = wants_spot(attributes)
    return [] if wanted == is_spot(template) else [(SPOT, "YES" if wanted else "")]


def is_watched(record: HostRecord) -> bool:
    """Tell whether the provider is to be asked about a host: VMs are on READY ones only."""
    ours = record.host.im_mad == IM_MAD and record.ready and record.deploy_id != ""
    return ours and record.failure is None and is_spot(record.host.template)


def interruption_of(record: HostRecord) -> Interruption | None:
    """Return the notice for the host's present machine, None when there was none."""
    told = record.host.template.vector(INTERRUPTION)
    if not record.deploy_id or told.get("MACHINE") != record.deploy_id:
        return None
    return Interruption(
        machine=record.deploy_id,
        noticed=number(told.get("NOTICED", "")) or 0.0,
        at=number(told.get("AT", "")),
        disables=told.get("DISABLES", "") == "YES",
        flushed=told.get("FLUSHED", "") == "YES",
        left=frozenset(int(one) for one in told.get("LEFT", "").split(",") if one.isdecimal()),
    )


def is_over(interruption: Interruption, now: float) -> bool:
    """Tell whether a notice counts no more: providers withdraw one without a word."""
    return now - interruption.noticed > GONE_BY


def is_spared(record: HostRecord, now: float) -> bool:
    """Tell whether we disabled a host for a notice that came to nothing."""
    known = interruption_of(record)
    return known is not None and known.disables and is_over(known, now)


def rendered(interruption: Interruption) -> Template:
    """Return the attribute."""
    told = {"MACHINE": interruption.machine, "NOTICED": f"{interruption.noticed:.0f}"}
    if interruption.disables:
        told["DISABLES"] = "YES"
    if interruption.at is not None:
        told["AT"] = f"{interruption.at:.0f}"
    if interruption.flushed:
        told |= {"FLUSHED": "YES", "LEFT": ",".join(map(str, sorted(interruption.left)))}
    return Template([(INTERRUPTION, told)])


def next_flush(record: HostRecord, told: Mapping[str, float | None], now: float) -> Flush | None:
    """Decide what to do about a watched host; ``told`` are the machines the provider takes, and when.

    A flush that was begun is ended, whatever the provider says by then; one that was ended is not begun again, also
    when people have enabled the host meanwhile. Only VMs that could not be moved at that moment (they were just being
    started, for example) are tried again until the machine goes.
    """
    known = interruption_of(record)
    vms = record.host.vm_ids
    if known is None:
        if record.deploy_id not in told:
            return None
        at = told[record.deploy_id]
        if at is not None and at - now > NEAR:
            return None
        takes_vms = record.host.state not in _TAKES_NONE
        noticed = Interruption(machine=record.deploy_id, noticed=now, at=at, disables=takes_vms)
        return Flush(interruption=noticed, vms=vms, begins=True)
    if not known.flushed:
        return Flush(interruption=known, vms=vms, begins=True)
    left = tuple(one for one in vms if one in known.left)
    if left and now < (known.at or known.noticed + STILL_THERE):
        return Flush(interruption=known, vms=left, begins=False)
    return None


def hooks_are_due(record: HostRecord) -> bool:
    """Tell whether a host that has lost its machine is to be enabled for the moment before it is put into ERROR.

    A disabled host never comes into that state (OpenNebula ``Host.cc``, ``error``), and hooks on it are what people
    have for the VMs of a lost host (``host_error.rb``). Only for VMs that did not get away, only where the flush
    disabled it, and only with its capacity known: oned would otherwise make it new, which is to rent again.
    """
    known, host = interruption_of(record), record.host
    disabled = known is not None and known.disables and host.state is HostState.DISABLED
    return disabled and bool(host.vm_ids) and host.total_cpu > 0


def sentence(record: HostRecord) -> str:
    """Say on a READY host that its machine is taken back, nothing where it is not."""
    known = interruption_of(record)
    if known is None:
        return ""
    when = "" if known.at is None else f" at {time.strftime('%H:%M:%S', time.localtime(known.at))}"
    done = "the host was flushed" if known.flushed else "the host is being flushed"
    return f"the provider takes spot machine {known.machine} back{when}: {done}"
