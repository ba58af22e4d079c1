"""The wire between the thin client and the agent: one call and its answer a connection.

    call    = version(1 byte) length(4) body        body: family driver action arguments environment stdin
    answer  = version(1 byte) length(4) body        body: exit code (decimal digits) stdout stderr

A body is a row of fields, each ``length(4) bytes``; lengths are big-endian. ``arguments`` and ``environment`` are lists
whose texts each end with a NUL (none can hold one), an environment text is ``NAME=value``. The agent sends the
version byte of its answer the moment it takes the call, long before the rest: a client that loses the connection
without having seen it knows that nothing was begun.

The thin client has its own few lines for this (``agent/client.py``); a unit test holds the two together.
"""

from __future__ import annotations

import re

from hybrid_drivers.errors import AgentError
from hybrid_drivers.oned.process import Answer, Call

VERSION = b"\x01"
LENGTH_SIZE = 4
REQUEST_LIMIT = 20 << 20  # bytes: 16 MiB of standard input, and the 2 MiB a command line can have, with room
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class BadFrame(AgentError):
    """What came over the socket is not a call (or not an answer)."""


def pack(*fields: bytes) -> bytes:
    """Write fields as a frame without its version byte: the length, then the body."""
    return _blob(b"".join(_blob(field) for field in fields))


def unpack(body: bytes) -> list[bytes]:
    """Split a body into its fields.

    Raises:
        BadFrame: a field is cut short.
    """
    fields = []
    at = 0
    while at < len(body):
        start = at + LENGTH_SIZE
        at = start + int.from_bytes(body[at:start], "big")
        if start > len(body) or at > len(body):
            raise BadFrame("the message is cut short")
        fields.append(body[start:at])
    return fields


def encode_call(call: Call) -> bytes:
    """Write a call as its whole frame."""
    names = [text.encode() for text in (call.family, call.driver, call.action)]
    environment = [f"{name}={value}" for name, value in call.env.items()]
    return VERSION + pack(*names, _list(call.argv), _list(environment), call.stdin)


def decode_call(body: bytes) -> Call:
    """Read a call from the body of its frame.

    Raises:
        BadFrame: it is no call; the text says what is wrong and never repeats what was sent.
    """
    fields = unpack(body)
    if len(fields) != 6:
        raise BadFrame(f"a call has 6 fields, not {len(fields)}")
    names = [_text(field, what) for field, what in zip(fields[:3], ("family", "driver", "action"), strict=True)]
    for name, what in zip(names, ("family", "driver", "action"), strict=True):
        if not _NAME.fullmatch(name):
            raise BadFrame(f"the {what} is not a name")
    pairs = (text.partition("=") for text in _texts(fields[4], "environment"))
    return Call(
        family=names[0],
        driver=names[1],
        action=names[2],
        argv=tuple(_texts(fields[3], "arguments")),
        stdin=fields[5],
        env={name: value for name, _, value in pairs},
    )


def family_of(body: bytes) -> str:
    """Return the family of a call whose body may be broken elsewhere, so that its refusal suits the caller."""
    size = int.from_bytes(body[:LENGTH_SIZE], "big")
    return body[LENGTH_SIZE : LENGTH_SIZE + size].decode(errors="replace") if size < 16 else "im"


def encode_answer(answer: Answer) -> bytes:
    """Write an answer as its frame without the version byte, which went ahead."""
    return pack(str(answer.code & 0xFF).encode(), answer.stdout, answer.stderr)


def decode_answer(body: bytes) -> Answer:
    """Read an answer from the body of its frame.

    Raises:
        BadFrame: it is no answer.
    """
    fields = unpack(body)
    if len(fields) != 3 or not fields[0].isdigit():
        raise BadFrame("this is not an answer of the agent")
    return Answer(code=int(fields[0]), stdout=fields[1], stderr=fields[2])


def _blob(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH_SIZE, "big") + data


def _list(texts: tuple[str, ...] | list[str]) -> bytes:
    return b"".join(text.encode() + b"\0" for text in texts)


def _texts(field: bytes, what: str) -> list[str]:
    if field and not field.endswith(b"\0"):
        raise BadFrame(f"the list of {what} is cut short")
    return _text(field, what).split("\0")[:-1]


def _text(field: bytes, what: str) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError as exc:
        raise BadFrame(f"the {what} must be UTF-8 text") from exc
