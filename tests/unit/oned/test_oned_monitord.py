"""Messages to monitord over real sockets."""

from __future__ import annotations

import base64
import random
import socket
import zlib
from collections.abc import Iterator
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.oned.replay import FakeClock, unused_port

from hybrid_drivers.errors import ConfigError, OnedUnreachable
from hybrid_drivers.oned.monitord import (
    MAX_DATAGRAM,
    Kind,
    Message,
    Monitord,
    decode_message,
    encode_message,
    load_public_key,
)

KEY = rsa.generate_private_key(65537, 1024)  # small for speed; only the block arithmetic matters here
PKCS1 = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
SPKI = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        yield listener


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


def to(listener: socket.socket, key: str = "") -> Monitord:
    return Monitord("127.0.0.1", listener.getsockname()[1], key, clock=FakeClock())


def take(listener: socket.socket) -> bytes:
    """Read one connection to its end."""
    connection, _ = listener.accept()
    with connection:
        data = b""
        while part := connection.recv(1 << 16):
            data += part
    return data


@pytest.mark.parametrize("kind", ["SYSTEM_HOST", "MONITOR_HOST", "BEACON_HOST"])
def test_short_messages_go_over_udp(udp: socket.socket, kind: Kind) -> None:
    to(udp).send(kind, 7, 'PROVISION_STATE="BOOTING"\n')
    line = udp.recv(1 << 16)
    head, packed = line.rsplit(b" ", 1)
    assert head == f"{kind} SUCCESS 7 1700000000".encode()
    assert packed.endswith(b"\n")
    assert zlib.decompress(base64.b64decode(packed)) == b'PROVISION_STATE="BOOTING"\n'


def test_a_failure_and_an_empty_beacon(udp: socket.socket) -> None:
    to(udp).send("BEACON_HOST", 7, "sold out", ok=False)
    to(udp).send("BEACON_HOST", 7, "")
    first, second = decode_message(udp.recv(1 << 16)), decode_message(udp.recv(1 << 16))
    assert first == Message(kind="BEACON_HOST", ok=False, host_id=7, when=1_700_000_000, payload="sold out")
    assert (second.ok, second.payload) == (True, "")


def test_states_of_virtual_machines_go_over_tcp(tcp: socket.socket) -> None:
    to(tcp).send("STATE_VM", 7, "VM=[ID=1]")
    assert decode_message(take(tcp)).payload == "VM=[ID=1]"


def test_what_does_not_fit_a_datagram_goes_over_tcp(tcp: socket.socket, udp: socket.socket) -> None:
    letters = random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=200_000)
    to(tcp).send("SYSTEM_HOST", 7, "".join(letters))
    line = take(tcp)
    assert len(line) > MAX_DATAGRAM
    assert decode_message(line).payload == "".join(letters)
    to(udp).send("SYSTEM_HOST", 7, "a" * 200_000)  # packs small, so it does fit
    assert len(udp.recv(1 << 16)) < 1000


def test_the_largest_datagram_is_sent(udp: socket.socket) -> None:
    """65507 bytes is the most that IPv4 carries; monitord reads 65535."""
    sender = to(udp)
    sender._send_datagram(b"x" * MAX_DATAGRAM)
    assert len(udp.recv(1 << 17)) == MAX_DATAGRAM


def test_times_never_go_back_as_monitord_drops_older_ones(udp: socket.socket) -> None:
    clock = FakeClock()
    sender = Monitord("127.0.0.1", udp.getsockname()[1], clock=clock)
    times = []
    for at in (1000.9, 1001.0, 1000.2, 1002.5):
        clock.time = at
        sender.send("SYSTEM_HOST", 7, "A=1")
        times.append(decode_message(udp.recv(1 << 16)).when)
    assert times == [1000, 1001, 1001, 1002]


@pytest.mark.parametrize("key", [PKCS1, SPKI, PKCS1.replace("\n", " "), base64.b64encode(PKCS1.encode()).decode()])
def test_with_a_key_the_payload_is_encrypted(udp: socket.socket, key: str) -> None:
    payload = 'PROVISION_STEP="installing packages 4/12" ' * 20
    to(udp, key).send("SYSTEM_HOST", 7, payload)
    line = udp.recv(1 << 16)
    sealed = zlib.decompress(base64.b64decode(line.split()[-1]))
    assert len(sealed) % (KEY.key_size // 8) == 0
    assert decode_message(line, KEY).payload == payload
    with suppress(ConfigError):  # OpenSSL may make noise of it instead of an error (implicit rejection)
        assert decode_message(line, rsa.generate_private_key(65537, 1024)).payload != payload


@given(st.text(max_size=400), st.booleans(), st.integers(min_value=-1, max_value=10**9))
def test_messages_read_back(payload: str, ok: bool, host_id: int) -> None:
    for public, private in ((None, None), (KEY.public_key(), KEY)):
        line = encode_message("SYSTEM_HOST", host_id, payload, ok=ok, when=5, key=public)
        assert line.count(b"\n") == 1
        read = decode_message(line, private)
        assert read == Message(
            kind="SYSTEM_HOST",
            ok=ok,
            host_id=host_id,
            when=5,
            payload=payload.encode("utf-8", "replace").decode(),
        )


@pytest.mark.parametrize("length", [0, 1, 116, 117, 118, 234, 235])
def test_blocks_are_the_key_size_less_eleven(length: int) -> None:
    assert KEY.key_size // 8 - 11 == 117
    line = encode_message("SYSTEM_HOST", 7, "x" * length, ok=True, when=5, key=KEY.public_key())
    sealed = zlib.decompress(base64.b64decode(line.split()[-1]))
    assert len(sealed) == 128 * -(-length // 117)
    assert decode_message(line, KEY).payload == "x" * length


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"SYSTEM_HOST SUCCESS 7",
        b"SYSTEM_HOST SUCCESS seven 5 eJwDAAAAAAE=",
        b"SYSTEM_HOST SUCCESS 7 5 not-base64",
        b"SYSTEM_HOST SUCCESS 7 5 aGVsbG8=",
        b"SYSTEM_HOST SUCCESS 7 5 " + base64.b64encode(zlib.compress(b"hello, hello")[:-4]),
        b"\xff\xfe\x00",
    ],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ConfigError):
        decode_message(line)


def test_a_payload_that_grows_without_end_is_refused() -> None:
    packed = base64.b64encode(zlib.compress(b"0" * (17 * 1024 * 1024)))
    with pytest.raises(ConfigError, match="longer than 16777216 bytes"):
        decode_message(b"SYSTEM_HOST SUCCESS 7 5 " + packed)


ED25519 = ed25519.Ed25519PrivateKey.generate().public_key()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/etc/one/monitord.pub", "is not a public key in PEM: does PUBKEY in monitord.conf name a file"),
        ("garbage", "is not a public key in PEM"),
        ("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----", "is a broken public key"),
        (ED25519.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), "is not an RSA key"),
    ],
)
def test_other_keys_are_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_public_key(text)
    with pytest.raises(ConfigError, match=says):
        Monitord("127.0.0.1", 4124, text)


def test_nobody_there_is_told_over_tcp() -> None:
    port = unused_port()
    with pytest.raises(OnedUnreachable, match=f"monitord at 127.0.0.1 port {port} does not take the STATE_VM"):
        Monitord("127.0.0.1", port).send("STATE_VM", 7, "x")


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(OnedUnreachable, match="MONITOR_ADDRESS right"):
        Monitord("not an address", 4124).send("BEACON_HOST", 7, "")
