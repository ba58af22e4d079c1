"""All XML of the project: what oned answers, what monitord hands to drivers, and the little we answer.

The only module that imports an XML library. Nothing is believed: no DTD, no entities, no network, no huge nodes, a
size limit; what is not as declared becomes one sentence that names the document and the path.
"""

from __future__ import annotations

import base64
import binascii
import xmlrpc.client  # nosec B411
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType

from lxml import etree

from hybrid_drivers.errors import BadCall, ConfigError, HybridError, OnedError
from hybrid_drivers.model import Cluster, Document, Host, RaftState, Template, Vm
from hybrid_drivers.oned.fields import Node, filled, host_state, number, port, raft_state, whole
from hybrid_drivers.oned.template import render

T = TypeVar("T")
MAX_REPLY = 256 * 1024 * 1024  # bytes; a pool of 10,000 hosts takes about 20 MiB
BUFFER = 1024 * 1024  # bytes of text in a reply that are handed on at once
MAX_INPUT = 8 * 1024 * 1024  # bytes; what a driver is handed
MESSAGE_KINDS = ("SYSTEM_HOST", "MONITOR_HOST", "BEACON_HOST", "MONITOR_VM", "STATE_VM")


def parse(data: bytes | str, root: str, what: str, error: type[HybridError], limit: int = MAX_REPLY) -> Node:
    """Parse a document whose root element is ``root``; ``what`` names it in errors.

    Raises:
        HybridError: of class ``error``: too large, not XML, a DTD in it, or another root.
    """
    return Node(_element(data, root, what, error, limit), what, error)


def _element(data: bytes | str, root: str, what: str, error: type[HybridError], limit: int) -> etree._Element:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > limit:
        raise error(f"{what} is {len(raw)} bytes long, more than the {limit} allowed")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        element = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as exc:
        raise error(f"{what} is not XML: {exc.msg}") from exc
    if element.getroottree().docinfo.internalDTD is not None:
        raise error(f"{what} holds a document type declaration, which is not accepted")
    if element.tag != root:
        raise error(f"{what} is a <{str(element.tag)[:40]}>, expected <{root}>")
    return element


def as_drivers_get_it(vm: bytes, plugged: Collection[str]) -> bytes:
    """Return a ``<VM>`` with the last record of its history only, and just these cards marked as plugged in or out.

    ``plugged`` are values of NIC_ID. Raises: ConfigError.
    """
    top = _element(vm, "VM", "the document of a virtual machine", ConfigError, MAX_INPUT)
    records = sorted(top.findall("HISTORY_RECORDS/HISTORY"), key=lambda one: int(one.findtext("SEQ") or 0))
    for record in records[:-1]:
        if (above := record.getparent()) is not None:
            above.remove(record)
    for card in (*top.findall("TEMPLATE/NIC"), *top.findall("TEMPLATE/NIC_ALIAS")):
        for mark in card.findall("ATTACH"):
            card.remove(mark)
        if card.findtext("NIC_ID") in plugged:
            etree.SubElement(card, "ATTACH").text = "YES"
    return bytes(etree.tostring(top, encoding="utf-8"))


# --- replies of oned --------------------------------------------------------------------------------------------------


def parse_reply(data: bytes, endpoint: str) -> tuple[Any, ...]:
    """Take the values out of an XML-RPC reply; one with a document type declaration, and so with entities, is none.

    Raises:
        BadCall: the reply is a fault: no such method, wrong arguments. oned refuses in other words.
        OnedError: it is no XML-RPC reply.
    """
    unmarshaller = xmlrpc.client.Unmarshaller()
    parser = _reply_parser(unmarshaller)
    try:
        parser.Parse(data, True)
        return unmarshaller.close()
    except xmlrpc.client.Fault as exc:
        raise BadCall(f"oned does not take this call: {exc.faultString}") from exc
    except (ExpatError, xmlrpc.client.Error, ValueError, TypeError) as exc:
        raise OnedError(
            f"{endpoint} did not answer as an XML-RPC server does: is it the address of oned (ONE_XMLRPC)?"
        ) from exc


