"""Choosing what a Describe call returns: filters with wildcards, and pages."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from hybrid_drivers.sandbox import ec2_catalogue as catalogue
from hybrid_drivers.sandbox import ec2_views as views
from hybrid_drivers.sandbox.ec2_wire import Failure, Parameters

Item = TypeVar("Item")
Reader = Callable[[Item], Sequence[str]]

INSTANCE_FILTERS: Mapping[str, Reader[views.Instance]] = {
    "availability-zone": lambda one: [one.order.place],
    "client-token": lambda one: [one.order.client_token],
    "image-id": lambda one: [one.order.image],
    "instance-id": lambda one: [one.id],
    "instance-state-code": lambda one: [str(views.CODES[views.WORDS[one.state]])],
    "instance-state-name": lambda one: [views.WORDS[one.state]],
    "instance-type": lambda one: [one.order.plan],
    "ip-address": lambda one: [views.public_address(one) or ""],
    "private-ip-address": lambda one: [views.private_address(one) or ""],
    "reservation-id": lambda one: [one.order.reservation],
    "subnet-id": lambda one: [one.order.subnet],
    "tag-key": lambda one: list(one.order.tags),
    "vpc-id": lambda one: [catalogue.VPC],
}


def filtered(items: Sequence[Item], told: Parameters, known: Mapping[str, Reader[Item]]) -> list[Item]:
    """Return the items that match every ``Filter.N``; raises Failure for a filter that does not exist."""
    found = list(items)
    for group in told.groups("Filter"):
        name, wanted = group.required("Name"), [_pattern(one) for one in group.listed("Value")]
        if name not in known:
            raise Failure("InvalidParameterValue", f"The filter '{name}' is invalid")
        read = known[name]
        found = [one for one in found if any(want.fullmatch(value) for value in read(one) for want in wanted)]
    return found


def instance_filters(told: Parameters) -> Mapping[str, Reader[views.Instance]]:
    """Return the filters of DescribeInstances, with a reader for each ``tag:<key>`` that the call names."""
    names = [group.text("Name") for group in told.groups("Filter")]
    return {**INSTANCE_FILTERS, **{name: _tag(name[4:]) for name in names if name.startswith("tag:")}}


def page(items: Sequence[Item], told: Parameters, *, least: int = 5) -> tuple[list[Item], str | None]:
    """Return one page and the token of the next (None: the last); without ``MaxResults`` all is one page."""
    size = told.number("MaxResults", 0)
    if size and not least <= size <= 1000:
        raise Failure("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid.")
    start = _offset(told.text("NextToken"))
    end = start + size if size else len(items)
    token = base64.b64encode(f"from:{end}".encode()).decode() if end < len(items) else None
    return list(items[start:end]), token


def _tag(key: str) -> Reader[views.Instance]:
    return lambda one: [one.order.tags[key]] if key in one.order.tags else []


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a filter value: ``*`` is any text, ``?`` one character (EC2 user guide, "Filter your resources")."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        found = re.fullmatch("from:([0-9]+)", base64.b64decode(token, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError):
        found = None
    if not found:
        raise Failure("InvalidNextToken", "The token is not valid.")
    return int(found[1])
