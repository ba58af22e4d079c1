"""A laboratory whose cluster grows on demand, and what people do and see there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.support.lab import quick_lab

from hybrid_drivers.agent.record import GROWN
from hybrid_drivers.model import Host, Template, Value
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.lab import ENTRIES, Lab

POLICY = {
    "ENABLED": "yes",
    "MAX_HOSTS": "3",
    "GROW_AFTER": "0.2",
    "SHRINK_AFTER": "1",
    "COOLDOWN": "1",
    "MAX_COST_HOUR": "9",
}
PLAN = {"packet": "c3.small.x86", "ec2": "c5.metal"}
RUNNING = (3, 3)
MIGRATING = (3, 4)


@contextmanager
def growing_lab(provider: str = "packet", policy: Mapping[str, str] | None = None, **more: Any) -> Iterator[Lab]:
    """Yield a laboratory whose cluster grows; its plan is as large as a light machine, unless ``plans`` are given."""
    plans = more.pop("plans", {PLAN[provider]: {"cpu": 8, "memory": 32768}})
    with quick_lab(provider, agent={"growth": 0.3, **more.pop("agent", {})}, **more) as lab:
        entry = {**lab.entry(), "plans": plans, "prices": {PLAN[provider]: 1.5}}
        lab.write_entry(ENTRIES[provider], entry)
        system = Template([("NAME", "edge-system"), ("TYPE", "SYSTEM_DS"), ("TM_MAD", "local")])
        lab.objects.allocate("datastore", system, cluster_id=lab.cluster_id)
        lab.frontend.set_knobs({"scheduler": 0.2})
        set_policy(lab, **(policy or {}))
        lab.run("onehybrid", "agent", "run")
        yield lab


def set_policy(lab: Lab, **changes: str) -> None:
    lab.oned.update_cluster(lab.cluster_id, Template([("ELASTIC", {**POLICY, **changes})]))


def start_vm(lab: Lab, name: str, *, cpu: float = 4, memory: int = 1024, **more: Value) -> int:
    told: list[tuple[str, Value]] = [("NAME", name), ("CPU", str(cpu)), ("MEMORY", str(memory)), *more.items()]
    return lab.objects.allocate("vm", Template(told))


def state(lab: Lab, vm_id: int) -> tuple[int, int]:
    found = Vms(lab.oned).get(vm_id)
    return found.state, found.lcm_state


def wait_running(lab: Lab, *vm_ids: int) -> None:
    lab.wait(lambda: all(state(lab, one) == RUNNING for one in vm_ids))


def end(lab: Lab, *vm_ids: int) -> None:
    for one in vm_ids:
        Vms(lab.oned).action(one, "terminate-hard")


def grown(lab: Lab) -> list[Host]:
    return [one for one in lab.oned.hosts() if one.template.vector(GROWN)]


def cluster_text(lab: Lab, name: str) -> str:
    return lab.oned.cluster(lab.cluster_id).template.text(name)
