"""Machines without a host, machines of other people, and a second agent.

What is not ours is never touched, what is ours is never forgotten, and two agents make one machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.lab import (
    ONE_PROVIDER,
    calls,
    give_back,
    onehybrid,
    quick_lab,
    rent,
    told,
)

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.config import Location
from hybrid_drivers.model import MachineTags, Template
from hybrid_drivers.sandbox.frontend import Frontend
from hybrid_drivers.sandbox.lab import Lab

both = pytest.mark.parametrize("provider", ONE_PROVIDER)


def _forget_host(lab: Lab, host_id: int) -> None:
    """Take the host out of oned without a word to anybody, as a restored backup would."""
    with lab.frontend.store.lock:
        lab.frontend.store.remove_host(host_id)


def _alive(lab: Lab) -> set[str]:
    return {str(machine["id"]) for machine in lab.alive()}


def _owner(lab: Lab) -> str:
    return lab.oned.zone(0).text("HYBRID_OWNER")


# --- without a host ---------------------------------------------------------------------------------------------------


@both
def test_a_machine_whose_host_went_unseen_is_given_back_after_quarantine(provider: str) -> None:
    with quick_lab(provider) as lab:
        kept, lost = lab.create("edge1"), lab.create("edge2")
        lab.wait_ready(kept)
        lab.wait_ready(lost)
        lab.kill_agent()
        _forget_host(lab, lost)
        onehybrid(lab, "agent", "run")
        lab.wait(lambda: "has our tag but no host in oned" in lab.log())
        lab.wait(lambda: len(lab.alive()) == 1)
        assert lab.alive()[0]["id"] == lab.host(kept).template.vector("PROVISION")["DEPLOY_ID"]
        give_back(lab, kept)


def test_in_quarantine_it_is_only_watched() -> None:
    with quick_lab(agent={"quarantine": 600}) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.kill_agent()
        _forget_host(lab, host_id)
        onehybrid(lab, "agent", "run")
        lab.wait(lambda: "has our tag but no host in oned" in lab.log())
        listed = lab.simulator.calls["GET /projects/{id}/devices"]
        lab.wait(lambda: lab.simulator.calls["GET /projects/{id}/devices"] > listed + 2)
        assert (len(lab.alive()), calls(lab, {"packet": "DELETE /devices/{id}"})) == (1, 0)
        (found,) = json.loads(onehybrid(lab, "gc", "--dry-run", "--json", code=2))["strays"]
        assert (found["machine"], found["name"]) == (lab.alive()[0]["id"], "edge1")
        assert 0 < found["given_back_in"] <= 600


def test_people_can_have_what_was_watched_long_enough_given_back_now() -> None:
    with quick_lab(agent={"sweep": 3600}) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.kill_agent()
        _forget_host(lab, host_id)
        lab.wait(lambda: "would be given back now" in onehybrid(lab, "gc", "--dry-run", code=2))
        assert len(lab.alive()) == 1
        assert "being given back" in onehybrid(lab, "gc", code=2)
        lab.wait_empty()
        assert "nothing that nobody needs" in onehybrid(lab, "gc")


@both
def test_a_second_machine_of_a_host_is_given_back(provider: str) -> None:
    with quick_lab(provider) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        mine = lab.host(host_id).template.vector("PROVISION")["DEPLOY_ID"]
        rent(lab, MachineTags(owner=_owner(lab), host_id=host_id, token="another", name="edge1"))
        lab.wait(lambda: _alive(lab) == {mine})
        assert told(lab, host_id, "PROVISION_STATE") == "READY"
        give_back(lab, host_id)


# --- other people's ---------------------------------------------------------------------------------------------------


@both
def test_machines_of_another_owner_are_never_touched(provider: str) -> None:
    with quick_lab(provider) as lab:
        theirs = rent(lab, MachineTags(owner="someone-else", host_id=0, token="theirs", name="edge1"))
        host_id = lab.create("edge1")
        assert host_id == 0  # the same number as theirs
        host = lab.wait_ready(host_id)
        assert host.template.vector("PROVISION")["DEPLOY_ID"] != theirs.id
        give_back_ours(lab, host_id, theirs.id)


def give_back_ours(lab: Lab, host_id: int, theirs: str) -> None:
    """Delete the host, let two sweeps pass, and find only their machine."""
    lab.oned.delete_host(host_id)
    lab.wait(lambda: _alive(lab) == {theirs})
    lab.wait(lambda: not list((lab.location.state / "departures").glob("*.json")))
    other = lab.create("edge2")  # keeps the agent sweeping
    lab.wait_ready(other)
    lab.oned.delete_host(other)
    lab.wait(lambda: _alive(lab) == {theirs})


# --- a second agent ---------------------------------------------------------------------------------------------------


@contextmanager
def second_frontend(lab: Lab, *, raft: str = "SOLO") -> Iterator[Frontend]:
    """Yield another server of the same cloud, with its own tree and agent, configured like the first."""
    other = Frontend(lab.folder / "two", store=lab.frontend.store)
    other.set_knobs({"raft": raft})
    other.start()
    location = Location.from_environment(other.environment)
    for name in ("hybrid.yaml", "providers.d/packet-ams.yaml"):
        copy_private(lab.location.etc / name, location.etc / name)
    one_key_for_both(lab.frontend, other)
    try:
        yield other
    finally:
        with suppress(OSError, ValueError):
            os.kill(int((location.state / "agent.lock").read_text()), signal.SIGKILL)
        other.stop()


def copy_private(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.touch(mode=0o600)
    target.write_text(source.read_text())


def one_key_for_both(*frontends: Frontend) -> None:
    """Give oneadmin the same SSH key on all servers, as OpenNebula's HA guide asks for."""
    first, *others = (frontend.location / ".ssh/id_ed25519" for frontend in frontends)
    first.parent.mkdir(mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(first)], check=True)
    for other in others:
        copy_private(first, other)


