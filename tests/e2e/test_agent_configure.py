"""The agent configures two real machines, is killed meanwhile, and mends what was changed by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.lab import onehybrid, wait_step, wait_told

from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.model import Template
from hybrid_drivers.sandbox.lab import Lab, LabOptions
from hybrid_drivers.sandbox.machines.nspawn import why_not

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]
LIMIT = 600.0  # seconds: two machines install their packages


@pytest.fixture
def lab() -> Iterator[Lab]:
    agent = {"claim_delay": 0.1, "sweep": 2}
    options = LabOptions(machines="nspawn", provision={"PLAYBOOK": "static_vxlan"}, agent=agent)
    with Lab(options) as made:
        text = base64.b64encode(b"opennebula_repository_enabled: no\n").decode()
        made.oned.update_cluster(made.cluster_id, Template([("PROVISION_CONFIGURATION_BASE64", text)]))
        yield made


def on_host(lab: Lab, host_id: int, command: str) -> str:
    template = lab.host(host_id).template
    home = Path(lab.frontend.environment.get("HOME", "/nonexistent"))
    target = SshTarget(
        address=template.text("PROVISION_ADDRESS"),
        port=lab.machines.ssh_port,
        user="root",
        private_key=FrontEndKeys(lab.location.state, home).private_key({}),
        host_keys=(template.text("PROVISION_HOST_KEY"),),
    )
    with connect(target, timeout=30) as session:
        result = session.run(command, timeout=60)
    assert result.code == 0, result.stderr
    return result.stdout


def check(lab: Lab) -> tuple[int, list[str]]:
    done = lab.run("onehybrid", "configure", "--check", "--all", "--json")
    told: list[dict[str, Any]] = json.loads(done.stdout)["hosts"]
    assert all(one["outcome"] == "done" for one in told), told
    return done.returncode, [s["name"] for one in told for s in one["steps"] if s["status"] == "would-change"]


def test_two_real_hosts_find_each_other_survive_kills_and_drift(lab: Lab) -> None:
    first, second = lab.create("edge1"), lab.create("edge2")
    for number in (2, 11, 20):  # 11 installs packages, which takes long
        wait_step(lab, first, number, LIMIT)
        lab.kill_agent()
        lab.silence()
    for host_id in (first, second):
        lab.wait_ready(host_id, LIMIT)
        wait_told(lab, host_id, "PROVISION_PEERS", "2 ", LIMIT)
    other = lab.host(second).template.text("PROVISION_ADDRESS")
    assert other in on_host(lab, first, "bridge fdb show dev vxlan100")
    assert check(lab) == (0, [])

    on_host(lab, first, "echo 'somebody ALL=(ALL) ALL' >>/etc/sudoers.d/opennebula-hybrid; ip link del vxlan100")
    code, differing = check(lab)
    assert (code, "write /etc/sudoers.d/opennebula-hybrid" in differing) == (2, True)
    assert "write /etc/sudoers.d/opennebula-hybrid" in lab.host(first).template.text("PROVISION_DRIFT")
    onehybrid(lab, "configure", "--cluster", "edge")
    assert check(lab) == (0, [])
    assert lab.host(first).template.text("PROVISION_DRIFT") == ""

    lab.oned.delete_host(second)
    wait_told(lab, first, "PROVISION_PEERS", "1 ", LIMIT)
    assert other not in on_host(lab, first, "bridge fdb show dev vxlan100")
    lab.oned.delete_host(first)
    lab.wait_empty()
