"""What a READY host may need besides running, decided by pure functions: what people ask for, peers, drift.

Nothing here touches the host's capacity or its state: it stays READY, whatever comes of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Union

from hybrid_drivers.hostconfig.report import RunReport

FIRST_CHECK = 600.0  # seconds after a host became READY that it is looked at for drift for the first time, and
FIRST_SPREAD = 3000.0  # so many more at most: hosts that became READY together are not looked at together
DRIFT_TEXT = 200  # characters of PROVISION_DRIFT


@dataclass
class UpkeepMemory:
    """What this process knows of a READY host's upkeep; losing it costs a run that changes nothing. Unix seconds."""

    peers_wanted: str = ""  # what PROVISION_PEERS must become
    peers_failures: int = 0
    peers_after: float = 0.0  # no try before
    peers_problem: str = ""
    checked_at: float = 0.0  # the last look for drift
    problem: str = ""  # of the last run that people asked for


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What is to be done on a READY host. ``asked``: a person wants a run, ``check_only`` a look."""

    asked: bool = False
    check_only: bool = False
    peers_due: bool = False  # the others of its cluster are not those it was configured with
    drift_due: bool = False
    problem: str = ""  # shown as PROVISION_ERROR while nothing worse is
    wait: float | None = None  # seconds until it is time for another try


NO_UPKEEP = Upkeep()


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """Run the whole configuration again, or only look what it would change, and tell who asked."""

    address: str
    check_only: bool


@dataclass(frozen=True, kw_only=True)
class UpdatePeers:
    """Run what depends on the other hosts of the cluster."""

    address: str


@dataclass(frozen=True, kw_only=True)
class CheckDrift:
    """Look what a run would change, and write that to the host."""

    address: str


UpkeepStep = Union[Rerun, UpdatePeers, CheckDrift]


def urgent_step(upkeep: Upkeep, address: str) -> UpkeepStep | None:
    """Decide what comes before the host's monitoring, if anything: a host whose probes fail needs its peers, too."""
    if upkeep.asked:
        return Rerun(address=address, check_only=upkeep.check_only)
    if upkeep.peers_due:
        return UpdatePeers(address=address)
    return None


def next_check(host_id: int, ready_at: float, interval: float, after: float) -> float:
    """Return the time of the first look for drift later than ``after``; unix seconds.

    The times follow from the host alone, so they hold over restarts of the agent, nothing is written for them, and
    those of many hosts are spread evenly over the interval.
    """
    share = _share(host_id)
    first = ready_at + min(FIRST_CHECK + share * FIRST_SPREAD, interval)
    if after < first:
        return first
    begin = ready_at + share * interval
    return begin + interval * ((after - begin) // interval + 1)


def _share(host_id: int) -> float:
    """Return a number from 0 to 1 that is always the same for a host and differs between hosts."""
    return int.from_bytes(hashlib.sha256(b"drift %d" % host_id).digest()[:4], "big") / 2**32


def drift_text(run: RunReport) -> str:
    """Say what differs, as PROVISION_DRIFT: ``2 of 41 steps differ: write /etc/x; set y``, empty when nothing does."""
    if not run.changed:
        return ""
    verb = "step differs" if len(run.changed) == 1 else "steps differ"
    text = f"{len(run.changed)} of {len(run.steps)} {verb}: " + "; ".join(step.name for step in run.changed)
    return text if len(text) <= DRIFT_TEXT else text[: DRIFT_TEXT - 3].rstrip() + "..."
