"""Fail modes: chains in batch mode, questions otherwise."""

from __future__ import annotations

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.failures import Failures, Mode, chain


def options(*words: str, retry: int = 0, cleanup: bool = False, skip: bool = False, quit_: bool = False) -> list[str]:
    return [mode.value for mode in chain(words, retry=retry, cleanup=cleanup, skip=skip, quit_=quit_)]


def test_quit_is_the_default_and_the_last_resort() -> None:
    assert options() == ["quit"]
    failures = Failures()
    assert [failures.decide("host 1", "no") for _ in range(3)] == [Mode.QUIT] * 3


def test_retries_come_first_and_each_thing_has_its_own() -> None:
    failures = Failures(modes=chain((), retry=2, cleanup=False, skip=True, quit_=False), retries=2)
    assert [failures.decide("a", "no") for _ in range(4)] == [Mode.RETRY, Mode.RETRY, Mode.SKIP, Mode.QUIT]
    assert failures.decide("b", "no") is Mode.RETRY
    failures.forget("a")
    assert failures.decide("a", "no") is Mode.RETRY


def test_a_chain_is_gone_through_in_its_order() -> None:
    assert options("retry", "cleanup", retry=3) == ["retry", "cleanup"]
    assert options("skip") == ["skip"]
    assert options(retry=1, cleanup=True) == ["retry", "cleanup"]


@pytest.mark.parametrize(
    ("words", "ends"), [(("nap",), {}), ((), {"skip": True, "quit_": True}), (("skip",), {"cleanup": True})]
)
def test_orders_that_make_no_sense(words: tuple[str, ...], ends: dict[str, bool]) -> None:
    with pytest.raises(ConfigError, match="fail"):
        options(*words, **ends)


def test_a_person_is_asked_instead() -> None:
    asked: list[str] = []

    def ask(what: str, modes: object) -> Mode:
        asked.append(what)
        return Mode.SKIP

    assert Failures(ask=ask).decide("host 1", "sold out") is Mode.SKIP
    assert asked == ["host 1: sold out"]
