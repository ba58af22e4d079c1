"""What the packet simulator sells: plans, operating systems and places; a small part of the real catalogue.

Specifications and hourly prices are those of the provider's last public price list, rounded; they are only examples.
The texts of processors are those such machines were reported with, where the cores are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from uuid import NAMESPACE_URL, uuid5


@dataclass(frozen=True)
class Plan:
    """A kind of machine: its processors, memory, disks, and price in dollars an hour."""

    slug: str
    cpus: str
    memory: str
    drives: str
    hour: float

    @cached_property
    def view(self) -> dict[str, object]:
        """What the API says of it; not to be changed."""
        return {
            "id": fixed_id("plan", self.slug),
            "slug": self.slug,
            "name": self.slug,
            "description": self.slug,
            "line": "baremetal",
            "legacy": False,
            "class": self.slug,
            "deployment_types": ["on_demand", "spot_market"],
            "specs": {
                "cpus": [{"count": 1, "type": self.cpus}],
                "memory": {"total": self.memory},
                "drives": [{"count": 2, "size": self.drives, "type": "SSD"}],
                "nics": [{"count": 2, "type": "10Gbps"}],
                "features": {"raid": False, "txt": True, "uefi": True},
            },
            "pricing": {"hour": self.hour},
            "available_in": [
                {"href": f"/facilities/{fixed_id('facility', one)}", **self._differing(FACILITIES[one])}
                for one in FACILITIES
            ],
            "available_in_metros": [
                {"href": f"/metros/{fixed_id('metro', code)}", **self._differing(code)} for code in METROS
            ],
        }

    def _differing(self, metro: str) -> dict[str, object]:
        """What the API adds where the price is another one; invented."""
        return {"price": {"hour": round(self.hour * DEARER[metro], 2)}} if metro in DEARER else {}


def fixed_id(kind: str, name: str) -> str:
    """Return the same identifier for the same thing in every run."""
    return str(uuid5(NAMESPACE_URL, f"sandbox:{kind}:{name}"))


PLANS = {
    one.slug: one
    for one in (
        Plan("c3.small.x86", "Intel Xeon E-2278G 8-Core Processor @ 3.40GHz", "32GB", "480GB", 0.75),
        Plan("m3.small.x86", "Intel Xeon E-2378G Processor 8-Core @ 2.80GHz", "64GB", "480GB", 1.05),
        Plan("c3.medium.x86", "AMD EPYC 7402P 24-Core Processor @ 2.80GHz", "64GB", "480GB", 1.5),
        Plan("m3.large.x86", "AMD EPYC 7502P 32-Core @ 2.50GHz", "256GB", "3.8TB", 3.1),
        Plan("n3.xlarge.x86", "Intel Xeon Gold 6314U 32-Core Processor @ 2.30GHz", "512GB", "3.8TB", 4.5),
        Plan("t1.small.x86", "Intel Atom C2550 4-Core Processor @ 2.4GHz", "8GB", "80GB", 0.07),
        Plan("baremetal_0", "Intel Atom C2550 4-Core Processor @ 2.4GHz", "8GB", "80GB", 0.07),
    )
}

DEARER = {"sv": 1.2}  # metro -> how many times the price there

METROS = {
    "am": ("Amsterdam", "NL"),
    "da": ("Dallas", "US"),
    "dc": ("Washington DC", "US"),
    "fr": ("Frankfurt", "DE"),
    "ny": ("New York", "US"),
    "pa": ("Paris", "FR"),
    "sv": ("Silicon Valley", "US"),
}
FACILITIES = {
    "am6": "am",
    "ams1": "am",
    "da11": "da",
    "dc13": "dc",
    "fr2": "fr",
    "ny5": "ny",
    "ewr1": "ny",
    "pa4": "pa",
    "sv15": "sv",
}
SYSTEMS = {
    "almalinux_9": ("Alma 9", "alma", "9"),
    "debian_11": ("Debian 11", "debian", "11"),
    "debian_12": ("Debian 12", "debian", "12"),
    "rocky_9": ("Rocky 9", "rocky", "9"),
    "ubuntu_22_04": ("Ubuntu 22.04 LTS", "ubuntu", "22.04"),
    "ubuntu_24_04": ("Ubuntu 24.04 LTS", "ubuntu", "24.04"),
}


@cache
def metro_view(code: str) -> dict[str, object]:
    """Describe a metro as the API does; not to be changed."""
    name, country = METROS[code]
    return {"id": fixed_id("metro", code), "code": code, "name": name, "country": country}


@cache
def facility_view(code: str) -> dict[str, object]:
    """Describe a facility as the API does; not to be changed."""
    metro = metro_view(FACILITIES[code])
    return {"id": fixed_id("facility", code), "code": code, "name": f"{metro['name']} {code}", "metro": metro}


@cache
def system_view(slug: str) -> dict[str, object]:
    """Describe an operating system as the API does; not to be changed."""
    name, distro, version = SYSTEMS[slug]
    return {
        "id": fixed_id("operating-system", slug),
        "slug": slug,
        "name": name,
        "distro": distro,
        "version": version,
        "preinstallable": True,
        "pricing": {},
        "licensed": False,
        "provisionable_on": list(PLANS),
    }
