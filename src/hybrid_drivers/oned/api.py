"""oned's XML-RPC calls, one thin typed function each.

The client is pyone's; its transport and its generated classes are not used (docs/decisions/001): replies are read by
``oned.xml``. pyone is imported when the first ``Oned`` is made, as that costs 140 ms.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import (
    ActionRefused,
    AllocateRefused,
    AuthenticationFailed,
    BadCall,
    ConfigError,
    InternalFailure,
    NoSuchObject,
    NotAuthorized,
    ObjectLocked,
    OnedError,
    OnedUnreachable,
)
from hybrid_drivers.model import Cluster, Document, Host, RaftState, Template, Vm
from hybrid_drivers.model_shares import HostShare, VmGroup
from hybrid_drivers.oned import shares, xml
from hybrid_drivers.oned.template import carriable, render
from hybrid_drivers.oned.transport import Transport
from hybrid_drivers.secret import Secret

ERRORS: Final = {
    one.code: one
    for one in (
        AuthenticationFailed,
        NotAuthorized,
        NoSuchObject,
        ActionRefused,
        BadCall,
        InternalFailure,
        AllocateRefused,
        ObjectLocked,
    )
}
STATUS: Final = {"enable": 0, "disable": 1, "offline": 2}
NOTHING: Final = Template()
RETRIES: Final = (0.2, 0.5, 1.0, 2.0)  # seconds before each further try


class Oned:
    """oned as one user; thread-safe. ``timeout``: seconds for a call; no further try starts after them.

    Every method raises an ``OnedError``: the class its code maps to, or ``OnedUnreachable`` when there was no answer.
    Calls that read are tried again for a short while; calls that write only when nothing of them had been sent.
    """

    def __init__(self, endpoint: str, session: Secret, *, timeout: float = 30.0, clock: Clock | None = None) -> None:
        self._transport = Transport(endpoint, timeout)
        self._client = _pyone_client(endpoint, session, self._transport)
        self._timeout, self._clock = timeout, clock or SystemClock()

    @classmethod
    def from_location(cls, location: Location, *, timeout: float = 30.0) -> Oned:
        """Speak with the oned of this front-end as the user of its ``one_auth`` file. Raises: ConfigError."""
        return cls(location.endpoint, read_session(location), timeout=timeout)

    def __repr__(self) -> str:
        return f"Oned({self._transport.endpoint})"

    # --- the front-end ---

    def version(self) -> str:
        """Return oned's version, for example ``7.4.0``."""
        return self.read("system.version", "oned's version")

    def raft_state(self) -> RaftState:
        """Return what this front-end is in its zone; the call is answered by the oned it is sent to."""
        return xml.parse_raft(self.read("zone.raftstatus", "the zone's raft status"))

    def zone(self, zone_id: int = 0) -> Template:
        """Return the template of a zone."""
        what = f"zone {zone_id}"
        return xml.parse_zone(self.read("zone.info", what, zone_id, False), what)

    def update_zone(self, zone_id: int, template: Template, append: bool = True) -> None:
        """Change a zone's template, as ``update_host`` does."""
        self.change("zone", zone_id, template, append)

    # --- hosts ---

    def host(self, host_id: int, decrypt: bool = True) -> Host:
        """Return a host; ``decrypt`` asks for its secrets in clear. Raises: NoSuchObject."""
        what = f"host {host_id}"
        return xml.parse_host(self.read("host.info", what, host_id, decrypt), what)

    def hosts(self) -> list[Host]:
        """Return all hosts, in one call; secrets stay encrypted."""
        return xml.parse_hosts(self.read("hostpool.info", "the host pool"), "the host pool")

    def hosts_and_shares(self) -> tuple[list[Host], dict[int, HostShare]]:
        """Return all hosts and, by id, their devices and NUMA nodes, in one call."""
        return shares.parse_hosts_and_shares(self.read("hostpool.info", "the host pool"), "the host pool")

    def vm_groups(self) -> list[VmGroup]:
        """Return all VM groups, in one call; arguments as the scheduler has them (``VMGroupPoolXML.cc``)."""
        what = "the pool of VM groups"
        return shares.parse_vm_groups(self.read("vmgrouppool.info", what, -2, -1, -1), what)

    def update_host(self, host_id: int, template: Template, append: bool = True) -> None:
        """Change a host's template: append replaces attributes of the same name whole and keeps all others."""
        self.change("host", host_id, template, append)

    def rename_host(self, host_id: int, name: str) -> None:
        """Give a host another name: what oned's drivers reach it by."""
        self.write("host.rename", f"host {host_id}", host_id, name)

    def set_host_status(self, host_id: int, status: Literal["enable", "disable", "offline"]) -> None:
        """Enable, disable or take a host offline."""
        self.write("host.status", f"host {host_id}", host_id, STATUS[status])

    def allocate_host(self, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> int:
        """Make a host and return its id. Raises: AllocateRefused (name taken), NoSuchObject (cluster)."""
        return self.write("host.allocate", f"new host {name}", name, im_mad, vm_mad, cluster_id)

    def delete_host(self, host_id: int) -> None:
        """Delete a host. Raises: NoSuchObject, ActionRefused (virtual machines run on it)."""
        self.write("host.delete", f"host {host_id}", host_id)

    # --- clusters ---

    def cluster(self, cluster_id: int) -> Cluster:
        """Return a cluster. Raises: NoSuchObject."""
        what = f"cluster {cluster_id}"
        return xml.parse_cluster(self.read("cluster.info", what, cluster_id, False), what)

    def clusters(self) -> list[Cluster]:
        """Return all clusters, in one call."""
        return xml.parse_clusters(self.read("clusterpool.info", "the cluster pool"), "the cluster pool")

    def allocate_cluster(self, name: str) -> int:
        """Make a cluster and return its id."""
        return self.write("cluster.allocate", f"new cluster {name}", name)

    def update_cluster(self, cluster_id: int, template: Template, append: bool = True) -> None:
        """Change a cluster's template, as ``update_host`` does."""
        self.change("cluster", cluster_id, template, append)

    def delete_cluster(self, cluster_id: int) -> None:
        """Delete a cluster. Raises: ActionRefused (not empty)."""
        self.write("cluster.delete", f"cluster {cluster_id}", cluster_id)

    # --- documents ---

    def documents(self, document_type: int) -> list[Document]:
        """Return all documents of a type, in one call; bodies stay encrypted."""
        what = f"the pool of documents of type {document_type}"
        return xml.parse_documents(self.read("documentpool.info", what, -2, -1, -1, document_type), what)

    def document(self, document_id: int, decrypt: bool = True) -> Document:
        """Return a document; ``decrypt`` asks for its body in clear. Raises: NoSuchObject."""
        what = f"document {document_id}"
        return xml.parse_document(self.read("document.info", what, document_id, decrypt), what)

    def allocate_document(self, name: str, body: str, document_type: int, extra: Template = NOTHING) -> int:
        """Make a document with ``body`` as its PROVISION_BODY, which oned encrypts at rest, and return its id.

        ``extra`` stands beside it in the clear: no secret may be in it.
        """
        what = f"new document {name}"
        template = Template([("NAME", name), ("PROVISION_BODY", body), *extra])
        return self.write("document.allocate", what, render(template, what), document_type)

    def update_document(self, document_id: int, body: str | None, extra: Template = NOTHING) -> None:
        """Replace a document's body (None: keep it) and the attributes of ``extra``; all others stay."""
        told = Template([*([] if body is None else [("PROVISION_BODY", body)]), *extra])
        self.change("document", document_id, told, append=True)

    def rename_document(self, document_id: int, name: str) -> None:
        """Give a document another name."""
        self.write("document.rename", f"document {document_id}", document_id, name)

    def delete_document(self, document_id: int) -> None:
        """Delete a document. Raises: NoSuchObject."""
        self.write("document.delete", f"document {document_id}", document_id)

    # --- virtual machines ---

    def vms(self, state: int = -1) -> list[Vm]:
        """Return all virtual machines of a state, in one call; -1: of any but done, 1: those that wait for a host."""
        what = "the pool of virtual machines"
        return xml.parse_vms(self.read("vmpool.info", what, -2, -1, -1, state), what)

    def waiting_vms(self) -> list[Vm]:
        """Return those that wait for a host, whole, in one call: their requirements are not in the short documents.

        ``one.vmpool.infoextended`` has been there since 5.8 (release notes). Its arguments are those of the short one:
        filter, first and last id, state and, left out, a query (6.10 ``RequestManagerPoolInfoFilter.cc``, 7.x
        ``VirtualMachinePoolAPI.cc``). Taken to hold what ``one.vm.info`` does (``to_xml_extended``): not recorded.
        """
        return self._whole_vms("the pool of waiting virtual machines", 1)

    def whole_vms(self) -> list[Vm]:
        """Return all that are not done, whole, in one call, as ``waiting_vms`` does."""
        return self._whole_vms("the pool of virtual machines", -1)

    def _whole_vms(self, what: str, state: int) -> list[Vm]:
        return xml.parse_vms(self.read("vmpool.infoextended", what, -2, -1, -1, state), what)

    # --- the one way to oned ---

    def read(self, method: str, what: str, *args: object) -> str:
        """Return the text that ``one.<method>`` answers; tried again as needed. ``what`` names the object in errors."""
        value = self._call(method, what, args, reads=True)
        if not isinstance(value, str):
            raise OnedError(f"{what}: oned answered one.{method} with a {type(value).__name__}, expected text")
        return value

    def write(self, method: str, what: str, *args: object) -> int:
        """Return the id that ``one.<method>`` answers; tried again only when nothing of it had been sent."""
        value = self._call(method, what, args, reads=False)
        if not isinstance(value, int) or isinstance(value, bool):
            raise OnedError(f"{what}: oned answered one.{method} with a {type(value).__name__}, expected an id")
        return value

    def change(self, kind: str, object_id: int, template: Template, append: bool) -> None:
        """Carry out ``one.<kind>.update``: append replaces attributes of the same name whole and keeps all others."""
        what = f"{kind} {object_id}"
        self.write(f"{kind}.update", what, object_id, render(template, f"the template for {what}"), 1 if append else 0)

    def _call(self, method: str, what: str, args: tuple[object, ...], *, reads: bool) -> object:
        for one in args:
            if isinstance(one, str):
                carriable(one, f"an argument of one.{method} ({what})")
        started = self._clock.monotonic()
        for delay in (*RETRIES, None):
            try:
                return unwrap(self._send(method, what, args), what)
            except OnedUnreachable as exc:
                spent = self._clock.monotonic() - started
                if delay is None or (exc.sent and not reads) or spent + delay >= self._timeout:
                    raise OnedUnreachable(f"{what}: {exc}", sent=exc.sent) from exc
                self._clock.sleep(delay)
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, what: str, args: tuple[object, ...]) -> Any:
        try:
            return self._client._do_request(f"one.{method}", self._client._cast_parms(args))
        except OverflowError as exc:
            raise BadCall(f"{what}: a number in one.{method} is too large for oned") from exc


