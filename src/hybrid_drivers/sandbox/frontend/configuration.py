"""``monitord.conf`` as the stand-in reads it, and what drivers get of it (recorded: ``im.start_monitor.xml``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse

_DEFAULT_THREADS = 15  # of one_im_sh
_DEFAULTS = {  # OpenNebula MonitorConfigTemplate: what holds when the file says nothing
    "HOST_MONITORING_EXPIRATION_TIME": "43200",
    "VM_MONITORING_EXPIRATION_TIME": "43200",
    "MANAGER_TIMER": "15",
    "MONITORING_INTERVAL_HOST": "180",
}


@dataclass(frozen=True)
class MonitordConf:
    """The attributes of the file; vectors keep what the stand-in does not use itself."""

    attributes: Attributes

    @classmethod
    def read(cls, path: Path) -> MonitordConf:
        """Read the file.

        Raises:
            ConfigError: it cannot be read or is no template.
        """
        try:
            told = parse(path.read_text())
        except OSError as exc:
            raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
        except TemplateSyntaxError as exc:
            raise ConfigError(f"{path} cannot be understood by monitord: {exc}") from exc
        attributes = Attributes((name, value) for name, value in _DEFAULTS.items() if name not in told)
        attributes.add(told)
        return cls(attributes)

    def threads(self) -> dict[str, int]:
        """Return every IM that is run on the front-end (one_im_sh) and how many actions it does at once."""
        found: dict[str, int] = {}
        for im_mad in self.attributes.template().vectors("IM_MAD"):
            if im_mad.get("EXECUTABLE") == "one_im_sh":
                count = re.search(r"-t\s*(\d+)", im_mad.get("ARGUMENTS", ""))
                found[im_mad.get("NAME", "")] = int(count[1]) if count else _DEFAULT_THREADS
        return found

    def xml(self, host_id: int, changes: Mapping[str, str | Mapping[str, str]]) -> str:
        """Return ``<MONITOR_CONFIGURATION>``; ``changes`` replace plain values and single keys of vectors."""
        document = Attributes(self.attributes.template())
        for name, value in changes.items():
            document.set(name, value if isinstance(value, str) else {**document.template().vector(name), **value})
        return document.xml("MONITOR_CONFIGURATION", extra=f"<HOST_ID>{host_id}</HOST_ID>")
