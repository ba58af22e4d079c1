"""One list call serves everybody who waits for it, and so does one failure."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from hybrid_drivers.agent.machines import AccountMachines
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.errors import MachineGone, TransientError
from hybrid_drivers.model import Machine, MachineState, MachineTags
from hybrid_drivers.providers.base import Limits, Provider

LISTED = Machine(id="m1", state=MachineState.RUNNING, tags=MachineTags(owner="us", host_id=7, token="t"))


class SlowProvider:
    """A provider whose list takes a while; counts the calls."""

    limits = Limits(settle=60, poll=10)

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.entered, self.go_on = threading.Event(), threading.Event()

    def list(self, owner: str) -> Sequence[Machine]:
        self.calls += 1
        self.entered.set()
        assert self.go_on.wait(10)
        if self.error:
            raise self.error
        return [LISTED]

    def get(self, machine_id: str) -> Machine:
        raise MachineGone("no such machine", failure="Server.InsufficientInstanceCapacity", failure_is_capacity=True)


def machines(provider: SlowProvider) -> AccountMachines:
    return AccountMachines(cast(Provider, provider), "us", SystemClock())


def look_all(account: AccountMachines, provider: SlowProvider, number: int) -> list[Any]:
    """Look from ``number`` threads that all wait for the first call; return what each got."""
    now = SystemClock().now()

    def look(_: int) -> Any:
        try:
            return account.look(now)
        except TransientError as exc:
            return exc

    with ThreadPoolExecutor(number) as pool:
        looks = pool.map(look, range(number))
        assert provider.entered.wait(10)
        provider.go_on.set()
        return list(looks)


def test_one_call_serves_all_who_wait() -> None:
    provider = SlowProvider()
    found = look_all(machines(provider), provider, 20)
    assert provider.calls == 1
    assert {one.machines for one in found} == {(LISTED,)}


def test_one_failure_serves_all_who_wait() -> None:
    provider = SlowProvider()
    provider.error = TransientError("down")
    account = machines(provider)
    assert look_all(account, provider, 20) == [provider.error] * 20
    assert provider.calls == 1
    with pytest.raises(TransientError, match="down"):
        account.look(SystemClock().now())
    assert provider.calls == 1


def test_a_machine_just_made_is_shown_before_the_lists_have_it() -> None:
    provider = SlowProvider()
    provider.go_on.set()
    account = machines(provider)
    account.look(SystemClock().now())
    made = Machine(id="m2", state=MachineState.STARTING, tags=MachineTags(owner="us", host_id=8, token="t"))
    account.remember(made)
    assert account.of_host(8) == [made]
    account.forget("m2")
    assert account.of_host(8) == []


def test_why_a_machine_ended_is_kept() -> None:
    gone = machines(SlowProvider()).confirm("m9")
    assert gone is not None
    assert (gone.state, gone.failure_is_capacity) == (MachineState.GONE, True)
