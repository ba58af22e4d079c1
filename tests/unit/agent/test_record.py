"""A host's attributes, read into types and written back; what is written can be read by oned and by us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.agent_fakes import OnedStore

from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.observed import Failure, Intent, Phase
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.model import Machine, MachineState, MachineTags, Template, Value
from hybrid_drivers.oned.template import render

INTENT = Intent(token="t", attempt=2, since=1000.5, spec_hash="s", agent="me", host_key="ssh-ed25519 AAAA")
MACHINE = Machine(id="m1", state=MachineState.STARTING)


class Kept:
    """A host in oned that takes in what is written, as ``one.host.update`` with append does."""

    def __init__(self, *pairs: tuple[str, Value]) -> None:
        self.store = OnedStore()
        self.host_id = self.store.add()
        self.write(Template(pairs))

    def write(self, template: Template) -> HostRecord:
        render(template, "a host")
        self.store.merge(self.host_id, template)
        return self.record

    @property
    def record(self) -> HostRecord:
        return records.read(self.store.hosts[self.host_id])

    def text(self, name: str) -> str:
        return self.store.hosts[self.host_id].template.text(name)


def test_a_new_host_has_nothing() -> None:
    record = Kept().record
    assert (record.intent, record.failure, record.deploy_id, record.host_keys) == (None, None, "", ())
    assert (record.configured, record.ready, record.friendly_name, record.since) == (False, False, "edge0", 0.0)


def test_an_intent_comes_back_as_it_was() -> None:
    kept = Kept()
    assert kept.write(records.with_intent(kept.record, INTENT)).intent == INTENT
    later = replace(INTENT, agent="you", since=2000.25)
    assert kept.write(records.taken_over(kept.record, later)).intent == later


@pytest.mark.parametrize("gone", ["TOKEN", "ATTEMPT", "SINCE"])
def test_a_damaged_intent_counts_as_none(gone: str) -> None:
    whole = {"TOKEN": "t", "ATTEMPT": "1", "SINCE": "5", "AGENT": "me"}
    assert Kept(("PROVISION_INTENT", whole)).record.intent is not None
    assert Kept(("PROVISION_INTENT", {k: v for k, v in whole.items() if k != gone})).record.intent is None
    if gone != "TOKEN":
        assert Kept(("PROVISION_INTENT", {**whole, gone: "soon"})).record.intent is None
        assert Kept(("PROVISION_INTENT", {**whole, gone: "nan"})).record.intent is None


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-1e999", "1e300"])
def test_times_that_are_none_count_as_never(text: str) -> None:
    names = ("PROVISION_READY", "PROVISION_SINCE", "PROVISION_SWITCHED_ON")
    record = Kept(*((name, text) for name in names)).record
    assert (record.ready_at, record.since, record.switched_on, records.number(text)) == (0.0, 0.0, (), None)


def test_the_machine_is_recorded_beside_what_the_operator_said() -> None:
    kept = Kept(("PROVISION", {"PLAN": "x", "HOSTNAME": "friendly"}))
    record = kept.write(records.with_machine(kept.record, MACHINE, "acme", "packet"))
    assert record.provision == {"PLAN": "x", "HOSTNAME": "friendly", "DEPLOY_ID": "m1", "RENTED_FROM": "acme"}
    assert (record.friendly_name, kept.text("PM_MAD")) == ("friendly", "packet")


def test_inline_credentials_stay_where_they_are() -> None:
    inline = {"DRIVER": "packet", "PACKET_TOKEN": "encrypted"}
    kept = Kept(("PROVISION", inline))
    record = kept.write(records.with_machine(kept.record, MACHINE, "inline-1", "packet"))
    assert record.provision == {**inline, "DEPLOY_ID": "m1", "HOSTNAME": "edge0"}


def test_a_machine_that_is_found_again_brings_the_name_back() -> None:
    kept = Kept(("PROVISION_READY", "5"))
    tagged = replace(MACHINE, tags=MachineTags(owner="o", host_id=0, token="t", name="edge-of-old"))
    record = kept.write(records.with_machine(kept.record, tagged, "acme", "packet"))
    assert (record.friendly_name, kept.text("PROVISION_STATE")) == ("edge-of-old", "READY")


def test_another_attempt_forgets_the_machine_and_all_that_was_done_on_it() -> None:
    kept = Kept(("PROVISION", {"PLAN": "x"}))
    kept.write(records.with_machine(kept.record, MACHINE, "acme", "packet"))
    kept.write(records.with_host_keys(("a", "b")))
    kept.write(records.as_configured(kept.record, "2 abc"))
    kept.write(records.as_ready(kept.record, 5.0, MACHINE, "192.0.2.7", {"REMOTE_PORT": "22"}))
    record = kept.record
    kept.write(records.with_drift("1 of 2 steps differs: x"))
    record = kept.record
    assert (record.configured, record.ready, record.host_keys, record.address) == (True, True, ("a", "b"), "192.0.2.7")
    assert (record.peers, record.drift, record.ready_at) == ("2 abc", "1 of 2 steps differs: x", 5.0)
    record = kept.write(records.with_intent(record, INTENT))
    assert (record.deploy_id, record.configured, record.ready, record.host_keys) == ("", False, False, ())
    assert (record.address, record.peers, record.drift) == ("", "", "")
    assert record.provision == {"PLAN": "x", "HOSTNAME": "edge0"}


def test_a_rerun_that_failed_is_told_until_one_goes_well() -> None:
    kept = Kept(("PROVISION_READY", "5"), ("PROVISION_DRIFT", "1 of 2 steps differs: x"))
    record = kept.write(records.as_misconfigured("disk full"))
    assert (record.misconfigured, record.ready, kept.text("PROVISION_ERROR")) == (True, True, "disk full")
    record = kept.write(records.as_configured(record, ""))
    assert (record.misconfigured, record.configured, record.drift) == (False, True, "")


def test_failures_are_told_kept_and_forgiven() -> None:
    kept = Kept()
    ugly = 'bad "words"\r\nand \x00 ]]> end\\'
    record = kept.write(records.with_failure(ugly, "s", 12.0))
    assert record.failure is not None
    assert (record.failure.spec_hash, kept.text("PROVISION_STATE")) == ("s", "ERROR")
    assert kept.text("PROVISION_ERROR") == record.failure.reason
    record = kept.write(records.forgiven(record, 77.0))
    assert (record.failure, record.ready, record.since) == (None, False, 77.0)
    assert (kept.text("PROVISION_STATE"), kept.text("PROVISION_ERROR")) == ("PENDING", "")


WRITES: dict[str, Callable[[HostRecord], Template]] = {
    "intent": lambda record: records.with_intent(record, INTENT),
    "ready": lambda record: records.as_ready(record, 5.0, MACHINE, "192.0.2.7", {}),
}


@pytest.mark.parametrize("write", WRITES)
def test_what_succeeds_clears_an_earlier_failure(write: str) -> None:
    kept = Kept(("PROVISION_FAILURE", {"REASON": "quota", "SPEC_HASH": "s"}))
    assert kept.record.failure == Failure(reason="quota", spec_hash="s")
    assert kept.write(WRITES[write](kept.record)).failure is None


def test_state_is_readable_whatever_it_says() -> None:
    shown = dict(records.state(Phase.ERROR, step="a\rb", problem="]]>\\", since=12.6))
    assert shown["PROVISION_SINCE"] == "13"
    render(Template(shown.items()), "a message")
