from __future__ import annotations

import statistics

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.knobs import Knobs


def test_an_unknown_knob_is_refused_and_the_known_ones_are_named() -> None:
    knobs = Knobs()
    with pytest.raises(ConfigError, match=r"no knob 'list_lags'; the knobs are queued, .*list_lag"):
        knobs.change({"list_lags": 1})
    with pytest.raises(ConfigError, match="no knob 'colour'"):
        knobs.colour = "red"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queued", "soon"),
        ("queued", -1),
        ("queued", "lognormal:3"),
        ("queued", float("nan")),
        ("queued", True),
        ("time_scale", 0),
        ("quota", 1.5),
        ("error_rate", 1.2),
        ("error_status", 404),
        ("lost_reply", 1.5),
        ("fail_mode", "explode"),
        ("capacity", "c3.small.x86=1"),
        ("capacity", "a@b=many"),
        ("capacity", 3),
        ("no_ssh", "perhaps"),
        ("seed", []),
    ],
)
def test_a_bad_value_is_refused_with_the_name_and_what_is_expected(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"knob {name}: .* is not"):
        Knobs().change({name: value})


def test_changes_are_all_or_none() -> None:
    knobs = Knobs()
    with pytest.raises(ConfigError):
        knobs.change({"list_lag": 9, "quota": -1})
    assert knobs.list_lag == 0


def test_assignments_of_a_command_line() -> None:
    knobs = Knobs.from_assignments(["list_lag=2", "capacity=a@b=2", "capacity=c@d=0,e@*=1", "no_ssh=yes"])
    assert (knobs.list_lag, knobs.no_ssh) == (2.0, True)
    assert knobs.capacity == {"a@b": 2, "c@d": 0, "e@*": 1}
    with pytest.raises(ConfigError, match="name=value"):
        Knobs.from_assignments(["list_lag"])


def test_every_knob_survives_a_trip_through_its_own_values() -> None:
    before = Knobs(queued="lognormal:3,0.5", capacity={"a@b": 2}, lost_reply=2, error_rate=0.5)
    after = Knobs()
    after.change(before.as_dict())
    assert after.as_dict() == before.as_dict()


def test_time_scale_divides_every_wait() -> None:
    assert Knobs(provisioning=30, time_scale=100).wait("provisioning") == pytest.approx(0.3)


def test_lognormal_waits_have_the_median_and_repeat_with_the_seed() -> None:
    knobs = Knobs(booting="lognormal:10,0.5", seed=7)
    first = [knobs.wait("booting") for _ in range(2000)]
    assert statistics.median(first) == pytest.approx(10, rel=0.1)
    assert statistics.stdev(first) > 2
    knobs.seed = 7
    assert [knobs.wait("booting") for _ in range(5)] == first[:5]


def test_how_often_counts_down_or_draws() -> None:
    knobs = Knobs(lost_reply=2)
    assert [knobs.strikes("lost_reply") for _ in range(4)] == [True, True, False, False]
    assert knobs.lost_reply == 0
    knobs.change({"lost_reply": 0.25, "seed": 1})
    hits = sum(knobs.strikes("lost_reply") for _ in range(4000))
    assert 900 < hits < 1100


def test_room_is_what_the_tightest_capacity_leaves() -> None:
    knobs = Knobs(capacity={"small@am": 3, "*@am": 4, "big@*": 0})
    assert knobs.room("small", "am", {}) == 3
    assert knobs.room("small", "am", {"small@am": 1, "medium@am": 2}) == 1
    assert knobs.room("small", "da", {}) is None
    assert knobs.room("big", "da", {}) == 0
    assert knobs.room("small", "am", {"small@am": 9}) == 0
