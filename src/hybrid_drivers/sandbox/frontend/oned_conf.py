"""``oned.conf`` of the sandbox: what an installer of drivers looks at, and the drivers objects may name.

The tables are those of OpenNebula 7's own file (``share/etc/oned.conf``), as far as a datastore or network needs them;
the attributes of the transfer driver ``ssh`` are those a recorded datastore has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse

_TRANSFER = """
TM_MAD_CONF = [
    NAME = "{name}", LN_TARGET = "{link}", CLONE_TARGET = "SYSTEM", SHARED = "{shared}", DS_MIGRATE = "YES",
    DS_MIGRATE_SNAP = "YES", DS_LIVE_MIGRATE = "YES", PERSISTENT_SNAPSHOTS = "YES", ALLOW_ORPHANS = "YES"
]
"""
_NETWORK = """
VN_MAD_CONF = [
    NAME        = "{name}",
    BRIDGE_TYPE = "{bridge}"
]
"""

ONED_CONF = (
    """\
# oned of the sandbox: the attributes an installer of drivers looks at.
PORT           = 2633
LISTEN_ADDRESS = "127.0.0.1"

# Attributes that are stored encrypted
DOCUMENT_ENCRYPTED_ATTR = "PROVISION_BODY"

# Drivers that hand out addresses
IPAM_MAD = [
    EXECUTABLE = "one_ipam",
    ARGUMENTS  = "-t 1 -i dummy,aws,equinix,vultr"
]

# Transfer drivers
"""
    + _TRANSFER.format(name="local", link="SYSTEM", shared="NO")
    + _TRANSFER.format(name="ssh", link="SYSTEM", shared="NO")
    + _TRANSFER.format(name="shared", link="NONE", shared="YES")
    + _TRANSFER.format(name="qcow2", link="NONE", shared="YES")
    + _TRANSFER.format(name="dummy", link="NONE", shared="YES")
    + """
# Datastore drivers
DS_MAD_CONF = [
    NAME = "fs", REQUIRED_ATTRS = "", PERSISTENT_ONLY = "NO", MARKETPLACE_ACTIONS = "export"
]
DS_MAD_CONF = [
    NAME = "dummy", REQUIRED_ATTRS = "", PERSISTENT_ONLY = "NO"
]
DS_MAD_CONF = [
    NAME = "ceph", REQUIRED_ATTRS = "DISK_TYPE,BRIDGE_LIST", PERSISTENT_ONLY = "NO", MARKETPLACE_ACTIONS = "export"
]

# Network drivers
"""
    + "".join(_NETWORK.format(name=name, bridge="linux") for name in ("bridge", "fw", "802.1Q", "vxlan", "elastic"))
    + _NETWORK.format(name="ovswitch", bridge="openvswitch")
    + _NETWORK.format(name="dummy", bridge="linux")
)


@dataclass(frozen=True)
class OnedConf:
    """The file's attributes; networks and datastores may only name drivers that are in it."""

    template: Template

    @classmethod
    def stock(cls) -> OnedConf:
        """Return the configuration before any installer has seen it."""
        return cls(parse(ONED_CONF))

    @classmethod
    def read(cls, path: Path) -> OnedConf:
        """Read the file.

        Raises:
            ConfigError: it cannot be read or is no template.
        """
        try:
            return cls(parse(path.read_text()))
        except OSError as exc:
            raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
        except TemplateSyntaxError as exc:
            raise ConfigError(f"{path} cannot be understood by oned: {exc}") from exc

    @property
    def ipam_drivers(self) -> frozenset[str] | None:
        """Return the address drivers that ``one_ipam`` may run, None for all (``one_ipam.rb``: without ``-i``)."""
        words = self.template.vector("IPAM_MAD").get("ARGUMENTS", "").split()
        at = words.index("-i") if "-i" in words else None
        return None if at is None else frozenset(words[at + 1].split(","))

    def driver(self, family: str, name: str) -> Mapping[str, str] | None:
        """Return what the file says of a driver; ``family`` is TM_MAD, DS_MAD or VN_MAD. None: not defined."""
        return next((one for one in self.template.vectors(f"{family}_CONF") if one.get("NAME") == name), None)
