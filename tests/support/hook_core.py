"""A core for the agent's process that answers hooks, and notes in ``<state>/asked`` what addresses were asked for."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.hooks import about

from hybrid_drivers.agent.hooks import AliasIp
from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.hook_actions import parse_hook
from hybrid_drivers.oned.process import Answer, Call


class Written:
    def __init__(self, path: Path) -> None:
        self._path = path

    def post(self, vm_document: bytes, host: str) -> None:
        self._note("post", vm_document, host)

    def clean(self, vm_document: bytes, host: str) -> None:
        self._note("clean", vm_document, host)

    def _note(self, verb: str, vm_document: bytes, host: str) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps([verb, about(vm_document), host]) + "\n")


class HookCore:
    def __init__(self, location: Location) -> None:
        self._hook = AliasIp(Oned.from_location(location), Written(location.state / "asked"))

    def start(self) -> None:
        pass

    def stop(self, timeout: float) -> None:
        pass

    def handle(self, call: Call) -> Answer:
        return self._hook.answer(parse_hook(call)) if call.family == "hooks" else Answer()

    def has_work(self) -> bool:
        return True

    def status(self) -> dict[str, object]:
        return {}

    def reload(self) -> None:
        pass


def build(location: Location, clock: Clock) -> HookCore:
    del clock
    return HookCore(location)
