"""Kernel settings of this computer that yards raise together, and put back when the last of them goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYSCTLS = Path("/proc/sys")


@dataclass
class SharedSettings:
    """The settings noted in ``notes`` (a JSON file). The caller holds the lock of the state folder."""

    notes: Path
    sysctls: Path = field(default=SYSCTLS)

    def raise_for(self, yard_id: str, wanted: Mapping[str, int]) -> None:
        """Raise each setting (``net/ipv4/ip_forward``) to at least the value given, noting first what it was."""
        noted = self._read()
        for name in wanted:
            was = (self.sysctls / name).read_text().strip()
            noted.setdefault(name, [was])  # [old value, yard, yard, ...]
            noted[name] = [noted[name][0], *(one for one in noted[name][1:] if one != yard_id), yard_id]
        self._write(noted)
        for name, value in wanted.items():
            if int((self.sysctls / name).read_text()) < value:
                (self.sysctls / name).write_text(str(value))

    def release(self, yard_id: str) -> None:
        """Forget the yard; what no other yard needs gets its old value back."""
        kept: dict[str, list[str]] = {}
        for name, (was, *yards) in self._read().items():
            left = [one for one in yards if one != yard_id]
            if left:
                kept[name] = [was, *left]
            else:
                (self.sysctls / name).write_text(was)
        self._write(kept)

    def _read(self) -> dict[str, list[str]]:
        return dict(json.loads(self.notes.read_text())) if self.notes.is_file() else {}

    def _write(self, noted: Mapping[str, list[str]]) -> None:
        if noted:
            self.notes.write_text(json.dumps(noted))
        else:
            self.notes.unlink(missing_ok=True)
