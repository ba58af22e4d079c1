"""Token bucket, retries, Retry-After: pure or on a fake clock."""

from __future__ import annotations

import threading

import pytest
from tests.support.providers import FakeClock, SwiftClock

from hybrid_drivers.errors import OutcomeUnknown, ProviderError, RateLimited, TransientError, WrongState
from hybrid_drivers.providers.bucket import TokenBucket
from hybrid_drivers.providers.retry import Retrier, RetryPolicy
from hybrid_drivers.providers.statuses import LONGEST_RETRY_AFTER, retry_after


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate=2, burst=3, clock=clock)
    for _ in range(3):
        bucket.take()
    assert clock.slept == []
    for _ in range(4):
        bucket.take()
    assert sum(clock.slept) == pytest.approx(2.0)


def test_an_idle_bucket_fills_up_to_the_burst_only() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate=10, burst=2, clock=clock)
    clock.sleep(1000)
    clock.slept.clear()
    for _ in range(4):
        bucket.take()
    assert sum(clock.slept) == pytest.approx(0.2)


def test_a_pause_holds_everybody_but_not_for_ever() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate=10, burst=100, clock=clock)
    bucket.pause(5)
    bucket.take()
    assert clock.slept == [pytest.approx(5)]
    bucket.pause(100_000)
    bucket.take()
    assert clock.slept[-1] == pytest.approx(60)


def test_the_rate_holds_over_many_threads() -> None:
    clock = SwiftClock()
    bucket = TokenBucket(rate=100, burst=1, clock=clock)
    started = clock.monotonic()

    def take_twenty() -> None:
        for _ in range(20):
            bucket.take()

    threads = [threading.Thread(target=take_twenty) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert clock.monotonic() - started >= 159 / 100


def failing(*errors: ProviderError) -> tuple[list[ProviderError], Retrier, FakeClock]:
    clock = FakeClock()
    return list(errors), Retrier(clock, RetryPolicy(tries=3, total=20, first=1, longest=4), chance=lambda: 0.0), clock


def run(errors: list[ProviderError], retrier: Retrier) -> str:
    def call() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return retrier.run(call)


def test_passing_failures_are_repeated() -> None:
    errors, retrier, clock = failing(TransientError("a"), RateLimited("b", retry_after=9))
    assert run(errors, retrier) == "done"
    assert clock.slept == [0.5, 9]


@pytest.mark.parametrize("error", [WrongState("a"), OutcomeUnknown("b"), ProviderError("c")])
def test_other_failures_are_not(error: ProviderError) -> None:
    errors, retrier, clock = failing(error)
    with pytest.raises(type(error)):
        run(errors, retrier)
    assert clock.slept == []


def test_tries_and_time_are_limited() -> None:
    errors, retrier, _ = failing(*[TransientError("x")] * 5)
    with pytest.raises(TransientError):
        run(errors, retrier)
    assert len(errors) == 2
    errors, retrier, clock = failing(RateLimited("x", retry_after=21))
    with pytest.raises(RateLimited):
        run(errors, retrier)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60),
        ({"retry-after": "Tue, 14 Nov 2003 22:14:20 GMT"}, 0),
        ({"retry-after": "999999"}, LONGEST_RETRY_AFTER),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"x-ratelimit-reset": "1700000030"}, 30),
        ({"x-ratelimit-reset": "1700000030", "x-ratelimit-remaining": "5"}, None),
        ({"x-ratelimit-reset": "1699999999"}, 0),
        ({"x-ratelimit-reset": "garbage"}, None),
        ({"retry-after": "1", "x-ratelimit-reset": "1700000030"}, 1),
    ],
)
def test_how_long_a_provider_asks_to_wait(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers, now=1_700_000_000.0) == expected
