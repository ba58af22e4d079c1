"""Carrying out the upkeep of READY hosts over SSH: runs that people asked for, peers, looks for drift.

None of it may fail a host or touch its capacity. The host's key in the work queue keeps two of them apart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from hybrid_drivers.agent import node
from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.backoff import pause as backoff
from hybrid_drivers.agent.nodefacts import configured_with, gather
from hybrid_drivers.agent.nodework import NodeWork
from hybrid_drivers.agent.observer import View
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.spec import Spec
from hybrid_drivers.agent.upkeep import CheckDrift, Rerun, UpdatePeers, UpkeepStep, drift_text
from hybrid_drivers.agent.wishes import Ended
from hybrid_drivers.errors import ConfigError, HostError
from hybrid_drivers.hostconfig.configuration import Configuration, compile_configuration
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.script import Script
from hybrid_drivers.model import Template
from hybrid_drivers.oned.template import readable

DRIFT_LIMIT = 600.0  # seconds for a look
PEERS_LIMIT = 600.0  # seconds for telling a host its peers: it takes one, and workers are few

log = logging.getLogger(__name__)


class UpkeepWork:
    """Works on READY hosts."""

    def __init__(self, parts: Parts, node_work: NodeWork) -> None:
        self._parts = parts
        self._node = node_work

    def carry_out(self, view: View, spec: Spec, step: UpkeepStep) -> float | None:
        """Do ``step``; returns the seconds until the next look at the host.

        Raises:
            OnedError: oned cannot be asked or written to.
        """
        if isinstance(step, Rerun):
            return self._rerun(view, spec, step)
        if isinstance(step, UpdatePeers):
            return self._update_peers(view, spec, step)
        return self._check_drift(view, spec, step)

    def _rerun(self, view: View, spec: Spec, step: Rerun) -> float | None:
        host, wishes = view.record.host, self._parts.wishes
        wish = wishes.of(host.id)
        begun = False

        def on_step(report: StepReport) -> None:
            nonlocal begun
            begun = True
            wishes.step(host.id, report)

        try:
            facts = gather(self._parts, view.record, spec, step.address)
            configuration = compile_configuration(spec.playbooks, spec.parameters, facts)
            run = self._run(
                view,
                spec,
                step.address,
                configuration,
                on_step=on_step,
                check_only=step.check_only,
                limit=self._parts.settings.agent.configure_limit,
            )
        except (HostError, ConfigError) as exc:
            if begun and not step.check_only:  # otherwise the host is as it was
                self._failed_rerun(view, exc)
            wishes.end(host.id, wish, Ended(problem=str(exc)))
            return 0.0
        if step.check_only:
            self._drifted(view, run)
        else:
            self._reran(view, run, configured_with(facts))
        wishes.end(host.id, wish, Ended(run=run))
        return 0.0

    def _reran(self, view: View, run: RunReport, peers: str) -> None:
        host, upkeep = view.record.host, view.memory.upkeep
        log.info(
            "host %s (%s): run again, %d of %d steps changed", host.id, host.name, len(run.changed), len(run.steps)
        )
        upkeep.problem = upkeep.peers_problem = ""
        upkeep.peers_failures, upkeep.peers_after = 0, 0.0
        template = records.as_configured(view.record, peers)
        self._parts.oned.update_host(host.id, Template([*template, ("PROVISION_ERROR", readable(view.memory.problem))]))

    def _failed_rerun(self, view: View, error: HostError | ConfigError) -> None:
        host = view.record.host
        problem = view.memory.upkeep.problem = f"the configuration failed when it was run again: {error}"
        log.error("host %s (%s): %s", host.id, host.name, problem)
        self._parts.oned.update_host(host.id, records.as_misconfigured(problem))

    def _update_peers(self, view: View, spec: Spec, step: UpdatePeers) -> float | None:
        host, upkeep = view.record.host, view.memory.upkeep
        wanted = upkeep.peers_wanted
        try:
            facts = gather(self._parts, view.record, spec, step.address)
            configuration = compile_configuration(spec.playbooks, spec.parameters, facts, peers_only=True)
            limit = min(PEERS_LIMIT, self._parts.settings.agent.configure_limit)
            run = self._run(view, spec, step.address, configuration, check_only=False, limit=limit)
        except (HostError, ConfigError) as exc:
            pause = backoff(upkeep.peers_failures)
            upkeep.peers_failures += 1
            upkeep.peers_after = self._parts.clock.now() + pause
            upkeep.peers_problem = f"the other hosts of its cluster changed, which it could not be told: {exc}"
            log.warning("host %s (%s): %s; next try in %.0f s", host.id, host.name, upkeep.peers_problem, pause)
            return 0.0
        peers = configured_with(facts)
        log.info("host %s (%s): peers are %s, %d steps changed", host.id, host.name, peers or "none", len(run.changed))
        upkeep.peers_failures, upkeep.peers_problem = 0, ""
        if upkeep.peers_wanted == wanted:  # otherwise they changed meanwhile: once more
            upkeep.peers_wanted = peers
        self._parts.oned.update_host(host.id, records.with_peers(peers))
        return 0.0

    def _check_drift(self, view: View, spec: Spec, step: CheckDrift) -> float | None:
        host = view.record.host
        view.memory.upkeep.checked_at = self._parts.clock.now()
        try:
            facts = gather(self._parts, view.record, spec, step.address)
            whole = compile_configuration(spec.playbooks, spec.parameters, facts)
            # Ansible's playbooks are left out: each would cost the front-end seconds of CPU.
            ours = Configuration(tuple(part for part in whole.parts if isinstance(part, Script)))
            run = self._run(view, spec, step.address, ours, check_only=True, limit=DRIFT_LIMIT)
        except (HostError, ConfigError) as exc:
            log.info("host %s (%s): not looked at for drift: %s", host.id, host.name, exc)
            return 0.0
        self._drifted(view, run)
        return 0.0

    def _drifted(self, view: View, run: RunReport) -> None:
        """Write what differs when that changed."""
        host, text = view.record.host, readable(drift_text(run))
        if text == view.record.drift:
            return
        log.warning("host %s (%s): drift: %s", host.id, host.name, text or "none any more")
        self._parts.oned.update_host(host.id, records.with_drift(text))

    def _run(
        self,
        view: View,
        spec: Spec,
        address: str,
        configuration: Configuration,
        *,
        on_step: Callable[[StepReport], None] = lambda report: None,
        check_only: bool,
        limit: float,
    ) -> RunReport:
        target = self._node.pinned_target(view.record, spec, address)
        return node.run(target, configuration, on_step, check_only=check_only, limit=limit)
