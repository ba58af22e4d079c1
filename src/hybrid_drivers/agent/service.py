"""The agent as a service: calls from the socket to the core, people's own calls, signals, and when to end."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from hybrid_drivers import __version__
from hybrid_drivers.agent import logs
from hybrid_drivers.agent.server import Server
from hybrid_drivers.agent.settings import AgentSettings, read_settings
from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import AgentError, ConfigError, HybridError
from hybrid_drivers.oned.process import Answer, Call

log = logging.getLogger(__name__)

CORE_ACTIONS = ("configure", "configure-poll", "gc", "growth", "look")  # of the family ``agent``, answered by the core
LOOK_AROUND = 5.0  # seconds between two looks whether there is still work


class Core(Protocol):
    """What the process carries: the part that does the work (``agent/core.py``)."""

    def start(self) -> None:
        """Begin the work in the background; returns quickly and needs neither oned nor a provider to be up."""

    def stop(self, timeout: float) -> None:
        """End the background work within ``timeout`` seconds."""

    def handle(self, call: Call) -> Answer:
        """Answer one call; called by many threads at once. Raises HybridError for a failure."""

    def has_work(self) -> bool:
        """Tell whether anything needs the agent: a provisioned host, a policy, something to collect. Cheap."""

    def status(self) -> dict[str, object]:
        """Describe the state in values JSON can hold; no secrets."""

    def reload(self) -> None:
        """Read the configuration again."""


class IdleWatch:
    """Says when an agent without work may end: after ``grace`` seconds without any (0: never)."""

    def __init__(self, grace: float, now: float) -> None:
        self.grace = grace
        self._since = now

    def due(self, now: float, busy: bool) -> bool:
        """Tell at ``now`` (monotonic seconds) whether the grace is over."""
        if busy:
            self._since = now
        return self.grace > 0 and now - self._since >= self.grace


class Agent:
    """One running agent: the core, the server, and the loop that waits for the end."""

    def __init__(self, location: Location, core: Core, clock: Clock, *, idle_exit: float | None = None) -> None:
        self._location = location
        self._core = core
        self._clock = clock
        self._idle_exit = idle_exit  # of the command line; it wins over the file
        self._events: SimpleQueue[str] = SimpleQueue()  # put() is reentrant: signal handlers use it
        self._server = Server(location.socket, self.handle)
        self._began = clock.monotonic()
        self._settings = AgentSettings()
        self._idle = IdleWatch(0, self._began)

    def configure(self, settings: AgentSettings) -> None:
        """Take over settings, at the start and at each reload."""
        self._settings = settings
        self._idle.grace = settings.idle_exit if self._idle_exit is None else self._idle_exit

    def run(self, listening: Callable[[], None] = lambda: None) -> None:
        """Serve until told to stop or until there is nothing to look after; ``listening`` is called once."""
        signal.signal(signal.SIGTERM, lambda *_: self._events.put("stop"))
        signal.signal(signal.SIGINT, lambda *_: self._events.put("stop"))
        signal.signal(signal.SIGHUP, lambda *_: self._events.put("reload"))
        self._core.start()
        self._server.start()
        log.info("agent %s listens (process %d)", __version__, os.getpid())
        listening()
        served = 0
        while (event := self._next_event()) != "stop":
            if event == "reload":
                self._reload()
            if not self._server.reachable:  # the next caller starts another: two would be one too many
                log.error("the socket %s was removed: the agent ends", self._location.socket)
                break
            served, before = self._server.served, served
            busy = self._server.running > 0 or served != before or self._core.has_work()
            if self._idle.due(self._clock.monotonic(), busy):
                log.info("nothing to look after for %.0f s: the agent ends", self._idle.grace)
                break
        self._end()

    def _next_event(self) -> str:
        grace = self._idle.grace
        try:
            return self._events.get(timeout=min(LOOK_AROUND, grace / 4) if grace else LOOK_AROUND)
        except Empty:
            return ""

    def _end(self) -> None:
        limit = self._settings.stop_limit
        if not self._server.stop(limit):
            log.warning("calls still ran after %.0f s: they are left", limit)
        self._core.stop(limit)
        log.info("agent ended (process %d)", os.getpid())

    def _reload(self) -> None:
        try:
            settings = read_settings(self._location.etc / "hybrid.yaml").agent
            self._core.reload()
        except HybridError as error:
            log.error("the configuration was not read again: %s", error)
            return
        self.configure(settings)
        logs.set_level(settings.log_level)
        log.info("the configuration was read again")

    def handle(self, call: Call) -> Answer:
        """Answer a call: ``agent`` ones here, all others by the core."""
        if call.family != "agent" or call.action in CORE_ACTIONS:
            return self._core.handle(call)
        actions: dict[str, Callable[[Call], str]] = {
            "status": self._status,
            "stop": self._stop,
            "reload": self._reload_now,
            "log-level": self._log_level,
        }
        if call.action not in actions:
            raise AgentError(f"The agent has no action {call.action}; it has {', '.join(actions)}.")
        return Answer(stdout=f"{actions[call.action](call)}\n".encode())

    def _status(self, _call: Call) -> str:
        uptime = round(self._clock.monotonic() - self._began, 1)
        own = {"pid": os.getpid(), "version": __version__, "uptime": uptime, "calls": self._server.served}
        return json.dumps({**own, **self._core.status()})

    def _stop(self, _call: Call) -> str:
        self._events.put("stop")
        return str(os.getpid())

    def _reload_now(self, _call: Call) -> str:
        read_settings(self._location.etc / "hybrid.yaml")  # a mistake is told to the caller
        self._events.put("reload")
        return str(os.getpid())

    def _log_level(self, call: Call) -> str:
        level = call.argv[0].lower() if call.argv else ""
        if level not in logs.LEVELS:
            raise ConfigError(f"The log level must be one of {', '.join(logs.LEVELS)}.")
        logs.set_level(level)
        return level
