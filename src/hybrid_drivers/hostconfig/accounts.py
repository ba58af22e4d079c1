"""The account OpenNebula uses on every host.

Name, home and number are those of OpenNebula's packages: ``oneadmin``, ``/var/lib/one``, uid and gid 9869; the same
number everywhere, because front-end and hosts may share a file system.
"""

from __future__ import annotations

from hybrid_drivers.hostconfig.primitives import directory, group, user
from hybrid_drivers.hostconfig.steps import Step

ONEADMIN = "oneadmin"
HOME = "/var/lib/one"
ID = 9869
OWNER = f"{ONEADMIN}:{ONEADMIN}"
REMOTES = "/var/tmp/one"  # nosec B108 # noqa: S108 - SCRIPTS_REMOTE_DIR of oned.conf: where OpenNebula keeps its scripts on hosts


def oneadmin(role: str) -> list[Step]:
    """Return the steps that make oneadmin and the folders it needs."""
    return [
        group(role, ONEADMIN, ID),
        user(role, ONEADMIN, ID, group=ONEADMIN, home=HOME),
        directory(role, HOME, mode="750", owner=OWNER),
        directory(role, f"{HOME}/datastores", mode="750", owner=OWNER),
        directory(role, REMOTES, owner=OWNER),
    ]
