"""What happens when oned does not answer, answers too late, or something else answers in its place."""

from __future__ import annotations

import socket
import threading
import time
import xmlrpc.client
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.oned.replay import SESSION, FakeClock, badly, body, serving, take_request, unused_port

from hybrid_drivers.errors import (
    OnedError,
    OnedUnreachable,
)
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.secret import Secret


def client(url: str, *, timeout: float = 5.0, clock: FakeClock | None = None) -> Oned:
    return Oned(url, Secret(SESSION), timeout=timeout, clock=clock or FakeClock())


def test_refused_connections_are_tried_again_for_reads_and_writes_as_nothing_was_sent() -> None:
    calls: list[Callable[[Oned], object]] = [lambda oned: oned.host(7), lambda oned: oned.delete_host(7)]
    for call in calls:
        clock = FakeClock()
        with pytest.raises(OnedUnreachable, match=r"^host 7: oned at .* cannot be reached \(connection refused\)") as e:
            call(client(f"http://127.0.0.1:{unused_port()}/RPC2", clock=clock))
        assert clock.slept == [0.2, 0.5, 1.0, 2.0]
        assert not e.value.sent


def hang_up(connection: socket.socket, _: int) -> None:
    take_request(connection)


def test_a_read_that_broke_is_tried_again() -> None:
    answer = xmlrpc.client.dumps(([True, body("host.info.provision"), 0],), methodresponse=True).encode()

    def twice_bad(connection: socket.socket, number: int) -> None:
        take_request(connection)
        if number > 2:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    with badly(twice_bad) as (url, count):
        assert client(url).host(5).id == 5
    assert len(count) == 3


def test_a_write_that_broke_is_not_tried_again() -> None:
    with badly(hang_up) as (url, count), pytest.raises(OnedUnreachable, match=r"new host edge1: .*too early") as caught:
        client(url).allocate_host("edge1", "provision", "kvm", 0)
    assert len(count) == 1
    assert caught.value.sent


def test_no_further_try_starts_after_the_time_out() -> None:
    clock = FakeClock()
    with badly(hang_up) as (url, count), pytest.raises(OnedUnreachable):
        client(url, timeout=1.0, clock=clock).host(7)
    assert clock.slept == [0.2, 0.5]
    assert len(count) == 3


def reply_with(data: bytes) -> Callable[[socket.socket, int], None]:
    def treat(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(data)

    return treat


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", OnedUnreachable, r"HTTP 503"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", OnedUnreachable, r"HTTP 500"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", OnedError, r"HTTP 404: is it the address of oned"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<?xml", OnedUnreachable, "too early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", OnedError, "as an XML-RPC server does"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OnedError, "as an XML-RPC server does"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", OnedUnreachable, "too early"),
        (b"HTTP/1.1 200 OK\r\n\r\n<methodResponse><params></params></methodResponse>", OnedError, "oned"),
        (b"HTTP/1.1 200 OK\r\n\r\n<methodResponse><params><param><value><i4>x</i4></value></param></params>"
         b"</methodResponse>", OnedError, "as an XML-RPC server does"),
    ],
    ids=["503", "500", "404", "cut", "text", "empty", "ssh", "no-value", "no-number"],
)  # fmt: skip
def test_answers_of_something_else(data: bytes, kind: type[OnedError], says: str) -> None:
    with badly(reply_with(data)) as (url, _), pytest.raises(OnedError, match=says) as caught:
        client(url).version()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_a_reply_full_of_entities_is_refused() -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "aaaaaaaaaa">{levels}]><methodResponse><params><param><value><string>&e9;'
    bomb += "</string></value></param></params></methodResponse>"
    with (
        badly(reply_with(f"HTTP/1.1 200 OK\r\n\r\n{bomb}".encode())) as (url, _),
        pytest.raises(OnedError, match="as an XML-RPC server does"),
    ):
        client(url).version()


def wait_for_the_client(connection: socket.socket, _: int) -> None:
    while connection.recv(1 << 16):
        pass


def dribble(connection: socket.socket, _: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


@pytest.mark.parametrize("treat", [wait_for_the_client, dribble])
def test_a_call_ends_in_time_whatever_the_server_does(treat: Callable[[socket.socket, int], None]) -> None:
    with badly(treat) as (url, _):
        started = time.monotonic()
        with pytest.raises(OnedUnreachable, match=r"gave no answer \(nothing within 0\.2 s\)") as caught:
            client(url, timeout=0.2).delete_host(7)
        assert time.monotonic() - started < 20
    assert caught.value.sent


def test_threads_get_their_own_answers() -> None:
    xml = body("host.info.provision")

    def reply(_: str, args: tuple[Any, ...]) -> object:
        return [True, xml.replace("<ID>5</ID>", f"<ID>{args[0]}</ID>"), 0]

    got: list[bool] = []
    with serving(reply) as server:
        oned = client(server.url)
        threads = [
            threading.Thread(target=lambda n=n: got.extend(oned.host(i).id == i for i in range(n, n + 10)))
            for n in range(0, 80, 10)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert got == [True] * 80


def test_proxies_are_not_used_and_other_sockets_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(lambda *_: [True, "7.4.0", 0]) as server:
        assert client(server.url).version() == "7.4.0"
    assert socket.getdefaulttimeout() is None
