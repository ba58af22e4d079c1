"""The wire form of the EC2 Query API: form parameters in, XML out, and the table of error codes.

Sources: Amazon EC2 API reference ("Query requests", "Error codes"); contracts of InsufficientInstanceCapacity (500) and
RequestLimitExceeded (503) as its users meet them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl
from uuid import uuid4
from xml.sax.saxutils import escape

from hybrid_drivers.sandbox.http_server import Reply, Request

VERSION = "2016-11-15"
_NAMESPACE = f"http://ec2.amazonaws.com/doc/{VERSION}/"
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# HTTP status of an error code; 400 where not named
STATUS: Mapping[str, int] = {
    "AuthFailure": 401,
    "UnauthorizedOperation": 403,
    "DryRunOperation": 412,
    "InsufficientInstanceCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InternalError": 500,
    "RequestLimitExceeded": 503,
    "Unavailable": 503,
}


class Failure(Exception):
    """The call fails with an error code of EC2."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Parameters:
    """The parameters of a call: ``A=1&B.1=x&C.1.Name=n`` read by name, in lists and in numbered groups."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def of(cls, request: Request) -> Parameters:
        """Read the parameters of a POST form, and of the query string."""
        form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return cls({**request.query, **dict(form)})

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(sorted(self._values.items()))

    def text(self, name: str, default: str = "") -> str:
        """Return one parameter."""
        return self._values.get(name, default)

    def required(self, name: str) -> str:
        """Return one parameter; raises Failure when it is missing."""
        if not self.text(name):
            raise Failure("MissingParameter", f"The request must contain the parameter {name}")
        return self.text(name)

    def yes(self, name: str) -> bool:
        """Tell whether a boolean parameter is true."""
        return self.text(name).lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Return a whole number; raises Failure."""
        text = self.text(name, str(default))
        if not text.isascii() or not text.isdigit():
            raise Failure("InvalidParameterValue", f"Value ({text}) for parameter {name} is invalid.")
        return int(text)

    def listed(self, name: str) -> list[str]:
        """Return ``name.1``, ``name.2``, ... in order."""
        return [self._values[f"{name}.{number}"] for number in self._numbers(name)]

    def groups(self, name: str) -> list[Parameters]:
        """Return the groups ``name.1.*``, ``name.2.*``, ... each with its own parameters."""
        return [self.below(f"{name}.{number}") for number in self._numbers(name)]

    def below(self, name: str) -> Parameters:
        """Return the parameters whose names begin with ``name.``, without that."""
        start = f"{name}."
        return Parameters({key[len(start) :]: one for key, one in self._values.items() if key.startswith(start)})

    def _numbers(self, name: str) -> list[int]:
        heads = (key.split(".", 1)[0] for key in self.below(name)._values)
        return sorted({int(head) for head in heads if head.isascii() and head.isdigit()})


def answer(action: str, content: Mapping[str, object]) -> Reply:
    """Make the reply of a successful call: mappings become elements, lists ``<item>`` elements, None nothing."""
    inside = _xml({"requestId": str(uuid4()), **content})
    return _reply(200, f'<{action}Response xmlns="{_NAMESPACE}">{inside}</{action}Response>', {})


def failed(failure: Failure, headers: Mapping[str, str] | None = None) -> Reply:
    """Make the reply of a failed call."""
    error = {"Errors": {"Error": {"Code": failure.code, "Message": failure.message}}, "RequestID": str(uuid4())}
    return _reply(STATUS.get(failure.code, 400), f"<Response>{_xml(error)}</Response>", headers or {})


def _reply(status: int, xml: str, headers: Mapping[str, str]) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'.encode()
    return Reply(status=status, body=body, content_type="text/xml;charset=UTF-8", headers=headers)


def _xml(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{key}>{_xml(one)}</{key}>" for key, one in value.items() if one is not None)
    if isinstance(value, (list, tuple)):
        return "".join(f"<item>{_xml(one)}</item>" for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_NOT_IN_XML.sub("?", str(value)))
