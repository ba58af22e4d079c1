"""What both provider simulators share: the server, the count of calls, trouble on purpose, and ``/_sandbox``.

``GET /_sandbox/machines`` lists every machine ever made, ``GET /_sandbox/calls`` counts the API calls, and
``GET`` or ``PUT /_sandbox/knobs`` shows or changes knobs. ``POST /_sandbox/interrupt`` with ``{"machine": ID}`` has the
provider take a spot machine back after the knob ``spot_notice``. None of these needs credentials: the server is for
loopback.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.http_server import HttpServer, Reply, Request, json_reply
from hybrid_drivers.sandbox.knobs import Knobs

PREFIX = "/_sandbox/"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a call is refused before it is looked at: ``status`` is 429, 500 or 503; ``reset`` seconds until it helps."""

    status: int
    retry_after: float = 0.0
    limit: float = 0.0
    reset: float = 0.0


class Api(Protocol):
    """One provider's API, without server and trouble."""

    def call_name(self, request: Request) -> str:
        """Return the name the call is counted under, such as ``GET /devices/{id}``."""

    def answer(self, request: Request) -> Reply:
        """Answer the call."""

    def refuse(self, refusal: Refusal) -> Reply:
        """Say in the provider's own form that the call was refused."""

    def machines(self) -> Sequence[Mapping[str, object]]:
        """Describe every machine ever made, for people and tests."""

    def interrupt(self, machine_id: str, code: str) -> None:
        """Give notice that a spot machine is taken back; raises ConfigError when it is none, or does not run."""

    def start(self) -> None:
        """Let time pass for the machines."""

    def close(self) -> None:
        """Destroy every machine."""


class RateGate:
    """Lets ``rate`` calls a second pass, with a burst of one second's worth."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._level, self._seen = 0.0, clock.monotonic()

    def passes(self, rate: float) -> bool:
        """Tell whether one more call is within the rate; 0 is no limit."""
        if not rate:
            return True
        with self._lock:
            now = self._clock.monotonic()
            self._level = max(0.0, self._level - (now - self._seen) * rate)
            self._seen = now
            if self._level + 1 > max(1.0, rate):
                return False
            self._level += 1
            return True


class Simulator:
    """A provider's API on ``host:port`` (0: a free port) with its knobs; made by its subclasses, one a provider."""

    def __init__(
        self,
        api: Api,
        knobs: Knobs,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.knobs = knobs
        self._api = api
        self._clock = clock or SystemClock()
        self._gate = RateGate(self._clock)
        self._calls: Counter[str] = Counter()
        self._count_lock = threading.Lock()
        self._server = HttpServer(self, host=host, port=port, tls=tls)
        self.url = self._server.url

    def start(self) -> None:
        """Serve, and let time pass for the machines."""
        self._api.start()
        self._server.start()

    def stop(self) -> None:
        """Stop serving and destroy every machine that is left."""
        self._server.stop()
        self._api.close()

    @property
    def calls(self) -> Mapping[str, int]:
        """How often each API call came, refused ones too, by name such as ``GET /devices/{id}``."""
        with self._count_lock:
            return dict(self._calls)

    @property
    def machines(self) -> Sequence[Mapping[str, object]]:
        """Every machine ever made, as ``GET /_sandbox/machines`` shows it."""
        return self._api.machines()

    def interrupt(self, machine_id: str, code: str = "") -> None:
        """Have a spot machine taken back after the knob ``spot_notice``; ``code`` is the provider's word for why.

        Raises:
            ConfigError: it is no spot machine that runs.
        """
        self._api.interrupt(machine_id, code)

    def answer(self, request: Request) -> Reply:
        """Answer one HTTP request: the sandbox's own paths, or the provider's API with today's troubles."""
        if request.path.startswith(PREFIX):
            return self._control(request)
        name = self._api.call_name(request)
        with self._count_lock:
            self._calls[name] += 1
        if latency := self.knobs.wait("latency"):
            self._clock.sleep(latency)
        refusal = self._trouble(name)
        return self._api.refuse(refusal) if refusal else self._api.answer(request)

    def _trouble(self, name: str) -> Refusal | None:
        knobs = self.knobs
        if not self._gate.passes(knobs.rate_limit):
            return Refusal(status=429, retry_after=knobs.retry_after, limit=knobs.rate_limit, reset=1.0)
        if knobs.error_calls in name and knobs.strikes("error_rate"):
            return Refusal(status=knobs.error_status, retry_after=knobs.retry_after, reset=knobs.retry_after)
        return None

    def _control(self, request: Request) -> Reply:
        what = f"{request.method} {request.path.removeprefix(PREFIX)}"
        if what == "GET machines":
            return json_reply(200, {"machines": list(self.machines)})
        if what == "GET calls":
            return json_reply(200, {"calls": self.calls, "total": sum(self.calls.values())})
        if what == "GET knobs":
            return json_reply(200, self.knobs.as_dict())
        if what == "PUT knobs":
            return self._turn_knobs(request.body)
        if what == "POST interrupt":
            return self._interrupt(request.body)
        known = "GET machines, GET calls, GET knobs, PUT knobs and POST interrupt"
        return json_reply(404, {"error": f"there is no {what!r} below {PREFIX}; there are {known}"})

    def _interrupt(self, body: bytes) -> Reply:
        try:
            told = _object(body, "machine, and code")
            self.interrupt(str(told.get("machine", "")), str(told.get("code", "")))
        except ConfigError as exc:
            return json_reply(400, {"error": str(exc)})
        return json_reply(200, {})

    def _turn_knobs(self, body: bytes) -> Reply:
        try:
            self.knobs.change(_object(body, "knob names and values"))
        except ConfigError as exc:
            return json_reply(400, {"error": str(exc)})
        return json_reply(200, self.knobs.as_dict())


def _object(body: bytes, what: str) -> Mapping[str, object]:
    try:
        told = json.loads(body)
    except ValueError as exc:
        raise ConfigError(f"the body is not JSON: {exc}") from exc
    if not isinstance(told, dict):
        raise ConfigError(f"the body must be a JSON object of {what}")
    return told
