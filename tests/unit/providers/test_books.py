"""Dummy and static: what they remember, and that a crash or a crowd does no harm."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.support.providers import OWNER, FakeClock, entry

from hybrid_drivers.errors import CapacityExhausted, ConfigError, MachineGone, PermanentError
from hybrid_drivers.model import CreateRequest, MachineState, MachineTags, Placement
from hybrid_drivers.providers.base import Setting
from hybrid_drivers.providers.dummy import DummyProvider
from hybrid_drivers.providers.static import StaticProvider

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1dCB0aGlzIGlzIG5vdCBhIGtleSBvZiBhbnlib2R5"
RACK = (
    {"address": "203.0.113.1", "name": "rack1", "host_key": f"{KEY} root@rack1", "plan": "big"},
    {"address": "10.0.0.2", "name": "rack2", "host_key": KEY},
    {"address": "2001:db8::3", "name": "rack3", "host_key": KEY, "plan": "big"},
)


def static(folder: Path, machines: tuple[object, ...] = RACK, **settings: str) -> StaticProvider:
    return StaticProvider(entry("static", {"machines": machines, **settings}), clock=FakeClock(), state_dir=folder)


def request(token: str, plan: str = "any", place: str = "any") -> CreateRequest:
    tags = MachineTags(owner=OWNER, host_id=1, token=token, name="n")
    return CreateRequest(
        token=token, tags=tags, hostname="h", placement=Placement(plan=plan, place=place), attributes={}
    )


def test_a_claim_outlives_the_provider_and_the_list(tmp_path: Path) -> None:
    made = static(tmp_path).create(request("t1"))
    assert (made.hostname, made.address()) == ("rack1", "203.0.113.1")
    later = static(tmp_path, RACK[1:])
    assert later.get(made.id) == made
    assert [one.id for one in later.list(OWNER)] == [made.id]
    later.delete(made.id)
    with pytest.raises(MachineGone):
        later.get(made.id)


def test_a_late_delete_of_the_last_claim_does_not_free_the_next(tmp_path: Path) -> None:
    one = static(tmp_path, RACK[:1])
    first = one.create(request("t1"))
    one.delete(first.id)
    second = one.create(request("t2"))
    assert second.address() == first.address()
    one.delete(first.id)
    assert one.get(second.id) == second


def test_plans_and_host_keys(tmp_path: Path) -> None:
    one = static(tmp_path)
    big = [one.create(request(f"t{number}", plan="big")) for number in range(2)]
    assert [machine.hostname for machine in big] == ["rack1", "rack3"]
    assert one.host_keys(big[0].id) == [f"{KEY} root@rack1"]
    with pytest.raises(CapacityExhausted, match="of plan big is free"):
        one.create(request("t9", plan="big"))
    assert [x.plan for x in one.placements({"PLAN": "big,any"})] == ["big", "any"]
    with pytest.raises(ConfigError, match="has plan 'huge'"):
        one.placements({"PLAN": "huge"})


def test_internal_addresses_are_not_public(tmp_path: Path) -> None:
    one = static(tmp_path)
    found = {one.create(request(f"t{n}")).addresses[0] for n in range(3)}
    assert {(x.address, x.public, x.family) for x in found} == {
        ("203.0.113.1", True, 4),
        ("10.0.0.2", False, 4),
        ("2001:db8::3", True, 6),
    }


def test_a_damaged_file_is_never_an_empty_one(tmp_path: Path) -> None:
    one = static(tmp_path)
    one.create(request("t1"))
    book = tmp_path / "static-static-lab.json"
    assert book.stat().st_mode & 0o777 == 0o600
    for damage in ("", "{", '{"machines": 5}', '{"machines": [{"id": "x"}]}', "[]"):
        book.write_text(damage)
        for call in (lambda: one.create(request("t2")), lambda: one.list(OWNER), lambda: one.delete("x")):
            with pytest.raises(PermanentError, match="is damaged"):
                call()
        assert book.read_text() == damage


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermanentError, match="cannot be made"):
        static(tmp_path / "file").create(request("t1"))


def _crowd(folder: str, number: int) -> str:
    machines = tuple(f"203.0.113.{one}" for one in range(1, 41))
    settings: dict[str, Setting] = {"machines": machines, "trust_first_use": True}
    provider = StaticProvider(entry("static", settings), clock=FakeClock(), state_dir=Path(folder))
    return ",".join(str(provider.create(request(f"{number}-{turn}")).address()) for turn in range(10))


def test_a_crowd_of_processes_gets_a_machine_each(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        taken = ",".join(pool.starmap(_crowd, [(str(tmp_path), number) for number in range(4)])).split(",")
    assert len(taken) == len(set(taken)) == 40


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.providers.test_books import request, static
one = static(Path(sys.argv[1]))
real = os.replace
def replace(*names):
    if sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(*names)
    os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
one.create(request("t1"))
"""


