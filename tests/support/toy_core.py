"""A core for tests of the agent's process: it echoes calls, and does what the action says.

``hold``     answers when ``<state>/go`` exists; each such call puts one character into ``<state>/holds``
``sleep S``  answers after S seconds      ``die``      ends the process at once, as kill -9 would
``fail``     raises an error of ours       ``bug``      raises something else
``refuse``   answers with both outputs and exit code 7        ``environment``  answers with the process's variables
Everything else is answered with what came, as JSON. It has work unless ``<state>/idle`` exists.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from pathlib import Path

from hybrid_drivers.agent import logs
from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned.process import Answer, Call

SECRET = "toy-secret-0123456789"


class ToyCore:
    def __init__(self, state: Path) -> None:
        self._state = state
        self._reloads = 0

    def start(self) -> None:
        self._note("starts")

    def stop(self, timeout: float) -> None:
        self._note("stops")

    def handle(self, call: Call) -> Answer:
        if call.argv[:1] == ("sleep",):
            time.sleep(float(call.argv[1]))
        elif call.argv[:1] == ("hold",):
            self._note("holds")
            while not (self._state / "go").exists():
                time.sleep(0.05)
        elif call.argv[:1] == ("die",):
            self._note("dies")
            os.kill(os.getpid(), signal.SIGKILL)
        elif call.argv[:1] == ("fail",):
            raise ConfigError("INFO: the plan 'x'\nis unknown; take one of the list")
        elif call.argv[:1] == ("bug",):
            raise ValueError(f"a detail with {SECRET}")
        elif call.argv[:1] == ("refuse",):
            return Answer(stdout=b"out\n", stderr=b"INFO: err\n", code=7)
        elif call.argv[:1] == ("environment",):
            return Answer(stdout=json.dumps(dict(os.environ)).encode())
        return Answer(stdout=json.dumps(described(call) | {"pid": os.getpid()}).encode())

    def has_work(self) -> bool:
        return not (self._state / "idle").exists()

    def status(self) -> dict[str, object]:
        return {"hosts": {"ready": 3}, "reloads": self._reloads}

    def reload(self) -> None:
        self._reloads += 1

    def _note(self, name: str) -> None:
        with (self._state / name).open("a") as file:
            file.write("1")


def described(call: Call) -> dict[str, object]:
    """Return a call as JSON can hold it."""
    stdin = base64.b64encode(call.stdin).decode()
    return {
        "family": call.family,
        "driver": call.driver,
        "action": call.action,
        "argv": list(call.argv),
        "stdin": stdin,
        "env": dict(call.env),
    }


def build(location: Location, clock: Clock) -> ToyCore:
    logs.mask(SECRET)
    return ToyCore(location.state)
