"""``onehybrid gc`` on the agent's side: it looks or sweeps now, and answers in time whatever the providers do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hybrid_drivers.agent import sweeps
from hybrid_drivers.agent.address_collector import AddressCollector
from hybrid_drivers.agent.collector import Collector
from hybrid_drivers.agent.leadership import Leadership
from hybrid_drivers.errors import AgentError, HybridError, OnedUnreachable
from hybrid_drivers.oned.process import Call


class Collectors:
    """Both collectors; ``before`` is what happens in the sweep of machines."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.before, self.seen = before, list[Any]()
        self.leads = True
        leadership = SimpleNamespace(leads=lambda: self.leads)
        machines = SimpleNamespace(sweep=self._machines, report=lambda: {"strays": [], "unasked": ["b", "a"]})
        addresses = SimpleNamespace(sweep=self._addresses, report=lambda: {"blocks": [], "unasked": ["a"]})
        self.sweeps = sweeps.Sweeps(
            cast(Leadership, leadership), cast(Collector, machines), cast(AddressCollector, addresses)
        )

    def _machines(self, *, look_only: bool = False) -> None:
        self.before()
        self.seen.append(("machines", look_only))

    def _addresses(self, *, now_due: bool = False, look_only: bool = False) -> None:
        self.seen.append(("addresses", now_due, look_only))

    def ask(self, *options: str) -> dict[str, Any]:
        call = cast(Call, SimpleNamespace(argv=list(options)))
        found: dict[str, Any] = json.loads(self.sweeps.answer(call).stdout)
        return found


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_it_sweeps_or_looks_at_once(options: list[str]) -> None:
    both, dry = Collectors(), bool(options)
    told = both.ask(*options)
    assert both.seen == [("machines", dry), ("addresses", True, dry)]
    assert told == {"strays": [], "blocks": [], "unasked": ["a", "b"], "late": False, "dry_run": dry}


def test_a_provider_that_hangs_does_not_keep_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "LIMIT", 0.05)
    answers = threading.Event()
    both = Collectors(answers.wait)
    assert both.ask()["late"]
    assert both.ask()["late"]  # the first still has the lock
    answers.set()


def test_without_oned_nothing_is_known() -> None:
    def down() -> None:
        raise OnedUnreachable("oned is down")

    with pytest.raises(AgentError, match="oned is down"):
        Collectors(down).ask()


def test_only_the_leader_is_asked() -> None:
    both = Collectors()
    both.leads = False
    with pytest.raises(HybridError, match="Another front-end of this zone leads"):
        both.ask()
    assert both.seen == []
