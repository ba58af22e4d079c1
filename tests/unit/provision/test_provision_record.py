"""A provision's record: what is written of it and read back."""

from __future__ import annotations

import json

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.record import EVENTS_KEPT, Leaving, Record, Slot, Stage, State, Wishes, made, read


def full() -> Record:
    record = Record(
        name="edge",
        template="name: edge\n",
        inputs={"token": "s3cret"},
        state=State.CONFIGURING,
        wishes=Wishes(provider="aws", skip_config=True, wait_timeout=5.5),
        started=12.5,
    )
    record.put(made(Slot(kind="clusters", index=record.next_index("clusters"), spec=0), 101, "edge"))
    record.put(
        Slot(kind="hosts", index=record.next_index("hosts"), spec=0, stage=Stage.MAKING, after=7, own={"plan": "x"})
    )
    record.put(Slot(kind="datastores", index=0, spec=-1, id=1, name="default", attached=True))
    record.leaving = [Leaving(host_id=3, name="a", provider="p", machine="m", uncertain=False)]
    record.note(1.0, "me@here", "created")
    return record


def test_it_comes_back_as_it_was_written() -> None:
    record = full()
    again = read(5, "edge", record.body())
    record.id = 5
    assert again == record
    assert again.cluster_id == 101


def test_what_a_later_version_wrote_besides_is_passed_over() -> None:
    content = json.loads(full().body())
    content["later"] = 1
    content["slots"][0]["later"] = 1
    assert read(5, "edge", json.dumps(content)).cluster_id == 101


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "state": "X"}', "null"]
)
def test_a_body_that_is_not_ours_is_named(body: str) -> None:
    with pytest.raises(ConfigError, match=r"document 5 \(edge\) is not a provision"):
        read(5, "edge", body)


def test_the_summary_holds_nothing_secret_and_counts_hosts() -> None:
    record = full()
    record.put(Slot(kind="hosts", index=9, spec=0, stage=Stage.SKIPPED))
    assert record.summary() == {"STATE": "CONFIGURING", "PROVIDER": "-", "HOSTS": "1", "STARTED": "12"}


def test_an_index_is_given_out_once() -> None:
    record = full()
    slot = record.put(Slot(kind="hosts", index=record.next_index("hosts"), spec=0))
    record.drop(slot)
    assert record.next_index("hosts") == slot.index + 1
    assert read(1, "edge", record.body()).next_index("hosts") == slot.index + 2


def test_old_events_go() -> None:
    record = full()
    for number in range(EVENTS_KEPT + 10):
        record.note(float(number), "me", str(number))
    assert len(record.events) == EVENTS_KEPT
    assert record.events[-1].text == str(EVENTS_KEPT + 9)
