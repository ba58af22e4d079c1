"""What a host of a provision looks like on its way, and who is told about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hybrid_drivers.model import Host, HostState
from hybrid_drivers.provision.record import Slot

Kind = tuple[str, str]  # provider and plan
STATES = ("PENDING", "DEPLOYING", "BOOTING", "CONNECTING", "CONFIGURING", "READY", "STOPPED", "DELETING", "ERROR")


@dataclass(frozen=True, kw_only=True)
class HostView:
    """A host as it is now. ``elapsed`` and ``left`` (None: nobody knows) are seconds; ``name`` is the friendly one."""

    index: int
    id: int
    name: str
    address: str = ""
    state: str = "PENDING"
    step: str = ""
    problem: str = ""
    elapsed: float = 0.0
    left: float | None = None
    attempt: str = ""  # tells one attempt to rent, and its failure, from the next
    gone: bool = False  # somebody deleted it

    @property
    def ready(self) -> bool:
        """Tell whether it is a working node."""
        return self.state == "READY"

    @property
    def failed(self) -> bool:
        """Tell whether nothing more happens by itself."""
        return self.gone or self.state == "ERROR"


class Teller(Protocol):
    """Somebody who wants to know."""

    def say(self, text: str) -> None:
        """Hear of something that happened."""

    def passing(self, text: str) -> None:
        """Hear of a host's step on its way: who shows how all hosts stand need not say it, too."""

    def hosts(self, views: Sequence[HostView]) -> None:
        """See how all hosts stand; called often."""


def view(slot: Slot, host: Host | None, now: float, typical: Mapping[Kind, float]) -> HostView:
    """Return how the host of ``slot`` stands; ``typical``: how long hosts of a kind take."""
    if host is None:
        gone = f"host {slot.id} was deleted outside of the provision"
        return HostView(index=slot.index, id=slot.number, name=slot.name, problem=gone, gone=True)
    template = host.template
    since = begun(host) or now
    state, problem = _state(host)
    usual = typical.get(_kind(host))
    ended = _number(template.text("PROVISION_READY")) if state == "READY" else now
    elapsed = max(0.0, ended - since)
    return HostView(
        index=slot.index,
        id=host.id,
        name=slot.name or host.name,
        address=template.text("PROVISION_ADDRESS"),
        state=state,
        step=template.text("PROVISION_STEP"),
        problem=problem,
        elapsed=elapsed,
        attempt=template.vector("PROVISION_FAILURE").get("AT") or template.text("PROVISION_SINCE"),
        left=None if usual is None or state in ("READY", "ERROR") else max(0.0, usual - elapsed),
    )


def took(hosts: Iterable[Host]) -> Iterator[tuple[Kind, float]]:
    """Yield how long each ready host took, from the decision to rent until it was ready, with its provider and plan.

    All of that is in oned: when the intent was written, and when the host was ready.
    """
    for host in hosts:
        ready, since = _number(host.template.text("PROVISION_READY")), begun(host)
        if since and ready > since:
            yield _kind(host), ready - since


def begun(host: Host) -> float:
    """Return when the present attempt to rent the host's machine began; unix seconds, 0 before that."""
    return _number(host.template.vector("PROVISION_INTENT").get("SINCE", ""))


def _state(host: Host) -> tuple[str, str]:
    """Return our state of a host and what is wrong with it."""
    told, problem = host.template.text("PROVISION_STATE"), host.template.text("PROVISION_ERROR")
    if told not in STATES:
        if host.state is HostState.ERROR:  # its driver could not even answer
            return "ERROR", host.template.text("ERROR") or "its information driver failed: see monitor.log and oned.log"
        return "PENDING", problem
    return told, problem


def _kind(host: Host) -> Kind:
    provision = host.template.vector("PROVISION")
    plan = provision.get("PLAN") or provision.get("INSTANCETYPE") or provision.get("INSTANCE_TYPE") or ""
    return provision.get("RENTED_FROM") or provision.get("PROVIDER", ""), plan.partition(",")[0]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
