"""What is fuzzed: everything that reads what others wrote, as functions from bytes, each with what it is usually given.

A function may raise errors of ours only (:class:`HybridError`), whatever it is given.
"""

from __future__ import annotations

import base64
import io
import json
import re
import xmlrpc.client
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tests.support.ec2_replies import described, instance, refused, request, run_reply
from tests.support.ec2_replies import provider as ec2_provider
from tests.support.hooks import ACTIVE, RUNNING, alias, call_info, card, machine
from tests.support.providers import OWNER, FakeClock, entry

from hybrid_drivers.agent import protocol
from hybrid_drivers.errors import HybridError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.roles import known_parameters
from hybrid_drivers.hostconfig.script import compile_script
from hybrid_drivers.model import Template
from hybrid_drivers.oned import actions, hook_actions, ipam_actions, monitord, requirements, shares, vnm_actions, xml
from hybrid_drivers.oned.process import Answer, Call
from hybrid_drivers.providers.base import Setting
from hybrid_drivers.providers.checks import EntryReader
from hybrid_drivers.providers.packet.provider import PacketProvider
from hybrid_drivers.provision.template.expressions import Scope, evaluate, references
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.model import Place
from hybrid_drivers.provision.template.validate import validate
from hybrid_drivers.secret import Secret
from hybrid_drivers.yamlfile import Table, parse_json, parse_yaml

DATA = Path(__file__).parents[1] / "tests/data"
RECORDED = DATA / "oned-7.4"
STATUSES = (200, 201, 202, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 999)


class Answers(str):
    """How several calls ended: another way is worth keeping the input for."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One reader; ``seeds`` are inputs it knows, ``words`` what is special in its language."""

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    words: str


XML = "<!DOCTYPE x [<!ENTITY a 'b'>]> &a; <![CDATA[ ]]> </ /> <?xml encoding='utf-16'?> <ID> </ID> -1 &#0; &#x10FFFF;"
YAML = (
    "? - : | > & * ! !!python/object << {} [] --- ... # ' \" 1e999 0x1 .inf 1_0 2001-01-01 ${ } <%= %> @ ` \\0 \\ud800"
)
JSON = 'null true false {} [] "" \\u0000 \\ud800 1e999 -0 99999999999999999999 NaN'


def _choice(data: bytes, of: Sequence[Any]) -> tuple[Any, bytes]:
    return of[(data[0] if data else 0) % len(of)], data[1:]


def _files(pattern: str) -> list[bytes]:
    return [b"\0" + path.read_bytes() for path in sorted((RECORDED / "actions").glob(pattern))]


# --- calls of oned and monitord ---------------------------------------------------------------------------------------


def im(data: bytes) -> object:
    """monitord's START_MONITOR and STOP_MONITOR."""
    coded, rest = _choice(data, (True, False))
    stdin = base64.b64encode(rest) if coded else rest
    return actions.parse(Call(family="im", driver="provision", action="monitord-client_control",
                              argv=("provision", "6", "h"), stdin=stdin, env={}))  # fmt: skip


def ipam(data: bytes) -> object:
    """Calls of address drivers."""
    action, rest = _choice(data, sorted(ipam_actions.ACTIONS))
    call = Call(family="ipam", driver="packet", action=action, argv=("7",), stdin=base64.b64encode(rest), env={})
    return ipam_actions.parse_ipam(call)


def vnm(data: bytes) -> object:
    """Calls of network drivers."""
    action, rest = _choice(data, sorted(vnm_actions.ACTIONS))
    found = None
    for argv in ((), ("h",), ("one-7", "h")):
        call = Call(family="vnm", driver="hybrid", action=action, argv=argv, stdin=base64.b64encode(rest), env={})
        with suppress(HybridError):
            found = vnm_actions.parse_vnm(call)
    return found


def hooks(data: bytes) -> object:
    """Documents of the hook manager."""
    return hook_actions.parse_hook(
        Call(family="hooks", driver="hybrid", action="alias_ip", argv=(), stdin=base64.b64encode(data), env={})
    )


def pm(data: bytes) -> object:
    """Deployment files of 5.12, and what may stand in argv."""
    read = xml.parse_deploy(data, "the file")
    words = tuple(data[:60].decode(errors="replace").split("/"))
    for action in ("cancel", "poll", "shutdown"):
        with suppress(HybridError):
            actions.parse(Call(family="pm", driver="packet", action=action, argv=words, stdin=b"", env={}))
    return read.deploy_id