@pytest.mark.parametrize(("moment", "claims"), [("before", 0), ("after", 1)])
def test_a_kill_leaves_the_old_or_the_new_claims(tmp_path: Path, moment: str, claims: int) -> None:
    code = textwrap.dedent(KILLED)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), moment], env=env, timeout=60)
    assert done.returncode == -signal.SIGKILL
    one = static(tmp_path)
    assert len(one.list(OWNER)) == claims
    assert one.create(request("t1")).hostname == "rack1"
    assert len(one.list(OWNER)) == 1


def test_wrong_machines_are_refused_by_the_provider_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name rack1 is listed twice"):
        static(tmp_path, (*RACK, {"address": "203.0.113.9", "name": "rack1", "host_key": KEY}))


# --- dummy ------------------------------------------------------------------------------------------------------


def dummy(folder: Path, clock: FakeClock, **settings: Setting) -> DummyProvider:
    return DummyProvider(entry("dummy", settings), clock=clock, state_dir=folder)


def test_a_dummy_takes_its_time(tmp_path: Path) -> None:
    clock = FakeClock()
    one = dummy(tmp_path, clock, deploy_seconds=30, delete_seconds=20)
    made = one.create(request("t1"))
    assert made.state is MachineState.STARTING
    clock.sleep(30)
    assert one.get(made.id).state is MachineState.RUNNING
    one.delete(made.id)
    assert one.get(made.id).state is MachineState.DELETING
    clock.sleep(20)
    assert one.list(OWNER) == []
    with pytest.raises(MachineGone):
        one.get(made.id)


def test_a_dummy_in_a_file_outlives_the_process(tmp_path: Path) -> None:
    clock = FakeClock()
    made = dummy(tmp_path, clock, state="machines.json").create(request("t1"))
    assert dummy(tmp_path, clock, state="machines.json").get(made.id) == made
    with pytest.raises(MachineGone):
        dummy(tmp_path, clock).get(made.id)


def test_a_dummy_fails_as_often_as_it_is_told(tmp_path: Path) -> None:
    one = dummy(tmp_path, FakeClock(), fail="capacity", fail_times=2, sold_out=("gold",))
    for _ in range(2):
        with pytest.raises(CapacityExhausted, match="fails with 'capacity'"):
            one.create(request("t1"))
    assert one.create(request("t1")).state is MachineState.RUNNING
    with pytest.raises(CapacityExhausted, match="gold is sold out"):
        one.create(request("t2", plan="gold"))


def test_a_dummy_network_can_be_full(tmp_path: Path) -> None:
    one = dummy(tmp_path, FakeClock(), network="198.51.100.0/30")
    assert {one.create(request(f"t{n}")).address() for n in range(2)} == {"198.51.100.1", "198.51.100.2"}
    with pytest.raises(CapacityExhausted, match="every address"):
        one.create(request("t3"))
    with pytest.raises(ConfigError, match="network"):
        dummy(tmp_path, FakeClock(), network="nowhere")


def test_a_host_names_its_own_machine_where_any_address_will_do(tmp_path: Path) -> None:
    settings: dict[str, Setting] = {"any_address": True, "trust_first_use": True}
    one = StaticProvider(entry("static", settings), clock=FakeClock(), state_dir=tmp_path)
    assert one.placements({"HOSTNAME": "203.0.113.7"}) == (Placement(plan="any", place="any"),)
    made = one.create(dataclasses.replace(request("t1"), hostname="203.0.113.7"))
    assert (made.address(), made.hostname) == ("203.0.113.7", "203.0.113.7")
    assert one.create(dataclasses.replace(request("t1"), hostname="203.0.113.7")) == made
    with pytest.raises(CapacityExhausted, match=r"another host has the machine at 203\.0\.113\.7"):
        one.create(dataclasses.replace(request("t2"), hostname="203.0.113.7"))
    assert one.create(dataclasses.replace(request("t3"), hostname="localhost")).address() in ("127.0.0.1", "::1")
    with pytest.raises(PermanentError, match=r"no such\.invalid is neither an address nor a name that is known"):
        one.create(dataclasses.replace(request("t4"), hostname="no such.invalid"))
    assert len(one.list(OWNER)) == 2
    one.delete(made.id)
    assert one.create(dataclasses.replace(request("t2"), hostname="203.0.113.7")).id != made.id
