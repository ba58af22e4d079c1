"""Replies of the EC2 API as text, and a provider, requests and parameters around them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from tests.support.providers import CANARY, OWNER, USER_DATA, FakeClock, entry
from tests.support.scripted_http import Scripted, ScriptedServer

from hybrid_drivers.model import CreateRequest, MachineTags
from hybrid_drivers.providers.base import Setting
from hybrid_drivers.providers.ec2 import states
from hybrid_drivers.providers.ec2.provider import Ec2Provider
from hybrid_drivers.secret import Secret

TAGS = MachineTags(owner=OWNER, host_id=7, token="t-1", name="edge one")
ATTRIBUTES = {"AMI": "ami-0123456789abcdef0", "INSTANCETYPE": "c5.metal,m5.metal", "AVAILABILITYZONE": "eu-1a,eu-1b"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1dCB0aGlzIGlzIG5vdCBhIGtleSBvZiBhbnlib2R5"


def tag_set(tags: MachineTags = TAGS) -> str:
    rows = states.tag_pairs(tags, {})
    items = "".join(f"<item><key>{one['Key']}</key><value>{one['Value']}</value></item>" for one in rows)
    return f"<tagSet>{items}</tagSet>"


def instance(state: str = "running", *, more: str = "", tags: MachineTags = TAGS) -> str:
    return (
        f"<item><instanceId>i-1</instanceId><instanceState><code>16</code><name>{state}</name></instanceState>"
        f"<instanceType>c5.metal</instanceType><placement><availabilityZone>eu-1a</availabilityZone></placement>"
        f"<launchTime>2023-11-14T22:13:20.000Z</launchTime>{tag_set(tags)}{more}</item>"
    )


def run_reply(inner: str) -> Scripted:
    return Scripted(body=f"<RunInstancesResponse><instancesSet>{inner}</instancesSet></RunInstancesResponse>")


def described(inner: str, token: str = "") -> Scripted:
    items = f"<item><instancesSet>{inner}</instancesSet></item>" if inner else ""
    more = f"<nextToken>{token}</nextToken>" if token else ""
    return Scripted(
        body=f"<DescribeInstancesResponse><reservationSet>{items}</reservationSet>{more}</DescribeInstancesResponse>"
    )


def refused(code: str, status: int = 400, message: str = "no") -> Scripted:
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    return Scripted(status=status, body=body)


def provider(url: str = "http://127.0.0.1:9", clock: FakeClock | None = None, poll: float = 10) -> Ec2Provider:
    settings: dict[str, Setting] = {
        "region": "eu-1",
        "endpoint": url,
        "access_key": Secret("AKIAEXAMPLE"),
        "secret_key": Secret(CANARY),
    }
    return Ec2Provider(
        entry("ec2", settings, limits={"poll": poll}), clock=clock or FakeClock(), state_dir=Path("/nonexistent")
    )


def request(
    attributes: Mapping[str, str] = ATTRIBUTES, user_data: str = USER_DATA, token: str = "t-1"
) -> CreateRequest:
    return CreateRequest(
        token=token,
        tags=TAGS,
        hostname="edge1",
        placement=provider().placements(attributes)[0],
        attributes=attributes,
        user_data=user_data,
    )


def sent(server: ScriptedServer) -> list[dict[str, str]]:
    return [dict(urllib.parse.parse_qsl(body, keep_blank_values=True)) for *_, body in server.seen]


def parameters(attributes: Mapping[str, str], user_data: str = USER_DATA) -> dict[str, str]:
    with ScriptedServer(run_reply(instance("pending"))) as server:
        provider(server.url).create(request(attributes, user_data))
        return sent(server)[0]
