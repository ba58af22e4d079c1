"""Hosts that failed: given back and counted, and plans that are sold out, left alone for a while.

People see why in the events and notes of the cluster: the host that said it is gone by then.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent.growth.memory import Memory
from hybrid_drivers.agent.growth.model import Delete, HostView, Stage, State

SILENT_FOR: Final = 600.0  # seconds, or SHRINK_AFTER when that is more: a passing ERROR of oned's is no reason
_LONGEST: Final = 160  # characters of what a host says
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s").split


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
    why = memory.why_failed
    if fresh := failed - memory.failed:
        count, failed_at = count + len(fresh), state.now
        why = next((_said(one) for one in made if one.id in fresh), "")
    memory = replace(
        memory,
        failures=count,
        failed_at=failed_at,
        why_failed=why if count else "",
        failed=frozenset(failed),
        sold_out=sold_out,
        policy=state.policy_digest,
    )
    found = [(one.id, _why(one, state, memory)) for one in made if not one.protected]
    return [Delete(host_id=host_id, reason=why) for host_id, why in found if why], memory


def _why(host: HostView, state: State, memory: Memory) -> str:
    """Say why a host is given back at once, nothing where it is not."""
    if host.stage is Stage.FAILED:
        return f"it could not be made: {_said(host)}"
    if host.stage is Stage.SOLD_OUT:
        return f"{host.plan} is sold out in all its places"
    if host.vms:
        return ""
    if host.stage is Stage.LOST:
        return f"its machine is lost: {_said(host)}"
    silent = state.now - memory.silent.get(host.id, state.now)
    if host.stage is Stage.SILENT and silent >= max(SILENT_FOR, state.policy.shrink_after):
        return f"it is READY and takes no VMs for {silent:.0f} s: oned has it in ERROR or does not know its capacity"
    return ""


def _said(host: HostView) -> str:
    """Return the first sentence of what a host says of itself."""
    first = _SENTENCE(host.problem.strip(), 1)[0]
    return f"{first[:_LONGEST]}..." if len(first) > _LONGEST else first or "it does not say why"
