"""A small HTTP/1.1 server for the simulators: one thread a connection, keep-alive, and connections cut on purpose."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

log = logging.getLogger(__name__)

_LARGEST_BODY = 16 * 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 seconds: close sends RST (socket(7))


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request; header names are lower case, ``target`` is path and query as sent, ``path`` without the query."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply; ``lost`` means that the connection is reset instead of sending it."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False


class Application(Protocol):
    """What answers the requests."""

    def answer(self, request: Request) -> Reply:
        """Return the reply; called from many threads at once."""


def json_reply(status: int, value: object, headers: Mapping[str, str] | None = None) -> Reply:
    """Make a JSON reply."""
    return Reply(status=status, body=json.dumps(value).encode(), headers=headers or {})


class HttpServer:
    """Serves ``application`` on ``host:port`` (0: a free port), over TLS when ``tls`` is given."""

    def __init__(
        self, application: Application, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = _Server((host, port), application, tls)
        self._thread: threading.Thread | None = None
        bound = self._server.server_address
        name = f"[{bound[0]!s}]" if ":" in str(bound[0]) else str(bound[0])
        self.url = f"{'https' if tls else 'http'}://{name}:{bound[1]}"

    def start(self) -> None:
        """Serve on a thread of its own."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox-http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and cut every open connection; calling it again does nothing."""
        if self._thread:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.cut_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512  # a hundred clients connect at once
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], application: Application, tls: ssl.SSLContext | None) -> None:
        self.application = application
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the host's name that the standard library makes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override] # typeshed allows datagram pairs too
        """Serve one connection to its end, over TLS when asked to."""
        try:
            connection = self._tls.wrap_socket(request, server_side=True) if self._tls else request
        except OSError:
            self.shutdown_request(request)
            return
        with self._guard:
            self._open.add(connection)
        try:
            super().process_request_thread(connection, client_address)
        finally:
            with self._guard:
                self._open.discard(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what a connection died of; a client that went away is nothing to speak of."""
        log.debug("connection of %s ended", client_address, exc_info=True)

    def cut_connections(self) -> None:
        """End every open connection."""
        with self._guard:
            still_open = list(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one packet
    server: _Server

    def do_GET(self) -> None:
        """Answer any method; the application knows which it has."""
        body = self._body()
        if body is None:
            return
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            target=self.path,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        self._send(self._answer(request))

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET  # noqa: N815 - as above

    def _body(self) -> bytes | None:
        told = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not told.isascii() or not told.isdigit():
            self.close_connection = True
            self.send_error(411 if "Transfer-Encoding" in self.headers else 400)
            return None
        if int(told) > _LARGEST_BODY:
            self.close_connection = True
            self.send_error(413)
            return None
        return self.rfile.read(int(told))

    def _answer(self, request: Request) -> Reply:
        try:
            return self.server.application.answer(request)
        except Exception:  # the process boundary: a request we did not foresee must not end the laboratory
            log.exception("%s %s failed", request.method, request.path)
            return json_reply(500, {"error": "the simulator failed; its log says why"})

    def _send(self, reply: Reply) -> None:
        if reply.lost:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.connection.close()
            return
        self.send_response(reply.status)
        if reply.status != 204:
            if reply.body:
                self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Log quietly; the calls are counted elsewhere."""
        log.debug(format, *args)
