"""The body of a packet create call: checked as the provider checks it, and kept as an order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hybrid_drivers.sandbox.packet_catalogue import FACILITIES, METROS, PLANS, SYSTEMS
from hybrid_drivers.sandbox.unit import Order

_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,62})?(\.[a-z0-9]([a-z0-9-]{0,62})?)*", re.IGNORECASE)
_CYCLES = ("hourly", "daily", "monthly", "yearly")


class Invalid(Exception):
    """The body is refused with status 422; ``errors`` are the provider's sentences."""

    def __init__(self, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


@dataclass(frozen=True, kw_only=True)
class PacketOrder(Order):
    """One device as ordered; ``place`` is the metro, ``facility`` the one it went to when facilities were named."""

    operating_system: str
    facility: str = ""
    description: str = ""
    billing_cycle: str = "hourly"
    tags: tuple[str, ...] = ()
    customdata: Mapping[str, object] = field(default_factory=dict)
    locked: bool = False
    termination_time: float | None = None  # unix seconds, as ordered
    reservation: str = ""


@dataclass(frozen=True, kw_only=True)
class CreateBody:
    """A valid create call: the order, and the facilities in order of preference (empty: the metro decides)."""

    order: PacketOrder
    facilities: tuple[str, ...]


def read_create(body: Mapping[str, object], default_hostname: str) -> CreateBody:
    """Check the body of ``POST /projects/{id}/devices``; raises Invalid with every complaint at once."""
    problems: list[str] = []
    plan = _one_of(body, "plan", "Plan", PLANS, problems)
    system = _one_of(body, "operating_system", "Operating system", SYSTEMS, problems)
    metro, facilities = _place(body, problems)
    hostname = body.get("hostname") or default_hostname
    if not isinstance(hostname, str) or not _HOSTNAME.fullmatch(hostname):
        problems.append("Hostname is invalid")
    cycle = body.get("billing_cycle") or "hourly"
    if cycle not in _CYCLES:
        problems.append("Billing cycle is not included in the list")
    user_data = body.get("userdata") or ""
    if not isinstance(user_data, str):
        problems.append("Userdata must be a string")
    changes = _changes(body, problems)
    max_price, ends = _spot_terms(body, problems)
    if problems:
        raise Invalid(*problems)
    order = PacketOrder(
        hostname=str(hostname),
        plan=plan,
        place=metro,
        user_data=str(user_data),
        operating_system=system,
        facility=facilities[0] if facilities else "",
        billing_cycle=str(cycle),
        spot=bool(body.get("spot_instance")),
        max_price=max_price,
        termination_time=ends,
        reservation=str(body.get("hardware_reservation_id") or ""),
        **changes,  # type: ignore[arg-type] # each was checked under its own name
    )
    return CreateBody(order=order, facilities=facilities)


def _spot_terms(body: Mapping[str, object], problems: list[str]) -> tuple[float | None, float | None]:
    """Read ``spot_price_max``, and ``termination_time`` as unix seconds."""
    price, text = body.get("spot_price_max"), body.get("termination_time")
    if price is not None and (isinstance(price, bool) or not isinstance(price, (int, float))):
        problems.append("Spot price max is not a number")
        price = None
    try:
        ends = datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else None
    except ValueError:
        problems.append("Termination time is invalid")
        ends = None
    return (None if price is None else float(str(price))), ends


def read_update(body: Mapping[str, object]) -> Mapping[str, object]:
    """Check the body of ``PATCH /devices/{id}`` and return the order's fields it changes; raises Invalid."""
    problems: list[str] = []
    changes = _changes(body, problems)
    hostname = body.get("hostname")
    if hostname is not None:
        if not isinstance(hostname, str) or not _HOSTNAME.fullmatch(hostname):
            problems.append("Hostname is invalid")
        changes["hostname"] = hostname
    if problems:
        raise Invalid(*problems)
    return changes


def _one_of(body: Mapping[str, object], key: str, name: str, known: Mapping[str, object], problems: list[str]) -> str:
    value = body.get(key)
    if not value:
        problems.append(f"{name} can't be blank")
    elif value not in known:
        problems.append(f"{name} {value} is not valid")
    return str(value)


def _place(body: Mapping[str, object], problems: list[str]) -> tuple[str, tuple[str, ...]]:
    metro, named = body.get("metro") or "", body.get("facility") or []
    facilities = [named] if isinstance(named, str) else named
    if not isinstance(facilities, Sequence) or not isinstance(metro, str):
        problems.append("Facility must be a list and metro a string")
        return "", ()
    if bool(metro) == bool(facilities):
        problems.append("Only one of facility and metro may be given" if metro else "Facility can't be blank")
        return "", ()
    if metro:
        if metro.lower() not in METROS:
            problems.append(f"Metro {metro} is not valid")
        return metro.lower(), ()
    wanted = tuple(FACILITIES) if list(facilities) == ["any"] else tuple(str(one) for one in facilities)
    problems.extend(f"Facility {one} is not valid" for one in wanted if one not in FACILITIES)
    return FACILITIES.get(wanted[0], ""), wanted


def _changes(body: Mapping[str, object], problems: list[str]) -> dict[str, object]:
    readers: Mapping[str, Callable[[object], object]] = {
        "tags": _tags,
        "customdata": _customdata,
        "description": _text,
        "locked": bool,
    }
    changes: dict[str, object] = {}
    for key, read in readers.items():
        if body.get(key) is None:
            continue
        try:
            changes[key] = read(body[key])
        except ValueError:
            problems.append(f"{key.capitalize()} is invalid")
    return changes


def _tags(value: object) -> tuple[str, ...]:
    if value == {}:  # packet-python sends this for no tags
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError
    return tuple(value)


def _customdata(value: object) -> Mapping[str, object]:
    read = json.loads(value) if isinstance(value, str) and value else value or {}
    if not isinstance(read, dict):
        raise ValueError
    return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def read_body(body: bytes) -> Mapping[str, object]:
    """Read a request's JSON object, empty when there is no body; raises Invalid."""
    try:
        read = json.loads(body or b"{}")
    except ValueError as exc:
        raise Invalid("The body is not valid JSON") from exc
    if not isinstance(read, dict):
        raise Invalid("The body is not a JSON object")
    return read
