"""Giving hosts back: "gone" is said only of what two answers in a row no longer had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.support.provisions import begun, site_of
from tests.support.standin import ManualClock

from hybrid_drivers.errors import CredentialsRejected, TransientError
from hybrid_drivers.model import Machine, MachineState, MachineTags, Template
from hybrid_drivers.providers.base import Limits
from hybrid_drivers.provision.record import Leaving
from hybrid_drivers.provision.returning import Returns
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend

LEAVING = Leaving(host_id=7, name="edge-0", provider="acme", machine="m-1", uncertain=False)


class Lists:
    """A provider whose lists are written down beforehand; the last one holds on."""

    limits = Limits(poll=10.0, settle=60.0, delete=300.0)

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked = 0

    def list(self, owner: str) -> Sequence[Machine]:
        assert owner == "me"
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value] # tests write lists

    def provider(self, _name: str) -> Any:
        """Stand for the directory too."""
        return self


def machine(number: int = 7, name: str = "m-1") -> Machine:
    return Machine(id=name, state=MachineState.DELETING, tags=MachineTags(owner="me", host_id=number, token="t"))


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        yield started


def confirmed(front_end: Frontend, lists: Lists, *leaving: Leaving) -> tuple[list[Leaving], float, list[str]]:
    clock = ManualClock()
    said: list[str] = []
    with site_of(front_end, clock) as made:
        site: Site = replace(made, directory=lists)  # type: ignore[arg-type] # it stands for the directory
        site.oned.update_zone(0, Template([("HYBRID_OWNER", "me")]))
        record = begun(site, f"name: p{id(lists)}\n")
        record.leaving = list(leaving)
        began = clock.monotonic()
        left = Returns(site, record, said.append).confirm()
        assert record.leaving == left
        return left, clock.monotonic() - began, said


def test_two_answers_without_it_are_needed(front_end: Frontend) -> None:
    lists = Lists([machine()], [], [machine()], [], [])
    assert confirmed(front_end, lists, LEAVING)[0] == []
    assert lists.asked == 5


def test_a_machine_that_may_still_turn_up_is_waited_for(front_end: Frontend) -> None:
    left, seconds, _ = confirmed(front_end, Lists([]), replace(LEAVING, machine="", uncertain=True))
    assert (left, seconds >= 60.0) == ([], True)


def test_one_that_never_goes_is_told(front_end: Frontend) -> None:
    left, seconds, _ = confirmed(front_end, Lists([machine()]), LEAVING)
    assert (left, seconds >= 300.0) == ([LEAVING], True)


def test_other_peoples_machines_do_not_count(front_end: Frontend) -> None:
    assert confirmed(front_end, Lists([machine(8, "m-2"), replace(machine(9, "m-3"), tags=None)]), LEAVING)[0] == []


def test_troubles_that_pass_are_waited_out_and_others_are_told(front_end: Frontend) -> None:
    lists = Lists(TransientError("busy"), [], TransientError("busy"), [], [])
    left, _, said = confirmed(front_end, lists, LEAVING)
    assert (left, said) == ([], ["busy", "busy"])
    left, _, said = confirmed(front_end, Lists(CredentialsRejected("wrong token")), LEAVING)
    assert left == [LEAVING]
    assert "cannot be seen: wrong token" in said[0]


def test_nothing_was_ever_rented(front_end: Frontend) -> None:
    assert confirmed(front_end, Lists([machine()]), replace(LEAVING, provider=""))[0] == []
