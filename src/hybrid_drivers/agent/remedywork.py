"""Carrying out what ``remedy`` decided about a READY host whose machine stopped or is lost.

Each method returns the seconds until the next look at the host; None: not before the next sweep.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from hybrid_drivers.agent import decision, peers, remedy
from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.departures import Departure
from hybrid_drivers.agent.nodework import NodeWork
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.observer import View
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.queue import Ask
from hybrid_drivers.agent.reporter import Shown
from hybrid_drivers.agent.spec import Spec
from hybrid_drivers.errors import ActionRefused, AllocateRefused, ProviderError
from hybrid_drivers.model import HostState, MachineState, Template
from hybrid_drivers.oned.template import readable
from hybrid_drivers.providers.base import Power, Provider

log = logging.getLogger(__name__)

Pause = float | None


class RemedyWork:
    """Shows, switches on, replaces; ``ask`` puts a key into the work queue."""

    def __init__(self, parts: Parts, node: NodeWork, ask: Ask) -> None:
        self._parts, self._node, self._ask = parts, node, ask

    def carry_out(
        self,
        view: View,
        spec: Spec,
        step: decision.Resume | decision.NoteMachine | decision.PowerOn | decision.Replace | decision.GiveBack,
    ) -> Pause:
        """Do ``step``. Raises: HybridError."""
        if isinstance(step, decision.PowerOn):
            return self._power_on(view, spec, step)
        if isinstance(step, decision.Replace):
            return self._replace(view, spec, step)
        if isinstance(step, decision.GiveBack):
            return self._give_back(view, spec, step)
        if isinstance(step, decision.Resume):
            return self._resume(view, spec, step.address)
        return self._note(view, step)

    def show_stopped(self, view: View, problem: str) -> Pause:
        """Write that the machine is stopped, and why nothing is done about it, when that is new.

        No message goes to monitord: one would tell it that the host lives.
        """
        host, template = view.record.host, view.record.host.template
        self._parts.reporter.forget(host.id)
        if not view.record.stopped or template.text("PROVISION_ERROR") != readable(problem):
            log.warning("host %s (%s): %s", host.id, host.name, problem)
            self._parts.oned.update_host(host.id, Template(records.state(Phase.STOPPED, problem=problem)))
        return None

    def _power_on(self, view: View, spec: Spec, step: decision.PowerOn) -> Pause:
        host, memory, provider = view.record.host, view.memory, spec.account.provider
        if not self._is_stopped(provider, step.machine.id):  # the lists are older
            return self._look_again(view, spec)
        text = f"switching machine {step.machine.id} on, try {step.number} of {remedy.SWITCHES} within an hour"
        problem = f"machine {step.machine.id} was stopped at {spec.account.name}"
        now = self._parts.clock.now()
        self._parts.oned.update_host(host.id, records.as_switched_on(view.record, now, text, problem))
        log.warning("host %s (%s): %s: %s", host.id, host.name, problem, text)
        try:
            power_of(provider).power_on(step.machine.id)
        except ProviderError as exc:  # no reason to give a working host up: it is tried again, then shown
            memory.switch_problem = str(exc)
            log.warning("host %s (%s): machine %s is not switched on: %s", host.id, host.name, step.machine.id, exc)
            return None
        memory.switch_problem = ""
        return self._look_again(view, spec)

    def _is_stopped(self, provider: Provider, machine_id: str) -> bool:
        try:
            return provider.get(machine_id).state is MachineState.STOPPED
        except ProviderError as exc:  # a host that was READY is not given up for that
            log.info("machine %s cannot be looked at: %s", machine_id, exc)
            return False

    def _look_again(self, view: View, spec: Spec) -> Pause:
        view.memory.looked_from = self._parts.clock.now()
        return spec.plan.limits.poll

    def _resume(self, view: View, spec: Spec, address: str) -> Pause:
        host, memory = view.record.host, view.memory
        if host.state is not HostState.OFFLINE:
            memory.monitoring = True
            pause = self._node.sync_monitoring(view, spec, address, boots=True)
            if memory.monitoring:
                return pause
        memory.switch_problem = ""
        self._parts.reporter.forget(host.id)
        self._parts.oned.update_host(host.id, Template(records.state(Phase.READY)))
        log.info("host %s (%s): its machine runs again", host.id, host.name)
        return 0.0

    def _replace(self, view: View, spec: Spec, step: decision.Replace) -> Pause:
        host = view.record.host
        log.warning("host %s (%s): %s: it is replaced", host.id, host.name, step.reason)
        self._parts.oned.update_host(host.id, records.as_replaced(view.record, self._parts.clock.now(), step.reason))
        self._parts.begin_anew(host.id)
        shown = Shown(phase=Phase.DELETING, step="another machine follows", problem=step.reason)
        self._parts.reporter.show(host.id, shown)  # no capacity from now on
        if view.record.address:
            self._ask(peers.KEY, self._parts.peers.window)
        if host.name != view.record.friendly_name:  # its address may soon be another host's
            with suppress(ActionRefused, AllocateRefused):
                self._parts.oned.rename_host(host.id, view.record.friendly_name)
        return spec.plan.limits.poll

    def _give_back(self, view: View, spec: Spec, step: decision.GiveBack) -> Pause:
        record = view.record
        departure = self._parts.departures.add(
            Departure(
                account=spec.account.name,
                host_id=record.host.id,
                name=record.friendly_name,
                machine_id=step.machine.id,
                since=self._parts.clock.now(),
                cluster_id=record.host.cluster_id,
                price=record.price,
            )
        )
        self._ask(("release", departure.key))
        return spec.plan.limits.poll

    def _note(self, view: View, step: decision.NoteMachine) -> Pause:
        host = view.record.host
        if step.difference:
            log.warning("host %s (%s): its machine was changed: %s", host.id, host.name, step.difference)
        template = records.with_machine_noted(step.machine if step.fresh else None, step.difference)
        self._parts.oned.update_host(host.id, template)
        return 0.0


def power_of(provider: Provider) -> Power:
    """Return the provider as what switches machines: such a step comes only where it can."""
    if not isinstance(provider, Power):
        raise AssertionError("a machine to be switched on by a provider that cannot")
    return provider
