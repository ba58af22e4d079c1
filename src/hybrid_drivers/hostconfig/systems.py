"""The operating systems of nodes, and values that differ between them.

A script is compiled without knowing where it will run: such a value goes into it for every system, and the host picks
its own (``choose`` in ``functions.sh``): the most exact key wins, ``ubuntu-24.04`` over ``ubuntu`` over ``debian``.
RHEL, AlmaLinux, Rocky and CentOS Stream are all ``redhat``, with the major version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_drivers.hostconfig.steps import words

SYSTEMS: tuple[str, ...] = (
    *("debian", "debian-12", "debian-13", "ubuntu", "ubuntu-22.04", "ubuntu-24.04"),
    *("redhat", "redhat-8", "redhat-9", "redhat-10"),
)
PerSystem = Mapping[str, Sequence[str]]


def chosen(values: PerSystem) -> str:
    """Return the shell words by which a host picks its own of ``values``: plain names without white space.

    Raises:
        ValueError: an unknown system, or a value that is not one plain word.
    """
    for system, names in values.items():
        if system not in SYSTEMS:
            raise ValueError(f"'{system}' is not a system; known are {', '.join(SYSTEMS)}")
        for name in names:
            if not name or any(c.isspace() or c in "*?[" for c in name):
                raise ValueError(f"'{name}' of {system} is not a plain name")
    # Not quoted: the host splits what it chose into words again.
    pairs = [f"{system}={' '.join(names)}" for system, names in values.items()]
    return f"$(choose {words(*pairs)})"