def replies(data: bytes) -> object:
    """Replies of oned, and all documents in them."""
    text = data.decode(errors="replace")
    readers: tuple[Callable[[str], object], ...] = (xml.parse_host, xml.parse_hosts, xml.parse_cluster)
    readers += (xml.parse_clusters, xml.parse_document, xml.parse_documents, xml.parse_vms)
    readers += (xml.parse_zone, xml.parse_raft)
    for read in readers:
        with suppress(HybridError):
            read(text)
    for named in (shares.parse_hosts_and_shares, shares.parse_vm_groups):
        with suppress(HybridError):
            named(text, "the reply")
    with suppress(HybridError):
        xml.parse_monitor_messages(data)
    return xml.parse_reply(data, "oned")


@cache
def _documents() -> list[bytes]:
    """Return the documents that were recorded of oned."""
    told = [json.loads(path.read_text())["response"] for path in sorted((RECORDED / "xmlrpc").glob("*.json"))]
    return [str(one[1]).encode() for one in told if str(one[1]).startswith("<")]


def _replies() -> list[bytes]:
    reply = xmlrpc.client.dumps(((True, "<HOST/>", 7),), methodresponse=True)
    return [*_documents(), reply.encode()]


def messages(data: bytes) -> object:
    """Messages to monitord, as the stand-in reads ours, and its public key."""
    coded, rest = _choice(data, (True, False))
    with suppress(HybridError):
        monitord.load_public_key(rest.decode(errors="replace"))
    if coded:
        rest = b"BEACON_HOST SUCCESS 7 1700000000 " + base64.b64encode(zlib.compress(rest)) + b"\n"
    return monitord.decode_message(rest)


def frames(data: bytes) -> object:
    """Calls that come over the agent's socket."""
    protocol.family_of(data)
    with suppress(HybridError):
        protocol.decode_answer(data)
    call = protocol.decode_call(data)
    again = protocol.decode_call(protocol.encode_call(call)[5:])
    assert again == call, "a call that was read does not read the same again"
    return call


def _frames() -> list[bytes]:
    call = Call(family="im", driver="packet", action="x", argv=("a", "b"), stdin=b"in", env={"A": "b"})
    return [protocol.encode_call(call)[5:], protocol.encode_answer(Answer(code=1, stdout=b"o", stderr=b"e"))[4:]]


# --- what operators write ---------------------------------------------------------------------------------------------


def templates(data: bytes) -> object:
    """Templates of provisions."""
    return validate(parse_template(data.decode(errors="replace"), "t"), None, {})


@cache
def _templates() -> list[bytes]:
    files = [*(DATA / "provision").rglob("*.y*ml"), *(DATA.parents[1] / "share/provisions").rglob("*.y*ml")]
    malformed = re.split(r"^#### .*\n", (DATA / "provision/malformed.txt").read_text(), flags=re.MULTILINE)[1:]
    return [path.read_bytes() for path in sorted(files)] + [one.encode() for one in malformed]


def provider_entries(data: bytes) -> object:
    """Files of providers.d, and documents of type 702."""
    kind, rest = _choice(data, ("yaml", "json"))
    text = rest.decode(errors="replace")
    tree = parse_yaml(text, "f") if kind == "yaml" else parse_json(text, "f")
    return EntryReader("name", "f", "f").read(tree) if isinstance(tree, Table) else None


_ENTRIES = (
    b"\0driver: packet\ntoken: aaaaaaaaaa\nproject: p\nendpoint: https://x.example\nlimits: {settle: 3}\n",
    b"\0driver: ec2\nregion: r\naccess_key: AKIAAAAAAAAA\nsecret_key: bbbbbbbbbbbb\ndefaults: {AMI: ami-1}\n",
    b"\0driver: static\nmachines: [{address: 192.0.2.1, name: a, host_key: 'ssh-ed25519 AAAA'}]\nremote_port: 22\n",
    b"\0driver: dummy\nfail: never\nnetwork: 192.0.2.0/24\nprices: {a: 1.5}\nplans: {a: {cpu: 8, memory: 1024}}\n",
    b'\1{"driver": "packet", "token": "aaaaaaaaaa", "project": "p", "pace": 3}',
)

