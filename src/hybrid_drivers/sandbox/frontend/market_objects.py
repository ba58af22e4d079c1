"""A marketplace app and its XML (OpenNebula ``MarketPlaceApp.cc``; not recorded)."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.model import Value
from hybrid_drivers.sandbox.frontend.attributes import Attributes, cdata
from hybrid_drivers.sandbox.frontend.owned import OwnedObject

TYPES: Final[Mapping[str, int]] = {"IMAGE": 1, "VMTEMPLATE": 2, "SERVICE_TEMPLATE": 3}
READY, LOCKED = 1, 2
_ENCODED: Final = ("APPTEMPLATE64", "VMTEMPLATE64")


@dataclass(kw_only=True)
class AppObject(OwnedObject):
    """An app; ``size`` in MiB."""

    type: int = 1
    size: int = 100
    state: int = READY
    registered: int = field(default_factory=lambda: int(time.time()))

    @property
    def source(self) -> str:
        """Return where its image is fetched from."""
        return f"https://marketplace.example.com/appliance/{self.id}/download/0"

    @property
    def md5(self) -> str:
        """Return its checksum."""
        return f"{self.id:032x}"

    def xml(self) -> str:
        """Return ``<MARKETPLACEAPP>``; unlike elsewhere the name comes late."""
        begin, _, name = self.head().partition("<NAME>")
        return (
            f"<MARKETPLACEAPP>{begin}<REGTIME>{self.registered}</REGTIME><NAME>{name}<ZONE_ID>{cdata('0')}</ZONE_ID>"
            f"<ORIGIN_ID>{cdata('-1')}</ORIGIN_ID><SOURCE>{cdata(self.source)}</SOURCE><MD5>{cdata(self.md5)}</MD5>"
            f"<SIZE>{self.size}</SIZE><DESCRIPTION>{cdata('')}</DESCRIPTION><VERSION>{cdata('1.0')}</VERSION>"
            f"<FORMAT>{cdata('qcow2')}</FORMAT><APPTEMPLATE64>{cdata(self.template.text('APPTEMPLATE64'))}"
            "</APPTEMPLATE64><MARKETPLACE_ID>0</MARKETPLACE_ID><MARKETPLACE>OpenNebula Public</MARKETPLACE>"
            f"<STATE>{self.state}</STATE><TYPE>{self.type}</TYPE>{self.rights()}{self.template.xml()}</MARKETPLACEAPP>"
        )

    @classmethod
    def of(cls, name: str, kind: str, size: int, attributes: Mapping[str, Value]) -> AppObject:
        """Make an app; APPTEMPLATE64 and VMTEMPLATE64 are given in the clear here."""
        pairs: list[tuple[str, Value]] = [
            (key, _encoded(value) if key in _ENCODED and isinstance(value, str) else value)
            for key, value in attributes.items()
        ]
        return cls(id=-1, name=name, type=TYPES[kind], size=size, template=Attributes(pairs))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
