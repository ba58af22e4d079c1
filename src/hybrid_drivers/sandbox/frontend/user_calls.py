"""Users and groups, to be looked up only: names by id, as ``Store`` has them.

Not recorded; elements are those of OpenNebula ``User.cc`` and ``Group.cc``.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from hybrid_drivers.sandbox.frontend.calls import Context, Method, no_such

_ONESELF = -1
_ONEADMIN_GROUP = 0


def _user(context: Context, user_id: int) -> str:
    group = context.store.groups[_ONEADMIN_GROUP]
    return (
        f"<USER><ID>{user_id}</ID><GID>{_ONEADMIN_GROUP}</GID><GROUPS><ID>{_ONEADMIN_GROUP}</ID></GROUPS>"
        f"<GNAME>{escape(group)}</GNAME><NAME>{escape(context.store.users[user_id])}</NAME></USER>"
    )


def _group(context: Context, group_id: int) -> str:
    members = context.store.users if group_id == _ONEADMIN_GROUP else ()
    users = "".join(f"<ID>{one}</ID>" for one in sorted(members))
    name = escape(context.store.groups[group_id])
    return f"<GROUP><ID>{group_id}</ID><NAME>{name}</NAME><TEMPLATE/><USERS>{users}</USERS><ADMINS/></GROUP>"


def user_info(context: Context, user_id: int, _decrypt: bool = False) -> str:
    """one.user.info: -1 is the caller."""
    if user_id != _ONESELF and user_id not in context.store.users:
        raise no_such("user", user_id)
    return _user(context, 0 if user_id == _ONESELF else user_id)


def userpool_info(context: Context) -> str:
    """one.userpool.info: the newest first."""
    users = sorted(context.store.users, reverse=True)
    return f"<USER_POOL>{''.join(_user(context, one) for one in users)}</USER_POOL>"


def grouppool_info(context: Context) -> str:
    """one.grouppool.info: the newest first."""
    groups = sorted(context.store.groups, reverse=True)
    return f"<GROUP_POOL>{''.join(_group(context, one) for one in groups)}</GROUP_POOL>"


METHODS = {
    "one.user.info": Method(user_info, "i|b"),
    "one.userpool.info": Method(userpool_info),
    "one.grouppool.info": Method(grouppool_info),
}
