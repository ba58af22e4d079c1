"""Inside the agent: names every effect it has on the world, and ends the process before or after a chosen one.

A laboratory starts its agent through :func:`main`, which puts itself around the few library calls by which anything
leaves the process: XML-RPC to oned, messages to monitord, HTTP and AWS requests, SSH commands, files put in place, and
answers to callers. A point is an effect and the place in the agent's code that has it:
``oned host.update PROVISION_INTENT @ agent.renting._write_intent``. So points are found by running, not by hand.

An audit hook (``sys.addaudithook``) sees every connection and datagram of the process. One that is made outside these
calls is an effect without a name: it is told as ``UNNAMED``, and the proof fails.
"""

from __future__ import annotations

import functools
import json
import os
import re
import runpy
import signal
import sys
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = "hybrid_drivers."
READS = re.compile(r"info|infoextended$|^system\.|raftstatus$|monitoring$")
AWS_READS = re.compile(r"^(Describe|Get)")
Describe = Callable[..., "str | None"]  # what a call does to the world; None: nothing


class _Inside(threading.local):
    depth = 0


_inside = _Inside()  # how deep in calls that have a name each thread is


class Points:
    """The points met so far, written to ``folder/met``; ``folder/order`` says where to die, and is gone when we do."""

    def __init__(self, folder: Path) -> None:
        self._order = folder / "order"
        self._met = os.open(folder / "met", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def met(self, point: str) -> None:
        """Write a point down, in one write: the process may end at any moment."""
        os.write(self._met, f"{point}\n".encode())

    def here(self, point: str, when: str) -> None:
        """End the process as ``kill -9`` does, if that was ordered for here."""
        with self._lock:
            try:
                order = json.loads(self._order.read_text())
            except FileNotFoundError:
                return
            if (order["point"], order["when"]) == (point, when):
                self._order.unlink()
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Be the agent: ``-c`` code with the folder of the points and the driver as its first arguments."""
    folder, driver = Path(sys.argv[1]), sys.argv[2]
    sys.argv = ["hybrid-agent", *sys.argv[3:]]
    watch(Points(folder), aws=driver == "ec2")
    runpy.run_module("hybrid_drivers.agent.daemon", run_name="__main__", alter_sys=True)


def watch(points: Points, *, aws: bool) -> None:
    """Put points around everything by which an effect leaves the process."""
    import paramiko
    import requests

    from hybrid_drivers.agent.server import Server
    from hybrid_drivers.hostconfig import runner
    from hybrid_drivers.oned.monitord import Monitord
    from hybrid_drivers.oned.transport import Transport

    _around(points, Transport, "request", _oned_call)
    _around(points, Monitord, "send", _message)
    _around(points, requests.Session, "request", _http_request)
    _around(points, runner.Session, "_run", lambda _session, command, _timeout: f"ssh {_command(command.text)}")
    _around(points, paramiko.Channel, "exec_command", lambda _channel, text: f"ssh {_command(text)} (began)")
    for reads in ("_open", "answers"):
        _around(points, runner, reads, lambda *_args, **_more: None)
    _around(points, os, "replace", lambda source, target: f"file {_file(Path(target))}")
    _around(points, Server, "_answer", lambda _server, call: f"answer {call.family} {call.driver} {call.action}")
    if aws:
        from botocore.client import BaseClient

        _around(points, BaseClient, "_make_api_call", _aws_call)
    sys.addaudithook(functools.partial(_unnamed, points))


def _around(points: Points, owner: Any, name: str, describe: Describe) -> None:
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def traced(*args: Any, **kwargs: Any) -> Any:
        effect = describe(*args, **kwargs)
        with _known():
            if effect is None:
                return plain(*args, **kwargs)
            point = f"{effect} @ {_place()}"
            points.met(point)
            points.here(point, "before")
            try:
                return plain(*args, **kwargs)
            finally:
                points.here(point, "after")

    setattr(owner, name, traced)


@contextmanager
def _known() -> Iterator[None]:
    _inside.depth += 1
    try:
        yield
    finally:
        _inside.depth -= 1


def _unnamed(points: Points, event: str, args: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto") or _inside.depth:
        return
    address = args[-1]
    if isinstance(address, tuple):  # a socket of a file is this front-end's own
        points.met(f"UNNAMED {event} @ {_place()}")


def _place() -> str:
    """Return the innermost function of the agent that wanted the effect, else the innermost of ours."""
    ours = ""
    frame = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(PACKAGE):
            here = f"{module.removeprefix(PACKAGE)}.{frame.f_code.co_name}"
            if module.startswith(f"{PACKAGE}agent.") and frame.f_code.co_name[0] != "<":
                return here
            ours = ours or here
        frame = frame.f_back  # type: ignore[assignment] # the outermost has none
    return ours or "?"


# --- what a call does -------------------------------------------------------------------------------------------------


def _oned_call(_transport: object, _host: str, _handler: str, body: bytes, verbose: bool = False) -> str | None:
    args, method = xmlrpc.client.loads(body)
    name = str(method).removeprefix("one.")
    if READS.search(name):
        return None
    text = next((one for one in args[1:] if isinstance(one, str) and "=" in one), "") if "update" in name else ""
    names = re.findall(r"^([A-Z0-9_]+)=", text, re.MULTILINE)
    return " ".join(["oned", name, "+".join(sorted(set(names)))]).strip()


def _message(_client: object, kind: str, _host_id: int, payload: str, **_more: object) -> str:
    state = re.search(r'PROVISION_STATE="?(\w+)', payload)
    return f"monitord {kind} {state[1] if state else ''}".strip()


def _http_request(_session: object, method: str, url: str, **_more: object) -> str | None:
    path = re.sub(r"(?<=/)[0-9a-f]+-[0-9a-f-]+(?=/|$)", "{id}", url.partition("://")[2].partition("/")[2])
    return None if method == "GET" else f"http {method} /{path}"


def _aws_call(_client: object, operation: str, _parameters: object) -> str | None:
    return None if AWS_READS.match(operation) else f"aws {operation}"


def _command(command: str) -> str:
    return " ".join(re.sub(r"[0-9a-f]{16,}|\b[0-9]+\b", "N", command).split()[:3])[:60]


def _file(path: Path) -> str:
    return f"{path.parent.name}/{re.sub(r'[0-9a-f-]{8,}|[0-9]+', 'N', path.name)}"
