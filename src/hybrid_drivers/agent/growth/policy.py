"""The growth policy of a cluster: its ELASTIC vector, read and checked whole (docs/growth.md has the table)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hybrid_drivers.agent.growth.schedule import Moment, Window, read_schedule
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template

NAME: Final = "ELASTIC"
MOST_HOSTS: Final = 10_000
LEAST_AGE: Final = 3600.0  # seconds; a host takes its time to come, and must not be too old by then


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What holds for a cluster; times in seconds, money in the provider's currency, None: no limit."""

    min_hosts: int = 0
    max_hosts: int
    warm_hosts: int = 0
    plans: tuple[str, ...] = ()  # empty: those of the cluster's PROVISION
    max_cost_hour: float | None = None
    max_cost_month: float | None = None
    max_orders_hour: int = 10
    grow_after: float = 60.0
    shrink_after: float = 600.0
    cooldown: float = 300.0
    max_failures: int = 3  # creations that failed in a row, until growing stops
    sold_out_for: float = 1800.0  # how long a plan is left alone that was sold out everywhere
    billing: float = 0.0  # hosts are paid for in pieces of this; 0: by the second
    max_host_age: float = 0.0  # after which a host is replaced; 0: never
    spot: str = "no"  # yes: besides those on demand; only
    spot_max_price: float | None = None  # an hour; None: what the plan costs on demand
    schedule: tuple[Window, ...] = ()
    consolidate: str = "no"  # or yes, live
    consolidate_after: float = 1800.0  # how long a host must have been little used
    consolidate_below: float = 50.0  # percent of its CPU and of its memory that are little
    max_moves_hour: int = 10

    def at(self, when: Moment) -> Policy:
        """Return the policy as its schedule has it now: of several open windows the largest number holds."""
        open_now = [one for one in self.schedule if one.holds(when)]
        least = max([self.min_hosts, *(one.min_hosts for one in open_now)])
        warm = max([self.warm_hosts, *(one.warm_hosts for one in open_now)])
        return replace(self, min_hosts=min(least, self.max_hosts), warm_hosts=warm)


def read_policy(template: Template) -> Policy | None:
    """Read a cluster's policy; None when it has none, or ENABLED is ``no`` or missing.

    Raises:
        ConfigError: keys or values are wrong; the text names all of them.
    """
    if template.text(NAME).strip():
        raise ConfigError(f'{NAME} is wrong: must be a vector like [ENABLED="yes", MAX_HOSTS="8"], not plain text')
    if len(template.vectors(NAME)) > 1:
        raise ConfigError(f"{NAME} is wrong: stands there {len(template.vectors(NAME))} times, only one can hold")
    told = {key: value.strip() for key, value in template.vector(NAME).items() if value.strip()}
    if not _is_on(told.get("ENABLED", "no")):
        return None
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in told.items():
        try:
            values.update(_read(key, value))
        except ValueError as exc:
            problems.append(f"{key}: {exc}")
    if "MAX_HOSTS" not in told:
        problems.append("MAX_HOSTS: is required")
    if not problems and values.get("min_hosts", 0) > values["max_hosts"]:
        problems.append("MIN_HOSTS: is more than MAX_HOSTS")
    if not problems:
        most = max((one.min_hosts for one in values.get("schedule", ())), default=0)
        if most > values["max_hosts"]:
            problems.append(f"SCHEDULE: min={most} is more than MAX_HOSTS={values['max_hosts']}")
    if problems:
        raise ConfigError(f"{NAME} is wrong: {'; '.join(problems)}")
    return Policy(**values)


def _is_on(text: str) -> bool:
    word = text.lower()
    if word not in ("yes", "true", "no", "false"):
        raise ConfigError(f"{NAME} is wrong: ENABLED: must be 'yes' or 'no', not '{text[:20]}'")
    return word in ("yes", "true")


@dataclass(frozen=True)
class _Key:
    field: str
    read: Callable[[str], object]


def _read(key: str, value: str) -> Mapping[str, object]:
    if key == "ENABLED":
        return {}
    known = _KEYS.get(key)
    if known is None:
        raise ValueError(f"is not known; known are {', '.join(sorted((*_KEYS, 'ENABLED')))}")
    return {known.field: known.read(value)}


def _count(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= MOST_HOSTS:
            raise ValueError(f"must be a whole number from {least} to {MOST_HOSTS}, not '{text[:20]}'")
        return int(text)

    return read


def _amount(what: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < math.inf:
            raise ValueError(f"must be {what}, 0 or more, not '{text[:20]}'")
        return value

    return read


def _age(text: str) -> float:
    value = _amount("seconds")(text)
    if 0 < value < LEAST_AGE:
        raise ValueError(f"must be {LEAST_AGE:g} seconds or more, or 0 for never, not '{text[:20]}'")
    return value


def _plans(text: str) -> tuple[str, ...]:
    plans = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    if not plans:
        raise ValueError(f"names no plan: '{text[:20]}'")
    return plans


def _billing(text: str) -> float:
    try:
        return {"second": 0.0, "hour": 3600.0}[text.lower()]
    except KeyError:
        raise ValueError(f"must be 'second' or 'hour', not '{text[:20]}'") from None


def _spot(text: str) -> str:
    told = {"false": "no", "true": "yes"}.get(text.lower(), text.lower())
    if told not in ("no", "yes", "only"):
        raise ValueError(f"must be 'no', 'yes' or 'only', not '{text[:20]}'")
    return told


def _percent(text: str) -> float:
    value = _amount("percent")(text)
    if value > 100:
        raise ValueError(f"must be percent, 100 at most, not '{text[:20]}'")
    return value


def _consolidate(text: str) -> str:
    word = {"false": "no", "true": "yes"}.get(text.lower(), text.lower())
    if word not in ("no", "yes", "live"):
        raise ValueError(f"must be 'no', 'yes' or 'live', not '{text[:20]}'")
    return word


_SECONDS = _amount("seconds")
_MONEY = _amount("an amount of money")
_KEYS: Final[Mapping[str, _Key]] = {
    "MIN_HOSTS": _Key("min_hosts", _count(0)),
    "MAX_HOSTS": _Key("max_hosts", _count(0)),
    "WARM_HOSTS": _Key("warm_hosts", _count(0)),
    "PLANS": _Key("plans", _plans),
    "MAX_COST_HOUR": _Key("max_cost_hour", _MONEY),
    "MAX_COST_MONTH": _Key("max_cost_month", _MONEY),
    "MAX_ORDERS_HOUR": _Key("max_orders_hour", _count(1)),
    "GROW_AFTER": _Key("grow_after", _SECONDS),
    "SHRINK_AFTER": _Key("shrink_after", _SECONDS),
    "COOLDOWN": _Key("cooldown", _SECONDS),
    "MAX_FAILURES": _Key("max_failures", _count(1)),
    "SOLD_OUT_FOR": _Key("sold_out_for", _SECONDS),
    "BILLING": _Key("billing", _billing),
    "MAX_HOST_AGE": _Key("max_host_age", _age),
    "SPOT": _Key("spot", _spot),
    "SPOT_MAX_PRICE": _Key("spot_max_price", _MONEY),
    "SCHEDULE": _Key("schedule", read_schedule),
    "CONSOLIDATE": _Key("consolidate", _consolidate),
    "CONSOLIDATE_AFTER": _Key("consolidate_after", _SECONDS),
    "CONSOLIDATE_BELOW": _Key("consolidate_below", _percent),
    "MAX_MOVES_HOUR": _Key("max_moves_hour", _count(1)),
}
