"""A real HTTP server that answers XML-RPC calls from a table of recorded ones, or as badly as a test wants."""

from __future__ import annotations

import json
import socket
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

DATA = Path(__file__).parents[2] / "data/oned-7.4"
SESSION = "oneadmin:opennebula"
Reply = Callable[[str, tuple[Any, ...]], object]


def recorded() -> dict[str, dict[str, Any]]:
    """Every recorded call: file name without suffix -> method, args, response."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((DATA / "xmlrpc").glob("*.json"))}


def body(name: str) -> str:
    """The XML of a recorded reply."""
    return cast(str, recorded()[name]["response"][1])


class Server(ThreadingHTTPServer):
    """Answers each call with what ``reply(method, arguments)`` returns; keeps what it was asked, the session too."""

    daemon_threads = True

    def __init__(self, reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/RPC2"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast(Server, self.server)
        args, method = xmlrpc.client.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert method
        server.calls.append((method, args))
        try:
            answer = (cast(list[Any], server.reply(method, args[1:])),)
            text = xmlrpc.client.dumps(answer, methodresponse=True)
        except xmlrpc.client.Fault as fault:
            text = xmlrpc.client.dumps(fault)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(reply: Reply) -> Iterator[Server]:
    with Server(reply) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def badly(treat: Callable[[socket.socket, int], None]) -> Iterator[tuple[str, list[int]]]:
    """Accept connections and let ``treat(connection, number)`` do with them what it wants; yield URL and a count."""
    listener = socket.create_server(("127.0.0.1", 0))
    count: list[int] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            count.append(1)
            with connection, suppress(OSError):
                treat(connection, len(count))

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/RPC2", count
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def take_request(connection: socket.socket) -> None:
    """Read a whole request, so that closing the connection is an end and not a reset."""
    data = b""
    while b"</methodCall>" not in data:
        data += connection.recv(1 << 16)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return cast(int, probe.getsockname()[1])


class FakeClock:
    """Time that only moves when somebody sleeps."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