_SCOPE = Scope(
    name="edge",
    provision_id=12,
    index=3,
    provider="am",
    inputs={"plan": "c3"},
    objects={"clusters": [{"ID": "100"}], "datastores": [{"ID": "1", "AR": [{"IP": "192.0.2.1"}]}], "networks": []},
)


def expressions(data: bytes) -> object:
    """Expressions of both grammars in a template."""
    text = data.decode(errors="replace")
    with suppress(HybridError):
        references(text)
    return evaluate(text, _SCOPE, Place(file="t", line=1, key="k"))


_HOST = requirements.facts(
    Template([("GPU", "a40"), ("CLUSTER_ID", "1"), ("PROVISION", {"PLAN": "m3"})]), NAME="h", ID="7"
)


def scheduling(data: bytes) -> object:
    """SCHED_REQUIREMENTS of virtual machines."""
    return requirements.parse(data.decode(errors="replace")).met_by(_HOST)


def parameters(data: bytes) -> object:
    """Parameters of the configuration of hosts."""
    name, rest = _choice(data, sorted(known_parameters()))
    return compile_script(["default"], {name: rest.decode(errors="replace")}, Facts(opennebula_version="7.0.1"))


# --- what providers answer --------------------------------------------------------------------------------------------


def _canned(data: bytes) -> tuple[int, dict[str, str], bytes]:
    status, rest = _choice(data, STATUSES)
    first, _, body = rest.partition(b"\n")
    header = re.sub(r"[^ -~]", "?", first.decode("latin-1"))[:200]
    return status, {"Retry-After": header, "X-RateLimit-Reset": header, "Content-Type": header}, body


def _end(call: Callable[[], object]) -> str:
    try:
        return type(call()).__name__
    except HybridError as exc:
        return type(exc).__name__


class _Canned(HTTPAdapter):
    """Gives the HTTP core these bytes instead of the network's."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        status, headers, body = _canned(self._data)
        raw = urllib3.HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)
        return self.build_response(request, raw)


@cache
def _packet() -> PacketProvider:
    settings: dict[str, Setting] = {"token": Secret("t" * 32), "project": "p", "endpoint": "http://127.0.0.1:9"}
    return PacketProvider(entry("packet", settings), clock=FakeClock(), state_dir=Path("/nonexistent"))


def packet(data: bytes) -> Answers:
    """Answers of packet, through the HTTP core."""
    provider, machine_id = _packet(), "0a1b2c3d-0000-4000-8000-000000000001"
    calls: tuple[Callable[[], object], ...] = (
        lambda: provider.get(machine_id),
        lambda: provider.list(OWNER),
        lambda: provider.delete(machine_id),
        lambda: provider.blocks(OWNER),
        lambda: provider.price_hour("c3.small.x86", "am"),
        lambda: provider.plan_specs("c3.small.x86"),
        lambda: provider.spot_price_hour("c3.small.x86", "am"),
        lambda: provider.interruptions(OWNER),
    )
    canned = _Canned(data)
    with patch.object(requests.Session, "get_adapter", lambda *_, **__: canned):
        return Answers(" ".join(map(_end, calls)))


def _packet_seeds() -> list[bytes]:
    device = {
        "id": "0a1b2c3d-0000-4000-8000-000000000001", "state": "active", "hostname": "h",
        "created_at": "2023-11-14T22:13:20Z",
        "tags": [f"one-owner={OWNER}", "one-host=7", "one-token=t"],
        "plan": {"slug": "c3.small.x86"}, "metro": {"code": "am"},
        "ip_addresses": [{"address": "203.0.113.4", "address_family": 4, "public": True, "cidr": 31}],
        "termination_time": None,
    }  # fmt: skip
    block = {
        "id": "b",
        "network": "203.0.113.0",
        "cidr": 29,
        "address_family": 4,
        "tags": [],
        "assignments": [],
        "metro": {},
    }
    bodies = [
        device, {"devices": [device], "meta": {"current_page": 1, "last_page": 1, "next": None}},
        {"ip_addresses": [block]},
        {"plans": [{"slug": "c3.small.x86", "pricing": {"hour": 0.5}, "specs": {"cpus": [{"count": 1, "cores": 8}],
         "memory": {"total": "32GB"}}, "available_in_metros": [{"href": "/m/1", "price": {"hour": 1}}]}]},
        {"errors": ["no capacity"]}, {"error": "x"}, [], None,
    ]  # fmt: skip
    found = [bytes([status]) + b"3\n" + json.dumps(body).encode() for body in bodies for status in (0, 8, 11)]
    return [*found, b"\0Wed, 21 Oct 2015 07:28:00 GMT\n{}", b"\0\n" + b"[" * 3000, b"\0\n<html>"]


@dataclass(frozen=True)
class _Raw:
    body: bytes

    def stream(self, *_: object, **__: object) -> list[bytes]:
        return [self.body]


_ec2 = cache(ec2_provider)


def ec2(data: bytes) -> Answers:
    """Answers of EC2, through botocore's readers."""
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders
    from botocore.httpsession import URLLib3Session

    provider = _ec2()
    status, headers, body = _canned(data)

    def send(_: object, asked: Any) -> AWSResponse:
        return AWSResponse(asked.url, status, HTTPHeaders.from_dict(headers), _Raw(body))

    calls: tuple[Callable[[], object], ...] = (
        lambda: provider.get("i-1"),
        lambda: provider.list(OWNER),
        lambda: provider.create(request()),
        lambda: provider.delete("i-1"),
        lambda: provider.blocks(OWNER),
        lambda: provider.plan_specs("c5.metal"),
        lambda: provider.spot_price_hour("c5.metal", "eu-1a"),
    )
    with patch.object(URLLib3Session, "send", send):
        return Answers(" ".join(map(_end, calls)))


