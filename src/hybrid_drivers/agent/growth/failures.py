"""Hosts that failed: given back and counted, and plans that are sold out, left alone for a while."""

from __future__ import annotations

from dataclasses import replace

from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.agent.growth.model import Delete, HostView, Stage, State


def failures(state: State, memory: Memory) -> tuple[list[Delete], Memory]:
    """Give failed hosts back, count them, and remember what is sold out; a changed policy is a new beginning."""
    made = [one for one in state.hosts if one.made]
    count, failed_at = memory.failures, memory.failed_at
    came = any(one.ready_at > failed_at for one in made if one.ready_at)
    if came or memory.policy != state.policy_digest:
        count = 0
    failed = {one.id for one in made if one.stage is Stage.FAILED}
    until = state.now + state.policy.sold_out_for
    sold_out = dict(memory.sold_out)
    for host in made:
        if host.stage is Stage.FAILED and host.spot:  # whatever it was (a quota has no other sign): on demand now
            sold_out.setdefault(host.plan, until)
        if host.stage is Stage.SOLD_OUT and not host.protected:
            sold_out[host.plan] = until
    if fresh := failed - memory.failed:
        count, failed_at = count + len(fresh), state.now
    memory = replace(
        memory,
        failures=count,
        failed_at=failed_at,
        failed=frozenset(failed),
        sold_out=sold_out,
        policy=state.policy_digest,
    )
    found = [(one.id, _why(one)) for one in made if not one.protected]
    return [Delete(host_id=host_id, reason=why) for host_id, why in found if why], memory


def _why(host: HostView) -> str:
    """Say why a host is given back at once, nothing where it is not."""
    if host.stage is Stage.FAILED:
        return "it could not be made: its PROVISION_ERROR says why"
    if host.stage is Stage.LOST and not host.vms:
        return "its machine is lost: its PROVISION_ERROR says why"
    return f"{host.plan} is sold out in all its places" if host.stage is Stage.SOLD_OUT else ""
