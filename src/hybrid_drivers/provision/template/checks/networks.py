"""Networks and network templates: drivers, address ranges, addresses.

What oned asks for: OpenNebula ``src/vnm/VirtualNetwork.cc`` and ``AddressRange.cc``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from hybrid_drivers.provision.template.checks.finding import Findings, key_of
from hybrid_drivers.provision.template.expand import count_of, expand_ranges
from hybrid_drivers.provision.template.model import Data, ObjectSpec, TemplateError

DRIVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
TYPES = ("IP4", "IP6", "IP6_STATIC", "IP4_6", "IP4_6_STATIC", "ETHER")
WITH_IP4 = ("IP4", "IP4_6", "IP4_6_STATIC")
WITH_PHYDEV = ("802.1Q", "vxlan", "ovswitch_vxlan")
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_ADDRESSES: Mapping[str, str] = {"GATEWAY": "4", "GATEWAY6": "6", "NETWORK_ADDRESS": "4", "NETWORK_MASK": "4"}
_NUMBERS: Mapping[str, tuple[int, int]] = {
    "VLAN_ID": (0, 16777215), "OUTER_VLAN_ID": (0, 4095), "MTU": (68, 65535), "GUEST_MTU": (68, 65535)
}  # fmt: skip


def check_networks(findings: Findings) -> None:
    """Check all networks and network templates."""
    for spec in (*findings.template.networks, *findings.template.vntemplates):
        _Network(findings, spec).check()


class _Network:
    def __init__(self, findings: Findings, spec: ObjectSpec) -> None:
        self._findings, self._spec = findings, spec
        self._taken: list[tuple[int, int]] = []

    def check(self) -> None:
        self._driver()
        for name, family in _ADDRESSES.items():
            text = self._text(name)
            if text and not _is_address(text, family):
                self._say(name, f"must be an IPv{family} address, not '{text[:40]}'")
        for one in re.split(r"[\s,]+", self._text("DNS") or ""):
            if one and not _is_address(one, "46"):
                self._say("DNS", f"must be addresses with blanks or commas between them; '{one[:40]}' is none")
        for name, (low, high) in _NUMBERS.items():
            text = self._text(name)
            if text and not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high):
                self._say(name, f"must be a number from {low} to {high}, not '{text[:40]}'")
        self._ranges()

    def _driver(self) -> None:
        driver = self._text("VN_MAD")
        if driver is None or (not driver and self._spec.kind == "vntemplates"):
            return
        if not DRIVER.fullmatch(driver):
            self._say("VN_MAD", f"'{driver[:40]}' cannot be the name of a driver")
        if self._spec.kind == "vntemplates":  # may leave things to who makes a network from it
            return
        if driver == "dummy" and not self._has("BRIDGE"):
            self._say("VN_MAD", "driver dummy needs the key 'bridge'")
        if driver in WITH_PHYDEV and not self._has("PHYDEV"):
            self._say("VN_MAD", f"driver {driver} needs the key 'phydev'")
        if driver in WITH_PHYDEV and not (self._has("VLAN_ID") or self._has("AUTOMATIC_VLAN_ID")):
            self._say("VN_MAD", f"driver {driver} needs 'vlan_id' or 'automatic_vlan_id: yes'")

    def _ranges(self) -> None:
        key = key_of(self._spec.body, "AR")
        if key is None:
            return
        given = self._spec.body[key]
        ranges: Data = [given] if isinstance(given, dict) else given
        if not isinstance(ranges, list) or not all(isinstance(one, dict) for one in ranges):
            self._say("AR", "must be a list of address ranges, each a mapping")
            return
        for at, one in enumerate(ranges):
            if isinstance(one, dict):
                _Range(self._findings, self._spec, f"{key}.{at}", one, self._taken).check()
        self._repeated(key, ranges)

    def _repeated(self, key: str, ranges: list[Data]) -> None:
        """Check ``provision.count``, which repeats the first range."""
        try:
            count = count_of(self._spec)
            expand_ranges(self._spec)
        except TemplateError as exc:
            if self._findings.text(self._spec, self._spec.provision.get("count")) is not None:
                self._findings.add(exc)
            return
        first = ranges[0] if ranges else {}
        if count > 1 and isinstance(first, dict) and (ip := key_of(first, "IP")) and first[ip]:
            self._say(f"{key}.0.{ip}", f"the range is there {count} times (provision.count), with one address for all")

    def _text(self, name: str) -> str | None:
        """Return an attribute, None when it is not known yet."""
        key = key_of(self._spec.body, name)
        value = self._spec.body.get(key) if key else ""
        if isinstance(value, (list, dict)):
            self._say(name, "must be a single value")
            return None
        return self._findings.text(self._spec, value)

    def _has(self, name: str) -> bool:
        key = key_of(self._spec.body, name)
        return bool(key and self._spec.body[key])

    def _say(self, name: str, text: str) -> None:
        key = key_of(self._spec.body, name) or name
        self._findings.say(self._spec.at(key if key in self._spec.lines else key.lower()), text)


class _Range:
    """One address range."""

    def __init__(
        self, findings: Findings, spec: ObjectSpec, key: str, body: Mapping[str, Data], taken: list[tuple[int, int]]
    ) -> None:
        self._findings, self._spec, self._key, self._body, self._taken = findings, spec, key, body, taken

    def check(self) -> None:
        managed = bool(self._raw("IPAM_MAD"))  # the provider gives the addresses, and says of what kind they are
        kind, size = self._text("TYPE"), self._text("SIZE")
        if kind == "" and not managed:
            self._say("TYPE", f"is missing: one of {', '.join(TYPES)}")
        elif kind and kind.upper() not in TYPES:
            self._say("TYPE", f"must be one of {', '.join(TYPES)}, not '{kind[:40]}'")
        if size == "":
            self._say("SIZE", "is missing: how many addresses")
        elif size is not None and not (size.isascii() and size.isdigit() and int(size[:10]) > 0):
            self._say("SIZE", f"must be a whole number from 1, not '{size[:40]}'")
            size = None
        self._addresses((kind or "").upper(), size, managed)

    def _addresses(self, kind: str, size: str | None, managed: bool) -> None:
        ip, mac = self._text("IP"), self._text("MAC")
        if ip == "" and kind in WITH_IP4 and not managed:
            self._say("IP", f"is missing: the first address of a range of type {kind}")
        elif ip and not _is_address(ip, "4"):
            self._say("IP", f"must be an IPv4 address, not '{ip[:40]}'")
        elif ip and size:
            self._place_of(int(ipaddress.IPv4Address(ip)), int(size[:10]))
        if mac and not _MAC.fullmatch(mac):
            self._say("MAC", f"must be like 02:00:c0:a8:00:01, not '{mac[:40]}'")
        for name in ("GLOBAL_PREFIX", "ULA_PREFIX", "IP6"):
            text = self._text(name)
            if text and not _is_address(text.partition("/")[0], "6"):
                self._say(name, f"must be an IPv6 address, not '{text[:40]}'")

    def _place_of(self, first: int, size: int) -> None:
        last = first + size - 1
        if last > 0xFFFFFFFF:
            self._say("SIZE", "the range goes beyond 255.255.255.255")
        elif any(first <= end and start <= last for start, end in self._taken):
            self._say("IP", "the range overlaps with another one of this network")
        else:
            self._taken.append((first, last))

    def _raw(self, name: str) -> Data:
        key = key_of(self._body, name)
        return self._body[key] if key else ""

    def _text(self, name: str) -> str | None:
        value = self._raw(name)
        if isinstance(value, (list, dict)):
            self._say(name, "must be a single value")
            return None
        return "" if value is None else self._findings.text(self._spec, value)

    def _say(self, name: str, text: str) -> None:
        key = key_of(self._body, name) or name.lower()
        self._findings.say(self._spec.at(f"{self._key}.{key}"), text)


def _is_address(text: str, families: str) -> bool:
    try:
        return str(ipaddress.ip_address(text).version) in families
    except ValueError:
        return False
