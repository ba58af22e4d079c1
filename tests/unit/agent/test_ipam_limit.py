"""An address call is answered in time, whatever its work does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from hybrid_drivers.agent import client, ipam
from hybrid_drivers.agent.starter import START_LIMIT
from hybrid_drivers.errors import ConfigError, TransientError
from hybrid_drivers.oned.process import Answer


def test_the_agent_answers_before_its_client_gives_up_and_that_before_oned() -> None:
    assert ipam.LIMIT < client.LIMITS["ipam"] <= 60  # oned: 90
    assert client.LIMITS["ipam"] > START_LIMIT


def test_what_the_work_returns_or_raises_comes_through() -> None:
    assert ipam._within(5, lambda _: Answer(stdout=b"x")).stdout == b"x"

    def wrong(_: Callable[[], bool]) -> Answer:
        raise ConfigError("wrong")

    with pytest.raises(ConfigError, match="wrong"):
        ipam._within(5, wrong)


def test_work_that_takes_too_long_is_told_that_nobody_waits() -> None:
    over, seen = threading.Event(), threading.Event()

    def slow(still_wanted: Callable[[], bool]) -> Answer:
        over.wait(10)
        if not still_wanted():
            seen.set()
        return Answer()

    with pytest.raises(TransientError, match="no answer within 0 s"):
        ipam._within(0.01, slow)
    over.set()
    assert seen.wait(10)
