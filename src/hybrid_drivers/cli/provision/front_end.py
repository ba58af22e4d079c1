"""What every command begins with: the front-end it works on, and who runs it."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import suppress
from dataclasses import replace

from hybrid_drivers.config import Location
from hybrid_drivers.errors import AgentError, HybridError
from hybrid_drivers.provision.site import Site


def here() -> Site:
    """Reach the front-end of this machine. Raises: ConfigError."""
    return replace(Site.of(Location.from_environment(os.environ), who()), look=_look)


def _look(host_id: int) -> None:
    from hybrid_drivers.cli.agent import ask

    with suppress(AgentError):  # its own look comes later
        ask("look", str(host_id))


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
