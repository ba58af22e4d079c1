"""How ``MachineTags`` look as key and value pairs; each provider writes the pairs in its own form."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.model import MachineTags

OWNER, HOST, TOKEN, NAME = "one-owner", "one-host", "one-token", "one-name"


def as_pairs(tags: MachineTags) -> dict[str, str]:
    """Return the pairs to write; an empty name is left out."""
    pairs = {OWNER: tags.owner, HOST: str(tags.host_id), TOKEN: tags.token, NAME: tags.name}
    return {key: value for key, value in pairs.items() if value}


def from_pairs(pairs: Mapping[str, str]) -> MachineTags | None:
    """Return the tags read back; None when no owner is named, which means that the machine is not ours."""
    owner = pairs.get(OWNER, "")
    if not owner:
        return None
    host = pairs.get(HOST, "")
    host_id = int(host) if host.isascii() and host.isdigit() else -1
    return MachineTags(owner=owner, host_id=host_id, token=pairs.get(TOKEN, ""), name=pairs.get(NAME, ""))
