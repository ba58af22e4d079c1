"""What hosts that growing makes are called: ``CLUSTER-grow-NUMBER``, valid as a host name (RFC 1123) at any provider.

The name goes to the provider as it is (packet: "Hostname is invalid"), and clusters may be called anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hybrid_drivers.model import Cluster, Host

_LONGEST: Final = 40  # of a label's 63 characters
_BETWEEN: Final = "-grow-"


def stem_of(cluster: Cluster, clusters: Mapping[int, Cluster]) -> str:
    """Return what a cluster's hosts are called by: its name in lower-case letters, digits and dashes.

    With its id where another cluster's would be the same, or where nothing is left of the name.
    """
    stem = _cleaned(cluster.name)
    if not stem:
        return f"cluster-{cluster.id}"
    alike = any(_cleaned(one.name) == stem for one in clusters.values() if one.id != cluster.id)
    return f"{stem}-{cluster.id}" if alike and cluster.name != stem else stem


def free_names(stem: str, hosts: Iterable[Host]) -> Iterator[str]:
    """Yield names no host has or had: a second agent that makes the same host at the same time is refused by oned."""
    used = [name for host in hosts for name in (host.name, host.template.vector("PROVISION").get("HOSTNAME", ""))]
    numbers = [int(end) for one in used for begin, _, end in [one.rpartition(_BETWEEN)] if begin == stem and _is(end)]
    number = max(numbers, default=0)
    while True:
        number += 1
        yield f"{stem}{_BETWEEN}{number}"


def stem_in(name: str) -> str:
    """Return the stem of a host's name, nothing when growing gives no such names."""
    return name.rpartition(_BETWEEN)[0]


def may_be_of(name: str, cluster: Cluster) -> bool:
    """Tell whether growing may have given a host of this cluster that name."""
    stem = stem_of(cluster, {})
    return stem_in(name) in (stem, f"{stem}-{cluster.id}")


def _is(number: str) -> bool:
    return number.isascii() and number.isdigit()


def _cleaned(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST].rstrip("-")