def test_two_agents_that_both_may_act_make_one_machine_a_host() -> None:
    with quick_lab(agent={"claim_delay": 0.5}) as lab, second_frontend(lab) as other:
        run_agent(lab, other)
        ids = []
        for number in range(3):
            ids.append(lab.create(f"edge{number}"))
            other.tick()
        lab.wait(lambda: all(told(lab, host_id, "PROVISION_READY") for host_id in ids))
        assert (lab.made(), len(lab.alive())) == (3, 3)
        lab.silence()
        for host_id in ids:
            lab.wait_ready(host_id)
            lab.oned.delete_host(host_id)
        lab.wait(lambda: not lab.alive())
        assert lab.made() == 3


def _intent(lab: Lab, host_id: int) -> object:
    return lab.host(host_id).template.vector("PROVISION_INTENT")


def _configuring(lab: Lab, host_id: int) -> object:
    return told(lab, host_id, "PROVISION_STATE") == Phase.CONFIGURING.value


@pytest.mark.parametrize("moment", [_intent, _configuring])
def test_the_new_leader_carries_on(moment: Callable[[Lab, int], object]) -> None:
    playbook = {"PLAYBOOK": "default"}
    agent = {"claim_delay": 0.5}
    with (
        quick_lab(provisioning=0.5, provision=playbook, step_delay=0.05, agent=agent) as lab,
        second_frontend(lab, raft="FOLLOWER") as other,
    ):
        lab.frontend.set_knobs({"raft": "LEADER"})
        run_agent(lab, other)
        host_id = lab.create("edge1")
        lab.wait(lambda: moment(lab, host_id))
        lab.kill_agent()
        lab.frontend.set_knobs({"raft": "FOLLOWER"})
        other.set_knobs({"raft": "LEADER", "monitoring_interval": 0.0})
        other.tick()
        other.set_knobs({"monitoring_interval": 180.0})
        lab.wait(lambda: told(lab, host_id, "PROVISION_READY"))
        assert lab.made() == 1
        assert _agent_id(other) == lab.host(host_id).template.vector("PROVISION_INTENT")["AGENT"]


def run_agent(lab: Lab, frontend: Frontend) -> None:
    """Start the agent of a front-end."""
    done = subprocess.run(
        ["onehybrid", "agent", "run"], env=frontend.environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def _agent_id(frontend: Frontend) -> str:
    return (Location.from_environment(frontend.environment).state / "agent.id").read_text()


def test_the_owner_is_kept_when_the_zone_is_emptied() -> None:
    with quick_lab() as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        owner = _owner(lab)
        others = [(name, value) for name, value in lab.oned.zone(0) if name != "HYBRID_OWNER"]
        lab.oned.update_zone(0, Template(others), append=False)
        lab.kill_agent()
        give_back(lab, host_id)
        assert _owner(lab) == owner