def _ec2_seeds() -> list[bytes]:
    scripted = [described(instance()), described(""), run_reply(instance("pending")), refused("Throttling")]
    addresses = (
        "<DescribeAddressesResponse><addressesSet><item><publicIp>203.0.113.7</publicIp><allocationId>eipalloc-1"
        "</allocationId></item></addressesSet></DescribeAddressesResponse>"
    )
    bodies = [*(str(one.body) for one in scripted), addresses, "<html>", "no xml", ""]
    return [bytes([status]) + b"3\n" + body.encode() for body in bodies for status in (0, 5, 12)]


TARGETS = (
    Target(name="im", run=im, seeds=lambda: _files("im.*.xml"), words=XML),
    Target(name="ipam", run=ipam, seeds=lambda: _files("ipam.*.xml"), words=XML),
    Target(name="vnm", run=vnm, seeds=lambda: _files("vnm.*.xml"), words=XML),
    Target(
        name="hooks",
        run=hooks,
        seeds=lambda: [machine(ACTIVE, RUNNING, card(0), alias(1, 0)), call_info("7", "x")],
        words=XML,
    ),
    Target(name="pm", run=pm, seeds=_documents, words=XML),
    Target(name="oned-replies", run=replies, seeds=_replies, words=XML),
    Target(name="messages", run=messages, seeds=lambda: [b"\0A=1", b"\1BEACON_HOST SUCCESS 7 1 eJw="], words=XML),
    Target(name="frames", run=frames, seeds=_frames, words="\0\0\0\1 \xff\xff\xff\xff = "),
    Target(name="templates", run=templates, seeds=_templates, words=YAML),
    Target(name="entries", run=provider_entries, seeds=lambda: _ENTRIES, words=YAML + JSON),
    Target(
        name="expressions",
        run=expressions,
        seeds=lambda: [b"${cluster.0.id}", b"<%= @datastores[0]['AR'][0]['IP'] %>", b"<%= @name.to_s %>-${input.plan}"],
        words="${ } <%= %> @ [ ] ' \" . .first .last -1 9999999999999999999999 clusters provision index input",
    ),
    Target(
        name="requirements",
        run=scheduling,
        seeds=lambda: [b'GPU = "a*" & !(ID > 3 | NAME != h)', b"CURRENT_VMS = 7", b'"PROVISION/PLAN" = m3'],
        words='& | ! ( ) = != > < @> " * ? [ ] [!a-z] 1e999 -0 ID NAME CURRENT_VMS 0x1 nan inf',
    ),
    Target(name="parameters", run=parameters, seeds=lambda: [b"\0yes", b"\1[a, b]", b"\2{a: b}"], words=YAML),
    Target(name="packet", run=packet, seeds=_packet_seeds, words=JSON),
    Target(name="ec2", run=ec2, seeds=_ec2_seeds, words=XML),
)
