"""``onehybrid growth`` and ``onehybrid cost``: what they print."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from hybrid_drivers.agent.growth import memory as growth_memory
from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.cli import cost, growth
from hybrid_drivers.model import Cluster, Host, HostState, Template

TOLD: dict[str, Any] = {
    "cluster": {"id": 100, "name": "edge"},
    "on": True,
    "problem": "the size of huge is not known",
    "plans": [
        {"plan": "small", "cpu": 8, "memory": 32768, "price": 0.5, "sold_out": False},
        {"plan": "large", "cpu": 24, "memory": 65536, "price": None, "sold_out": True},
    ],
    "actions": [{"action": "order", "text": "order small at 0.5 an hour: 1 VMs wait and fit on it (VM 1)"}],
    "notes": ["2 waiting VMs get no new host: 8 hosts are MAX_HOSTS=8"],
    "hosts": [
        {"id": 7, "name": "edge-grow-1", "stage": "usable", "made": True, "plan": "small", "vms": 0, "price": 0.5,
         "idle": 30, "protected": True, "emptied": True, "stays": "",
         "state": "STOPPED"},
        {"id": 8, "name": "mine", "stage": "coming", "made": False, "plan": "", "vms": 2, "price": None, "idle": None,
         "protected": False, "emptied": False, "stays": "VM 3 uses PCI devices", "state": "READY"},
    ],
    "vms": [{"id": 1, "cpu": 2, "memory": 1024, "waited": 90, "for": "waits for a new host of plan small"}],
    "cost": {"hour": 0.5, "hour_after": 1.0, "month": 12.34},
    "events": ["2026-11-25 15:00:00 delete host 6: it has had no VM for 700 s"],
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    calls: list[tuple[str, ...]] = []

    def ask(*words: str, start: bool) -> str:
        calls.append(words)
        return json.dumps(TOLD)

    monkeypatch.setattr(growth, "ask", ask)
    return calls


def test_plan(asked: list[tuple[str, ...]]) -> None:
    done = CliRunner().invoke(growth.growth, ["plan", "edge", "--dry-run"])
    assert done.output.splitlines() == [
        "CLUSTER edge: WHAT WOULD BE DONE NOW",
        "  order small at 0.5 an hour: 1 VMs wait and fit on it (VM 1)",
        "DECLINED",
        "  2 waiting VMs get no new host: 8 hosts are MAX_HOSTS=8",
        "ELASTIC_ERROR: the size of huge is not known",
        "0.50 an hour now, 1.00 then; 12.34 this month so far",
    ]
    assert asked == [("growth", "edge")]


def test_explain(asked: list[tuple[str, ...]]) -> None:
    lines = CliRunner().invoke(growth.growth, ["explain", "edge"]).output.splitlines()
    assert lines[1].startswith("  7 edge-grow-1: usable, 0 VMs, PROVISION_STATE STOPPED, small, 0.5 an hour, idle for")
    assert lines[1].endswith(", idle for 30 s, PROTECTED, is being emptied")
    assert "  8 mine: coming, 2 VMs, not made by growing, not emptied: VM 3 uses PCI devices" in lines
    assert "  1: 2 CPU, 1024 MiB, for 90 s; waits for a new host of plan small" in lines
    assert "  large: 24 CPU, 65536 MiB, price not known, sold out" in lines
    assert "  2026-11-25 15:00:00 delete host 6: it has had no VM for 700 s" in lines


def test_of_a_cluster_that_is_off_there_are_hosts_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {**TOLD, "on": False, "vms": [], "plans": [], "actions": [], "notes": [], "problem": ""}
    monkeypatch.setattr(growth, "ask", lambda *_, start: json.dumps(told))
    explained = CliRunner().invoke(growth.growth, ["explain", "edge"])
    lines = explained.output.splitlines()
    assert (explained.exit_code, lines[0], lines[3]) == (0, "CLUSTER edge: HOSTS", "DONE")
    assert lines[-1] == 'Cluster edge does not grow: ELASTIC with ENABLED="yes" is missing.'
    planned = CliRunner().invoke(growth.growth, ["plan", "edge"])
    assert (planned.exit_code, "Cluster edge does not grow" in planned.output) == (1, True)


@pytest.mark.parametrize("command", ["plan", "explain"])
def test_json(asked: list[tuple[str, ...]], command: str) -> None:
    assert json.loads(CliRunner().invoke(growth.growth, [command, "edge", "--json"]).output) == TOLD


# --- cost ---

NOW = 1_764_000_000.0  # in November 2025


def host(number: int, price: str, *, im_mad: str = "provision", cluster_id: int = 100) -> Host:
    return Host(
        id=number, name=f"h{number}", state=HostState.MONITORED, im_mad=im_mad, vm_mad="kvm", cluster_id=cluster_id,
        template=Template([("COST_HOUR", price)] if price else []),
    )  # fmt: skip


def cluster(memory: Memory | None = None) -> Cluster:
    told = [(growth_memory.NAME, growth_memory.render(memory))] if memory else []
    return Cluster(id=100, name="edge", host_ids=(), template=Template(told))


def test_cost_of_a_cluster() -> None:
    hosts = [host(1, "0.5"), host(2, "1.5"), host(3, ""), host(4, "9", im_mad="kvm"), host(5, "9", cluster_id=0)]
    memory = Memory(month="2025-11", spent=100.0, settled_at=NOW - 1800)
    assert cost.cost_of(cluster(memory), hosts, NOW) == {
        "id": 100,
        "name": "edge",
        "hosts": 3,
        "returning": 0,
        "unpriced": 1,
        "hour": 2.0,
        "month": 101.0,
    }
    last_month = Memory(month="2025-10", spent=100.0, settled_at=NOW - 1800)
    for found in (cost.cost_of(cluster(last_month), hosts, NOW), cost.cost_of(cluster(), hosts, NOW)):
        assert found is not None
        assert found["month"] is None
    assert cost.cost_of(cluster(), [], NOW) is None
