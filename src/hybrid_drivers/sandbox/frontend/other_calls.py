"""The calls of documents, the zone, virtual machines (read only), users and the system."""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, change_template, no_such
from hybrid_drivers.sandbox.frontend.objects import DocumentObject
from hybrid_drivers.sandbox.frontend.store import name_fault
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse

_DONE = 6  # of a virtual machine
_ANY, _ALL_BUT_DONE = -2, -1


def _document(context: Context, document_id: int) -> DocumentObject:
    document = context.store.documents.get(document_id)
    if document is None:
        raise no_such("document", document_id)
    return document


def _decrypted(context: Context, attributes: Attributes) -> Attributes:
    """Undo the encryption of a value a client read encrypted and sent back."""
    cipher = context.store.cipher
    for name in cipher.encrypted:
        if text := attributes.text(name):
            attributes.set(name, cipher.plain(text))
    return attributes


def document_allocate(context: Context, text: str, kind: int) -> int:
    """one.document.allocate: the name comes in the template and leaves it; names need not be unique."""
    try:
        attributes = Attributes(parse(text))
    except TemplateSyntaxError as exc:
        raise Refused(Code.INTERNAL, str(exc)) from exc
    name = attributes.text("NAME").rstrip()
    attributes.remove("NAME", "TYPE")
    if fault := name_fault(name):
        raise Refused(Code.ALLOCATE, f"Error allocating a new document. {fault}")
    return context.store.add_document(name, kind, _decrypted(context, attributes)).id


def document_info(context: Context, document_id: int, decrypt: bool = False) -> str:
    """one.document.info."""
    return _document(context, document_id).xml(None if decrypt else context.store.cipher.shown)


def document_update(context: Context, document_id: int, text: str, how: int = 0) -> int:
    """one.document.update."""
    document = _document(context, document_id)
    document.template = _decrypted(context, change_template(document.template, text, how))
    return document_id


def document_delete(context: Context, document_id: int) -> int:
    """one.document.delete."""
    del context.store.documents[_document(context, document_id).id]
    return document_id


def document_rename(context: Context, document_id: int, name: str) -> int:
    """one.document.rename."""
    document = _document(context, document_id)
    if fault := name_fault(name):
        raise Refused(Code.ACTION, fault)
    document.name = name
    return document_id


def document_chmod(context: Context, document_id: int, *bits: int) -> int:
    """one.document.chmod: nine bits, -1 leaves one as it is."""
    document = _document(context, document_id)
    if any(bit not in (-1, 0, 1) for bit in bits):
        raise Refused(Code.INTERNAL, "New permission values must be -1, 0 or 1")
    document.permissions = [old if new == -1 else new for old, new in zip(document.permissions, bits, strict=True)]
    return document_id


def documentpool_info(context: Context, _owner: int, first: int, last: int, kind: int) -> str:
    """one.documentpool.info: the newest first, encrypted; all belong to the one user there is."""
    documents = context.store.documents
    wanted = [
        documents[one].xml(context.store.cipher.shown)
        for one in sorted(documents, reverse=True)
        if documents[one].type == kind and one >= first and (last < 0 or one <= last)
    ]
    return f"<DOCUMENT_POOL>{''.join(wanted)}</DOCUMENT_POOL>"


def zone_info(context: Context, zone_id: int, _decrypt: bool = False) -> str:
    """one.zone.info."""
    if zone_id != context.store.zone.id:
        raise no_such("zone", zone_id)
    return context.store.zone.xml()


def zone_update(context: Context, zone_id: int, text: str, how: int = 0) -> int:
    """one.zone.update: a zone keeps its endpoint."""
    zone = context.store.zone
    if zone_id != zone.id:
        raise no_such("zone", zone_id)
    changed = change_template(zone.template, text, how)
    if not changed.text("ENDPOINT"):
        raise Refused(Code.INTERNAL, "Cannot update template. Missing ENDPOINT in the ZONE template")
    zone.template = changed
    return zone_id


def zone_raftstatus(context: Context) -> str:
    """one.zone.raftstatus: of this server."""
    state = context.knobs.raft_state
    alone = state.name == "SOLO"
    return (
        f"<RAFT><SERVER_ID>{-1 if alone else 0}</SERVER_ID><STATE>{state.value}</STATE><TERM>{0 if alone else 1}</TERM>"
        "<VOTEDFOR>-1</VOTEDFOR><COMMIT>0</COMMIT><LOG_INDEX>-1</LOG_INDEX><LOG_TERM>-1</LOG_TERM>"
        "<FEDLOG_INDEX>-1</FEDLOG_INDEX></RAFT>"
    )


def vmpool_info(context: Context, _owner: int, _first: int, _last: int, state: int) -> str:
    """one.vmpool.info: what a test has put into ``Store.vms``, by state; -2 is any, -1 all but done."""
    vms = context.store.vms
    shown = [xml for of, xml in vms if state in (_ANY, of) or (state == _ALL_BUT_DONE and of != _DONE)]
    return f"<VM_POOL>{''.join(shown)}</VM_POOL>"


def system_version(context: Context) -> str:
    """one.system.version."""
    return context.version


def system_config(_context: Context) -> str:
    """one.system.config: only what a client may ask for here."""
    encrypted = "<DOCUMENT_ENCRYPTED_ATTR><![CDATA[PROVISION_BODY]]></DOCUMENT_ENCRYPTED_ATTR>"
    return f"<OPENNEBULA_CONFIGURATION>{encrypted}</OPENNEBULA_CONFIGURATION>"


def user_info(_context: Context, user_id: int, _decrypt: bool = False) -> str:
    """one.user.info: -1 is the caller."""
    if user_id not in (-1, 0):
        raise no_such("user", user_id)
    return "<USER><ID>0</ID><GID>0</GID><GROUPS><ID>0</ID></GROUPS><GNAME>oneadmin</GNAME><NAME>oneadmin</NAME></USER>"


METHODS = {
    "one.document.allocate": Method(document_allocate, "si", writes=True),
    "one.document.info": Method(document_info, "i|b"),
    "one.document.update": Method(document_update, "is|i", writes=True),
    "one.document.delete": Method(document_delete, "i", writes=True),
    "one.document.rename": Method(document_rename, "is", writes=True),
    "one.document.chmod": Method(document_chmod, "i" * 10, writes=True),
    "one.documentpool.info": Method(documentpool_info, "iiii"),
    "one.zone.info": Method(zone_info, "i|b"),
    "one.zone.update": Method(zone_update, "is|i", writes=True),
    "one.zone.raftstatus": Method(zone_raftstatus),
    "one.vmpool.info": Method(vmpool_info, "iiii"),
    "one.system.version": Method(system_version),
    "one.system.config": Method(system_config),
    "one.user.info": Method(user_info, "i|b"),
}
