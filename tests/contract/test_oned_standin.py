"""Only with the stand-in: oned that is down, a zone without leader, and both directions of monitord."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid_drivers.config import Location
from hybrid_drivers.errors import AuthenticationFailed, OnedUnreachable
from hybrid_drivers.model import HostState, Template
from hybrid_drivers.oned.actions import StartMonitor, StopMonitor, parse
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.monitord import Monitord
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.xml import start_answer
from hybrid_drivers.sandbox.frontend.frontend import Frontend

IM_MAD = "contract"


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        yield started


def test_oned_that_is_down_and_up_again(front_end: Frontend) -> None:
    oned = Oned.from_location(Location.from_environment(front_end.environment))
    front_end.stop()
    try:
        impatient = Oned.from_location(Location.from_environment(front_end.environment), timeout=0.3)
        with pytest.raises(OnedUnreachable, match="is it running"):
            impatient.hosts()
        with pytest.raises(OnedUnreachable) as caught:
            impatient.allocate_host("contract-none", IM_MAD, "dummy", 0)
        assert not caught.value.sent
    finally:
        front_end.start()
    assert all(one.name != "contract-none" for one in oned.hosts())


def test_a_zone_without_leader_is_waited_for(front_end: Frontend) -> None:
    oned = Oned.from_location(Location.from_environment(front_end.environment), timeout=3.0)  # an answer takes less
    front_end.set_knobs({"raft": "FOLLOWER"})
    try:
        assert not oned.raft_state().leads
        with pytest.raises(OnedUnreachable, match="no leader") as caught:
            oned.allocate_cluster("contract-none")
        assert not caught.value.sent
    finally:
        front_end.set_knobs({"raft": "SOLO"})


DRIVER = """#!/bin/sh
cat > "$ONE_LOCATION/var/stdin"
for argument; do echo "$argument"; done > "$ONE_LOCATION/var/argv"
cat "$ONE_LOCATION/var/answer"
"""


def driver_call(started: Frontend) -> Call:
    """The last call that monitord made, as the thin client would hand it over."""
    argv = (started.location / "var/argv").read_text().splitlines()
    stdin = (started.location / "var/stdin").read_bytes()
    return Call(family="im", driver="provision", action="monitord-client_control", argv=tuple(argv), stdin=stdin)


@pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
def test_monitord_calls_are_understood_and_answered(tmp_path: Path, encrypt: bool) -> None:
    with Frontend(tmp_path / "one", repository=None, encrypt=encrypt) as started:
        executable = started.location / "var/remotes/im/provision.d/monitord-client_control.sh"
        executable.parent.mkdir(parents=True)
        executable.write_text(DRIVER)
        executable.chmod(0o755)
        (started.location / "var/answer").write_bytes(start_answer(Template([("PROVISION_STATE", "PENDING")])))
        oned = Oned.from_location(Location.from_environment(started.environment))

        host_id = oned.allocate_host("edge1", "provision", "kvm", 0)
        started.wait_for(lambda: oned.host(host_id).template.text("PROVISION_STATE") == "PENDING", 10)
        assert oned.host(host_id).state is HostState.MONITORED
        start = parse(driver_call(started))
        assert isinstance(start, StartMonitor)
        assert (start.host_id, start.host_name) == (host_id, "edge1")
        told = start.configuration
        assert (told.host_id, told.port, bool(told.public_key)) == (host_id, started.monitord_port, encrypt)

        monitord = Monitord(told.address, told.port, told.public_key)
        monitord.send("SYSTEM_HOST", host_id, 'TOTALCPU="0"\nPROVISION_STATE="BOOTING"\n')
        started.wait_for(lambda: oned.host(host_id).template.text("PROVISION_STATE") == "BOOTING", 10)
        monitord.send("SYSTEM_HOST", host_id, "LONG=" + "".join(uuid.uuid4().hex for _ in range(4000)))  # over TCP
        started.wait_for(lambda: len(oned.host(host_id).template.text("LONG")) == 128_000, 10)
        monitord.send("BEACON_HOST", host_id, "sold out in am", ok=False)
        started.wait_for(lambda: oned.host(host_id).state is HostState.ERROR, 10)
        assert "sold out in am" in oned.host(host_id).template.text("ERROR")

        oned.delete_host(host_id)
        started.wait_for(lambda: "stop" in (started.location / "var/argv").read_text(), 10)
        started.wait_for(lambda: len(started.events) == 2, 10)
        stop = parse(driver_call(started))
        assert isinstance(stop, StopMonitor)
        assert (stop.host_id, stop.host_name) == (host_id, "edge1")


def test_locations_differ_in_their_session_only(front_end: Frontend, tmp_path: Path) -> None:
    where = Location.from_environment(front_end.environment)
    (tmp_path / "auth").write_text("stranger:password\n")
    with pytest.raises(AuthenticationFailed):
        Oned.from_location(replace(where, one_auth=tmp_path / "auth")).hosts()
