"""Renting a machine: the intent, the create call, its record, and what follows when that comes to nothing.

Each method returns the seconds until the next look at the host.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace

from hybrid_drivers.agent import decision, observed, peers, spot, userdata
from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.departures import Departure
from hybrid_drivers.agent.observed import Intent, Phase
from hybrid_drivers.agent.observer import View, spec_of
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.queue import Ask
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.reporter import Shown
from hybrid_drivers.agent.spec import Spec
from hybrid_drivers.errors import CapacityExhausted, OutcomeUnknown, TokenSpent, TransientError
from hybrid_drivers.model import CreateRequest, Machine, MachineTags, Template
from hybrid_drivers.oned.template import readable

SOLD_OUT_PAUSE = 30.0  # seconds after all placements were sold out, doubled each round
SOLD_OUT_LIMIT = 900.0

log = logging.getLogger(__name__)

Pause = float | None
Fail = Callable[[HostRecord, str, observed.Plan | None], Pause]


class Renting:
    """Rents machines; ``ask`` puts a key into the work queue, ``fail`` gives a host up."""

    def __init__(self, parts: Parts, ask: Ask, fail: Fail) -> None:
        self._parts = parts
        self._ask = ask
        self._fail = fail

    def write_intent(self, view: View, step: decision.WriteIntent) -> Pause:
        """Write an intent of ours, or put our name on another agent's."""
        parts, host = self._parts, view.record.host
        if step.take_over is not None:
            self._check_unchanged(view)
            intent = replace(step.take_over, agent=parts.agent_id, since=parts.clock.now())
            parts.oned.update_host(host.id, records.taken_over(view.record, intent))
            if not view.record.deploy_id:
                view.memory.uncertain_since = parts.clock.monotonic()
            if not view.record.ready:
                view.memory.monitoring = True  # the other agent may still finish it, but will not start its probes
            log.info("host %s (%s): taken over from another front-end's agent", host.id, host.name)
            return 0.0
        self._open_intent(view, step.attempt)
        return 0.0

    def _open_intent(self, view: View, attempt: int, problem: str = "", *, sold_out: bool = False) -> Intent:
        parts, host = self._parts, view.record.host
        self._check_unchanged(view)
        token = hashlib.sha256(f"{parts.owner()}:{host.id}:{attempt}".encode()).hexdigest()[:32]
        intent = Intent(
            token=token,
            attempt=attempt,
            since=parts.clock.now(),
            spec_hash=spec_of(view).plan.spec_hash,
            agent=parts.agent_id,
            host_key=parts.keys.host_key(token).public,
        )
        pairs = [*records.with_intent(view.record, intent), ("PROVISION_ERROR", readable(problem))]
        if sold_out:  # in every place: whoever grows on demand may want another plan than to wait for this one
            pairs.append(("PROVISION_SOLD_OUT", f"{intent.since:.0f}"))
        parts.oned.update_host(host.id, Template(dict(pairs).items()))
        if view.record.address:
            self._ask(peers.KEY, parts.peers.window)
        view.memory.own_tokens.add(token)
        view.memory.uncertain_since = None
        view.memory.problem = problem
        log.info("host %s (%s): intent %s, attempt %d", host.id, host.name, token, attempt)
        return intent

    def _check_unchanged(self, view: View) -> None:
        """Look once more, so that what another front-end's agent wrote since the look is not written over.

        After a change of leaders both agents believe for some seconds that they lead (``leadership.AGE``), and asking
        the provider, between the look at a host and a write, may take longer than ``claim_delay``.

        Raises:
            TransientError: the intent or the machine of the host is another one now.
        """
        seen = view.record
        now = records.read(self._parts.oned.host(seen.host.id))
        if (now.intent, now.deploy_id) != (seen.intent, seen.deploy_id):
            raise TransientError(f"host {seen.host.name} was changed while it was looked at; it is looked at again")

    def create(self, view: View, step: decision.Create) -> Pause:
        """Ask the provider for the machine of the intent.

        Raises:
            ProviderError: no machine; after OutcomeUnknown there may be one.
        """
        parts, spec, host = self._parts, spec_of(view), view.record.host
        request = self._request(view, spec, step)
        place = f"{step.placement.plan} in {step.placement.place}".removesuffix(" in ")
        parts.reporter.show(host.id, Shown(phase=Phase.DEPLOYING, step=f"asking {spec.account.name} for {place}"))
        log.info("host %s (%s): asking %s for %s", host.id, host.name, spec.account.name, place)
        try:
            machine = spec.account.provider.create(request)
        except CapacityExhausted as exc:
            return self._next_placement(view, step.intent, str(exc))
        except TokenSpent:
            self._open_intent(view, step.intent.attempt + 1)
            return 0.0
        except OutcomeUnknown:
            view.memory.uncertain_since = parts.clock.monotonic()
            raise
        spec.account.machines.remember(machine)
        return self.record(view, machine)

    def _request(self, view: View, spec: Spec, step: decision.Create) -> CreateRequest:
        parts, record, token = self._parts, view.record, step.intent.token
        key = parts.keys.host_key(token)
        attributes = dict(spec.attributes)
        return CreateRequest(
            token=token,
            tags=MachineTags(owner=parts.owner(), host_id=record.host.id, token=token, name=record.friendly_name),
            hostname=record.friendly_name,
            placement=step.placement,
            user_data=userdata.build(
                host_private=key.private_openssh,
                host_public=key.public,
                authorized=parts.keys.public_lines(spec.connection),
                operators=attributes.pop("USERDATA", ""),
            ),
            attributes=attributes,
            last_look=lambda: self._check_unchanged(view),
        )

    def _next_placement(self, view: View, intent: Intent, reason: str) -> Pause:
        placements = len(spec_of(view).plan.placements)
        if intent.attempt % placements:
            self._open_intent(view, intent.attempt + 1, problem=reason)
            return 0.0
        rounds = min(intent.attempt // placements - 1, 16)
        pause = min(SOLD_OUT_LIMIT, SOLD_OUT_PAUSE * 2.0**rounds)
        self._open_intent(view, intent.attempt + 1, problem=f"{reason}; next try in {pause:.0f} s", sold_out=True)
        return pause

    def record(self, view: View, machine: Machine) -> Pause:
        """Write the machine's id to oned."""
        spec, host = spec_of(view), view.record.host
        driver = spec.account.provider.entry.driver
        told = records.with_machine(view.record, machine, spec.account.name, driver)
        told = Template([*told, *spot.marks(spec.attributes, host.template)])
        self._parts.oned.update_host(host.id, told)
        view.memory.uncertain_since = view.memory.absent_since = None
        view.memory.problem = ""
        log.info("host %s (%s): machine %s at %s", host.id, host.name, machine.id, spec.account.name)
        return 0.0

    def give_up(self, view: View, step: decision.GiveUpMachine | decision.NextAttempt) -> Pause:
        """Give a machine back that failed, or that is gone, and go on with the next attempt; not for ever."""
        parts, spec, record = self._parts, spec_of(view), view.record
        log.warning("host %s (%s): %s", record.host.id, record.host.name, step.reason)
        if isinstance(step, decision.GiveUpMachine):
            departure = parts.departures.add(
                Departure(
                    account=spec.account.name,
                    host_id=record.host.id,
                    name=record.friendly_name,
                    machine_id=step.machine.id,
                    since=parts.clock.now(),
                    cluster_id=record.host.cluster_id,
                    price=record.price,
                )
            )
            self._ask(("release", departure.key))
        if step.sold_out and record.intent is not None:
            return self._next_placement(view, record.intent, step.reason)
        view.memory.failed_machines += 1
        if view.memory.failed_machines >= parts.settings.agent.tries:
            view.memory.failed_machines = 0
            return self._fail(
                record, f"{step.reason}; {parts.settings.agent.tries} machines failed so", view.observed.plan
            )
        self._open_intent(view, (record.intent.attempt if record.intent else 0) + 1, problem=step.reason)
        return 0.0
