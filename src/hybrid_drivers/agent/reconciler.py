"""From host objects to machines: look, decide, do one step, look again. One pass at a time for each host."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from hybrid_drivers.agent import backoff
from hybrid_drivers.agent.executor import Executor
from hybrid_drivers.agent.leadership import Leadership
from hybrid_drivers.agent.lifecycle import next_step
from hybrid_drivers.agent.nodework import Hopeless, NodeWork
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.observer import Observer, View
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.queue import Key, WorkQueue
from hybrid_drivers.agent.record import IM_MAD
from hybrid_drivers.agent.release import Release
from hybrid_drivers.agent.reporter import Shown
from hybrid_drivers.agent.wishes import Ended
from hybrid_drivers.errors import (
    ConfigError,
    HostError,
    HybridError,
    NoSuchObject,
    OnedError,
    OnedUnreachable,
    OutcomeUnknown,
    PermanentError,
    ProviderError,
    QuotaExceeded,
    TransientError,
)
from hybrid_drivers.model import Host, Template
from hybrid_drivers.oned.template import readable

FOLLOWER_PAUSE = 10.0  # seconds until a follower asks again whether it leads
ONED_PAUSE = 5.0
RELEASE_WORKERS = 16  # machines given back at once: no host on its way may hold them up
CONFIG_PAUSE = 15.0
YOUNG, YOUNG_PAUSE = 10.0, 1.0  # seconds: a host is made first, and told by a second call what it is to rent

log = logging.getLogger(__name__)


class Reconciler:
    """Owns the work queue and carries every host and every departure forward."""

    def __init__(self, parts: Parts, leadership: Leadership) -> None:
        self._parts = parts
        self._leadership = leadership
        self.queue = WorkQueue(
            self.work, parts.clock, workers=parts.settings.agent.workers, apart={"release": RELEASE_WORKERS, "peers": 1}
        )
        self.node = NodeWork(parts, self._enqueue)
        self.release = Release(parts, self._enqueue)
        self.observer = Observer(parts)
        self._executor = Executor(parts, self.node, self._enqueue)

    def _enqueue(self, key: Key, delay: float = 0.0) -> None:
        self.queue.ask(key, delay)

    def ask(self, host_id: int, delay: float = 0.0) -> None:
        """See to a host."""
        self.queue.ask(("host", str(host_id)), delay)

    def peers_of(self, hosts: Sequence[Host] | None = None) -> None:
        """See to the hosts that were configured with other peers than there are now, by ``hosts`` or by asking.

        Raises:
            OnedError: oned cannot be asked.
        """
        for record, wanted in self._parts.peers.outdated(hosts):
            self._parts.memory(record.host.id).upkeep.peers_wanted = wanted
            self.ask(record.host.id)

    def work(self, key: Key) -> float | None:
        """Do one pass over what ``key`` names; returns seconds until the next, None for not before asked."""
        kind, name = key
        if kind != "host":
            return self._work(kind, name)
        host_id, pause = int(name), None
        wish = self._parts.wishes.of(host_id)
        try:
            pause = self._work(kind, name)
        finally:
            if wish is not None and pause != 0:  # the pass did not come to it, and nobody shall wait for the next
                problem = self._parts.known(host_id).problem or "it cannot be worked on now: see the agent's log"
                self._parts.wishes.end(host_id, wish, Ended(problem=problem))
        return pause

    def _work(self, kind: str, name: str) -> float | None:
        try:
            if not self._leadership.leads():
                return FOLLOWER_PAUSE
            if kind == "peers":
                self.peers_of()
                return None
            return self.release.work(name) if kind == "release" else self._host(int(name))
        except OnedUnreachable as exc:
            log.warning("oned gives no answer: %s", exc)
            return ONED_PAUSE
        except TransientError as exc:
            log.info("%s %s: %s", kind, name, exc)
            return backoff.pause(1, named=exc.retry_after)
        except HybridError as exc:
            log.error("%s %s: %s", kind, name, exc)
            return backoff.pause(4)

    def _host(self, host_id: int) -> float | None:
        try:
            host = self._parts.oned.host(host_id)
        except NoSuchObject:
            self.release.host_is_gone(host_id)
            return None
        if host.im_mad != IM_MAD:
            return None
        try:
            return self._pass(host)
        except NoSuchObject as exc:
            # Most likely the host was deleted in the middle of the pass: the next one finds out. But it may be
            # another object, like a zone_id that is wrong.
            log.warning("host %s (%s): %s", host.id, host.name, exc)
            return ONED_PAUSE

    def _pass(self, host: Host) -> float | None:
        memory = self._parts.memory(host.id)
        view: View | None = None
        if self._parts.reporter.last(host.id) is None and not host.template.text("PROVISION_STATE"):
            self._parts.reporter.show(host.id, Shown(phase=Phase.PENDING))  # the first look may take its time
        try:
            view = self.observer.look(host)
            if memory.retries:
                memory.problem = ""  # it passed; what follows may find another
            pause = self._executor.carry_out(view, next_step(view.observed))
            if pause and view.spec is None and self._parts.clock.now() - memory.called_at < YOUNG:
                pause = min(pause, YOUNG_PAUSE)
        except OnedError:
            raise
        except (TransientError, OutcomeUnknown) as exc:
            named = exc.retry_after if isinstance(exc, TransientError) else None
            return self._passing(host, exc, named)
        except ConfigError as exc:
            return self._passing(host, exc, CONFIG_PAUSE)
        except (PermanentError, QuotaExceeded, Hopeless, HostError) as exc:
            return self._lasting(host, view, exc)
        except ProviderError as exc:
            return self._passing(host, exc, None)
        except Exception as exc:
            if not isinstance(exc, HybridError):
                self._unexpected(host, exc)
            raise
        memory.retries = 0
        return pause

    def _unexpected(self, host: Host, error: Exception) -> None:
        """Show that there is a mistake in the program, which only the log would tell otherwise."""
        memory = self._parts.memory(host.id)
        memory.retries += 1
        memory.problem = f"internal error ({type(error).__name__}): see the agent's log"
        with suppress(OnedError):
            self._parts.oned.update_host(host.id, Template([("PROVISION_ERROR", readable(memory.problem))]))

    def _passing(self, host: Host, error: HybridError, named: float | None) -> float:
        memory = self._parts.memory(host.id)
        pause = backoff.pause(memory.retries, named=named)
        memory.retries += 1
        memory.problem = f"{error}; next try in {pause:.0f} s"
        log.warning("host %s (%s): %s", host.id, host.name, memory.problem)
        last = self._parts.reporter.last(host.id)
        phase = last.phase if last else Phase.PENDING
        if not host.template.text("PROVISION_READY"):
            self._parts.reporter.show(host.id, Shown(phase=phase, problem=memory.problem))
        return pause

    def _lasting(self, host: Host, view: View | None, error: HybridError) -> float | None:
        if view is None:  # the provider could not even be looked at
            return self._passing(host, error, CONFIG_PAUSE)
        return self._executor.fail(view.record, str(error), view.observed.plan)
