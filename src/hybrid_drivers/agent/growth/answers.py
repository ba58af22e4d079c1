"""``onehybrid growth`` as the agent answers it: one action, ``growth``, with a cluster's name or id; JSON comes back.

Nothing is done: it is decided again, on what there is now, as the next pass would.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from hybrid_drivers.agent.growth.limits import rate_of
from hybrid_drivers.agent.growth.looking import Look, Looking
from hybrid_drivers.agent.growth.model import Action, Delete, HostView, Migrate, Order
from hybrid_drivers.agent.growth.telling import EVENT, describe
from hybrid_drivers.agent.growth.view import Cloud
from hybrid_drivers.errors import AgentError
from hybrid_drivers.oned.process import Answer, Call

ACTION = "growth"


def answer(looking: Looking, call: Call) -> Answer:
    """Answer the action.

    Raises:
        AgentError: no cluster is named.
        ConfigError: there is none of that name, or its policy is wrong; the text says how.
        OnedError: oned cannot be asked.
    """
    if len(call.argv) != 1:
        raise AgentError("The agent does not understand the call: it speaks another version.")
    return Answer(stdout=json.dumps(as_json(*looking.at(call.argv[0]))).encode())


def as_json(look: Look, cloud: Cloud) -> dict[str, object]:
    """Return all of a decision for machines; times in seconds, money in the provider's currency."""
    state, decision = look.state, look.decision
    policy = state.policy.at(state.moment)
    members = [one for one in state.hosts if one.member]
    told_states = {one.id: one.template.text("PROVISION_STATE") for one in cloud.hosts}
    before = rate_of(state)
    return {
        "cluster": {"id": look.cluster.id, "name": look.cluster.name},
        "on": look.on,
        "problem": look.range.problem,
        "limits": {
            "min_hosts": policy.min_hosts,
            "max_hosts": policy.max_hosts,
            "warm_hosts": policy.warm_hosts,
            "max_cost_hour": policy.max_cost_hour,
            "max_cost_month": policy.max_cost_month,
        },
        "plans": [
            {"plan": one.plan, "cpu": one.size.cpu / 100, "memory": one.size.memory // 1024, "price": one.price,
             "expected": one.expected, "sold_out": one.plan in decision.memory.sold_out}
            for one in look.range.offers
        ],
        "actions": [_action(one) for one in decision.actions],
        "notes": list(decision.notes),
        "hosts": [{**_host(look, one), "state": told_states[one.id]} for one in members],
        "returning": [{"machine": one.machine, "name": one.host, "price": one.price} for one in state.returning],
        "vms": _vms(look),
        "cost": {
            "hour": round(before, 4),
            "hour_after": round(before + _change(decision.actions, members), 4),
            "month": round(decision.memory.spent, 2),
        },
        "events": look.cluster.template.text(EVENT).splitlines(),
    }  # fmt: skip


def _action(one: Action) -> dict[str, object]:
    told: dict[str, object] = {"action": type(one).__name__.lower(), "text": describe(one), "reason": one.reason}
    if isinstance(one, Order):
        return {**told, "plan": one.plan, "price": one.price, "vms": list(one.vms)}
    if isinstance(one, Migrate):
        told |= {"vm": one.vm_id, "target": one.target, "live": one.live}
    return {**told, "host": one.host_id}


def _host(look: Look, one: HostView) -> dict[str, object]:
    idle = look.decision.memory.idle.get(one.id)
    return {
        "id": one.id,
        "name": one.name,
        "stage": one.stage.value,
        "made": one.made,
        "plan": one.plan,
        "vms": one.vms,
        "price": one.price,
        "idle": None if idle is None else round(look.state.now - idle),
        "protected": one.protected,
        "emptied": one.id in look.decision.memory.emptying,
        "stays": look.decision.stays.get(one.id, ""),
    }


def _vms(look: Look) -> list[dict[str, object]]:
    ordered = {vm: one.plan for one in look.decision.actions if isinstance(one, Order) for vm in one.vms}
    told = []
    for vm in look.state.waiting:
        waited = look.state.now - vm.since
        together = f", together with VMs {', '.join(map(str, vm.mates))}" if vm.mates else ""
        if vm.id in ordered:
            text = f"waits for a new host of plan {ordered[vm.id]}"
        elif waited < look.state.policy.grow_after:
            text = f"waits for GROW_AFTER={look.state.policy.grow_after:g}"
        else:
            text = look.decision.waits.get(vm.id, "")
        told.append({"id": vm.id, "cpu": vm.size.cpu / 100, "memory": vm.size.memory // 1024,
                     "waited": round(waited), "for": f"{text}{together}"})  # fmt: skip
    return told


def _change(actions: Iterable[Action], members: Iterable[HostView]) -> float:
    prices = {one.id: one.price or 0.0 for one in members}
    ordered = sum(one.price or 0.0 for one in actions if isinstance(one, Order))
    return ordered - sum(prices.get(one.host_id, 0.0) for one in actions if isinstance(one, Delete))
