"""How tags of machines and addresses look as key and value pairs; each provider writes the pairs in its own form."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.model import MachineTags
from hybrid_drivers.model_addresses import AddressTags

OWNER, HOST, TOKEN, NAME = "one-owner", "one-host", "one-token", "one-name"
INDEX, INSIDE, PREFIX6 = "one-index", "one-inside", "one-prefix6"


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


def address_pairs(tags: AddressTags) -> dict[str, str]:
    """Return the pairs to write on a block of addresses."""
    pairs = {OWNER: tags.owner, TOKEN: tags.token, INDEX: str(tags.index), INSIDE: tags.inside, PREFIX6: tags.prefix6}
    return {key: value for key, value in pairs.items() if value}


def address_tags(pairs: Mapping[str, str]) -> AddressTags | None:
    """Return the tags of a block read back; None when no owner is named, which means that it is not ours."""
    owner = pairs.get(OWNER, "")
    if not owner:
        return None
    index = pairs.get(INDEX, "")
    return AddressTags(
        owner=owner,
        token=pairs.get(TOKEN, ""),
        index=int(index) if index.isascii() and index.isdigit() else 0,
        inside=pairs.get(INSIDE, ""),
        prefix6=pairs.get(PREFIX6, ""),
    )
