"""Carrying out what ``lifecycle.next_step`` decided. Each method returns the seconds until the next look, None for
"not before something happens"."""

from __future__ import annotations

import logging

from hybrid_drivers.agent import decision, observed, peers, spot
from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.nodework import NodeWork
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.observer import NEW, View, spec_of
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.queue import Ask
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.remedywork import RemedyWork
from hybrid_drivers.agent.renting import Renting
from hybrid_drivers.agent.reporter import Shown
from hybrid_drivers.agent.spec import Spec
from hybrid_drivers.agent.upkeep import CheckDrift, Rerun, UpdatePeers, UpkeepStep
from hybrid_drivers.agent.upkeepwork import UpkeepWork
from hybrid_drivers.agent.wishes import Ended
from hybrid_drivers.errors import ActionRefused, AllocateRefused
from hybrid_drivers.model import HostState, Machine, Template
from hybrid_drivers.oned.template import readable

LOOK_AT_FAILED = 2.0  # seconds between looks at a host that failed in INIT, until oned has put it into ERROR
FIRST_LOOK_AT_FAILED = 0.2  # seconds until the first: who enables it again at once must not come before we saw ERROR

log = logging.getLogger(__name__)

Pause = float | None


class Executor:
    """Carries out steps; ``ask`` puts a key into the work queue."""

    def __init__(self, parts: Parts, node: NodeWork, ask: Ask) -> None:
        self._parts = parts
        self._node = node
        self._renting = Renting(parts, ask, self.fail)
        self._upkeep = UpkeepWork(parts, node)
        self._remedy = RemedyWork(parts, node, ask)
        self._ask = ask

    def carry_out(self, view: View, step: decision.Step) -> Pause:
        """Do ``step``.

        Raises:
            HybridError: it could not be done; the reconciler decides what follows.
        """
        if isinstance(step, decision.Wait):
            return self._wait(view, step)
        if isinstance(step, decision.Look):
            view.memory.looked_from = step.not_before
            return 0.0
        if isinstance(step, decision.WriteIntent):
            return self._renting.write_intent(view, step)
        if isinstance(step, decision.Create):
            return self._renting.create(view, step)
        if isinstance(step, decision.Record):
            return self._renting.record(view, step.machine)
        if isinstance(step, (decision.GiveUpMachine, decision.NextAttempt)):
            return self._renting.give_up(view, step)
        if isinstance(step, decision.Fail):
            return self.fail(view.record, step.reason, view.observed.plan, until_empty=step.until_empty)
        if isinstance(step, decision.TryAgain):
            return self._try_again(view, step)
        if isinstance(step, decision.Rest):
            return self._rest(view, step)
        return self._on_the_machine(view, step)

    def _on_the_machine(
        self,
        view: View,
        step: decision.Configure
        | decision.Rename
        | decision.RecordAddress
        | decision.MarkReady
        | decision.SyncMonitoring
        | decision.Resume
        | decision.NoteMachine
        | decision.PowerOn
        | decision.Replace
        | decision.GiveBack
        | UpkeepStep,
    ) -> Pause:
        spec = spec_of(view)
        if isinstance(step, decision.Configure):
            return self._node.configure(view, spec, step)
        if isinstance(step, decision.Rename):
            return self._rename(view, step.address)
        if isinstance(step, decision.RecordAddress):
            return self._record_address(view, step.address)
        if isinstance(step, decision.MarkReady):
            return self._mark_ready(view, spec, step.machine)
        if isinstance(step, (Rerun, UpdatePeers, CheckDrift)):
            return self._upkeep.carry_out(view, spec, step)
        if not isinstance(step, decision.SyncMonitoring):
            return self._remedy.carry_out(view, spec, step)
        return self._node.sync_monitoring(view, spec, step.address)

    def fail(self, record: HostRecord, reason: str, plan: observed.Plan | None, *, until_empty: bool = False) -> Pause:
        """Stop trying: write why to oned, and put the host into ERROR.

        Unless another front-end's agent went on with the host since it was looked at: what failed here is its doing.
        """
        host = record.host
        now = records.read(self._parts.oned.host(host.id))
        if (now.intent, now.deploy_id, now.ready) != (record.intent, record.deploy_id, record.ready):
            log.info("host %s (%s): %s, but another agent works on it", host.id, host.name, reason)
            return 0.0
        log.error("host %s (%s): %s", host.id, host.name, reason)
        spec_hash = plan.spec_hash if plan else ""
        failure = records.with_failure(reason, spec_hash, self._parts.clock.now(), until_empty=until_empty)
        self._parts.oned.update_host(host.id, failure)
        if record.address:
            self._peers_changed()  # nobody shall go on sending to what may be a stranger's address by now
        memory = self._parts.memory(host.id)
        memory.enabled = False
        memory.left_init = host.state not in NEW  # otherwise INIT, seen later, is the operator's doing
        if spot.hooks_are_due(record):
            self._parts.oned.set_host_status(host.id, "enable")
        self._parts.reporter.fail(host.id, reason)
        return None if memory.left_init else FIRST_LOOK_AT_FAILED

    def _try_again(self, view: View, step: decision.TryAgain) -> Pause:
        host = view.record.host
        log.info("host %s (%s): trying again", host.id, host.name)
        self._parts.oned.update_host(
            host.id, records.forgiven(view.record, self._parts.clock.now(), replaces=step.replaces)
        )
        self._parts.begin_anew(host.id)
        return 0.0

    def _wait(self, view: View, step: decision.Wait) -> Pause:
        problem = step.problem or view.memory.problem
        host = view.record.host
        if step.problem and host.template.text("PROVISION_ERROR") != readable(problem):
            log.warning("host %s (%s): %s", host.id, host.name, problem)
        shown = Shown(phase=step.phase, step=step.text, problem=problem)
        self._tell_who_waits(host.id, (problem or step.text) if step.seconds else "")
        if step.phase is not Phase.READY:
            self._parts.reporter.show(view.record.host.id, shown)
        self._keep_problem(view.record, problem)
        return step.seconds

    def _rest(self, view: View, step: decision.Rest) -> Pause:
        host_id = view.record.host.id
        if step.phase is Phase.ERROR:
            last = self._parts.reporter.last(host_id)
            if last is None or last.phase is not Phase.ERROR:
                self._parts.reporter.fail(host_id, step.problem)
            if view.record.host.template.text("PROVISION_STATE") != Phase.ERROR.value:  # a late message came over it
                state = records.state(Phase.ERROR, problem=step.problem)
                self._parts.oned.update_host(host_id, Template(state))
            self._keep_problem(view.record, step.problem)
            return None if view.memory.left_init else LOOK_AT_FAILED
        if step.phase is Phase.STOPPED:
            self._tell_who_waits(host_id, step.problem)
            return self._remedy.show_stopped(view, step.problem)
        if step.phase is Phase.READY:
            self._parts.reporter.forget(host_id)
            upkeep = view.observed.upkeep
            self._tell_who_waits(host_id, step.problem or _held(view.observed))
            self._keep_ready(view)
            self._keep_problem(view.record, step.problem or view.memory.problem or upkeep.problem)
            return upkeep.wait if step.problem or view.memory.problem else self._capacity(view, upkeep.wait)
        self._parts.reporter.forget(host_id)  # it is another agent's: with our beacons oned would never call us for it
        self._tell_who_waits(host_id, _held(view.observed))
        return None

    def _keep_ready(self, view: View) -> None:
        """Write that a host is READY when a late message, of another front-end's agent for one, says otherwise."""
        intent, host = view.observed.intent, view.record.host
        ours = intent is None or intent.agent == self._parts.agent_id
        if ours and view.record.ready and host.template.text("PROVISION_STATE") != Phase.READY.value:
            self._parts.oned.update_host(host.id, Template([("PROVISION_STATE", Phase.READY.value)]))

    def _tell_who_waits(self, host_id: int, problem: str) -> None:
        """End the run that people asked for when it cannot be done now."""
        if problem:
            self._parts.wishes.end(host_id, self._parts.wishes.of(host_id), Ended(problem=problem))

    def _capacity(self, view: View, wait: Pause) -> Pause:
        """Let the probes tell the capacity again when it is lost.

        An answer to START_MONITOR given just before the host became READY says zero, and may reach oned last; the
        probes alone would say otherwise only after SYSTEM_HOST's period (ten minutes).
        """
        host, memory = view.record.host, view.memory
        if host.total_cpu or host.state is not HostState.MONITORED:
            memory.lost_capacity = 0
            return wait
        if memory.lost_capacity >= self._parts.settings.agent.tries:
            return wait  # a hypervisor that tells none
        memory.lost_capacity += 1
        memory.monitoring = True
        return 0.0

    def _keep_problem(self, record: HostRecord, problem: str) -> None:
        """Write PROVISION_ERROR when it changed: it must be there even when nobody listens to messages."""
        shown = readable(problem)
        if record.host.template.text("PROVISION_ERROR") != shown:
            self._parts.oned.update_host(record.host.id, Template([("PROVISION_ERROR", shown)]))

    def _rename(self, view: View, address: str) -> Pause:
        try:
            self._parts.oned.rename_host(view.record.host.id, address)
        except (ActionRefused, AllocateRefused) as exc:  # the name is taken (``RequestManagerRename.cc``: ACTION)
            reason = f"the host cannot be renamed to its address {address}, by which oned reaches it: {exc}"
            return self.fail(view.record, reason, view.observed.plan)
        if view.record.ready:
            view.memory.monitoring = True
        return 0.0

    def _record_address(self, view: View, address: str) -> Pause:
        self._parts.oned.update_host(view.record.host.id, records.with_address(address))
        view.memory.monitoring = True
        self._peers_changed()
        return 0.0

    def _peers_changed(self) -> None:
        self._ask(peers.KEY, self._parts.peers.window)

    def _mark_ready(self, view: View, spec: Spec, machine: Machine) -> Pause:
        host, now = view.record.host, self._parts.clock.now()
        self._parts.reporter.forget(host.id)
        address = machine.address() or host.name
        self._parts.oned.update_host(host.id, records.as_ready(view.record, now, machine, address, spec.connection))
        view.memory.monitoring, view.memory.problem = True, ""
        log.info("host %s (%s): READY", host.id, host.name)
        if view.record.peers or view.record.address != address:
            self._peers_changed()  # others may have come since its configuration began
        return 0.0


def _held(seen: observed.Observed) -> str:
    """Say that another front-end's agent looks after the host, nothing when this one does."""
    if seen.intent is None or seen.intent.agent == seen.agent:
        return ""
    return "another front-end's agent looks after this host: run the command there, or enable the host to move it here"
