"""What ``agent/hooks.py`` has addresses moved by: ``post`` and ``clean`` of the network drivers, for both of them.

Of ``alias_sdnat`` only the provider's part is done: the node's is its own, which oned runs there (``remotes/vnm``).
"""

from __future__ import annotations

import base64
from typing import Literal

from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.vnm import Networks
from hybrid_drivers.oned.hook_actions import read_machine
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.vnm_actions import parse_vnm


class NoNodes:
    """A node's part that is nobody's, or somebody else's."""

    def run(self, record: HostRecord, program: str, document: bytes) -> None:
        """Do nothing."""


class HookAddresses:
    """Moves addresses as ``Networks`` does: ``hybrid`` for its cards, ``sdnat`` for those of ``alias_sdnat``."""

    def __init__(self, hybrid: Networks, sdnat: Networks) -> None:
        self._networks = {"hybrid": hybrid, "alias_sdnat": sdnat}

    def post(self, vm_document: bytes, host: str) -> None:
        """Give the cards their addresses. Raises: HybridError."""
        self._both("post", vm_document, ("-", host))

    def clean(self, vm_document: bytes, host: str) -> None:
        """Take the addresses of the cards away. Raises: HybridError."""
        self._both("clean", vm_document, (host,))

    def _both(self, action: Literal["post", "clean"], vm_document: bytes, argv: tuple[str, ...]) -> None:
        cards = read_machine(vm_document, "the document for network drivers").cards
        concerned = {one.vn_mad for one in ([one for one in cards if one.attach] or cards)}
        stdin = base64.b64encode(vm_document)
        for driver, networks in self._networks.items():
            if driver in concerned:
                networks.answer(parse_vnm(Call(family="vnm", driver=driver, action=action, argv=argv, stdin=stdin)))
