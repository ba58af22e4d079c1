"""The ELASTIC vector: what it means, and that each wrong value is named."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_drivers.agent.growth.policy import Policy, read_policy
from hybrid_drivers.agent.growth.schedule import Moment, read_schedule
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template, Value

MONDAY, FRIDAY, SATURDAY, SUNDAY = 0, 4, 5, 6


def read(**keys: str) -> Policy | None:
    return read_policy(Template([("ELASTIC", {"ENABLED": "yes", **keys})]))


def test_defaults_and_every_key() -> None:
    assert read(MAX_HOSTS="8") == Policy(max_hosts=8)
    whole = read(
        MIN_HOSTS="1",
        MAX_HOSTS="8",
        WARM_HOSTS="1",
        PLANS="c3.small.x86, m3.large.x86,,c3.small.x86",
        MAX_COST_HOUR="20",
        MAX_COST_MONTH="3000.5",
        MAX_ORDERS_HOUR="4",
        GROW_AFTER="60",
        SHRINK_AFTER="600",
        COOLDOWN="0",
        MAX_FAILURES="2",
        SOLD_OUT_FOR="900",
        BILLING="hour",
        SCHEDULE="mon-fri 08:00-19:00 min=2",
        CONSOLIDATE="Live",
        CONSOLIDATE_AFTER="600",
        CONSOLIDATE_BELOW="40",
        MAX_MOVES_HOUR="4",
    )
    assert whole == Policy(
        min_hosts=1,
        max_hosts=8,
        warm_hosts=1,
        plans=("c3.small.x86", "m3.large.x86"),
        max_cost_hour=20,
        max_cost_month=3000.5,
        max_orders_hour=4,
        cooldown=0,
        max_failures=2,
        sold_out_for=900,
        billing=3600,
        schedule=read_schedule("mon-fri 08:00-19:00 min=2"),
        consolidate="live",
        consolidate_after=600,
        consolidate_below=40,
        max_moves_hour=4,
    )


@pytest.mark.parametrize("keys", [{}, {"ENABLED": "no", "MAX_HOSTS": "x"}, {"ENABLED": "", "NONSENSE": "1"}])
def test_without_enabled_there_is_no_policy(keys: dict[str, str]) -> None:
    assert read_policy(Template([("ELASTIC", keys)])) is None
    assert read_policy(Template()) is None


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "MAX_HOSTS: is required"),
        ({"MAX_HOSTS": "-1"}, "MAX_HOSTS: must be a whole number from 0 to 10000, not '-1'"),
        ({"MAX_HOSTS": "²"}, "MAX_HOSTS: must be a whole number"),
        ({"MAX_HOSTS": "2", "MIN_HOSTS": "3"}, "MIN_HOSTS: is more than MAX_HOSTS"),
        ({"MAX_HOSTS": "2", "GROW_AFTER": "1m"}, "GROW_AFTER: must be seconds, 0 or more, not '1m'"),
        ({"MAX_HOSTS": "2", "MAX_COST_HOUR": "nan"}, "MAX_COST_HOUR: must be an amount of money"),
        ({"MAX_HOSTS": "2", "MAX_COST_HOUR": "inf"}, "MAX_COST_HOUR: must be an amount of money"),
        ({"MAX_HOSTS": "2", "BILLING": "day"}, "BILLING: must be 'second' or 'hour'"),
        (
            {"MAX_HOSTS": "2", "MAX_HOST_AGE": "1"},
            "MAX_HOST_AGE: must be 3600 seconds or more, or 0 for never, not '1'",
        ),
        ({"MAX_HOSTS": "2", "SPOT": "maybe"}, "SPOT: must be 'no', 'yes' or 'only', not 'maybe'"),
        ({"MAX_HOSTS": "2", "SPOT_MAX_PRICE": "free"}, "SPOT_MAX_PRICE: must be an amount of money"),
        ({"MAX_HOSTS": "2", "CONSOLIDATE": "cold"}, "CONSOLIDATE: must be 'no', 'yes' or 'live', not 'cold'"),
        ({"MAX_HOSTS": "2", "CONSOLIDATE_BELOW": "101"}, "CONSOLIDATE_BELOW: must be percent, 100 at most"),
        ({"MAX_HOSTS": "2", "MAX_MOVES_HOUR": "0"}, "MAX_MOVES_HOUR: must be a whole number from 1"),
        ({"MAX_HOSTS": "2", "MAXHOSTS": "2"}, "MAXHOSTS: is not known; known are BILLING"),
        ({"MAX_HOSTS": "2", "SCHEDULE": "mo 8-9 min=1"}, "SCHEDULE: '8' is not a time"),
        ({"MAX_HOSTS": "2", "SCHEDULE": "mo 08:00-09:00 min=1"}, "SCHEDULE: 'mo' is not a day"),
        ({"MAX_HOSTS": "2", "SCHEDULE": "mon 08:00-09:00"}, "SCHEDULE: 'mon 08:00-09:00' is not like"),
        ({"MAX_HOSTS": "2", "SCHEDULE": "mon 08:00-24:01 min=1"}, "SCHEDULE: '24:01' is not a time"),
        ({"MAX_HOSTS": "8", "SCHEDULE": "mon 08:00-09:00 min=99"}, "SCHEDULE: min=99 is more than MAX_HOSTS=8"),
        ({"MAX_HOSTS": "8", "SCHEDULE": "mon 08:00-09:00 min=2 min=3"}, "says min or warm twice"),
        ({"MAX_HOSTS": "8", "SCHEDULE": "mon 24:00-08:00 min=1"}, "begins at 24:00: write 00:00 of the next day"),
        ({"MAX_HOSTS": "8", "PLANS": " , "}, "PLANS: names no plan: ','"),
        ({"MAX_HOSTS": "8", "ENABLED": "yse"}, "ENABLED: must be 'yes' or 'no', not 'yse'"),
        ({"ENABLED": "1"}, "ENABLED: must be 'yes' or 'no', not '1'"),
        ({"MAX_HOSTS": "2", "SCHEDULE": "mon 08:00-08:00 min=1"}, "ends when it begins"),
    ],
)
def test_each_wrong_value_is_named(keys: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**keys)
    assert str(caught.value).startswith("ELASTIC is wrong: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([("ELASTIC", "yes")], "must be a vector like"),
        ([("ELASTIC", {"ENABLED": "no"}), ("ELASTIC", "yes")], "must be a vector like"),
        ([("ELASTIC", {"ENABLED": "no"}), ("ELASTIC", {"ENABLED": "yes"})], "stands there 2 times"),
    ],
)
def test_what_cannot_be_read_as_one_policy_is_not_taken_for_none(pairs: list[tuple[str, Value]], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_policy(Template(pairs))
    assert read_policy(Template([("ELASTIC", "")])) is None


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"MIN_HOSTS: .*; COOLDOWN: .*; MAX_HOSTS: is required"):
        read(MIN_HOSTS="x", COOLDOWN="y")


@pytest.mark.parametrize(
    ("schedule", "day", "time", "least"),
    [
        ("mon-fri 08:00-19:00 min=2", MONDAY, "08:00", 2),
        ("mon-fri 08:00-19:00 min=2", FRIDAY, "18:59", 2),
        ("mon-fri 08:00-19:00 min=2", FRIDAY, "19:00", 0),
        ("mon-fri 08:00-19:00 min=2", SATURDAY, "12:00", 0),
        ("sat-mon 00:00-24:00 min=1", SUNDAY, "23:59", 1),
        ("sat-mon 00:00-24:00 min=1", MONDAY, "00:00", 1),
        ("sat-mon 00:00-24:00 min=1", FRIDAY, "12:00", 0),
        ("fri 22:00-06:00 min=3", SATURDAY, "05:59", 3),
        ("fri 22:00-06:00 min=3", FRIDAY, "05:00", 0),
        ("sun 22:00-06:00 min=3", MONDAY, "01:00", 3),
        ("mon,wed 8:00-9:00 min=3; mon 08:30-10:00 min=5 ;", MONDAY, "08:45", 5),
        ("mon 08:00-09:00 min=8", MONDAY, "08:45", 8),
    ],
)
def test_schedule(schedule: str, day: int, time: str, least: int) -> None:
    policy = read(MAX_HOSTS="8", SCHEDULE=schedule)
    hour, minute = time.split(":")
    assert policy is not None
    now = policy.at(Moment(weekday=day, minute=int(hour) * 60 + int(minute)))
    assert (now.min_hosts, now.warm_hosts) == (least, 0)


def test_a_window_may_ask_for_warm_hosts() -> None:
    policy = read(MAX_HOSTS="8", WARM_HOSTS="1", SCHEDULE="mon 08:00-09:00 min=2 warm=3")
    assert policy is not None
    assert policy.at(Moment(weekday=0, minute=500)).warm_hosts == 3
    assert policy.at(Moment(weekday=0, minute=600)).warm_hosts == 1


@given(st.text(alphabet="monfri ,-:;=0123456789warm", max_size=40))
def test_any_schedule_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        windows = read_schedule(text)
        assert all(one.days and 0 <= one.begin < 1440 and 0 <= one.end <= 1440 for one in windows)
