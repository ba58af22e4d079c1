"""The front-end stand-in under test: toy executables for a running one, and its monitoring without any."""

from __future__ import annotations

import base64
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybrid_drivers.sandbox.frontend import Frontend, Knobs, Store
from hybrid_drivers.sandbox.frontend import host_calls as calls
from hybrid_drivers.sandbox.frontend.calls import Context
from hybrid_drivers.sandbox.frontend.drivers import Drivers, Order
from hybrid_drivers.sandbox.frontend.monitor import Message, Monitor
from hybrid_drivers.sandbox.frontend.objects import HostObject

ANSWER = (
    'echo "<MONITOR_MESSAGES><SYSTEM_HOST>$(printf \'TOTALCPU="0"\\nTOTALMEMORY="0"\\n\' | base64 -w0)</SYSTEM_HOST>'
    '</MONITOR_MESSAGES>"'
)
MEASURED = 'TOTALCPU="800"\nTOTALMEMORY="16777216"\nHOSTNAME="node"\n'


def toy(frontend: Frontend, script: str, name: str = "monitord-client_control.sh", mode: int = 0o755) -> Path:
    path = frontend.location / "var/remotes/im/provision.d" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def host(frontend: Frontend, name: str = "edge1") -> int:
    reply = frontend.call("one.host.allocate", name, "provision", "kvm", 0)
    return int(reply[1])


def events(frontend: Frontend, count: int) -> None:
    frontend.wait_for(lambda: len(frontend.events) >= count, 10)


def messages(stamp: int = 0, **payloads: str) -> str:
    inner = "".join(f"<{kind}>{base64.b64encode(one.encode()).decode()}</{kind}>" for kind, one in payloads.items())
    return f"<MONITOR_MESSAGES>{inner}\n<TIMESTAMP>{stamp}</TIMESTAMP></MONITOR_MESSAGES>"


class ManualClock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class NotedDrivers(Drivers):
    """Knows one IM, runs nothing; a test answers an order itself."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"), {}, {"provision": 1}, Knobs(), lambda _: None)
        self.orders: list[tuple[Order, Callable[[int, str], None]]] = []

    def submit(self, order: Order, done: Callable[[int, str], None]) -> None:
        self.orders.append((order, done))

    def take(self) -> list[str]:
        """Return what was ordered since the last look, as ``START_MONITOR 0``."""
        taken = [f"{order.action} {order.host_id}" for order, _ in self.orders]
        self.orders.clear()
        return taken


class Cloud:
    def __init__(self) -> None:
        self.clock, self.drivers, self.log = ManualClock(), NotedDrivers(), list[str]()
        self.store, self.knobs = Store(), Knobs()
        self.monitor = Monitor(
            store=self.store,
            knobs=self.knobs,
            clock=self.clock,
            drivers=self.drivers,
            configuration=lambda host_id: (
                f"<MONITOR_CONFIGURATION><HOST_ID>{host_id}</HOST_ID></MONITOR_CONFIGURATION>"
            ),
            log=self.log.append,
        )
        self.context = Context(store=self.store, monitor=self.monitor, knobs=self.knobs, version="7.4.0")

    def host(self, name: str = "edge1", im_mad: str = "provision") -> HostObject:
        return self.store.hosts[calls.host_allocate(self.context, name, im_mad, "kvm")]

    def answer(self, code: int, output: str) -> None:
        _, done = self.drivers.orders.pop()
        done(code, output)

    def tell(self, kind: str, payload: str = "", *, ok: bool = True, stamp: int = 0, host_id: int = 0) -> None:
        self.monitor.message(Message(kind=kind, ok=ok, host_id=host_id, timestamp=stamp, payload=payload))

    def after(self, seconds: float) -> list[str]:
        """Let time pass, let the timer run, return what was ordered."""
        self.clock.sleep(seconds)
        self.monitor.tick()
        return self.drivers.take()


def call(frontend: Frontend, method: str, *arguments: object, session: str | None = None) -> list[Any]:
    proxy = xmlrpc.client.ServerProxy(frontend.endpoint)
    with proxy:
        reply: list[Any] = getattr(proxy, method)(session or frontend.session, *arguments)
    return reply
