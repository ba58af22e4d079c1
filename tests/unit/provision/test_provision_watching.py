"""When a host counts as failed: for good, for long enough, and not again for what it was already retried for."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from tests.support.standin import ManualClock

from hybrid_drivers.agent import record as records
from hybrid_drivers.model import Host, HostState, Template
from hybrid_drivers.provision.progress import HostView, view
from hybrid_drivers.provision.record import Slot
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.watching import HOST_LIMIT, PATIENCE, RETRIED, HostWatch


class OnlyClock:
    """All of a site that the judgement needs."""

    def __init__(self) -> None:
        self.clock, self.state = ManualClock(), Path("/nowhere")


def watch() -> tuple[HostWatch, ManualClock]:
    site = OnlyClock()
    return HostWatch(cast(Site, site)), site.clock


def host(state: str, problem: str = "", attempt: str = "1") -> HostView:
    return HostView(index=0, id=7, name="edge-0", state=state, problem=problem, attempt=attempt, address="10.0.0.7")


def test_each_change_is_news_once() -> None:
    found, _ = watch()
    found.made(7)
    told = [found.news(host(state)) for state in ("PENDING", "PENDING", "DEPLOYING", "READY", "READY")]
    assert [text.removeprefix("host edge-0 (id 7): ") for text in told] == [
        *("PENDING", "", "DEPLOYING", "READY at 10.0.0.7 after 0 s", "")
    ]


def test_a_host_that_was_ready_before_is_no_news() -> None:
    found, _ = watch()
    assert found.news(host("READY")) == ""


def test_a_passing_problem_is_waited_out_for_a_while() -> None:
    found, clock = watch()
    assert found.failure(host("PENDING", "no entry")) == ""
    clock.sleep(PATIENCE - 1)
    assert found.failure(host("PENDING", "no entry")) == ""
    clock.sleep(2)
    assert found.failure(host("PENDING", "no entry")) == "no entry"
    assert found.failure(host("DEPLOYING")) == ""
    assert found.failure(host("PENDING", "no entry")) == ""


def test_what_was_retried_may_show_its_old_failure_for_a_moment_only() -> None:
    found, clock = watch()
    assert found.failure(host("ERROR", "quota")) == "quota"
    found.retried(host("ERROR", "quota"))
    assert found.failure(host("ERROR", "quota")) == ""
    assert found.failure(host("ERROR", "quota", attempt="2")) == "quota"
    clock.sleep(RETRIED + 1)
    assert found.failure(host("ERROR", "quota")) == "quota"


def test_a_retry_that_fails_at_once_is_a_failure_of_its_own() -> None:
    found, _ = watch()
    first, second = (_failed_at(now) for now in (1000.1, 1000.2))
    found.retried(first)
    assert (found.failure(first), found.failure(second)) == ("", "quota")


def _failed_at(now: float) -> HostView:
    """The same attempt to rent as any other, as far as whole seconds tell."""
    template = Template([("PROVISION_SINCE", "1000"), *records.with_failure("quota", "s", now)])
    host = Host(
        id=7, name="edge-0", state=HostState.ERROR, im_mad="provision", vm_mad="kvm", cluster_id=0, template=template
    )
    return view(Slot(kind="hosts", index=0, spec=0, name="edge-0", id=7), host, now, {})


def test_a_host_nobody_works_on_is_told_in_the_end() -> None:
    found, clock = watch()
    clock.sleep(HOST_LIMIT + 1)
    assert "agent status" in found.failure(host("DEPLOYING"))
    assert found.failure(host("READY")) == ""
