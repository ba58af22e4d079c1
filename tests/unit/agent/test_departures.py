"""Tombstones: durable, one for each machine, never in the way."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid_drivers.agent.departures import Departure, Departures

EDGE = Departure(account="packet-ams", host_id=7, name="edge1", machine_id="m-1", since=1000.0)


@pytest.fixture
def departures(tmp_path: Path) -> Departures:
    made = Departures(tmp_path / "departures")
    assert made.load() == []
    return made


def test_what_was_noted_is_there_after_a_crash(departures: Departures, tmp_path: Path) -> None:
    departures.add(EDGE)
    changed = departures.update(EDGE, deleted_at=1010.0, missing=1)
    again = Departures(tmp_path / "departures")
    assert again.load() == [changed]
    assert again.machine_ids() == {"m-1"}


def test_the_first_note_of_a_machine_stays(departures: Departures) -> None:
    departures.add(EDGE)
    deleted = departures.update(EDGE, deleted_at=1010.0)
    assert departures.add(replace(EDGE, since=2000.0)) == deleted


def test_machines_accounts_and_hosts_have_notes_of_their_own(departures: Departures) -> None:
    others = [
        EDGE,
        replace(EDGE, machine_id="m-2"),
        replace(EDGE, account="aws-eu"),
        replace(EDGE, machine_id=""),
        replace(EDGE, machine_id="", host_id=8),
    ]
    for one in others:
        departures.add(one)
    assert sorted(one.key for one in departures.all()) == sorted({one.key for one in others})
    assert departures.machine_ids() == {"m-1", "m-2"}


def test_a_forgotten_machine_leaves_no_file(departures: Departures, tmp_path: Path) -> None:
    departures.add(EDGE)
    departures.drop(EDGE)
    assert departures.get(EDGE.key) is None
    assert list((tmp_path / "departures").iterdir()) == []


def test_a_damaged_note_is_left_to_the_collector(departures: Departures, tmp_path: Path) -> None:
    departures.add(EDGE)
    (tmp_path / "departures/damaged.json").write_text('{"account": "x"')
    (tmp_path / "departures/older.json").write_text('{"account": "x", "unknown": 1}')
    again = Departures(tmp_path / "departures")
    assert again.load() == [EDGE]


def test_only_we_may_read_them(departures: Departures, tmp_path: Path) -> None:
    departures.add(EDGE)
    folder = tmp_path / "departures"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
