"""The way of one XML-RPC call to oned and back: one connection a call, one deadline for all of it.

It stands in for the transport of pyone's client, which knows no time-out (it hands the value to
``socket.setdefaulttimeout``, which ``requests`` overrides with none), follows proxy variables to reach 127.0.0.1, and
cannot tell what was sent from what was not. A connection is not kept: oned's server holds a thread for each open one.
"""

from __future__ import annotations

import http.client
import socket
import time
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from hybrid_drivers.errors import ConfigError, OnedError, OnedUnreachable
from hybrid_drivers.oned.xml import MAX_REPLY, parse_reply


class Transport:
    """Carries calls to one endpoint; thread-safe, as nothing is kept between calls. ``timeout``: seconds for a call."""

    def __init__(self, endpoint: str, timeout: float) -> None:
        parts = urlsplit(endpoint)
        try:
            port = parts.port
        except ValueError as exc:
            raise ConfigError(f"oned's endpoint '{endpoint}' has no usable port: {exc}") from exc
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"oned's endpoint '{endpoint}' is not of the form http://host:2633/RPC2 (ONE_XMLRPC)")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._path = parts.path or "/RPC2"
        self._timeout = timeout
        self.endpoint = endpoint

    def request(self, _host: str, _handler: str, request_body: bytes, verbose: bool = False) -> tuple[Any, ...]:
        """Send one call and return the values of the reply; the signature is ``xmlrpc.client.Transport``'s.

        Raises:
            OnedUnreachable: no answer; ``sent`` is False when nothing of the call has left.
            BadCall: oned does not take such a call.
            OnedError: something answered, but not an XML-RPC server.
        """
        deadline = time.monotonic() + self._timeout
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        with closing(kind(self._host, self._port, timeout=self._timeout)) as connection:
            try:
                connection.connect()
            except OSError as exc:
                raise OnedUnreachable(
                    f"oned at {self.endpoint} cannot be reached ({_reason(exc, self._timeout)}): is it running?"
                ) from exc
            try:
                reply = self._exchange(connection, request_body, deadline)
            except (OSError, http.client.HTTPException) as exc:
                raise OnedUnreachable(
                    f"oned at {self.endpoint} gave no answer ({_reason(exc, self._timeout)})", sent=True
                ) from exc
        return parse_reply(reply, self.endpoint)

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes, deadline: float) -> bytes:
        sock = connection.sock
        headers = {"Content-Type": "text/xml", "Connection": "close"}
        connection.request("POST", self._path, body, headers)
        _allow(sock, deadline)
        response = connection.getresponse()
        received, size = [], 0
        while chunk := response.read1(1 << 18):
            received.append(chunk)
            size += len(chunk)
            if size > MAX_REPLY:
                raise OnedError(f"oned at {self.endpoint} answered with more than {MAX_REPLY} bytes")
            _allow(sock, deadline)
        if (response.length or 0) > 0:  # read1 takes an early end of the connection for the end of the reply
            raise http.client.IncompleteRead(b"", response.length)
        self._check(response)
        return b"".join(received)

    def _check(self, response: http.client.HTTPResponse) -> None:
        if response.status >= 500:
            raise OnedUnreachable(
                f"oned at {self.endpoint} is not able to answer now (HTTP {response.status})", sent=True
            )
        if response.status != 200:
            raise OnedError(f"{self.endpoint} answered HTTP {response.status}: is it the address of oned (ONE_XMLRPC)?")


def _allow(sock: socket.socket, deadline: float) -> None:
    """Give the next read what is left of the call's time."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)


def _reason(exc: Exception, timeout: float) -> str:
    if isinstance(exc, TimeoutError):
        return f"nothing within {timeout:g} s"
    if isinstance(exc, http.client.HTTPException):
        return "the connection was closed too early"
    return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__).lower()