def _reply_parser(unmarshaller: xmlrpc.client.Unmarshaller) -> XMLParserType:
    """Return what feeds ``unmarshaller`` as ``xmlrpc.client.loads`` does, but for whole texts.

    A document in a reply is one text full of escaped ``<``: handed over in pieces between them, as the library has it,
    a pool of 5,000 hosts takes more than a million calls, and most of the time of reading it.
    """
    parser = ParserCreate()
    parser.buffer_text, parser.buffer_size = True, BUFFER
    parser.StartElementHandler = unmarshaller.start
    parser.EndElementHandler = unmarshaller.end
    parser.CharacterDataHandler = unmarshaller.data
    parser.StartDoctypeDeclHandler = _no_doctype
    unmarshaller.xml(None, None)  # type: ignore[arg-type] # None: texts come decoded, as its own parser tells it
    return parser


def _no_doctype(*_: object) -> None:
    raise ValueError("a document type declaration")  # entities grow; only libexpat 2.4.1 and newer bound that


def _pool(data: str, kind: str, what: str, read: Callable[[Node], T]) -> list[T]:
    return [read(one) for one in parse(data, f"{kind}_POOL", what, OnedError).nodes(kind)]


def read_host(node: Node) -> Host:
    """Read a ``<HOST>``. Raises: OnedError."""
    return Host(
        id=node.need("ID", whole),
        name=node.need("NAME", filled),
        state=node.need("STATE", host_state),
        im_mad=node.need("IM_MAD", filled),
        vm_mad=node.need("VM_MAD", filled),
        cluster_id=node.need("CLUSTER_ID", whole),
        template=node.template(),
        total_cpu=node.get("HOST_SHARE/TOTAL_CPU", whole, 0),
        total_memory=node.get("HOST_SHARE/TOTAL_MEM", whole, 0),
        running_vms=node.get("HOST_SHARE/RUNNING_VMS", whole, 0),
        max_cpu=node.get("HOST_SHARE/MAX_CPU", whole, 0),
        max_memory=node.get("HOST_SHARE/MAX_MEM", whole, 0),
        used_cpu=node.get("HOST_SHARE/CPU_USAGE", whole, 0),
        used_memory=node.get("HOST_SHARE/MEM_USAGE", whole, 0),
        vm_ids=node.ids("VMS/ID"),
        free_disk=node.get("HOST_SHARE/DATASTORES/FREE_DISK", whole, 0),
        datastores_free={
            one.need("ID", whole): one.get("FREE_MB", whole, 0) for one in node.nodes("HOST_SHARE/DATASTORES/DS")
        },
    )


def parse_host(data: str, what: str = "oned's reply") -> Host:
    """Read ``<HOST>``. Raises: OnedError."""
    return read_host(parse(data, "HOST", what, OnedError))


def parse_hosts(data: str, what: str = "oned's reply") -> list[Host]:
    """Read ``<HOST_POOL>``, in oned's order. Raises: OnedError."""
    return _pool(data, "HOST", what, read_host)


def _cluster(node: Node) -> Cluster:
    return Cluster(
        id=node.need("ID", whole),
        name=node.need("NAME", filled),
        host_ids=node.ids("HOSTS/ID"),
        template=node.template(),
        datastore_ids=node.ids("DATASTORES/ID"),
    )


def parse_cluster(data: str, what: str = "oned's reply") -> Cluster:
    """Read ``<CLUSTER>``. Raises: OnedError."""
    return _cluster(parse(data, "CLUSTER", what, OnedError))


def parse_clusters(data: str, what: str = "oned's reply") -> list[Cluster]:
    """Read ``<CLUSTER_POOL>``. Raises: OnedError."""
    return _pool(data, "CLUSTER", what, _cluster)


