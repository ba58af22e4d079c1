"""``onehybrid configure`` and drift: hosts in use are looked at and configured again, and stay in use."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.lab import LIMIT, give_back, quick_lab, told, wait_phase, wait_step, wait_told

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.hostconfig.roles.tuntap import PARAMETERS as TUNTAP
from hybrid_drivers.model import HostState, Template
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.machines.light import LightMachines

DEFAULT = {"PLAYBOOK": "default"}
STEP = "install packages"


def configure(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    return lab.run("onehybrid", "configure", *words)


def result(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    """Run it with ``--json``; return the exit code and the hosts by the name they were created with."""
    done = configure(lab, "--json", *words)
    assert done.stdout, done.stderr
    return done.returncode, {one["name"].partition(" ")[0]: one for one in json.loads(done.stdout)["hosts"]}


def machine_of(lab: Lab, host_id: int) -> str:
    return lab.host(host_id).template.vector("PROVISION")["DEPLOY_ID"]


def light(lab: Lab) -> LightMachines:
    assert isinstance(lab.machines, LightMachines)
    return lab.machines


def parameters(text: str) -> Template:
    return Template([("PROVISION_CONFIGURATION_BASE64", base64.b64encode(text.encode()).decode())])


def a_step(lab: Lab, host_id: int) -> str:
    """Return the name of a step in the middle of the host's configuration."""
    _, hosts = result(lab, "--check", str(host_id))
    (host,) = hosts.values()
    names = [step["name"] for step in host["steps"]]
    return str(next(name for name in names[len(names) // 2 :] if names.count(name) == 1))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with quick_lab(provision=DEFAULT) as made:
        yield made


def test_check_tells_what_differs_changes_nothing_and_a_rerun_mends_it(lab: Lab) -> None:
    ids = [lab.create("edge1"), lab.create("edge2")]
    for host_id in ids:
        lab.wait_ready(host_id, LIMIT)
    assert result(lab, "--check", "edge1", str(ids[1]))[0] == 0
    step = a_step(lab, ids[0])
    light(lab).undo_step(machine_of(lab, ids[0]), step)
    for _ in range(2):
        code, hosts = result(lab, "--check", "--all")
        assert code == 2
        differing = [one["name"] for one in hosts["edge1"]["steps"] if one["status"] == "would-change"]
        assert (differing, hosts["edge2"]["changed"]) == ([step], 0)
    assert told(lab, ids[0], "PROVISION_DRIFT").endswith(f" step differs: {step}")
    shown = configure(lab, "--cluster", "edge")
    assert shown.returncode == 0, shown.stderr
    assert f": {step}  changed" in shown.stdout
    assert "1 of " in shown.stdout
    assert told(lab, ids[0], "PROVISION_DRIFT") == ""
    assert result(lab, "--check", "--all")[0] == 0
    give_back(lab, *ids)


def test_a_ready_host_keeps_its_capacity_and_takes_changed_parameters(lab: Lab) -> None:
    host_id = lab.create("edge1")
    lab.wait_ready(host_id, LIMIT)
    name = f"{TUNTAP.tuntap_name}x"
    lab.oned.update_host(host_id, parameters(f"tuntap_name: {name}\n"))
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(result, lab, "edge1")
        while not running.done():
            host = lab.host(host_id)
            seen.add((host.total_cpu > 0, host.template.text("PROVISION_STATE"), host.state is HostState.ERROR))
    code, hosts = running.result()
    changed = [one["name"] for one in hosts["edge1"]["steps"] if one["status"] == "changed"]
    assert (code, seen) == (0, {(True, "READY", False)})
    assert changed
    assert any(name in one for one in changed)
    give_back(lab, host_id)


def test_one_that_fails_says_why_stays_in_use_and_does_not_stop_the_others(lab: Lab) -> None:
    ids = [lab.create(f"edge{number}") for number in (1, 2, 3)]
    for host_id in ids:
        lab.wait_ready(host_id, LIMIT)
    step = a_step(lab, ids[1])
    light(lab).undo_step(machine_of(lab, ids[1]), step)
    light(lab).fail_step(machine_of(lab, ids[1]), step, "E: the disk is full\nsh: giving up")
    code, hosts = result(lab, "edge1", "edge2", "edge3")
    assert (code, [one["outcome"] for one in hosts.values()]) == (1, ["done", "failed", "done"])
    for text in (hosts["edge2"]["message"], told(lab, ids[1], "PROVISION_ERROR")):
        assert f"step '{step}'" in text
        assert "exit code 1: E: the disk is full / sh: giving up" in text
        assert lab.host(ids[1]).name in text
    host = lab.host(ids[1])
    assert (host.state, host.total_cpu > 0) == (HostState.MONITORED, True)
    assert host.template.text("PROVISION_STATE") == "READY"
    lab.kill_agent()  # what is known of it in oned must do
    lab.silence()
    wait_told(lab, ids[1], "PROVISION_ERROR", "onehybrid configure", LIMIT)
    light(lab).fail_step(machine_of(lab, ids[1]), step, None)
    assert result(lab, "edge2")[0] == 0
    assert told(lab, ids[1], "PROVISION_ERROR") == ""
    give_back(lab, *ids)


def test_what_cannot_be_configured_is_told_in_a_sentence(lab: Lab) -> None:
    lab.simulator.knobs.change({"capacity": {"c3.small.x86@*": 0}})
    young = lab.create("edge1")
    wait_phase(lab, young, Phase.DEPLOYING, LIMIT)
    strange = lab.oned.allocate_host("kvm1", "kvm", "kvm", 0)
    code, hosts = result(lab, "edge1", "kvm1")
    assert (code, {one["outcome"] for one in hosts.values()}) == (1, {"refused"})
    assert "is not READY yet: DEPLOYING" in hosts["edge1"]["message"]
    assert "is not ours" in hosts["kvm1"]["message"]
    for words, part in (
        (("nobody",), "There is no host 'nobody'"),
        (("--cluster", "nowhere"), "There is no cluster 'nowhere'"),
        ((), "Name hosts"),
        (("--al",), "No such option"),
    ):
        done = configure(lab, *words)
        assert (done.returncode, part in done.stderr) == (1, True), done.stderr
    assert configure(lab, "--all").stdout.strip() == "No host to configure."
    lab.oned.delete_host(strange)
    give_back(lab, young)


def test_a_host_is_not_configured_twice_at_once() -> None:
    with quick_lab(provision=DEFAULT, step_delay=0.05) as lab:
        host_id = lab.create("edge1")
        wait_phase(lab, host_id, Phase.CONFIGURING, LIMIT)
        code, hosts = result(lab, "edge1")
        assert (code, hosts["edge1"]["outcome"]) == (1, "refused")
        assert "configured already" in hosts["edge1"]["message"] or "not READY yet" in hosts["edge1"]["message"]
        lab.wait_ready(host_id, LIMIT)
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(result, lab, "edge1") for _ in range(2)]
        outcomes = sorted(one.result()[1]["edge1"]["outcome"] for one in both)
        assert outcomes in (["done", "refused"], ["done", "done"])  # the second may come after the first
        give_back(lab, host_id)


def test_a_failed_first_configuration_is_tried_again_at_once(lab: Lab) -> None:
    lab.simulator.knobs.no_ssh = True
    host_id = lab.create("edge1")
    wait_phase(lab, host_id, Phase.BOOTING, LIMIT)
    machine = machine_of(lab, host_id)
    light(lab).fail_step(machine, STEP, "E: Unable to locate package qemu-kvm")
    light(lab).power_on(machine)
    error = wait_told(lab, host_id, "PROVISION_ERROR", "Unable to locate", LIMIT)
    assert f"step '{STEP}'" in error
    assert "exit code 1" in error
    assert lab.host(host_id).name in error or "127.77." in error
    wait_phase(lab, host_id, Phase.ERROR, LIMIT)
    assert "tried again at once" in result(lab, "--check", "edge1")[1]["edge1"]["message"]
    light(lab).fail_step(machine, STEP, None)
    code, hosts = result(lab, "edge1")
    assert (code, hosts["edge1"]["outcome"]) == (0, "done")
    lab.wait_ready(host_id, LIMIT)
    give_back(lab, host_id)


def test_it_starts_an_agent_when_none_runs(lab: Lab) -> None:
    host_id = lab.create("edge1")
    lab.wait_ready(host_id, LIMIT)
    lab.kill_agent()
    assert configure(lab, "--check", "edge1").returncode == 0
    assert lab.agent_pid() is not None
    give_back(lab, host_id)


def look_soon(lab: Lab, host_id: int) -> None:
    """Let the host have become READY so long ago that it is time for its first look, which comes after a minute."""
    lab.oned.update_host(host_id, Template([("PROVISION_READY", f"{time.time() - 58:.0f}")]))


def test_drift_is_told_by_itself_and_goes_by_itself() -> None:
    with quick_lab(provision=DEFAULT, agent={"drift": 60, "sweep": 0.5}) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id, LIMIT)
        step = a_step(lab, host_id)
        light(lab).undo_step(machine_of(lab, host_id), step)
        look_soon(lab, host_id)
        text = wait_told(lab, host_id, "PROVISION_DRIFT", step, LIMIT)
        assert text.startswith("1 of ")
        assert (told(lab, host_id, "PROVISION_STATE"), told(lab, host_id, "PROVISION_ERROR")) == ("READY", "")
        lab.wait(lambda: json.loads(lab.run("onehybrid", "agent", "status", "--json").stdout)["drifting"] == 1, LIMIT)
        assert configure(lab, str(host_id)).returncode == 0
        assert told(lab, host_id, "PROVISION_DRIFT") == ""
        lab.machines.power_off(machine_of(lab, host_id))
        checks = lab.log().count("not looked at for drift")
        look_soon(lab, host_id)
        lab.wait(lambda: lab.log().count("not looked at for drift") > checks, LIMIT)
        assert (told(lab, host_id, "PROVISION_DRIFT"), lab.host(host_id).state) == ("", HostState.MONITORED)
        lab.machines.power_on(machine_of(lab, host_id))
        give_back(lab, host_id)


@pytest.mark.parametrize("step", [2, 5, 12, 20])
def test_killed_between_two_steps_the_configuration_converges(step: int) -> None:
    with quick_lab(provision={"PLAYBOOK": "static_vxlan"}, step_delay=0.05) as lab:
        host_id = lab.create("edge1")
        wait_step(lab, host_id, step)
        lab.kill_agent()
        lab.silence()
        lab.wait_ready(host_id, LIMIT)
        assert result(lab, "--check", "edge1")[0] == 0
        assert told(lab, host_id, "PROVISION_PEERS").startswith("1 ")
        give_back(lab, host_id)
        assert lab.made() == 1


def test_a_connection_lost_in_the_middle_goes_on(lab: Lab) -> None:
    lab.simulator.knobs.no_ssh = True
    host_id, other = lab.create("edge1"), lab.create("edge2")
    for one in (host_id, other):
        wait_phase(lab, one, Phase.BOOTING, LIMIT)
    light(lab).cut_at_step(machine_of(lab, host_id), STEP)
    for one in (host_id, other):
        light(lab).power_on(machine_of(lab, one))
    lab.wait_ready(other, LIMIT)
    lab.wait_ready(host_id, LIMIT)
    first, *later = light(lab).runs(machine_of(lab, host_id))
    assert (first[0], len(later)) == ("apply", 1)
    assert result(lab, "--check", "--all")[0] == 0
    give_back(lab, host_id, other)
