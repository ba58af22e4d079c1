"""What the roles are told when a host's configuration is compiled."""

from __future__ import annotations

from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.peers import WINDOW, digest
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.spec import Spec
from hybrid_drivers.config import Location
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.playbooks import depend_on_peers
from hybrid_drivers.secret import Secret


def gather(parts: Parts, record: HostRecord, spec: Spec, address: str, *, not_before: float | None = None) -> Facts:
    """Return the facts of a host; its peers only when its playbooks depend on them, read at ``not_before`` or later.

    ``not_before`` is a time of ``clock.monotonic()``.

    Raises:
        ConfigError: a key cannot be read, or a playbook is not known.
        OnedError: oned cannot be asked for the peers.
    """
    since = parts.clock.monotonic() - WINDOW if not_before is None else not_before
    return Facts(
        oneadmin_keys=tuple(parts.keys.public_lines(spec.connection)),
        oneadmin_private_key=Secret(parts.keys.private_text(spec.connection)),
        login_user=spec.login_user,
        opennebula_version=front_end_version(parts.location),
        address=address,
        peers=parts.peers.of(record.host, address, since) if depend_on_peers(spec.playbooks) else (),
    )


def front_end_version(location: Location) -> str:
    """Return the version of the front-end's OpenNebula, empty when its remotes do not tell.

    OpenNebula's ``install.sh`` puts ``VERSION`` there (``IM_PROBES_VERSION``), for ``onehost sync`` to compare.
    """
    try:
        return (location.remotes / "VERSION").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def configured_with(facts: Facts) -> str:
    """Return PROVISION_PEERS of a host that was configured with ``facts``; empty when it does not depend on others."""
    return digest(facts.peers)