def _document(node: Node) -> Document:
    return Document(
        id=node.need("ID", whole),
        name=node.need("NAME", filled),
        type=node.need("TYPE", whole),
        body=node.get("TEMPLATE/PROVISION_BODY", str, ""),
        summary=node.vector("TEMPLATE/PROVISION_SUMMARY"),
        lock=node.vector("TEMPLATE/PROVISION_LOCK"),
        uid=node.need("UID", whole),
        gid=node.need("GID", whole),
        uname=node.need("UNAME", str),
        gname=node.need("GNAME", str),
        mode=node.mode(),
    )


def parse_document(data: str, what: str = "oned's reply") -> Document:
    """Read ``<DOCUMENT>``. Raises: OnedError."""
    return _document(parse(data, "DOCUMENT", what, OnedError))


def parse_documents(data: str, what: str = "oned's reply") -> list[Document]:
    """Read ``<DOCUMENT_POOL>``. Raises: OnedError."""
    return _pool(data, "DOCUMENT", what, _document)


def _vm(node: Node) -> Vm:
    hosts = [one.need(".", whole) for one in node.nodes("HISTORY_RECORDS/HISTORY/HID")]
    return Vm(
        id=node.need("ID", whole),
        name=node.need("NAME", filled),
        state=node.need("STATE", whole),
        lcm_state=node.need("LCM_STATE", whole),
        cpu=node.get("TEMPLATE/CPU", number, 0.0),
        memory=node.get("TEMPLATE/MEMORY", whole, 0),
        host_id=hosts[-1] if hosts else None,
        template=node.template(),
        user_template=node.template("USER_TEMPLATE"),
        started=node.get("STIME", whole, 0),
    )


def parse_vms(data: str, what: str = "oned's reply") -> list[Vm]:
    """Read ``<VM_POOL>``. Raises: OnedError."""
    return _pool(data, "VM", what, _vm)


def parse_zone(data: str, what: str = "oned's reply") -> Template:
    """Read the template of ``<ZONE>``. Raises: OnedError."""
    return parse(data, "ZONE", what, OnedError).template()


def parse_hooks(data: str, what: str) -> list[Node]:
    """Return the elements of ``<HOOK_POOL>``, or the one that ``<HOOK>`` is. Raises: OnedError."""
    if data.lstrip().startswith("<HOOK>"):
        return [parse(data, "HOOK", what, OnedError)]
    return parse(data, "HOOK_POOL", what, OnedError).nodes("HOOK")


def parse_raft(data: str, what: str = "oned's reply") -> RaftState:
    """Read the state in ``<RAFT>``. Raises: OnedError."""
    return parse(data, "RAFT", what, OnedError).need("STATE", raft_state)


# --- what monitord and the 5.12 tools hand to our executables ---------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MonitorConfiguration:
    """How to reach monitord and how often, from a start or stop call. Periods are seconds.

    ``public_key`` is the text of the key (monitord puts the file's content there), empty when messages are plain.
    ``raw`` is the standard input as it came; ``xml`` is the document in it. What a node reads: the probes of
    6.10 (``monitord-client.rb``) decode base64 only for local hypervisors (az, ec2, one, equinix) and read plain
    XML for kvm, qemu and lxc.
    """

    host_id: int
    address: str
    port: int
    public_key: str
    beacon_period: int
    interval: int  # without a beacon for this long START_MONITOR is repeated
    raw: bytes = field(repr=False)
    xml: bytes = field(repr=False)


def parse_start_monitor(stdin: bytes) -> MonitorConfiguration:
    """Read the standard input of an ``im`` executable: one line of base64 ``<MONITOR_CONFIGURATION>``.

    Raises:
        ConfigError: not base64, not that document, or a field is missing or wrong.
    """
    what = "standard input (MONITOR_CONFIGURATION)"
    xml = from_base64(stdin, what)
    node = parse(xml, "MONITOR_CONFIGURATION", what, ConfigError, MAX_INPUT)
    address = node.need("NETWORK/MONITOR_ADDRESS", filled)
    return MonitorConfiguration(
        host_id=node.need("HOST_ID", whole),
        address="127.0.0.1" if address == "auto" else address,  # we run on the front-end itself
        port=node.need("NETWORK/PORT", port),
        public_key=node.get("NETWORK/PUBKEY", str, ""),
        beacon_period=node.get("PROBES_PERIOD/BEACON_HOST", whole, 30),
        interval=node.get("MONITORING_INTERVAL_HOST", whole, 180),
        raw=stdin,
        xml=xml,
    )


