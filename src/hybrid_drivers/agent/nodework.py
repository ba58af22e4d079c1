"""The steps that happen on the machine itself: configuring it, and starting or stopping OpenNebula's probes."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace

from hybrid_drivers.agent import decision, lifecycle, node, peers
from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.nodefacts import configured_with, gather
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.observer import View
from hybrid_drivers.agent.parts import HostMemory, Parts
from hybrid_drivers.agent.queue import Ask
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.reporter import Shown
from hybrid_drivers.agent.spec import Spec
from hybrid_drivers.agent.wishes import Ended
from hybrid_drivers.errors import ConfigError, HostError, HostKeyMismatch, HostUnreachable, LoginRefused
from hybrid_drivers.hostconfig.configuration import Configuration, compile_configuration
from hybrid_drivers.hostconfig.report import StepReport
from hybrid_drivers.hostconfig.runner import SshTarget
from hybrid_drivers.model import HostState, Machine, Template
from hybrid_drivers.oned.template import readable
from hybrid_drivers.oned.xml import parse_monitor_messages
from hybrid_drivers.providers.base import ConsoleHostKeys

RETRY_SSH = 1.0  # seconds between two tries to reach a machine that boots
LOOK_AT_CAPACITY = 2.0  # seconds until the capacity the probes told must be in oned
RETRY_SSH_LIMIT = 10.0
RETRY_RUN = 30.0  # seconds after a failed configuration, doubled each time
RETRY_LOST = 2.0  # the same after a connection that was lost
RETRY_RUN_LIMIT = 600.0

log = logging.getLogger(__name__)


class NodeWork:
    """Works on machines over SSH."""

    def __init__(self, parts: Parts, ask: Ask) -> None:
        self._parts = parts
        self._ask = ask

    def configure(self, view: View, spec: Spec, step: decision.Configure) -> float | None:
        """Bring the machine from its first SSH answer to a configured node."""
        host, memory, wish = view.record.host, view.memory, self._parts.wishes.of(view.record.host.id)
        with_peers = ""
        target = self._target(spec.connection, step.address)
        self._show(host.id, Phase.BOOTING, f"waiting for SSH at {step.address}", memory.problem)

        contacted = False

        def on_contact() -> None:
            nonlocal contacted
            contacted, memory.unreachable_since = True, None
            self._show(host.id, Phase.CONNECTING, f"SSH to {step.address}", "")

        def prepare() -> Configuration:
            nonlocal with_peers
            self._make_known(view.record, step.address)
            facts = gather(self._parts, view.record, spec, step.address, not_before=self._parts.clock.monotonic())
            with_peers = configured_with(facts)
            return compile_configuration(spec.playbooks, spec.parameters, facts)

        def on_step(report: StepReport) -> None:
            self._parts.wishes.step(host.id, report)
            text = f"{report.name} {report.number}/{report.total}"
            self._show(host.id, Phase.CONFIGURING, text, "")

        try:
            keys = self._keys(view.record, spec, step.machine, trust=target.trust_first)
            run = node.configure(
                target,
                keys,
                prepare,
                pin=lambda pinned: self._parts.oned.update_host(host.id, records.with_host_keys(pinned)),
                on_contact=on_contact,
                on_step=on_step,
                limit=self._parts.settings.agent.configure_limit,
            )
        except (HostUnreachable, LoginRefused) as exc:
            self._parts.wishes.end(host.id, wish, Ended(problem=str(exc)))
            return self._failed_run(view, exc) if contacted else self._not_yet(view, step, exc)
        except (HostKeyMismatch, Hopeless):
            raise
        except (HostError, ConfigError) as exc:
            if isinstance(exc, ConfigError) and not contacted:
                raise  # nothing was begun
            self._parts.wishes.end(host.id, wish, Ended(problem=str(exc)))
            return self._failed_run(view, exc)
        log.info("host %s (%s): %d of %d steps changed", host.id, host.name, len(run.changed), len(run.steps))
        memory.failed_runs, memory.problem, memory.unreachable_since = 0, "", None
        self._parts.oned.update_host(host.id, records.as_configured(view.record, with_peers))
        self._parts.wishes.end(host.id, wish, Ended(run=run))
        return 0.0

    def _make_known(self, record: HostRecord, address: str) -> None:
        """Write the address, before the peers are read: hosts made at the same time find each other by that."""
        if record.address != address:
            self._parts.oned.update_host(record.host.id, records.with_address(address))
            self._ask(peers.KEY, self._parts.peers.window)

    def sync_monitoring(self, view: View, spec: Spec, address: str, *, boots: bool = False) -> float | None:
        """Do what ``memory.monitoring`` says, and forward what the probes answered.

        ``boots``: the machine was just started, so for the time of its boot no answer is no trouble.
        """
        host, memory = view.record.host, view.memory
        wanted = memory.monitoring
        if host.state is HostState.OFFLINE:
            wanted = False
        target = self.pinned_target(view.record, spec, address)
        try:
            if wanted:
                if not (memory.configuration or self._parts.configuration):
                    memory.monitoring = None  # monitord will call: it gets no beacons
                    return None
                node.sync_remotes(target, self._parts.location.remotes)
                self._forward(host.id, self.start_probes(view.record, spec.connection, address))
            else:
                node.stop_probes(target, self._probes(view.record))
        except HostError as exc:
            if boots and isinstance(exc, HostUnreachable) and self._silent_for(memory) <= spec.plan.limits.boot:
                return RETRY_SSH_LIMIT
            return self._no_monitoring(view, exc, give_up=not wanted)
        memory.monitoring, memory.failed_probes, memory.problem = None, 0, ""
        memory.unreachable_since = None
        return LOOK_AT_CAPACITY if wanted else None

    def start_probes(self, record: HostRecord, connection: Mapping[str, str], address: str) -> bytes:
        """Start the probes and return their answer.

        Raises:
            HostError: they could not be started.
            ConfigError: ``connection`` (PROVISION_CONNECTION) cannot be used.
        """
        target = self._pinned(record, self._target(connection, address))
        try:
            answer = node.start_probes(target, self._probes(record))
        except node.ProbesMissing:
            node.sync_remotes(target, self._parts.location.remotes)
            answer = node.start_probes(target, self._probes(record))
        return answer

    def _forward(self, host_id: int, answer: bytes) -> None:
        for kind, payload in parse_monitor_messages(answer).items():
            self._parts.reporter.forward(kind, host_id, payload)

    def _probes(self, record: HostRecord) -> node.Probes:
        host = record.host
        memory = self._parts.memory(host.id)
        configuration = memory.configuration or for_host(self._parts.configuration, host.id)
        return node.Probes(vm_mad=host.vm_mad, host_id=host.id, name=host.name, configuration=configuration)

    def _target(self, connection: Mapping[str, str], address: str) -> SshTarget:
        port = connection.get("REMOTE_PORT", "22")
        if not port.isdigit():
            raise ConfigError(f"REMOTE_PORT {port!r} of PROVISION_CONNECTION is not a number")
        return SshTarget(
            address=address,
            port=int(port),
            user=connection.get("REMOTE_USER", "root"),
            private_key=self._parts.keys.private_key(connection),
            trust_first=connection.get("TRUST_FIRST_USE", "no").lower() in ("yes", "true"),
        )

    def _keys(self, record: HostRecord, spec: Spec, machine: Machine, *, trust: bool) -> node.Delivered:
        if record.host_keys:
            return node.Delivered(pinned=record.host_keys, replace_key=len(record.host_keys) > 1, written=True)
        provider = spec.account.provider
        delivered = self._delivered_key(record, machine) if provider.takes_user_data else ""
        if delivered:
            return node.Delivered(pinned=(delivered,), replace_key=True)
        published = tuple(provider.host_keys(machine.id)) if isinstance(provider, ConsoleHostKeys) else ()
        if not published and not trust:
            raise Hopeless(
                f"the SSH host key of machine {machine.id} is not known: delete the host to give the machine back, or "
                'set PROVISION_CONNECTION=[TRUST_FIRST_USE="yes"] to accept the key it shows, and enable the host'
            )
        return node.Delivered(pinned=published, replace_key=False)

    def _delivered_key(self, record: HostRecord, machine: Machine) -> str:
        """Return the host key that went into the machine's user-data: that of the token it was made with."""
        intent = record.intent
        if intent is not None and (machine.tags is None or machine.tags.token == intent.token):
            return intent.host_key
        return self._parts.keys.host_key(machine.tags.token).public if machine.tags and machine.tags.token else ""

    def pinned_target(self, record: HostRecord, spec: Spec, address: str) -> SshTarget:
        """Return how to reach a node whose host key is known.

        Raises:
            ConfigError: PROVISION_CONNECTION cannot be used.
        """
        return self._pinned(record, self._target(spec.connection, address))

    def _pinned(self, record: HostRecord, target: SshTarget) -> SshTarget:
        return replace(target, host_keys=record.host_keys)

    def _not_yet(self, view: View, step: decision.Configure, error: HostError) -> float | None:
        memory, plan = view.memory, view.observed.plan
        silent = self._silent_for(memory)
        boot = plan.limits.boot if plan else 0.0
        if silent > boot:
            raise Hopeless(f"no SSH on machine {step.machine.id} for {lifecycle.lasting(boot)}: {error}")
        self._show(view.record.host.id, Phase.BOOTING, f"waiting for SSH at {step.address}", memory.problem)
        return min(RETRY_SSH_LIMIT, max(RETRY_SSH, silent / 20))

    def _silent_for(self, memory: HostMemory) -> float:
        """Return the seconds since SSH was first found without an answer."""
        now = self._parts.clock.now()
        if memory.unreachable_since is None:
            memory.unreachable_since = now
        return now - memory.unreachable_since

    def _failed_run(self, view: View, error: HostError | ConfigError) -> float:
        memory = view.memory
        first = RETRY_LOST if isinstance(error, HostUnreachable) else RETRY_RUN
        pause = min(RETRY_RUN_LIMIT, first * 2.0 ** min(memory.failed_runs, 16))
        memory.failed_runs += 1
        memory.problem = f"{error}; next try in {pause:.0f} s"
        host = view.record.host
        log.error("host %s (%s): %s", host.id, host.name, memory.problem)
        if isinstance(error, HostUnreachable) and pause < RETRY_RUN:  # it may pass: not an error in oned's eyes yet
            self._show(host.id, Phase.CONNECTING, "connecting again", memory.problem)
            return pause
        self._parts.oned.update_host(host.id, Template(records.state(Phase.ERROR, problem=memory.problem)))
        self._parts.reporter.fail(host.id, memory.problem)
        return pause

    def _no_monitoring(self, view: View, error: HostError, *, give_up: bool) -> float | None:
        memory, host = view.memory, view.record.host
        memory.failed_probes += 1
        log.warning("host %s (%s): its probes: %s", host.id, host.name, error)
        if give_up and memory.failed_probes >= self._parts.settings.agent.tries:
            memory.monitoring, memory.failed_probes = None, 0
            return None
        if not give_up:
            memory.problem = f"monitoring cannot be started: {error}"
            self._parts.oned.update_host(host.id, Template([("PROVISION_ERROR", readable(memory.problem))]))
            self._parts.reporter.fail(host.id, memory.problem)
        return float(min(60, 2**memory.failed_probes))

    def _show(self, host_id: int, phase: Phase, text: str, problem: str) -> None:
        self._parts.reporter.show(host_id, Shown(phase=phase, step=text, problem=problem))


def for_host(configuration: bytes, host_id: int) -> bytes:
    """Return monitord's configuration (XML), which came for one host, as it would come for another."""
    return re.sub(rb"<HOST_ID>\d+</HOST_ID>", b"<HOST_ID>%d</HOST_ID>" % host_id, configuration)


class Hopeless(HostError):
    """A machine that will not come: what is tried any more is the operator's decision."""
