"""What every command begins with: the front-end it works on, and who runs it."""

from __future__ import annotations

import getpass
import os
import socket

from hybrid_drivers.config import Location
from hybrid_drivers.errors import HybridError
from hybrid_drivers.provision.site import Site


def here() -> Site:
    """Reach the front-end of this machine. Raises: ConfigError."""
    return Site.of(Location.from_environment(os.environ), who())


def here_if_any() -> Site | None:
    """Reach the front-end of this machine, if there is one that answers."""
    try:
        site = here()
        site.oned.version()
    except HybridError:
        return None
    return site


def who() -> str:
    """Return who is written into the history: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