@dataclass(frozen=True, kw_only=True)
class DeployFile:
    """The ``<HOST>`` file a 5.12 tool hands to ``pm/<driver>/deploy``; ``host_id`` is None for a host not made yet."""

    name: str
    host_id: int | None
    template: Template

    @property
    def deploy_id(self) -> str:
        """Return ``PROVISION/DEPLOY_ID``: set means power on again, empty means a new machine."""
        return self.template.vector("PROVISION").get("DEPLOY_ID", "")


def parse_deploy(data: bytes, what: str) -> DeployFile:
    """Read a 5.12 deployment file; ``what`` names it. Raises: ConfigError."""
    node = parse(data, "HOST", what, ConfigError, MAX_INPUT)
    return DeployFile(
        name=node.get("NAME", str, ""),
        host_id=node.get("ID", whole, None),
        template=node.template(),
    )


# --- the answer to a start call ---------------------------------------------------------------------------------------


def start_answer(system_host: Template) -> bytes:
    """Write the answer to START_MONITOR: the host's attributes, as monitord passes them on to oned.

    There is no ``TIMESTAMP`` in it: monitord takes a message without one as always new (``test_set_timestamp``).
    """
    text = render(system_host, "the SYSTEM_HOST answer")
    return b"<MONITOR_MESSAGES><SYSTEM_HOST>" + base64.b64encode(text.encode()) + b"</SYSTEM_HOST></MONITOR_MESSAGES>\n"


def parse_monitor_messages(data: bytes) -> dict[str, str]:
    """Read what a node's probes answered: message kind -> payload. Several of one kind are joined by a newline.

    Text around the document (a login message, a shell's warning) is passed over.

    Raises:
        ConfigError: there is no ``<MONITOR_MESSAGES>`` document in it, or it is broken.
    """
    what = "the answer of the node's probes (MONITOR_MESSAGES)"
    begin, end = data.find(b"<MONITOR_MESSAGES>"), data.rfind(b"</MONITOR_MESSAGES>")
    if begin < 0 or end < begin:
        said = " ".join(data.decode("utf-8", "replace").split())[:200]
        raise ConfigError(f"{what} is missing, the node said: {said or 'nothing'}")
    node = parse(data[begin : end + len(b"</MONITOR_MESSAGES>")], "MONITOR_MESSAGES", what, ConfigError, MAX_INPUT)
    found: dict[str, str] = {}
    for one in node.children():
        if one.tag in MESSAGE_KINDS:
            text = from_base64(one.text.encode(), f"{what}/{one.tag}").decode("utf-8", "replace")
            found[one.tag] = f"{found[one.tag]}\n{text}" if one.tag in found else text
    return found


def from_base64(data: bytes, what: str) -> bytes:
    """Decode base64, blanks and line ends allowed; ``what`` names it in errors. Raises: ConfigError."""
    if len(data) > MAX_INPUT:
        raise ConfigError(f"{what} is {len(data)} bytes long, more than the {MAX_INPUT} allowed")
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ConfigError(f"{what} is not base64, as oned's drivers hand it over") from exc


def with_values(document: bytes, what: str, values: Mapping[tuple[str, str], Mapping[str, str]]) -> bytes:
    """Return a ``<VM>`` document whose cards have got some elements more, in place of those of the same name.

    ``values``: (element, NIC_ID) of a card -> name and text of its new elements. Raises: ConfigError.
    """
    root = _element(document, "VM", what, ConfigError, MAX_INPUT)
    for (kind, nic_id), added in values.items():
        for card in root.findall(f"TEMPLATE/{kind}"):
            if card.findtext("NIC_ID", "") == nic_id:
                for name, text in added.items():
                    for old in card.findall(name):
                        card.remove(old)
                    etree.SubElement(card, name).text = text
    return etree.tostring(root)
