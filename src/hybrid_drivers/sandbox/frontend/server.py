"""oned's HTTP server: ``POST /RPC2`` with XML-RPC, connections kept alive; ``/_sandbox/...`` is the stand-in's own.

Faults are those of xmlrpc-c, the library oned uses: -503 for what is no call, -501 and -506 from the calls.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import time
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from hybrid_drivers.sandbox.frontend.calls import Calls, Fault, Reply
from hybrid_drivers.sandbox.frontend.knobs import Knobs

_LARGEST = 256 * 1024 * 1024  # bytes of one request (oned's MESSAGE_SIZE is 1 GiB)
_PARSE_FAULT, _LIMIT_FAULT = -503, -509
_BEGIN = '<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n'


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the server serves: ``own`` maps paths under ``/_sandbox/`` to what they tell, ``changed`` follows a PUT."""

    calls: Calls
    knobs: Knobs
    own: dict[str, Callable[[], object]]
    change: Callable[[dict[str, object]], None]


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """Holds ``address``:``port`` (0: a free one) from the beginning, answers from ``start`` on.

    ``stop`` really ends it: open connections are cut, the next one is refused.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512  # a storm of clients must not be refused

    site: Site

    def __init__(self, address: str, port: int) -> None:
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        super().__init__((address, port), _Handler)

    @property
    def port(self) -> int:
        """Return the port it has."""
        return int(self.server_address[1])

    def start(self, site: Site) -> None:
        """Begin to answer."""
        self.site = site
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and cut every connection."""
        self.shutdown()
        self.server_close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        # the base class also allows datagram servers, whose requests are pairs
        """Remember the connection and serve it in a thread."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]  # as above
        """Forget a finished connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that go away in the middle of a reply."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 60
    wbufsize = -1  # headers and body in one segment
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test's output is not the place."""

    def do_POST(self) -> None:
        """Answer a call."""
        site = self.server.site
        if site.knobs.down:
            self._be_down(site.knobs.down)
            return
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/RPC2":
            self.close_connection = True
            self._send(404, "text/plain", b"no such path\n")
        elif length > _LARGEST:
            self.close_connection = True
            self._send(200, "text/xml", _fault(Fault(_LIMIT_FAULT, "the request is larger than MESSAGE_SIZE")))
        else:
            self._send(200, "text/xml", self._answer(self.rfile.read(length)))

    def do_GET(self) -> None:
        """Tell about the stand-in itself."""
        tell = self.server.site.own.get(self.path.removeprefix("/_sandbox/"))
        if tell is None or not self.path.startswith("/_sandbox/"):
            self._send(404, "text/plain", b"no such path\n")
        else:
            self._send(200, "application/json", json.dumps(tell()).encode())

    def do_PUT(self) -> None:
        """Change knobs: a JSON object of names and values."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 65536))
        if self.path != "/_sandbox/knobs":
            self._send(404, "text/plain", b"no such path\n")
            return
        try:
            self.server.site.change(json.loads(body))
        except (ValueError, AttributeError) as exc:
            self._send(422, "application/json", json.dumps({"error": str(exc)}).encode())
        else:
            self._send(200, "application/json", json.dumps(self.server.site.knobs.as_dict()).encode())

    def _answer(self, body: bytes) -> bytes:
        site = self.server.site
        if site.knobs.slow:
            time.sleep(site.knobs.slow)
        try:
            arguments, name = _read_call(body)
            return _reply(site.calls.call(name, arguments))
        except Fault as fault:
            return _fault(fault)

    def _be_down(self, how: str) -> None:
        self.close_connection = True
        if how == "503":
            self._send(503, "text/plain", b"out of service\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _read_call(body: bytes) -> tuple[tuple[object, ...], str]:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise Fault(_PARSE_FAULT, "XML document has a document type")
    try:
        arguments, name = xmlrpc.client.loads(body)
    except (ExpatError, xmlrpc.client.Error, ValueError, LookupError, TypeError) as exc:
        raise Fault(_PARSE_FAULT, "XML document is not a valid XML-RPC call") from exc
    if not name:
        raise Fault(_PARSE_FAULT, "XML document is not a valid XML-RPC call")
    return arguments, name


def _reply(reply: Reply) -> bytes:
    values = []
    for at, one in enumerate(reply):
        if isinstance(one, bool):
            shown = f"<boolean>{int(one)}</boolean>"
        elif isinstance(one, int):
            shown = f"<i8>{one}</i8>" if at == 4 else f"<i4>{one}</i4>"  # only the replication index is a long one
        else:
            shown = f"<string>{escape(one)}</string>"
        values.append(f"<value>{shown}</value>")
    data = "\r\n".join(values)
    return (
        f"{_BEGIN}<params>\r\n<param><value><array><data>\r\n{data}\r\n</data></array></value></param>\r\n</params>\r\n"
        "</methodResponse>\r\n"
    ).encode()


def _fault(fault: Fault) -> bytes:
    return (
        f"{_BEGIN}<fault>\r\n<value><struct>\r\n<member><name>faultCode</name>\r\n<value><i4>{fault.code}</i4></value>"
        f"</member>\r\n<member><name>faultString</name>\r\n<value><string>{escape(fault.text)}</string></value></member>\r\n"
        "</struct></value>\r\n</fault>\r\n</methodResponse>\r\n"
    ).encode()
