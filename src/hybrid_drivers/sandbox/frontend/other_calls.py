"""The calls of the zone and the system."""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, change_template, no_such


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


def system_version(context: Context) -> str:
    """one.system.version."""
    return context.version


def system_config(_context: Context) -> str:
    """one.system.config: only what a client may ask for here."""
    encrypted = "<DOCUMENT_ENCRYPTED_ATTR><![CDATA[PROVISION_BODY]]></DOCUMENT_ENCRYPTED_ATTR>"
    return f"<OPENNEBULA_CONFIGURATION>{encrypted}</OPENNEBULA_CONFIGURATION>"


METHODS = {
    "one.zone.info": Method(zone_info, "i|b"),
    "one.zone.update": Method(zone_update, "is|i", writes=True),
    "one.zone.raftstatus": Method(zone_raftstatus),
    "one.system.version": Method(system_version),
    "one.system.config": Method(system_config),
}