def unwrap(reply: object, what: str) -> object:
    """Take the value out of oned's ``[ok, value or message, code, ...]``.

    Raises:
        OnedError: of the class the code maps to; the text is oned's, without its call, behind the object's name.
        OnedUnreachable: the zone has no leader (``Request.cc``: code 8192 like real failures, so its text tells).
    """
    if not isinstance(reply, list) or len(reply) < 3 or not isinstance(reply[0], bool):
        raise OnedError(f"{what}: oned's reply is not of the form [ok, value, code]")
    ok, value, code = reply[:3]
    if ok:
        return value
    message = re.sub(r"^\[one\.[\w.]+\]\s*", "", str(value)).strip() or f"error {code} without a reason"
    if code == InternalFailure.code and re.search("no leader found|in election mode", message):
        raise OnedUnreachable(f"{message} The zone has no leader at the moment.")  # nothing was done, and it passes
    if code == AuthenticationFailed.code:
        message += " Check the user and password in the one_auth file (ONE_AUTH)."
    raise ERRORS.get(code, OnedError)(f"{what}: {message}")


def read_session(location: Location) -> Secret:
    """Read ``user:password`` from the ``one_auth`` file. Raises: ConfigError."""
    path = location.one_auth
    try:
        lines = path.read_text(encoding="utf-8").strip().splitlines()
    except FileNotFoundError as exc:
        raise ConfigError(f"{path} does not exist: it holds user:password for oned, ONE_AUTH may name another") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or 'it is not text'}") from exc
    if not lines or not lines[0].partition(":")[2]:
        raise ConfigError(f"{path} does not hold user:password on its first line")
    return Secret(lines[0].strip())


def _pyone_client(endpoint: str, session: Secret, transport: Transport) -> Any:
    """Make pyone's XML-RPC client with our transport in it. 7.x has its class in a module of its own."""
    import pyone

    xrpc = getattr(pyone, "server_xrpc", None)
    client = (xrpc.OneServerXRPC if xrpc else pyone.OneServer)(endpoint, session=session.reveal())
    client._ServerProxy__transport = transport
    return client
