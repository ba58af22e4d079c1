"""What all objects with an owner share: who they belong to, who may do what, their template."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from hybrid_drivers.sandbox.frontend.attributes import Attributes

_PERMISSIONS = ("OWNER_U", "OWNER_M", "OWNER_A", "GROUP_U", "GROUP_M", "GROUP_A", "OTHER_U", "OTHER_M", "OTHER_A")


@dataclass(kw_only=True)
class OwnedObject:
    """An object of somebody; made by oneadmin with umask 177 unless said otherwise."""

    id: int
    name: str
    template: Attributes = field(default_factory=Attributes)
    uid: int = 0
    gid: int = 0
    uname: str = "oneadmin"
    gname: str = "oneadmin"
    permissions: list[int] = field(default_factory=lambda: [1, 1, 0, 0, 0, 0, 0, 0, 0])

    def head(self) -> str:
        """Return the elements every document of such an object begins with, NAME the last."""
        return (
            f"<ID>{self.id}</ID><UID>{self.uid}</UID><GID>{self.gid}</GID><UNAME>{escape(self.uname)}</UNAME>"
            f"<GNAME>{escape(self.gname)}</GNAME><NAME>{escape(self.name)}</NAME>"
        )

    def rights(self) -> str:
        """Return ``<PERMISSIONS>``."""
        bits = "".join(f"<{tag}>{bit}</{tag}>" for tag, bit in zip(_PERMISSIONS, self.permissions, strict=True))
        return f"<PERMISSIONS>{bits}</PERMISSIONS>"


@dataclass(kw_only=True)
class TemplateObject(OwnedObject):
    """A template of a virtual machine or a network; ``registered`` is unix seconds."""

    registered: int = field(default_factory=lambda: int(time.time()))

    def xml(self, root: str) -> str:
        """Return its document."""
        return f"<{root}>{self.head()}{self.rights()}<REGTIME>{self.registered}</REGTIME>{self.template.xml()}</{root}>"


def ids(tag: str, numbers: Iterable[int]) -> str:
    """Return a collection of ids as oned writes it."""
    return f"<{tag}>{''.join(f'<ID>{one}</ID>' for one in sorted(numbers))}</{tag}>"
