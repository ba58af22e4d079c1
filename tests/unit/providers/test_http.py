"""The HTTP core over real sockets: what is repeated, what never is, and what each ending means."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.providers import CANARY, FakeClock
from tests.support.scripted_http import Scripted, ScriptedServer
from urllib3.connection import HTTPConnection

from hybrid_drivers.errors import (
    ConfigError,
    CredentialsRejected,
    OutcomeUnknown,
    PermanentError,
    ProviderError,
    RateLimited,
    TransientError,
)
from hybrid_drivers.providers.bucket import TokenBucket
from hybrid_drivers.providers.connection import HeaderToken, checked_endpoint
from hybrid_drivers.providers.http import Call, HttpApi, Patience
from hybrid_drivers.providers.redaction import Redactor
from hybrid_drivers.providers.retry import Retrier, RetryPolicy
from hybrid_drivers.secret import Secret

GET = Call(method="GET", path="/things", what="listing things")
POST = Call(method="POST", path="/things", what="making a thing", body={"a": 1}, lost=OutcomeUnknown)
DELETE = Call(method="DELETE", path="/things/1", what="deleting thing 1")
BUSY = Scripted(status=503)
GOOD = Scripted(body={"ok": True})
DROP = Scripted(drop=True)

Server = Callable[..., ScriptedServer]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def serve() -> Iterator[Server]:
    running: list[ScriptedServer] = []

    def start(*answers: Scripted) -> ScriptedServer:
        running.append(ScriptedServer(*answers).__enter__())
        return running[-1]

    yield start
    for one in running:
        one.__exit__()


def api(url: str, clock: FakeClock, patience: Patience | None = None) -> HttpApi:
    token = Secret(CANARY)
    return HttpApi(
        "test lab",
        url,
        auth=HeaderToken("X-Auth-Token", token),
        bucket=TokenBucket(1000, 1000, clock),
        clock=clock,
        redactor=Redactor([token]),
        patience=patience or Patience(connect=2, read=2),
        retrier=Retrier(clock, RetryPolicy(tries=4, total=60), chance=lambda: 0.5),
    )


def test_a_reply_is_decoded_and_the_token_sent(serve: Server, clock: FakeClock) -> None:
    server = serve(GOOD)
    assert api(server.url, clock).run(GET) == {"ok": True}
    assert server.seen[0][2]["X-Auth-Token"] == CANARY


def test_an_empty_reply_is_none(serve: Server, clock: FakeClock) -> None:
    assert api(serve(Scripted(status=204)).url, clock).run(DELETE) is None


@pytest.mark.parametrize(
    "bad", [BUSY, Scripted(status=500), Scripted(status=502, body="<html>"), DROP, Scripted(body="<html>")]
)
def test_reading_is_repeated_with_growing_waits(serve: Server, clock: FakeClock, bad: Scripted) -> None:
    server = serve(bad, bad, GOOD)
    assert api(server.url, clock).run(GET) == {"ok": True}
    assert clock.slept == [0.5, 1.0]
    assert len(server.seen) == 3


def test_reading_is_not_repeated_for_ever(serve: Server, clock: FakeClock) -> None:
    server = serve(BUSY)
    with pytest.raises(TransientError, match="test lab: listing things: HTTP 503"):
        api(server.url, clock).run(GET)
    assert len(server.seen) == 4


def test_a_named_time_is_waited_for(serve: Server, clock: FakeClock) -> None:
    server = serve(Scripted(status=429, headers={"Retry-After": "7"}), GOOD)
    assert api(server.url, clock).run(GET) == {"ok": True}
    assert sum(clock.slept) == pytest.approx(7)


def test_a_named_time_that_is_too_long_is_told(serve: Server, clock: FakeClock) -> None:
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(clock.now()) + 900)}
    server = serve(Scripted(status=429, headers=reset))
    with pytest.raises(RateLimited) as caught:
        api(server.url, clock).run(GET)
    assert caught.value.retry_after == 900
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (Scripted(status=500), OutcomeUnknown),
        (Scripted(status=502, body="<html>"), OutcomeUnknown),
        (DROP, OutcomeUnknown),
        (Scripted(status=201, body="<html>"), OutcomeUnknown),
        (Scripted(status=201, body='{"id": '), OutcomeUnknown),
        (Scripted(status=429), RateLimited),
        (Scripted(status=422, body={"errors": ["Plan x is not valid"]}), PermanentError),
        (Scripted(status=401), CredentialsRejected),
    ],
)
def test_a_changing_call_is_sent_once(
    serve: Server, clock: FakeClock, bad: Scripted, expected: type[ProviderError]
) -> None:
    server = serve(bad)
    with pytest.raises(ProviderError) as caught:
        api(server.url, clock).run(POST)
    assert type(caught.value) is expected
    assert len(server.seen) == 1


@pytest.mark.parametrize("call", [GET, POST])
def test_a_redirect_is_not_followed_with_the_token(serve: Server, clock: FakeClock, call: Call) -> None:
    other = serve(GOOD)
    server = serve(Scripted(status=307, headers={"Location": f"{other.url}/things"}))
    with pytest.raises(PermanentError, match="HTTP 307; set the endpoint"):
        api(server.url, clock).run(call)
    assert other.seen == []


def test_a_deletion_without_an_answer_may_be_repeated_by_the_caller(serve: Server, clock: FakeClock) -> None:
    server = serve(DROP)
    with pytest.raises(TransientError, match="no usable answer"):
        api(server.url, clock).run(DELETE)
    assert len(server.seen) == 1


def test_a_connection_that_was_never_made_sent_nothing(clock: FakeClock) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(TransientError, match=r"cannot be reached \(connection refused\)"):
        api(url, clock).run(POST)


def test_silence_after_sending_is_unknown(clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OutcomeUnknown, match="timed out"):
            api(url, clock, Patience(connect=1, read=0.2)).run(POST)


def test_a_dripping_reply_ends(clock: FakeClock) -> None:
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"1\r\n \r\n")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with pytest.raises(OutcomeUnknown, match="too large or too slow"):
                api(url, clock, Patience(connect=1, read=1, total=0.3)).run(POST)
        finally:
            stop.set()
            thread.join()


def test_a_huge_reply_ends(serve: Server, clock: FakeClock) -> None:
    server = serve(Scripted(body="[" + " " * 200_000 + "]"))
    with pytest.raises(TransientError, match="too large"):
        api(server.url, clock, Patience(largest=100_000)).run(GET)


def test_an_untrusted_certificate_gets_no_token(clock: FakeClock, tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_text(self_signed())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen: list[bytes] = []
        thread = threading.Thread(target=_accept_tls, args=(listener, context, seen))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(PermanentError, match="certificate that is not trusted"):
            api(url, clock).run(POST)
        thread.join()
    assert seen == []


def _accept_tls(listener: socket.socket, context: ssl.SSLContext, seen: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                seen.append(secure.recv(65536))
        except OSError:
            return


def self_signed() -> str:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode() + certificate.public_bytes(serialization.Encoding.PEM).decode()


def test_what_the_provider_repeats_of_ours_is_masked(
    serve: Server, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    private = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}x\n-----END OPENSSH PRIVATE KEY-----"
    said = [f"token {CANARY} may not", f"userdata is invalid: {private}", "short-user-data is bad", "Plan is blank"]
    server = serve(Scripted(status=422, body={"errors": said}))
    call = Call(method="POST", path="/things", what="making", body={"userdata": private}, hide=("short-user-data",))
    with pytest.raises(PermanentError) as caught:
        api(server.url, clock).run(call)
    text = str(caught.value) + caplog.text
    assert CANARY not in text
    assert "short-user-data" not in text
    assert "PRIVATE KEY" not in text
    assert "Plan is blank" in str(caught.value)


def test_the_providers_own_words_are_told(serve: Server, clock: FakeClock) -> None:
    server = serve(Scripted(status=422, body={"error": "Plan x is not valid"}))
    with pytest.raises(PermanentError, match=r"HTTP 422 \(Plan x is not valid\); "):
        api(server.url, clock).run(POST)


def test_a_netrc_and_cookies_are_left_alone(
    serve: Server, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serve(Scripted(body={}, headers={"Set-Cookie": "a=b; Path=/"}))
    one = api(server.url, clock)
    one.run(GET)
    one.run(GET)
    assert "Authorization" not in server.seen[0][2]
    assert "Cookie" not in server.seen[1][2]


def test_connections_are_kept(serve: Server, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[HTTPConnection] = []
    real = HTTPConnection.connect

    def connect(connection: HTTPConnection) -> None:
        made.append(connection)
        real(connection)

    monkeypatch.setattr(HTTPConnection, "connect", connect)
    one = api(serve(GOOD).url, clock)
    for _ in range(5):
        one.run(GET)
    assert len(made) == 1


@pytest.mark.parametrize(
    "bad", ["", "api.example.com", "ftp://api.example.com", "https://me:pw@api.example.com", "http://a:99999999/"]
)
def test_an_endpoint_must_be_a_url_without_password(bad: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        checked_endpoint(bad)


@pytest.mark.parametrize("bad", ["two words", "line\nend", "nön"])
def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HeaderToken("X-Auth-Token", Secret(bad))
    assert bad not in str(caught.value)
