from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from hybrid_drivers.sandbox.http_server import HttpServer, Reply, Request, json_reply


class Echo:
    """Tells what it was asked; ``/lost`` cuts the connection, ``/bug`` breaks, ``/empty`` has no body."""

    def answer(self, request: Request) -> Reply:
        if request.path == "/lost":
            return Reply(lost=True)
        if request.path == "/bug":
            raise ZeroDivisionError
        if request.path == "/empty":
            return Reply(status=204)
        told = [request.method, request.target, request.path, dict(request.query), request.body.decode()]
        return json_reply(200, told, {"X-Seen": request.headers.get("x-sent", "")})


@pytest.fixture
def server() -> Iterator[HttpServer]:
    one = HttpServer(Echo())
    one.start()
    yield one
    one.stop()


def connect(server: HttpServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)


def test_a_request_reaches_the_application_whole(server: HttpServer) -> None:
    reply = requests.patch(f"{server.url}/a/b?x=1&y=", data="body", headers={"X-Sent": "yes"}, timeout=5)
    assert reply.json() == ["PATCH", "/a/b?x=1&y=", "/a/b", {"x": "1", "y": ""}, "body"]
    assert reply.headers["X-Seen"] == "yes"


def test_a_connection_is_kept_for_several_requests(server: HttpServer) -> None:
    connection = connect(server)
    ports = set()
    for path in ("/one", "/empty", "/two", "/bug", "/three"):
        connection.request("GET", path)
        connection.getresponse().read()
        assert connection.sock, path
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1


def test_replies_do_not_wait_for_delayed_acknowledgements(server: HttpServer) -> None:
    session = requests.Session()
    times = []
    for _ in range(41):
        start = time.monotonic()
        session.get(server.url, timeout=5)
        times.append(time.monotonic() - start)
    assert sorted(times)[20] < 0.035  # 40 ms when Nagle meets a delayed ACK; a few may wait for the processor
    session.close()


def test_a_lost_reply_is_a_reset_connection(server: HttpServer) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=5) as raw:
        raw.sendall(b"POST /lost HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        with pytest.raises(ConnectionResetError):  # an orderly end would be an empty read
            raw.recv(1)


def test_a_failing_application_answers_500_and_goes_on(server: HttpServer) -> None:
    assert requests.get(f"{server.url}/bug", timeout=5).status_code == 500
    assert requests.get(f"{server.url}/fine", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"rubbish\r\n\r\n", b"400"),
    ],
)
def test_rubbish_is_refused(server: HttpServer, head: bytes, status: bytes) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=5) as raw:
        raw.sendall(head)
        assert status in raw.makefile("rb").read()
    assert requests.get(server.url, timeout=5).status_code == 200


def test_a_hundred_connections_at_once(server: HttpServer) -> None:
    def use(number: int) -> list[object]:
        with requests.Session() as session:
            return [session.get(f"{server.url}/{number}/{turn}", timeout=20).json()[2] for turn in range(3)]

    with ThreadPoolExecutor(100) as pool:
        seen = list(pool.map(use, range(100)))
    assert seen == [[f"/{number}/{turn}" for turn in range(3)] for number in range(100)]


def test_stopping_cuts_idle_connections_and_frees_the_port(server: HttpServer) -> None:
    connection = connect(server)
    connection.request("GET", "/")
    connection.getresponse().read()
    server.stop()
    assert connection.sock.recv(1) == b""
    port = urlsplit(server.url).port or 0
    again = HttpServer(Echo(), port=port)
    again.start()
    assert requests.get(again.url, timeout=5).status_code == 200
    again.stop()


def test_ipv6_loopback() -> None:
    try:
        server = HttpServer(Echo(), host="::1")
    except OSError:
        pytest.skip("this computer has no IPv6 loopback")
    server.start()
    assert requests.get(f"{server.url}/x", timeout=5).status_code == 200
    server.stop()
