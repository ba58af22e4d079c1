"""The packet API's words in ours: states, addresses, tags, and the table from status to error.

Source: the published OpenAPI 1.0.0 description of the Equinix Metal API, and recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hybrid_drivers.errors import (
    AddressGone,
    CapacityExhausted,
    CredentialsRejected,
    MachineGone,
    PermanentError,
    QuotaExceeded,
    TransientError,
    WrongState,
)
from hybrid_drivers.model import Address, Machine, MachineState, MachineTags
from hybrid_drivers.providers import tagging
from hybrid_drivers.providers.statuses import Rule

STATES: Mapping[str, MachineState] = {
    "queued": MachineState.STARTING,
    "provisioning": MachineState.STARTING,
    "post_provisioning": MachineState.STARTING,
    "reinstalling": MachineState.STARTING,
    "powering_on": MachineState.STARTING,
    "rebooting": MachineState.STARTING,
    "active": MachineState.RUNNING,
    "powering_off": MachineState.STOPPING,
    "inactive": MachineState.STOPPED,
    "failed": MachineState.FAILED,
    "deprovisioning": MachineState.DELETING,
    "deleted": MachineState.GONE,
}


class HiddenOrGone(MachineGone):
    """403 on a device: it is gone, or the token may not see it. The provider object finds out which."""


_CAPACITY = ("provisionable", "no available", "not available", "capacity", "sold out", "out of stock", "market price")
_QUOTA = ("quota", "device limit", "instance limit", "limit reached", "limit of", "maximum number", "would exceed")
_SOLD_OUT = "it is sold out there, the next PLAN or METRO is tried"
_ASK_QUOTA = "ask the provider to raise the limit of the project, or delete machines"
_TOKEN = Rule(first=401, error=CredentialsRejected, advice="check token of the provider entry")
_BUSY = Rule(first=503, error=TransientError, advice="it will be tried again")

# The rows of every kind of call are complete: a test goes through all statuses.
CREATE_RULES = (
    _TOKEN,
    Rule(first=403, error=QuotaExceeded, words=_QUOTA, advice=_ASK_QUOTA),
    Rule(first=403, error=CredentialsRejected, advice="give the token write access to the project, or correct project"),
    Rule(first=404, error=PermanentError, advice="correct project and endpoint of the provider entry"),
    Rule(first=422, error=QuotaExceeded, words=_QUOTA, advice=_ASK_QUOTA),
    Rule(first=422, error=CapacityExhausted, words=_CAPACITY, advice=_SOLD_OUT),
    Rule(first=422, error=PermanentError, advice="correct the PROVISION attributes"),
    Rule(first=503, error=CapacityExhausted, words=_CAPACITY, advice=_SOLD_OUT),
    _BUSY,
)
LIST_RULES = (
    _TOKEN,
    Rule(first=403, error=CredentialsRejected, advice="give the token access to the project, or correct project"),
    Rule(first=404, error=PermanentError, advice="correct project and endpoint of the provider entry"),
    _BUSY,
)
MACHINE_RULES = (
    _TOKEN,
    Rule(first=403, error=HiddenOrGone, advice="the device is gone, or hidden from this token"),
    Rule(first=404, error=MachineGone, advice="the device is gone"),
    Rule(first=409, error=WrongState, advice="it will be tried again later"),
    Rule(first=422, last=423, error=WrongState, advice="it will be tried again later"),
    _BUSY,
)

_APPROVAL = (*_QUOTA, "approval", "exceed")
_ASK_ADDRESSES = "ask the provider to raise the limit of addresses of the project, or delete address ranges"
RESERVE_RULES = (
    _TOKEN,
    Rule(first=403, error=QuotaExceeded, words=_APPROVAL, advice=_ASK_ADDRESSES),
    Rule(first=403, error=CredentialsRejected, advice="give the token write access to the project, or correct project"),
    Rule(first=404, error=PermanentError, advice="correct project and endpoint of the provider entry"),
    Rule(first=422, error=QuotaExceeded, words=_APPROVAL, advice=_ASK_ADDRESSES),
    Rule(first=422, error=CapacityExhausted, words=_CAPACITY, advice="name another METRO, or a smaller SIZE"),
    Rule(first=422, error=PermanentError, advice="correct the address range"),
    _BUSY,
)
IP_RULES = (
    _TOKEN,
    Rule(first=403, error=AddressGone, advice="the block is gone, or hidden from this token"),
    Rule(first=404, error=AddressGone, advice="the block is gone"),
    Rule(first=409, error=WrongState, advice="it will be tried again later"),
    Rule(first=422, last=423, error=WrongState, advice="it will be tried again later"),
    _BUSY,
)


def machine(document: object) -> Machine:
    """Read a device.

    Raises:
        ValueError: a field that must be there is missing or of another type; the text names it.
    """
    if not isinstance(document, dict) or not isinstance(document.get("id"), str) or not document["id"]:
        raise ValueError("a device without 'id'")
    word = document.get("state")
    if not isinstance(word, str):
        raise ValueError(f"device {document['id']} without 'state'")
    state = STATES.get(word, MachineState.UNKNOWN)
    return Machine(
        id=document["id"],
        state=state,
        tags=tags_of(document.get("tags")),
        addresses=_addresses(document.get("ip_addresses")),
        hostname=_text(document.get("hostname")),
        plan=_text(_inside(document, "plan", "slug")),
        place=_text(_inside(document, "metro", "code")) or _text(_inside(document, "facility", "code")),
        created=_unix(document.get("created_at")),
        progress=_number(document.get("provisioning_percentage")),
        failure="the provider reports state 'failed'" if state is MachineState.FAILED else "",
    )


def termination(document: object) -> tuple[str, float] | None:
    """Return a device's id and when the provider ends it (``termination_time``); None where that is not set.

    A device of the spot market gets one, at least two minutes ahead, when it is revoked (Equinix Metal, "The Spot
    Market"); others have the one that they were ordered with.
    """
    told = document if isinstance(document, dict) else {}
    when = _unix(told.get("termination_time"))
    return (str(told["id"]), when) if when is not None and told.get("id") else None


def tag_list(tags: MachineTags) -> list[str]:
    """Return the tags as the strings ``key=value`` a device has."""
    return [f"{key}={value}" for key, value in tagging.as_pairs(tags).items()]


def tags_of(tags: object) -> MachineTags | None:
    """Read the tags back; None when the device is not ours."""
    return tagging.from_pairs(tag_texts(tags))


def tag_texts(tags: object) -> dict[str, str]:
    """Return the strings ``key=value`` among tags as a mapping."""
    texts = [one for one in tags if isinstance(one, str) and "=" in one] if isinstance(tags, list) else []
    return dict(one.partition("=")[::2] for one in texts)


def has_next(document: object, page: int) -> bool:
    """Tell from a list's ``meta`` whether there is a page after this one."""
    meta = document.get("meta") if isinstance(document, dict) else None
    if not isinstance(meta, dict):
        return False
    last = meta.get("last_page")
    return page < last if isinstance(last, int) else bool(meta.get("next"))


def _addresses(found: object) -> tuple[Address, ...]:
    rows = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return tuple(
        Address(
            address=row["address"],
            family=6 if row.get("address_family") == 6 else 4,
            public=row.get("public") is True,
            prefix=row["cidr"] if isinstance(row.get("cidr"), int) else None,
            gateway=_text(row.get("gateway")) or None,
        )
        for row in rows
        if isinstance(row.get("address"), str)
    )


def _inside(document: Mapping[str, object], outer: str, inner: str) -> object:
    value = document.get(outer)
    return value.get(inner) if isinstance(value, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _unix(value: object) -> float | None:
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
